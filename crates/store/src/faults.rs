//! Writes that fail on demand. Without the feature `faults` there is nothing to arm, and every write is just done.

use crate::sql::DatabaseError;

/// Where the writer can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "faults"),
    expect(unreachable_pub, reason = "public where failures can be armed")
)]
pub enum Point {
    /// Opening the database again after a failure.
    Reconnect,
    /// Proving that writing works, after that.
    Fence,
    /// Beginning a transaction.
    Begin,
    /// Writing `log_` and `side_` rows of entries.
    Append,
    /// Writing `view_` rows.
    Project,
    /// Writing a `side_` row that belongs to no entry.
    Side,
    /// Making the transaction durable.
    Commit,
    /// Asking whether a failed commit is stored.
    LookUp,
}

/// What the writer's tasks run through.
#[derive(Clone, Default)]
pub(crate) struct Guard {
    #[cfg(feature = "faults")]
    faults: Faults,
}

#[cfg(not(feature = "faults"))]
impl Guard {
    pub(crate) async fn run<T>(
        &self,
        _: Point,
        work: impl Future<Output = Result<T, DatabaseError>>,
    ) -> Result<T, DatabaseError> {
        work.await
    }
}

#[cfg(feature = "faults")]
pub use armed::{Failure, Faults};

#[cfg(feature = "faults")]
mod armed {
    use super::{DatabaseError, Guard, Point};
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex, PoisonError};

    /// The two ways in which a write fails.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Failure {
        /// It is not done, and an error is reported.
        NotDone,
        /// It is done, and an error is reported all the same.
        DoneWithError,
    }

    /// Failures to come; clones share them.
    #[derive(Clone, Default)]
    pub struct Faults(Arc<Mutex<VecDeque<(Point, Failure)>>>);

    impl Faults {
        /// Lets the next arrival at `point` fail, once.
        pub fn arm(&self, point: Point, failure: Failure) {
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push_back((point, failure));
        }

        /// Whether everything that was armed has happened.
        #[must_use]
        pub fn spent(&self) -> bool {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
        }

        fn take(&self, point: Point) -> Option<Failure> {
            let mut armed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let at = armed.iter().position(|(at, _)| *at == point)?;
            armed.remove(at).map(|(_, failure)| failure)
        }
    }

    impl From<Faults> for Guard {
        fn from(faults: Faults) -> Self {
            Self { faults }
        }
    }

    impl Guard {
        pub(crate) async fn run<T>(
            &self,
            point: Point,
            work: impl Future<Output = Result<T, DatabaseError>>,
        ) -> Result<T, DatabaseError> {
            match self.faults.take(point) {
                None => work.await,
                Some(Failure::NotDone) => Err(DatabaseError::injected(point)),
                Some(Failure::DoneWithError) => {
                    work.await?;
                    Err(DatabaseError::injected(point))
                }
            }
        }
    }
}

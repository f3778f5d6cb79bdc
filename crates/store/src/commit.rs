//! What a commit gives: a value that only this crate can make, or the reason why there is none.

use crate::open::{Store, StoreId};
use crate::sql::DatabaseError;
use crate::writer::{Job, Pending};
use model::apply::Refused;
use model::bytes::Digest;
use model::chain::{Action, Session, Step};
use model::entity::EntityKey;
use model::id::EntryId;
use model::name::EnvironmentName;
use std::fmt;
use tokio::sync::oneshot;

/// One stored entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Its place in the log.
    pub index: u64,
    /// Its id.
    pub id: EntryId,
    /// SHA-256 of its bytes (not the Merkle leaf hash).
    pub hash: Digest,
    /// When it was committed, by the store's clock, Unix milliseconds.
    pub time_ms: u64,
}

/// A step that is durable, and whose basis still held when it became so. Not Clone, not to be made by hand.
#[derive(Debug)]
#[must_use = "what is committed has been promised to somebody"]
pub struct Committed<T> {
    environment: EnvironmentName,
    store: StoreId,
    entries: Vec<Receipt>,
    outcome: T,
}

impl<T> Committed<T> {
    /// The environment in whose log it stands.
    pub fn environment(&self) -> &EnvironmentName {
        &self.environment
    }

    /// The store that made it; a gate accepts what its own store made only.
    pub fn store(&self) -> StoreId {
        self.store
    }

    /// Its entries, in the order of the step.
    pub fn entries(&self) -> &[Receipt] {
        &self.entries
    }
}

impl Committed<()> {
    /// The receipts of a record that permits nothing.
    #[must_use]
    pub fn into_entries(self) -> Vec<Receipt> {
        self.entries
    }
}

impl Committed<Action> {
    /// The action that may now take effect: its gate is the session's, which has been passed.
    pub fn action(&self) -> &Action {
        &self.outcome
    }

    /// The action, for use.
    #[must_use]
    pub fn into_action(self) -> Action {
        self.outcome
    }
}

impl Committed<Session> {
    /// What was opened, to look at. It may be dialed only once `publisher`'s gate has cleared it.
    pub fn session(&self) -> &Session {
        &self.outcome
    }

    /// Takes it apart. INVARIANT (gate first): called by `publisher::gate` alone, which a house rule checks.
    #[must_use]
    pub fn into_gated(self) -> (Vec<Receipt>, Session) {
        (self.entries, self.outcome)
    }
}

/// Why a step was certainly not stored.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Why {
    /// The database failed; nothing of the step is in it.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
    /// Another step of the same transaction could not be written, and with it none of them.
    #[error("the writer stopped before it came to this step")]
    Stopped,
}

/// Why a step is not committed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// Certainly not stored. It may be tried again, with fresh ids.
    #[error("not stored: {0}")]
    NotStored(#[source] Why),
    /// What the step rests on has changed; ask the judge again.
    #[error("{0} has changed since it was judged")]
    Conflict(EntityKey),
    /// A rule forbids it.
    #[error(transparent)]
    Refused(Refused),
    /// It may be stored or not. [`Store::settle`] tells, as soon as the database answers; never retry under new ids.
    #[error("not known whether {} is stored", List(.0))]
    Unknown(Vec<EntryId>),
}

struct List<'a>(&'a [EntryId]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, id) in self.0.iter().enumerate() {
            write!(f, "{}{id}", if n == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl Store {
    /// Stores the entries of `step`, all or none, if what it rests on has not changed. A step whose first entry is a
    /// genesis creates the environment's log.
    ///
    /// The step is handed to the writer when this is called, not when the future is polled: dropping the future loses
    /// the answer and nothing else.
    ///
    /// # Errors
    /// See [`CommitError`].
    pub fn commit<T: Send + 'static>(
        &self,
        environment: &EnvironmentName,
        step: Step<T>,
    ) -> impl Future<Output = Result<Committed<T>, CommitError>> + Send + use<T> {
        let (drafts, basis, outcome) = step.into_parts();
        let (answer, answered) = oneshot::channel();
        let (name, store) = (environment.clone(), self.id());
        let ids: Vec<EntryId> = drafts.iter().map(|draft| draft.id).collect();
        self.shared.writer.commit(Pending {
            environment: environment.clone(),
            ids: ids.clone(),
            drafts,
            basis,
            answer: Box::new(move |result| {
                // Nobody may be waiting any more; the entries are stored all the same.
                drop(answer.send(result.map(|entries| Committed {
                    environment: name,
                    store,
                    entries,
                    outcome,
                })));
            }),
        });
        // The writer answers every step; one that it left unanswered may have been stored before it died.
        async move { answered.await.unwrap_or(Err(CommitError::Unknown(ids))) }
    }

    /// What became of an entry whose commit was answered with [`CommitError::Unknown`]: stored, or never to be.
    ///
    /// # Errors
    /// While the database does not answer; ask again.
    pub async fn settle(&self, environment: &EnvironmentName, id: EntryId) -> Result<Option<Receipt>, DatabaseError> {
        let asked = self
            .shared
            .writer
            .ask(|answer| Job::Settle(environment.clone(), id, answer))
            .await;
        asked.unwrap_or_else(|| Err(DatabaseError::closed()))
    }
}

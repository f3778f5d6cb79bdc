//! The gate: the one place where a committed opening becomes [`Cleared`].
//!
//! INVARIANT (gate first): `Cleared` is made only after the cosignatures that the opening's gate asks for have been
//! verified over a head that covers it, and after the judge has said yes again on what the store holds now.

use crate::head::Status;
use crate::start::Publisher;
use model::chain::Session;
use model::judge::{OpenFacts, Refusal, Wanted, decide};
use model::name::EnvironmentName;
use model::signature::BadSignature;
use model::statement::Gate;
use std::time::Duration;
use store::{Committed, GatherError, Receipt};

/// How long an opening waits for its cosignatures.
const COSIGNED_WITHIN: Duration = Duration::from_secs(10);

/// A session that may be dialed now. Not Clone, not to be made by hand; dialing consumes it.
#[derive(Debug)]
#[must_use = "a cleared session is dialed, or ended"]
pub struct Cleared<T> {
    environment: EnvironmentName,
    opening: Receipt,
    outcome: T,
}

impl Cleared<Session> {
    /// The environment it belongs to.
    pub fn environment(&self) -> &EnvironmentName {
        &self.environment
    }

    /// Where its opening stands in the log.
    pub fn opening(&self) -> Receipt {
        self.opening
    }

    /// What to dial.
    pub fn session(&self) -> &Session {
        &self.outcome
    }

    /// What to dial, for the dial itself.
    #[must_use]
    pub fn into_session(self) -> Session {
        self.outcome
    }

    /// A clearance that no gate gave.
    #[cfg(feature = "doubles")]
    pub fn double(environment: EnvironmentName, opening: Receipt, outcome: Session) -> Self {
        Self {
            environment,
            opening,
            outcome,
        }
    }
}

/// Why an opening may not be dialed. It is in the log, so its end must be committed.
#[derive(Debug, thiserror::Error)]
pub enum NotCleared {
    /// Too few cosignatures in time.
    #[error("{0}")]
    Gate(String),
    /// What it rests on has changed meanwhile.
    #[error(transparent)]
    Judge(#[from] Refusal),
    /// The state could not be read.
    #[error("ledger_unavailable: {0}")]
    Store(#[from] GatherError),
    /// Another store made it.
    #[error("the opening was committed by another store")]
    OtherStore,
    /// Its log-in proof does not hold.
    #[error(transparent)]
    Proof(#[from] BadSignature),
}

impl Publisher {
    /// Waits for the cosignatures that the opening's gate asks for, judges it again, and lets it pass.
    ///
    /// # Errors
    /// When it may not be dialed; the session is then ended by the caller.
    pub async fn clear(&self, committed: Committed<Session>, wanted: &Wanted) -> Result<Cleared<Session>, NotCleared> {
        if committed.store() != self.store().id() {
            return Err(NotCleared::OtherStore);
        }
        let environment = committed.environment().clone();
        let gate = committed.session().gate;
        let (entries, session) = committed.into_gated();
        let Some(opening) = entries.first().copied() else {
            return Err(NotCleared::Gate("the opening has no entry".into()));
        };
        if let Gate::Witnesses(_) = gate {
            self.wait_cosigned(&environment, opening.index).await?;
        }
        let now_ms = self.store().now_ms();
        let facts = self
            .store()
            .gather(&environment, |state| OpenFacts::gather(state, wanted, now_ms))
            .await?;
        decide(&facts)?;
        Ok(Cleared {
            environment,
            opening,
            outcome: session,
        })
    }

    async fn wait_cosigned(&self, environment: &EnvironmentName, index: u64) -> Result<(), NotCleared> {
        let unmet = |why: &str| NotCleared::Gate(why.to_owned());
        let mut head = self
            .head(environment)
            .ok_or_else(|| unmet("the log is not published"))?;
        self.nudge(environment);
        let covered = head.wait_for(|head| {
            let stopped = matches!(head.status, Status::Stopped(_) | Status::Behind { .. });
            stopped || head.cosigned.as_ref().is_some_and(|c| c.size > index)
        });
        let Ok(found) = tokio::time::timeout(COSIGNED_WITHIN, covered).await else {
            let status = self.status(environment);
            return Err(NotCleared::Gate(match status {
                Some(Status::Uncosigned(why)) => why,
                _ => format!("no cosignature within {} s", COSIGNED_WITHIN.as_secs()),
            }));
        };
        let found = found.map_err(|_| unmet("the publisher has stopped"))?;
        match &found.cosigned {
            Some(cosigned) if cosigned.size > index => Ok(()),
            _ => Err(NotCleared::Gate(
                found
                    .status
                    .trouble()
                    .unwrap_or_else(|| "it is not cosigned yet".into()),
            )),
        }
    }
}

//! Actions inside a session: their intent on record before they begin, their end after, and what was refused.

use super::Clerk;
use super::live::Standing;
use super::opening::refusal;
use desk::Failure;
use desk::attempt::{self, Operation};
use desk::certificate::{self, Wrong};
use desk::session::{self, Doing};
use gateway::ssh::ask::{ActionEnd, Intent, Probe, Refusal, Refused};
use gateway::ssh::refusal::Code;
use gateway::ssh::session::check;
use model::body::ActionEnded;
use model::id::ActionId;
use model::signature::Key;
use recording::Exit;
use ssh_key::Certificate;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

impl Clerk {
    pub(super) async fn intend(&self, intent: Intent) -> Result<ActionId, Refusal> {
        let standing = self.sessions.find(intent.session).ok_or_else(gone)?;
        let unknown = Arc::clone(&standing.intents)
            .acquire_owned()
            .await
            .map_err(|_| gone())?;
        let doing = Doing {
            class: intent.class,
            command: intent.command.as_deref(),
            pty: intent.pty,
            channel: intent.channel,
            frame: intent.frame,
            offset_us: intent.offset_us,
        };
        let committed = session::intend(&self.desk, &standing.environment, intent.session, &doing)
            .await
            .map_err(|failure| {
                self.settle_intent(standing, &failure, unknown);
                refusal(&failure)
            })?;
        Ok(self.sessions.began(intent.session, committed.into_action()))
    }

    /// An intent of unknown outcome began nothing. Where it is stored after all, that is put on record, and the session's
    /// end waits for it.
    fn settle_intent(&self, standing: Arc<Standing>, failure: &Failure, unknown: OwnedSemaphorePermit) {
        let Failure::Unknown(entry) = *failure else { return };
        let desk = Arc::clone(&self.desk);
        tokio::spawn(async move {
            if let Err(failure) = session::settle_intent(&desk, &standing.environment, entry).await {
                tracing::error!(%entry, %failure, "the end of an action that never began could not be recorded");
            }
            drop(unknown);
        });
    }

    /// For a log-in that finds out what the target refuses.
    pub(super) async fn wrong_certificate(&self, probe: &Probe) -> Result<Certificate, String> {
        let standing = self.sessions.find(probe.session).ok_or("the session is over")?;
        let key = Key::new(&probe.key).map_err(|error| error.to_string())?;
        let wrong = match probe.wrong {
            check::Wrong::OtherHost => Wrong::OtherHost,
            check::Wrong::Expired => Wrong::Expired,
            check::Wrong::OtherSource => Wrong::OtherSource,
            check::Wrong::Earlier => Wrong::Earlier,
            check::Wrong::Later => Wrong::Later,
        };
        let environment = &standing.environment;
        certificate::sign_wrong(&self.desk, environment, probe.session, probe.action, (&key, wrong))
            .await
            .map_err(|failure| failure.to_string())
    }

    pub(super) async fn action_ended(&self, end: ActionEnd) {
        let Some((standing, action)) = self.sessions.over(end.action) else {
            return;
        };
        let (exit_status, exit_signal) = match end.exit {
            Exit::Status(status) => (Some(status), None),
            Exit::Signal(name) => (None, Some(name)),
            Exit::Unsaid => (None, None),
        };
        let body = ActionEnded {
            action: end.action,
            exit_status,
            exit_signal,
            bytes_in: end.bytes_in,
            bytes_out: end.bytes_out,
            frame: end.frame,
        };
        if let Err(failure) = session::end_action(&self.desk, &standing.environment, &action, body).await {
            tracing::error!(action = %end.action, %failure, "the end of an action could not be recorded");
        }
    }

    /// What the gateway refused by itself: in the session where there is one, else as an attempt.
    pub(super) async fn refused(&self, refused: Refused) {
        let command = refused.command.as_deref();
        let recorded = match refused.session.and_then(|id| Some((id, self.sessions.find(id)?))) {
            Some((id, standing)) => session::refuse_action(
                &self.desk,
                &standing.environment,
                id,
                &refused.wanted,
                command,
                refused.code,
            )
            .await
            .map(drop),
            None => self.refused_outside(&refused).await,
        };
        if let Err(failure) = recorded {
            tracing::error!(%failure, "a refusal could not be recorded");
        }
    }

    async fn refused_outside(&self, refused: &Refused) -> Result<(), Failure> {
        for caller in self.callers(&refused.key).await {
            let answer = Failure::refused(refused.code, "refused by the gateway");
            let left = attempt::refuse(
                &self.desk,
                &caller.environment,
                caller.identity,
                Operation::Open,
                &refused.wanted,
                answer,
            )
            .await;
            match left {
                Failure::Refused { .. } => {}
                failure => return Err(failure),
            }
        }
        Ok(())
    }
}

fn gone() -> Refusal {
    Refusal {
        by: Code::Grant,
        code: "session_over".into(),
        because: "the session is over".into(),
        next: String::new(),
    }
}

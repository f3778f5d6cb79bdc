//! Openings: found, judged, committed, cleared, recorded; and the answer to somebody who waits for an approval.
//!
//! Who waits asks again each second. INVARIANT (refused once): a wait is one refusal on record, not one a second: until
//! something that concerns the request changes, the first answer is given again.

use super::Clerk;
use super::live::{INTENTS_MAX, Standing};
use crate::command::ssh_config;
use desk::attempt::{self, Operation};
use desk::open::{self, Arrival};
use desk::people::Caller;
use desk::reach::{self, Found, SEVERAL_GRANTS, Target};
use desk::{Desk, Failure};
use gateway::ssh::ask::{Came, Opened, Opening, Refusal, Wanted};
use gateway::ssh::refusal::Code;
use gateway::ssh::wire::{Account, Hint};
use journal::SessionStart;
use model::body::{EndCause, Ended, Recorded};
use model::bytes::Digest;
use model::chain::Session;
use model::id::{RequestId, SessionId};
use model::name::EnvironmentName;
use model::signature::Key;
use publisher::{Cleared, NotCleared};
use recording::{Dek, chain_start};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// Those who wait, that are remembered; beyond these a wait is refused on record again.
const WAITING_MAX: usize = 4096;

/// How far the log's time may be from its witness's: what a verdict bears, too.
const SKEW_MS_MAX: u64 = 2000;

/// Who waits, and for what, by the log-in of their connection.
#[derive(Default)]
pub(super) struct Waiting(Mutex<HashMap<Digest, Wait>>);

#[derive(Clone)]
struct Wait {
    refusal: Refusal,
    /// Requests that waited when it was said.
    requests: Vec<RequestId>,
}

impl Waiting {
    fn find(&self, proof: Digest) -> Option<Wait> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&proof)
            .cloned()
    }

    fn note(&self, proof: Digest, wait: Wait) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= WAITING_MAX {
            waiting.clear();
        }
        waiting.insert(proof, wait);
    }

    fn forget(&self, proof: Digest) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&proof);
    }
}

/// The rule by which whoever has no grant is refused.
const NO_GRANT: &str = "no_grant";

/// Why there is no session.
enum No {
    Pending(Refusal),
    Refused(Refusal),
}

impl From<Failure> for No {
    fn from(failure: Failure) -> Self {
        let waits = matches!(
            failure.code(),
            NO_GRANT | "customer_approval_missing" | "approval_missing"
        );
        let refusal = refusal(&failure);
        if waits {
            Self::Pending(refusal)
        } else {
            Self::Refused(refusal)
        }
    }
}

impl Clerk {
    pub(super) async fn open(&self, wanted: &Wanted) -> Opening {
        let proof = Digest::of(&wanted.proof.signed.0);
        let callers = self.callers(&wanted.key).await;
        if let Some(wait) = self.waiting.find(proof)
            && self.still_waits(&callers, wanted, &wait).await
        {
            return Opening::Pending(wait.refusal);
        }
        match self.try_open(&callers, wanted).await {
            Ok(opened) => {
                self.waiting.forget(proof);
                Opening::Opened(Box::new(opened))
            }
            Err(No::Refused(refusal)) => {
                self.waiting.forget(proof);
                Opening::Refused(refusal)
            }
            Err(No::Pending(mut refusal)) => {
                if refusal.code == NO_GRANT {
                    let target = format!("{}@{}", wanted.account, wanted.reachable.full_name());
                    refusal.because = format!("you have no grant for {target}");
                    refusal.next = format!("ask for one: {}", self.asking(wanted, &target));
                }
                let requests = self.requests_waiting(&callers, wanted).await;
                self.waiting.note(
                    proof,
                    Wait {
                        refusal: refusal.clone(),
                        requests,
                    },
                );
                Opening::Pending(refusal)
            }
        }
    }

    /// The command by which this person asks for the target that they wanted; it works as it is pasted.
    fn asking(&self, wanted: &Wanted, target: &str) -> String {
        let gateway = match wanted.came {
            Came::Alias => ssh_config::alias(wanted.reachable.environment.as_str()),
            Came::Direct | Came::Jump => self.address.clone(),
        };
        format!("ssh {gateway} request {target} --reason \"…\"")
    }

    /// Why no grant was found; of several, the command that names one of them.
    fn not_found(&self, wanted: &Wanted, failure: Failure) -> No {
        let Failure::Refused { code, candidates, .. } = &failure else {
            return failure.into();
        };
        match candidates.first() {
            Some(first) if *code == SEVERAL_GRANTS => {
                let next = format!("name one of {}: {}", candidates.join(", "), self.naming(wanted, first));
                No::Refused(Refusal {
                    next,
                    ..refusal(&failure)
                })
            }
            _ => failure.into(),
        }
    }

    /// The command by which this person goes where they wanted, the way that they came, under the grant of one request.
    fn naming(&self, wanted: &Wanted, request: &str) -> String {
        let account = Account {
            account: wanted.account.clone(),
            hint: None,
        };
        let place = wanted.reachable.full_name();
        match wanted.came {
            Came::Alias => format!("ssh {account}+{request}@{place}"),
            Came::Jump => format!("ssh -J {} {account}+{request}@{place}", jump(&self.address)),
            Came::Direct => {
                let (port, host) = self.address.rsplit_once(' ').unwrap_or(("", &self.address));
                format!("ssh {port} {account}+{place}+{request}@{host}").replace("ssh  ", "ssh ")
            }
        }
    }

    fn gate(&self, environment: &EnvironmentName, why: &NotCleared) -> Refusal {
        let status = self.publisher.status(environment);
        Refusal {
            by: Code::Gate,
            code: "gate_unmet".into(),
            because: format!("the opening was not cosigned as its gate asks: {why}"),
            next: status.map_or("try again", |status| status.next()).into(),
        }
    }

    /// Whether nothing that could change the answer has happened: no grant covers it, the same requests wait.
    async fn still_waits(&self, callers: &[Caller], wanted: &Wanted, wait: &Wait) -> bool {
        !self.is_covered(callers, wanted).await && self.requests_waiting(callers, wanted).await == wait.requests
    }

    async fn is_covered(&self, callers: &[Caller], wanted: &Wanted) -> bool {
        let reach = reach::ls(&self.desk, callers).await.unwrap_or_default();
        let here = reach
            .iter()
            .filter(|ground| ground.caller.environment == wanted.reachable.environment);
        let mut scopes = here.flat_map(|ground| ground.grants.iter().map(|grant| &grant.scope));
        scopes.any(|scope| {
            scope.resources.contains(&wanted.reachable.resource) && scope.accounts.contains(&wanted.account)
        })
    }

    async fn requests_waiting(&self, callers: &[Caller], wanted: &Wanted) -> Vec<RequestId> {
        let reach = reach::ls(&self.desk, callers).await.unwrap_or_default();
        let here = reach
            .into_iter()
            .filter(|ground| ground.caller.environment == wanted.reachable.environment);
        let requests = here.flat_map(|ground| ground.requests.into_iter());
        let covers = requests.filter(|request| request.scope.resources.contains(&wanted.reachable.resource));
        covers.map(|request| request.request).collect()
    }

    async fn try_open(&self, callers: &[Caller], wanted: &Wanted) -> Result<Opened, No> {
        let found = reach::resolve(&self.desk, callers, &target(wanted)).await;
        let found = found.map_err(|failure| self.not_found(wanted, failure))?;
        self.check_recorder()?;
        // Before the time is asked that the opening will state.
        let time = self.publisher.time_basis(&found.environment).await;
        self.check_clock(&found, callers).await?;
        let dek = Zeroizing::new(crate::fresh::bytes::<32>().map_err(|error| unavailable(&error.to_string()))?);
        let recorded_under = Dek::from_bytes(*dek);
        let arrival = Arrival {
            wanted: found.wanted.clone(),
            proof: wanted.proof.clone(),
            client: wanted.client.to_string(),
            dek,
            dek_commitment: Digest(recorded_under.commitment()),
            key: wanted.session_key.clone(),
            time,
        };
        let origin = self.origin(&found, callers);
        let committed = open::open_session(&self.desk, &found.environment, &arrival).await;
        let committed = committed.inspect_err(|failure| self.settle(&found.environment, &origin, failure))?;
        let session = committed.session().id;
        let empty = nothing(&origin, session, arrival.dek_commitment);
        let cleared = match self.publisher.clear(committed, &found.wanted).await {
            Ok(cleared) => cleared,
            Err(why) => {
                end_unopened(&self.desk, &found.environment, session, EndCause::LedgerStopped, empty).await;
                return Err(No::Refused(match why {
                    NotCleared::Judge(refused) => refusal(&refused.into()),
                    why => self.gate(&found.environment, &why),
                }));
            }
        };
        match self.begin(cleared, &wanted.session_key, &recorded_under, &origin).await {
            Ok(opened) => Ok(opened),
            Err((cause, refusal)) => {
                end_unopened(&self.desk, &found.environment, session, cause, empty).await;
                Err(No::Refused(refusal))
            }
        }
    }

    /// Evidence before effect: without a working recorder nothing is even put on record as opened.
    fn check_recorder(&self) -> Result<(), No> {
        match self.journal.health().state.trouble() {
            None => Ok(()),
            Some(why) => Err(No::Refused(recorder(&why))),
        }
    }

    /// An opening whose time its witness contradicts would never pass as evidence: nothing is opened, and that is on record.
    async fn check_clock(&self, found: &Found, callers: &[Caller]) -> Result<(), No> {
        let environment = &found.environment;
        let witnessed = self.publisher.newest(environment);
        let Some((time_s, since)) = witnessed.and_then(|head| Some((head.time_s?, head.since))) else {
            return Ok(());
        };
        let Some(because) = clock_off(self.desk.now_ms(), time_s, since.elapsed()) else {
            return Ok(());
        };
        tracing::error!(%environment, "no session opens: {because}");
        let mut refused = Failure::refused("clock_off", because);
        if let Some(caller) = callers.iter().find(|caller| caller.environment == *environment) {
            let object = format!("{}.{environment}", found.wanted.resource);
            let operation = Operation::Open;
            refused = attempt::refuse(&self.desk, environment, caller.identity, operation, &object, refused).await;
        }
        Err(No::Refused(Refusal {
            by: Code::Gate,
            next: "tell the operator of this gateway: its clock must be set right and the server started again; \
                   entries from ahead of time are waited for"
                .into(),
            ..refusal(&refused)
        }))
    }

    fn origin(&self, found: &Found, callers: &[Caller]) -> String {
        let caller = callers.iter().find(|caller| caller.environment == found.environment);
        caller.map(|caller| caller.origin.clone()).unwrap_or_default()
    }

    /// The log-in to the target is signed, the recording begins, orders are heard; then it may be dialed.
    async fn begin(
        &self,
        cleared: Cleared<Session>,
        key: &Key,
        dek: &Dek,
        origin: &str,
    ) -> Result<Opened, (EndCause, Refusal)> {
        let unsigned = |failure: Failure| (EndCause::TargetRefused, signer(&failure));
        let unrecorded = |why: &dyn std::fmt::Display| (EndCause::RecorderStopped, recorder(&why.to_string()));
        let (environment, session) = (cleared.environment(), cleared.session());
        let certificate = desk::certificate::sign_certificate(&self.desk, environment, session, key)
            .await
            .map_err(unsigned)?;
        let start = SessionStart {
            session: session.id.to_bytes(),
            origin,
            dek,
            opened_at_ms: cleared.opening().time_ms,
        };
        let journal = self.journal.session(&start).map_err(|error| unrecorded(&error))?;
        let opened = Instant::now();
        let left = session.facts.until_ms.saturating_sub(self.desk.now_ms());
        let standing = Standing {
            environment: environment.clone(),
            session: session.id,
            until_ms: session.facts.until_ms,
            intents: Arc::new(Semaphore::new(INTENTS_MAX as usize)),
        };
        let orders = self.sessions.begin(self, standing).await;
        let orders = orders.map_err(|failure| unrecorded(&failure))?;
        Ok(Opened {
            cleared,
            certificate,
            journal,
            opened,
            until: opened + Duration::from_millis(left),
            orders,
        })
    }

    /// An opening of unknown outcome leads nowhere. Where it is stored after all, it is ended on record as soon as that is
    /// known.
    fn settle(&self, environment: &EnvironmentName, origin: &str, failure: &Failure) {
        let Failure::Unknown(entry) = *failure else { return };
        let (desk, environment, origin) = (Arc::clone(&self.desk), environment.clone(), origin.to_owned());
        tokio::spawn(async move {
            if let Some((session, opened)) = open::settle(&desk, &environment, entry).await {
                let empty = nothing(&origin, session, opened.dek);
                end_unopened(&desk, &environment, session, EndCause::LedgerStopped, empty).await;
            }
        });
    }
}

/// The recording of a session that never began.
fn nothing(origin: &str, session: SessionId, dek: Digest) -> Recorded {
    Recorded {
        frames: 0,
        extents: 0,
        chain: Digest(chain_start(origin, &session.to_bytes(), &dek.0)),
    }
}

/// An opening that leads nowhere is ended on record: for what was ordered meanwhile, or for `cause`.
async fn end_unopened(
    desk: &Desk,
    environment: &EnvironmentName,
    session: SessionId,
    cause: EndCause,
    recorded: Recorded,
) {
    let ordered = desk::watch::ordered(desk, environment, session)
        .await
        .unwrap_or_default();
    let ended = Ended {
        cause: ordered.map_or(cause, |order| order.cause()),
        due_ms: ordered.map(|order| order.due_ms),
        // Nothing passed at all.
        late_ms: ordered.map(|_| 0),
        recorded,
        bytes_in: 0,
        bytes_out: 0,
        bytes_journaled: 0,
        sync_gap_ms_max: 0,
        channels_opened: 0,
        channels_closed: 0,
        host_key: None,
    };
    if let Err(failure) = desk::session::end_session(desk, environment, session, ended).await {
        tracing::error!(%session, %failure, "the end of a session could not be recorded");
    }
}

/// `-p 2222 gw.example` as `-J` takes it.
fn jump(address: &str) -> String {
    match address.strip_prefix("-p ").and_then(|rest| rest.split_once(' ')) {
        Some((port, host)) => format!("{host}:{port}"),
        None => address.to_owned(),
    }
}

fn target(wanted: &Wanted) -> Target {
    Target {
        account: wanted.account.clone(),
        place: wanted.reachable.full_name(),
        pick: wanted.hint.as_ref().map(|hint| match hint {
            Hint::Request(id) => id.to_string(),
            Hint::Ticket(text) => text.clone(),
        }),
    }
}

/// A failure of the desk, as the gateway says it.
pub(super) fn refusal(failure: &Failure) -> Refusal {
    let (by, next) = match failure {
        Failure::Refused { candidates, .. } if !candidates.is_empty() => {
            (Code::Grant, format!("one of: {}", candidates.join(", ")))
        }
        Failure::Refused { .. } => (Code::Grant, String::new()),
        _ => (Code::Ledger, String::new()),
    };
    Refusal {
        by,
        code: failure.code().into(),
        because: failure.to_string(),
        next,
    }
}

fn unavailable(why: &str) -> No {
    No::Refused(Refusal {
        by: Code::Ledger,
        code: "unavailable".into(),
        because: why.into(),
        next: "try again".into(),
    })
}

/// What is wrong with a log's time, given what its witness said at most so long ago. Witnesses count whole seconds.
fn clock_off(now_ms: u64, time_s: u64, ago: Duration) -> Option<String> {
    let earliest = time_s.saturating_mul(1000);
    let ago_ms = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
    let latest = earliest.saturating_add(ago_ms).saturating_add(1000);
    let (behind, ahead) = (earliest.saturating_sub(now_ms), now_ms.saturating_sub(latest));
    let (off, side) = if behind > 0 {
        (behind, "behind")
    } else {
        (ahead, "ahead of")
    };
    (off > SKEW_MS_MAX).then(|| format!("the log's time is {} {side} its witness's", crate::clock::length(off)))
}

fn signer(failure: &Failure) -> Refusal {
    Refusal {
        by: Code::Target,
        code: failure.code().into(),
        because: format!("no certificate could be had for the target: {failure}"),
        next: "tell the operator of this gateway".into(),
    }
}

fn recorder(why: &str) -> Refusal {
    Refusal {
        by: Code::Recorder,
        code: "recorder_unavailable".into(),
        because: format!("the session cannot be recorded: {why}"),
        next: "tell the operator of this gateway".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_keeps_its_witnesss_time() {
        let off = |now_ms| clock_off(now_ms, 100, Duration::from_millis(5000));
        // The witness said it in the second after 100 s, at most five seconds ago.
        for fits in [98_000, 100_000, 106_000, 108_000] {
            assert_eq!(off(fits), None, "{fits}");
        }
        assert!(off(97_999).is_some_and(|said| said.contains("behind")));
        assert!(off(3_706_000).is_some_and(|said| said.contains("1 h ahead of")));
    }
}

//! Sessions that are live here: what the log knows of each, who may order its end, and whether its head is fresh.
//!
//! One task per session follows the orders and the age of the cosigned head; it ends with the session.

use super::Clerk;
use desk::watch::{self, Orders, Reason};
use desk::{Desk, Failure};
use gateway::ssh::ask::SessionEnd;
use gateway::ssh::session::Order;
use journal::HaltReason;
use model::body::{EndCause, Ended, GapCause, ProgressLine, Recorded};
use model::bytes::Digest;
use model::chain::Action;
use model::id::{ActionId, SessionId};
use model::name::EnvironmentName;
use model::signature::Key;
use model::statement::Gate;
use publisher::{Freshness, Status};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc};

/// How often the age of the head is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How often progress is entered.
pub(crate) const PROGRESS_EVERY: Duration = Duration::from_secs(2);
/// Orders that may wait for a session; each comes once.
const ORDERS: usize = 8;

/// A live session.
pub(super) struct Standing {
    pub(super) environment: EnvironmentName,
    pub(super) session: SessionId,
    /// The window's end, Unix milliseconds.
    pub(super) until_ms: u64,
}

/// What is remembered of a live session beside [`Standing`].
struct Entry {
    standing: Arc<Standing>,
    actions: HashMap<ActionId, Arc<Action>>,
    /// When it was due, by the log's clock, once that was ordered.
    due_ms: Option<u64>,
    ended: Arc<Notify>,
    _fresh: Option<Freshness>,
}

/// All live sessions.
#[derive(Clone, Default)]
pub(crate) struct Sessions(Arc<Mutex<HashMap<SessionId, Entry>>>);

impl Sessions {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SessionId, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    pub(super) fn find(&self, session: SessionId) -> Option<Arc<Standing>> {
        self.lock().get(&session).map(|entry| Arc::clone(&entry.standing))
    }

    pub(super) fn began(&self, session: SessionId, action: Action) -> ActionId {
        let id = action.id;
        if let Some(entry) = self.lock().get_mut(&session) {
            entry.actions.insert(id, Arc::new(action));
        }
        id
    }

    /// The action, with its session; it has ended for this table.
    pub(super) fn over(&self, action: ActionId) -> Option<(Arc<Standing>, Arc<Action>)> {
        let mut sessions = self.lock();
        sessions.values_mut().find_map(|entry| {
            let action = entry.actions.remove(&action)?;
            Some((Arc::clone(&entry.standing), action))
        })
    }

    /// Puts a session in, and begins to listen for its orders.
    pub(super) async fn begin(
        &self,
        clerk: &Clerk,
        standing: Standing,
    ) -> Result<mpsc::Receiver<Order<Instant>>, Failure> {
        let (id, environment) = (standing.session, standing.environment.clone());
        let orders = watch::register(&clerk.desk, &environment, id).await?;
        let bound = lag_bound(clerk, &environment).await?;
        let (sender, receiver) = mpsc::channel(ORDERS);
        let ended = Arc::new(Notify::new());
        self.lock().insert(
            id,
            Entry {
                standing: Arc::new(standing),
                actions: HashMap::new(),
                due_ms: None,
                ended: Arc::clone(&ended),
                _fresh: clerk.publisher.keep_fresh(&environment),
            },
        );
        let follow = Follow {
            sessions: self.clone(),
            desk: Arc::clone(&clerk.desk),
            publisher: clerk.publisher.clone(),
            environment,
            id,
            bound,
            sender,
            held: false,
        };
        tokio::spawn(follow.run(orders, ended));
        Ok(receiver)
    }

    fn due(&self, session: SessionId, due_ms: u64) {
        if let Some(entry) = self.lock().get_mut(&session) {
            entry.due_ms = Some(due_ms);
        }
    }

    fn end(&self, session: SessionId) -> Option<(Arc<Standing>, Option<u64>)> {
        let entry = self.lock().remove(&session)?;
        entry.ended.notify_one();
        Some((entry.standing, entry.due_ms))
    }
}

/// Follows what concerns one live session.
struct Follow {
    sessions: Sessions,
    desk: Arc<Desk>,
    publisher: publisher::Publisher,
    environment: EnvironmentName,
    id: SessionId,
    /// How old the cosigned head may be; none where nobody cosigns.
    bound: Option<Duration>,
    sender: mpsc::Sender<Order<Instant>>,
    held: bool,
}

/// T of the environment, where its gate asks for witnesses.
async fn lag_bound(clerk: &Clerk, environment: &EnvironmentName) -> Result<Option<Duration>, Failure> {
    let genesis = clerk
        .desk
        .store()
        .gather(environment, |state| state.genesis().cloned())
        .await;
    let genesis = genesis.map_err(|error| Failure::Unavailable(error.to_string()))?;
    let asked = matches!(genesis.gate, Gate::Witnesses(_));
    Ok(asked.then_some(Duration::from_millis(genesis.lag_bound_ms)))
}

impl Follow {
    async fn run(mut self, mut orders: Orders, ended: Arc<Notify>) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        let mut ordered = false;
        loop {
            let order = tokio::select! {
                () = ended.notified() => return,
                order = orders.given(), if !ordered => {
                    ordered = true;
                    self.sessions.due(self.id, order.due_ms);
                    let due = self.due(order.due_ms);
                    Some(match order.reason {
                        Reason::Killed => Order::Killed(due),
                        Reason::Revoked | Reason::IdentityEnded | Reason::PolicyChanged => Order::Revoked(due),
                    })
                }
                _ = look.tick() => self.freshness(),
            };
            if let Some(order) = order
                && self.sender.send(order).await.is_err()
            {
                return;
            }
        }
    }

    /// A moment of the log's clock, by the clock that only goes forward: what passed since the order was written counts
    /// as lateness.
    fn due(&self, due_ms: u64) -> Instant {
        let ago = Duration::from_millis(self.desk.now_ms().saturating_sub(due_ms));
        let now = Instant::now();
        now.checked_sub(ago).unwrap_or(now)
    }

    /// Holds the session while the cosigned head is too old, and lets it go on when it is fresh again.
    fn freshness(&mut self) -> Option<Order<Instant>> {
        let status = self.publisher.status(&self.environment)?;
        if let Status::Stopped(why) = status {
            return Some(Order::Stop(why));
        }
        let bound = self.bound?;
        let stale = self.publisher.lag(&self.environment).is_none_or(|lag| lag > bound);
        if stale == self.held {
            return None;
        }
        self.held = stale;
        Some(if stale { Order::Hold } else { Order::Resume })
    }
}

impl Clerk {
    /// Puts the end of a session on record.
    pub(super) async fn ended(&self, end: SessionEnd) {
        let Some((standing, ordered_ms)) = self.sessions.end(end.session) else {
            tracing::error!(session = %end.session, "a session ended that nobody opened");
            return;
        };
        let (id, environment) = (end.session, &standing.environment);
        if let Some(gap) = end.recording.halt.map(gap_cause) {
            let first = end.recording.next_index.saturating_sub(end.recording.lost_frames);
            self.enter_gap(environment, id, first, gap).await;
        }
        let due_ms = match end.cause {
            EndCause::Expired => Some(standing.until_ms),
            EndCause::Revoked | EndCause::Killed => ordered_ms,
            _ => None,
        };
        let ended = Ended {
            cause: end.cause,
            due_ms,
            late_ms: due_ms.map(|_| end.late.map_or(0, millis)),
            recorded: Recorded {
                frames: end.recording.next_index,
                extents: end.recording.extents,
                chain: Digest(end.recording.chain),
            },
            bytes_in: end.bytes_in,
            bytes_out: end.bytes_out,
            bytes_journaled: end.bytes_journaled,
            sync_gap_ms_max: millis(self.journal.health().slowest_sync),
            channels_opened: end.channels_opened,
            channels_closed: end.channels_closed,
            host_key: end.host_key.as_ref().and_then(|key| Key::new(key).ok()),
        };
        if let Err(failure) = desk::session::end_session(&self.desk, environment, id, ended).await {
            tracing::error!(session = %id, %failure, "the end of a session could not be recorded");
        }
    }

    async fn enter_gap(&self, environment: &EnvironmentName, session: SessionId, first: u64, cause: GapCause) {
        if let Err(failure) = desk::session::gap(&self.desk, environment, session, (first, None), cause).await {
            tracing::error!(%session, %failure, "a gap could not be recorded");
        }
    }

    /// Enters progress and gaps every two seconds, until it is dropped.
    pub(crate) async fn follow_journal(self: Arc<Self>) {
        let mut tick = tokio::time::interval(PROGRESS_EVERY);
        loop {
            tick.tick().await;
            self.enter_progress().await;
        }
    }

    async fn enter_progress(&self) {
        let mut lines: BTreeMap<EnvironmentName, Vec<ProgressLine>> = BTreeMap::new();
        for progress in self.journal.progress() {
            let session = SessionId::from_bytes(progress.session);
            let Some(standing) = self.sessions.find(session) else {
                continue;
            };
            lines
                .entry(standing.environment.clone())
                .or_default()
                .push(ProgressLine {
                    session,
                    recorded: Recorded {
                        frames: progress.newest.last.saturating_add(1),
                        extents: progress.newest.number.saturating_add(1),
                        chain: Digest(progress.newest.chain),
                    },
                });
        }
        for (environment, lines) in lines {
            if let Err(failure) = desk::session::progress(&self.desk, &environment, &lines).await {
                tracing::warn!(%environment, %failure, "progress could not be entered");
            }
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Why frames are in doubt, as entries say it.
pub(super) fn gap_cause(reason: HaltReason) -> GapCause {
    match reason {
        HaltReason::SyncFailed => GapCause::SyncFailed,
        HaltReason::SlowSync => GapCause::SyncSlow,
        HaltReason::NoSpace => GapCause::NoSpace,
        HaltReason::ReadOnly
        | HaltReason::WriteFailed
        | HaltReason::ShortWrite
        | HaltReason::Closed
        | HaltReason::Ended => GapCause::WriteFailed,
    }
}

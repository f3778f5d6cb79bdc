//! Sessions that are live here: what the log knows of each, who may order its end, and whether its head is fresh.
//!
//! One task per session follows the orders and the age of the cosigned head; it ends with the session.

use super::{Clerk, recorder};
use desk::watch::{self, Orders, Reason};
use desk::{Desk, Failure};
use gateway::ssh::ask::SessionEnd;
use gateway::ssh::session::Order;
use model::body::{EndCause, Ended, Recorded};
use model::bytes::Digest;
use model::chain::Action;
use model::id::{ActionId, SessionId};
use model::name::EnvironmentName;
use model::signature::Key;
use model::statement::Gate;
use publisher::{Freshness, Status};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, Semaphore, mpsc};

/// How often the age of the head is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Orders that may wait for a session; each comes once.
const ORDERS: usize = 8;
/// Intents of one session that are committed at once; more wait.
pub(super) const INTENTS_MAX: u32 = 64;

/// A live session.
pub(super) struct Standing {
    pub(super) environment: EnvironmentName,
    pub(super) session: SessionId,
    /// The window's end, Unix milliseconds.
    pub(super) until_ms: u64,
    /// A place for each intent whose outcome is not known yet; the session's end takes all of them.
    pub(super) intents: Arc<Semaphore>,
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

    /// It is over: nothing is ordered of it any more. It counts until its end is on record.
    fn end(&self, session: SessionId) -> Option<(Arc<Standing>, Option<u64>)> {
        let sessions = self.lock();
        let entry = sessions.get(&session)?;
        entry.ended.notify_one();
        Some((Arc::clone(&entry.standing), entry.due_ms))
    }

    fn forget(&self, session: SessionId) {
        self.lock().remove(&session);
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
        self.recorder.caught_up().await;
        let Some((standing, ordered_ms)) = self.sessions.end(end.session) else {
            tracing::error!(session = %end.session, "a session ended that nobody opened");
            return;
        };
        let (id, environment) = (end.session, &standing.environment);
        let _settled = standing.intents.acquire_many(INTENTS_MAX).await;
        if let Some(gap) = end.recording.doubt {
            let (range, cause) = ((gap.from, None), recorder::cause(gap.reason));
            if let Err(failure) = desk::session::gap(&self.desk, environment, id, range, cause).await {
                tracing::error!(session = %id, %failure, "a gap could not be recorded");
            }
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
            sync_gap_ms_max: millis(end.recording.longest_unsynced),
            channels_opened: end.channels_opened,
            channels_closed: end.channels_closed,
            host_key: end.host_key.as_ref().and_then(|key| Key::new(key).ok()),
        };
        if let Err(failure) = desk::session::end_session(&self.desk, environment, id, ended).await {
            tracing::error!(session = %id, %failure, "the end of a session could not be recorded");
        }
        self.sessions.forget(id);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

//! Telling live sessions that they have to end: their grant was revoked, their identity ended, their workflow changed,
//! or their end was ordered. The window's end is not told: each session keeps that timer itself.
//!
//! What one process decides another learns from the store, by polling; a hint makes it sooner within one process.
//! INVARIANT (no order missed): a session is registered first and its state is read after, so an order that came before
//! is found in the state and one that comes later is found among the changes.

use crate::desk::{Desk, unavailable};
use crate::failure::Failure;
use model::apply::{Refused, Snapshot};
use model::body::{Body, EndCause};
use model::bytes::Digest;
use model::entity::EntityKey;
use model::entry::Entry;
use model::id::{GrantId, IdentityId, SessionId};
use model::name::{EnvironmentName, WorkflowName};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// The longest time between two looks at the store.
const POLL: Duration = Duration::from_millis(200);

/// Why a live session has to end now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Its grant was revoked.
    Revoked,
    /// Its identity ended.
    IdentityEnded,
    /// Its workflow changed, so that nothing more may be done under the old rules.
    PolicyChanged,
    /// Somebody entitled ordered its end.
    Killed,
}

/// The order to end a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// Why.
    pub reason: Reason,
    /// When that was written, by the log's clock, Unix milliseconds; the session was due then.
    pub due_ms: u64,
}

impl Order {
    /// How the session's end names this. A changed policy withdraws the grants that were issued under the old one.
    #[must_use]
    pub fn cause(&self) -> EndCause {
        match self.reason {
            Reason::Revoked | Reason::IdentityEnded | Reason::PolicyChanged => EndCause::Revoked,
            Reason::Killed => EndCause::Killed,
        }
    }
}

type Place = (EnvironmentName, SessionId);

/// What of a session can be taken back, and whom to tell.
struct Watched {
    grant: GrantId,
    identity: IdentityId,
    workflow: WorkflowName,
    policy: Digest,
    order: watch::Sender<Option<Order>>,
}

/// The live sessions of this process.
#[derive(Default)]
pub(crate) struct Live(Mutex<HashMap<Place, Watched>>);

/// One live session's ear. It is forgotten when this is dropped.
pub struct Orders {
    desk: Arc<Desk>,
    place: Place,
    order: watch::Receiver<Option<Order>>,
}

impl Orders {
    /// Waits for the order to end; it stays given. Cancel-safe.
    pub async fn given(&mut self) -> Order {
        loop {
            if let Some(order) = *self.order.borrow_and_update() {
                return order;
            }
            if self.order.changed().await.is_err() {
                // The sender lives as long as this does; without it nobody can give an order.
                std::future::pending::<()>().await;
            }
        }
    }

    /// The order, if it was given.
    #[must_use]
    pub fn now(&self) -> Option<Order> {
        *self.order.borrow()
    }
}

impl Drop for Orders {
    fn drop(&mut self) {
        self.desk.live.lock().remove(&self.place);
    }
}

impl Live {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Place, Watched>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives `order` to each session of `environment` that `concerns` picks. The first order stays.
    fn give(&self, environment: &EnvironmentName, order: Order, concerns: impl Fn(SessionId, &Watched) -> bool) {
        for ((name, session), watched) in self.lock().iter() {
            if name == environment && concerns(*session, watched) {
                watched.order.send_if_modified(|present| {
                    let first = present.is_none();
                    present.get_or_insert(order);
                    first
                });
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }
}

/// Registers a live session. An order that came before this is given at once.
///
/// # Errors
/// When the session does not exist, or the store cannot be read.
pub async fn register(desk: &Arc<Desk>, environment: &EnvironmentName, session: SessionId) -> Result<Orders, Failure> {
    let (order, ear) = watch::channel(None);
    let place = (environment.clone(), session);
    let watched = desk.gather(environment, |state| watched(state, session)).await?;
    let (grant, identity, workflow, policy) = watched;
    desk.live.lock().insert(
        place.clone(),
        Watched {
            grant,
            identity,
            workflow,
            policy,
            order,
        },
    );
    let orders = Orders {
        desk: desk.clone(),
        place,
        order: ear,
    };
    if let Some(order) = ordered(desk, environment, session).await? {
        desk.live.give(environment, order, |id, _| id == session);
    }
    Ok(orders)
}

/// The order to end `session` that stands in the log by now, if there is one.
///
/// # Errors
/// While the log cannot be read.
pub async fn ordered(desk: &Desk, environment: &EnvironmentName, session: SessionId) -> Result<Option<Order>, Failure> {
    let Some((reason, index)) = desk.gather(environment, |state| due(state, session)).await? else {
        return Ok(None);
    };
    let due_ms = desk.parsed(environment, index).await?.time_ms;
    Ok(Some(Order { reason, due_ms }))
}

type Facts = (GrantId, IdentityId, WorkflowName, Digest);

fn watched(state: &Snapshot, session: SessionId) -> Result<Facts, Refused> {
    let session = state.session(&EntityKey::session(session))?;
    let scope = &state.grant(&EntityKey::grant(session.grant))?.granted.scope;
    Ok((session.grant, session.identity, scope.workflow.clone(), scope.policy))
}

/// Why the session has to end by what the state holds, and the entry that says so.
fn due(state: &Snapshot, session: SessionId) -> Result<Option<(Reason, u64)>, Refused> {
    let session = state.session(&EntityKey::session(session))?;
    let grant = state.grant(&EntityKey::grant(session.grant))?;
    let identity = state.identity(&EntityKey::identity(session.identity))?;
    let workflow = state.workflow(&EntityKey::workflow(&grant.granted.scope.workflow))?;
    let changed = workflow.hash != grant.granted.scope.policy;
    let all = [
        session.killed_at.map(|index| (Reason::Killed, index)),
        grant.revoked.as_ref().map(|revoked| (Reason::Revoked, revoked.index)),
        identity.disabled_at.map(|index| (Reason::IdentityEnded, index)),
        changed.then_some((Reason::PolicyChanged, workflow.set_at)),
    ];
    Ok(all.into_iter().flatten().min_by_key(|(_, index)| *index))
}

/// Follows the store and gives orders, until it is dropped. What cannot be read is read again; sessions hear of that
/// by their own clock, when the head that they rest on grows old.
pub async fn run(desk: Arc<Desk>) {
    let mut hint = desk.store().committed();
    let mut cursor = *hint.borrow_and_update();
    loop {
        // A hint that is gone leaves the poll.
        if tokio::time::timeout(POLL, hint.changed())
            .await
            .is_ok_and(|changed| changed.is_err())
        {
            tokio::time::sleep(POLL).await;
        }
        let newest = *hint.borrow_and_update();
        match follow(&desk, cursor, newest).await {
            Ok(next) => cursor = next,
            Err(failure) => {
                tracing::warn!(%failure, "the changes could not be read");
                tokio::time::sleep(POLL).await;
            }
        }
    }
}

/// Gives the orders after `cursor`, and says how far it got. `newest` was read before.
async fn follow(desk: &Desk, cursor: u64, newest: u64) -> Result<u64, Failure> {
    // Whoever registers after this look finds what came before `newest` in the state.
    if desk.live.is_empty() {
        return Ok(newest.max(cursor));
    }
    let mut cursor = cursor;
    loop {
        let changes = desk.store().changes_since(cursor).await.map_err(unavailable)?;
        if changes.is_empty() {
            return Ok(cursor);
        }
        for change in changes {
            if ORDERS.contains(&change.kind.as_str()) {
                let entry = desk.parsed(&change.environment, change.index).await?;
                give(desk, &change.environment, &entry)?;
            }
            cursor = change.cursor;
        }
    }
}

/// Types of entries that can end a live session.
const ORDERS: [&str; 4] = ["grant.revoked", "identity.disabled", "session.killed", "workflow.set"];

fn give(desk: &Desk, environment: &EnvironmentName, entry: &Entry) -> Result<(), Failure> {
    let order = |reason| Order {
        reason,
        due_ms: entry.time_ms,
    };
    match &entry.body {
        Body::Revoked(signed) => {
            let grant = signed.statement.grant;
            desk.live
                .give(environment, order(Reason::Revoked), |_, watched| watched.grant == grant);
        }
        Body::Disabled(signed) => {
            let identity = signed.statement.identity;
            desk.live.give(environment, order(Reason::IdentityEnded), |_, watched| {
                watched.identity == identity
            });
        }
        Body::Killed(signed) => {
            let session = signed.statement.session;
            desk.live
                .give(environment, order(Reason::Killed), |id, _| id == session);
        }
        Body::Workflow(signed) => {
            let name = &signed.statement.name;
            let hash = signed.statement.hash().map_err(Refused::from)?;
            desk.live.give(environment, order(Reason::PolicyChanged), |_, watched| {
                watched.workflow == *name && watched.policy != hash
            });
        }
        _ => {}
    }
    Ok(())
}

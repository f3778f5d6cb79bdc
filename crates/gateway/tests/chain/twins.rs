//! What each failing case does, done right: this file is part of the test, so it compiles.

use gateway::ssh::ask::Opened;
use journal::{Durable, Halt, Journaled};
use model::chain::{Action, Session, Step};
use model::name::EnvironmentName;
use publisher::{Cleared, NotCleared, Publisher};
use store::{CommitError, Committed, Receipt, Store};

/// `permit_by_hand`, `permit_twice`, `step_by_hand`: the judge gives a permit, which makes one step.
pub(crate) fn step_from_a_permit() -> Step<Session> {
    let mut world = model::fixture::World::default();
    let grant = world.granted();
    let wanted = world.wanted(grant);
    let opening = world.opening();
    let permit = model::judge::judge_open(&world.state, &wanted, world.now_ms).unwrap();
    permit.open(opening)
}

/// `session_cloned`: it moves.
pub(crate) fn session_moved(session: Session) -> Session {
    session
}

/// `committed_by_hand`, `committed_cloned`: the store commits, once.
pub(crate) async fn session_committed(
    store: &Store,
    name: &EnvironmentName,
    step: Step<Session>,
) -> Result<Committed<Session>, CommitError> {
    store.commit(name, step).await
}

/// Actions and records need no gate of their own.
pub(crate) async fn others_committed(
    store: &Store,
    name: &EnvironmentName,
    (action, record): (Step<Action>, Step<()>),
) -> Result<(Action, Vec<Receipt>), CommitError> {
    let action = store.commit(name, action).await?.into_action();
    Ok((action, store.commit(name, record).await?.into_entries()))
}

/// `outcome_without_gate`, `cleared_by_hand`, `cleared_cloned`: it is looked at before the gate, and taken after it.
pub(crate) async fn session_cleared(
    publisher: &Publisher,
    committed: Committed<Session>,
    wanted: &model::judge::Wanted,
) -> Result<Session, NotCleared> {
    assert!(!committed.session().resource.host.is_empty());
    let cleared: Cleared<Session> = publisher.clear(committed, wanted).await?;
    Ok(cleared.into_session())
}

/// `dial_committed`: what is cleared is dialed.
pub(crate) fn cleared_dialed(opened: Opened, cleared: Cleared<Session>) -> Opened {
    Opened { cleared, ..opened }
}

/// `journaled_by_hand`, `durable_by_hand`: the journal wrote, and synced.
pub(crate) async fn bytes_synced<T>(written: Journaled<T>) -> Result<T, Halt> {
    let synced: Durable<T> = written.durable().await?;
    Ok(synced.release())
}

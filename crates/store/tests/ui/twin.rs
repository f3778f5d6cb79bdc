//! What the failing cases do, done right: the store commits, and a session is only looked at.
use model::chain::{Action, Session, Step};
use model::name::EnvironmentName;
use store::{CommitError, Committed, Receipt, Store};

async fn open(store: &Store, name: &EnvironmentName, step: Step<Session>) -> Result<Committed<Session>, CommitError> {
    let committed: Committed<Session> = store.commit(name, step).await?;
    let _ = committed.session().resource.host.len();
    Ok(committed)
}

async fn act(store: &Store, name: &EnvironmentName, step: Step<Action>) -> Result<Action, CommitError> {
    Ok(store.commit(name, step).await?.into_action())
}

async fn record(store: &Store, name: &EnvironmentName, step: Step<()>) -> Result<Vec<Receipt>, CommitError> {
    Ok(store.commit(name, step).await?.into_entries())
}

fn main() {
    let _ = (open, act, record);
}

//! Keeps the first cosigned head over each opening, approval and end: what a pack later proves their time with. A head
//! that was not kept cannot be had again with its old time; a later one then stands in, and proves less.
//!
//! The newest head is kept too, so that after a restart the log shows no less than it did, whether or not its witness
//! answers.

use crate::exit::Failure;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use ledger::SignedCheckpoint;
use model::body::Body;
use model::entry::Entry;
use model::name::EnvironmentName;
use publisher::Cosigned;
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;
use store::Store;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

/// How many new heads may wait to be kept; then the publisher waits.
pub(super) const QUEUE: usize = 64;
/// How long after a failure it is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// How often the newest head is kept where it proves nothing more.
const SPARES_EVERY: Duration = Duration::from_millis(500);
/// Entries that are looked at together.
const PAGE: u32 = 500;

/// The first kept head over the entry at `index`, or the newest of all.
pub(crate) async fn kept(
    store: &Store,
    environment: &EnvironmentName,
    index: Option<u64>,
) -> Result<Option<SignedCheckpoint>, Failure> {
    let found = store.cosigned_over(environment, index).await;
    let Some(note) = found.map_err(Failure::unavailable)? else {
        return Ok(None);
    };
    let head = SignedCheckpoint::parse(note.as_bytes())
        .map_err(|error| Failure::unavailable(format!("a kept head of `{environment}` is no checkpoint: {error}")))?;
    Ok(Some(head))
}

/// Keeps the heads that `new` brings, each before the next, until nobody brings any. One that cannot be kept is tried
/// again: meanwhile nothing is published, and nothing that waits for its gate begins.
pub(super) async fn keep(store: Store, mut new: mpsc::Receiver<(EnvironmentName, Cosigned)>) {
    let mut logs: BTreeMap<EnvironmentName, Looked> = BTreeMap::new();
    let mut spares = tokio::time::interval(SPARES_EVERY);
    spares.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            brought = new.recv() => {
                let Some((environment, cosigned)) = brought else { return };
                let mut told = false;
                while let Err(error) = keep_one(&store, &environment, &cosigned.checkpoint, &mut logs).await {
                    tell(&environment, &error, &mut told);
                    tokio::time::sleep(RETRY_AFTER).await;
                }
            }
            _ = spares.tick() => {
                for (environment, looked) in &mut logs {
                    let mut told = false;
                    while let Err(error) = keep_spare(&store, environment, looked).await {
                        tell(environment, &error, &mut told);
                        tokio::time::sleep(RETRY_AFTER).await;
                    }
                }
            }
        }
    }
}

fn tell(environment: &EnvironmentName, error: &Failure, told: &mut bool) {
    if !std::mem::replace(told, true) {
        tracing::error!(%environment, %error, "a cosigned head cannot be kept; it is tried again");
    }
}

/// How far a log's heads are kept.
#[derive(Default)]
struct Looked {
    /// The entries before this one were looked at.
    until: u64,
    /// The newest kept head, where it proves nothing that those before it do not: the next one takes its place.
    spare: Option<u64>,
    /// One like that which is not kept yet.
    unkept: Option<(u64, String)>,
}

async fn keep_one(
    store: &Store,
    environment: &EnvironmentName,
    note: &SignedCheckpoint,
    logs: &mut BTreeMap<EnvironmentName, Looked>,
) -> Result<(), Failure> {
    let size = note.checkpoint().head().size;
    if !logs.contains_key(environment) {
        let newest = kept(store, environment, None).await?;
        let until = newest.map_or(0, |newest| newest.checkpoint().head().size);
        let known = Looked {
            until,
            ..Looked::default()
        };
        logs.insert(environment.clone(), known);
    }
    let Some(looked) = logs.get_mut(environment).filter(|looked| looked.until < size) else {
        return Ok(());
    };
    if is_any_proven_later(store, environment, looked.until..size).await? {
        let kept = store.keep_cosigned(environment, size, note.to_string(), looked.spare);
        kept.await.map_err(Failure::unavailable)?;
        (looked.spare, looked.unkept) = (None, None);
    } else {
        looked.unkept = Some((size, note.to_string()));
    }
    looked.until = size;
    Ok(())
}

async fn keep_spare(store: &Store, environment: &EnvironmentName, looked: &mut Looked) -> Result<(), Failure> {
    if let Some((size, note)) = looked.unkept.clone() {
        let kept = store.keep_cosigned(environment, size, note, looked.spare).await;
        kept.map_err(Failure::unavailable)?;
        (looked.spare, looked.unkept) = (Some(size), None);
    }
    Ok(())
}

async fn is_any_proven_later(
    store: &Store,
    environment: &EnvironmentName,
    mut left: Range<u64>,
) -> Result<bool, Failure> {
    while !left.is_empty() {
        let entries = store.entries(environment, left.clone(), PAGE).await;
        let entries = entries.map_err(Failure::unavailable)?;
        let Some((last, _)) = entries.last() else { break };
        if entries.iter().any(|(_, bytes)| is_proven_later(bytes)) {
            return Ok(true);
        }
        left.start = last.saturating_add(1);
    }
    Ok(false)
}

/// Whether a pack gives this entry a proof of its own.
fn is_proven_later(bytes: &[u8]) -> bool {
    Entry::parse(bytes).is_ok_and(|entry| {
        matches!(
            entry.body,
            Body::Opened(_) | Body::Approved(_) | Body::Granted(_) | Body::Ended(_) | Body::Lost(_)
        )
    })
}

/// `GET /{environment}/cosigned/{index}`: the first kept head over the entry at `index`.
pub(super) fn router(store: Store) -> Router {
    Router::new()
        .route("/{environment}/cosigned/{index}", get(cosigned))
        .with_state(store)
}

async fn cosigned(State(store): State<Store>, Path((environment, index)): Path<(String, u64)>) -> Response {
    let Ok(environment) = environment.parse::<EnvironmentName>() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match store.cosigned_over(&environment, Some(index)).await {
        Ok(Some(note)) => ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], note).into_response(),
        Ok(None) => (StatusCode::NOT_FOUND, "no cosigned head over this entry was kept\n").into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

//! Serving a log's public side: its newest checkpoint and its hash tiles (C2SP tlog-tiles). Entry bundles are the
//! owner's secret and are not served here.

use crate::start::Publisher;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use ledger::tile::TileKind;
use ledger::{SignedCheckpoint, TilePath};
use model::name::EnvironmentName;
use std::sync::PoisonError;

const NO_CHECKPOINT: &str =
    "no checkpoint of such a log has been published, and none is kept from before: does its witness answer?\n";

/// `GET /{environment}/checkpoint` and `GET /{environment}/tile/…`.
pub fn router(publisher: Publisher) -> Router {
    Router::new()
        .route("/{environment}/checkpoint", get(checkpoint))
        .route("/{environment}/tile/{*path}", get(tile))
        .with_state(publisher)
}

async fn checkpoint(State(publisher): State<Publisher>, Path(environment): Path<String>) -> Response {
    let Ok(environment) = environment.parse::<EnvironmentName>() else {
        return (StatusCode::NOT_FOUND, NO_CHECKPOINT).into_response();
    };
    match published(&publisher, &environment).await {
        Ok(Some(newest)) => text(newest.to_string()),
        Ok(None) => (StatusCode::NOT_FOUND, NO_CHECKPOINT).into_response(),
        Err(Unreadable) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn tile(State(publisher): State<Publisher>, Path((environment, path)): Path<(String, String)>) -> Response {
    match read(&publisher, &environment, &path).await {
        Some(bytes) => ([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response(),
        None => (StatusCode::NOT_FOUND, "no such hash tile in the published tree\n").into_response(),
    }
}

async fn read(publisher: &Publisher, environment: &str, path: &str) -> Option<Vec<u8>> {
    let environment: EnvironmentName = environment.parse().ok()?;
    let path: TilePath = format!("tile/{path}").parse().ok()?;
    let TileKind::Hashes(level) = path.kind() else {
        return None;
    };
    let newest = published(publisher, &environment).await.ok()??;
    let whole = TilePath::of_tree(TileKind::Hashes(level), path.index(), newest.checkpoint().head().size)?;
    if path.width() > whole.width() {
        return None;
    }
    let tree = publisher.tree(&environment)?;
    let tree = tree.read().unwrap_or_else(PoisonError::into_inner);
    tree.tile(path).ok()
}

struct Unreadable;

/// The newest checkpoint of this start; before the first, such as while the witness does not answer, the newest that an
/// earlier start kept. It is as true as it was, and what it covers can still be proven with it.
async fn published(
    publisher: &Publisher,
    environment: &EnvironmentName,
) -> Result<Option<SignedCheckpoint>, Unreadable> {
    if let Some(newest) = publisher.newest(environment) {
        return Ok(Some(newest.checkpoint));
    }
    let kept = publisher.store().cosigned_over(environment, None).await;
    let kept = kept.map_err(|error| {
        tracing::warn!(%environment, %error, "the kept checkpoint cannot be read");
        Unreadable
    })?;
    Ok(kept.and_then(|note| SignedCheckpoint::parse(note.as_bytes()).ok()))
}

fn text(body: String) -> Response {
    (
        [
            (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
            (header::CACHE_CONTROL, "no-store"),
        ],
        body,
    )
        .into_response()
}

//! Serving a log's public side: its newest checkpoint and its hash tiles (C2SP tlog-tiles). Entry bundles are the
//! owner's secret and are not served here.

use crate::start::Publisher;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use ledger::TilePath;
use ledger::tile::TileKind;
use model::name::EnvironmentName;
use std::sync::PoisonError;

/// `GET /{environment}/checkpoint` and `GET /{environment}/tile/…`.
pub fn router(publisher: Publisher) -> Router {
    Router::new()
        .route("/{environment}/checkpoint", get(checkpoint))
        .route("/{environment}/tile/{*path}", get(tile))
        .with_state(publisher)
}

async fn checkpoint(State(publisher): State<Publisher>, Path(environment): Path<String>) -> Response {
    let newest = environment
        .parse::<EnvironmentName>()
        .ok()
        .and_then(|name| publisher.newest(&name));
    match newest {
        Some(cosigned) => text(cosigned.checkpoint.to_string()),
        None => (StatusCode::NOT_FOUND, "no checkpoint has been published\n").into_response(),
    }
}

async fn tile(State(publisher): State<Publisher>, Path((environment, path)): Path<(String, String)>) -> Response {
    match read(&publisher, &environment, &path) {
        Some(bytes) => ([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response(),
        None => (StatusCode::NOT_FOUND, "no such hash tile in the published tree\n").into_response(),
    }
}

fn read(publisher: &Publisher, environment: &str, path: &str) -> Option<Vec<u8>> {
    let environment: EnvironmentName = environment.parse().ok()?;
    let path: TilePath = format!("tile/{path}").parse().ok()?;
    let TileKind::Hashes(level) = path.kind() else {
        return None;
    };
    let published = publisher.newest(&environment)?.size;
    let whole = TilePath::of_tree(TileKind::Hashes(level), path.index(), published)?;
    if path.width() > whole.width() {
        return None;
    }
    let tree = publisher.tree(&environment)?;
    let tree = tree.read().unwrap_or_else(PoisonError::into_inner);
    tree.tile(path).ok()
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

//! Reading what is on record: sessions, entries, blobs, sealed recordings.

use crate::caller::SignedIn;
use crate::problem::Problem;
use crate::server::Shared;
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use desk::read::{self, SessionLine, StoredEntry};
use model::bytes::Digest;
use model::id::SessionId;
use model::name::EnvironmentName;
use serde::{Deserialize, Serialize};

type Answer<T> = Result<Json<T>, Problem>;

fn session_id(text: &str) -> Result<SessionId, Problem> {
    text.parse().map_err(|error| Problem::field("id", format!("{error}")))
}

fn environment_name(text: &str) -> Result<EnvironmentName, Problem> {
    text.parse()
        .map_err(|error| Problem::field("environment", format!("{error}")))
}

pub(crate) async fn sessions(State(api): State<Shared>, caller: SignedIn) -> Answer<Vec<SessionLine>> {
    Ok(Json(read::sessions(&api.desk, &caller.callers).await?))
}

pub(crate) async fn show_session(
    State(api): State<Shared>,
    caller: SignedIn,
    Path(id): Path<String>,
) -> Answer<SessionLine> {
    Ok(Json(read::session(&api.desk, &caller.callers, session_id(&id)?).await?))
}

pub(crate) async fn session_entries(
    State(api): State<Shared>,
    caller: SignedIn,
    Path(id): Path<String>,
    range: Ranged,
) -> Answer<Entries> {
    let from = ranged(range)?.from;
    let entries = read::session_entries(&api.desk, &caller.callers, session_id(&id)?, from).await?;
    Ok(Json(Entries { entries }))
}

/// Ciphertext, as the journal holds it.
pub(crate) async fn extents(
    State(api): State<Shared>,
    caller: SignedIn,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let line = read::session(&api.desk, &caller.callers, session_id(&id)?).await?;
    let found = api.recordings.stream(&line.environment, line.state.session).await;
    let found = found.map_err(|error| {
        tracing::warn!(%error, session = %line.state.session, "a recording could not be read");
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "the recording could not be read",
        )
    })?;
    let stream =
        found.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "absent", "nothing is recorded of it here"))?;
    Ok(octets(Body::new(stream)))
}

fn octets(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "application/octet-stream")], body).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Range {
    #[serde(default)]
    from: u64,
    count: Option<u32>,
}

type Ranged = Result<Query<Range>, QueryRejection>;

fn ranged(range: Ranged) -> Result<Range, Problem> {
    let Query(range) = range.map_err(|rejection| Problem::field("from", rejection.body_text()))?;
    Ok(range)
}

#[derive(Serialize)]
pub(crate) struct Entries {
    entries: Vec<StoredEntry>,
}

pub(crate) async fn entries(
    State(api): State<Shared>,
    caller: SignedIn,
    Path(environment): Path<String>,
    range: Ranged,
) -> Answer<Entries> {
    let range = ranged(range)?;
    let environment = environment_name(&environment)?;
    let range = (range.from, range.count.unwrap_or(read::ENTRIES_MAX));
    let entries = read::entries(&api.desk, &caller.callers, &environment, range).await?;
    Ok(Json(Entries { entries }))
}

pub(crate) async fn blob(
    State(api): State<Shared>,
    caller: SignedIn,
    Path((environment, digest)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let environment = environment_name(&environment)?;
    let digest =
        Digest::from_hex(&digest).ok_or_else(|| Problem::field("digest", "is not 64 lower-case hex digits"))?;
    let bytes = read::blob(&api.desk, &caller.callers, &environment, digest).await?;
    Ok(octets(Body::from(bytes)))
}

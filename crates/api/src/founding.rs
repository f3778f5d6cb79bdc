//! Founding environments, and health. Nobody signs in for these: what roots sign carries its own authority.

use crate::access::Entered;
use crate::problem::Problem;
use crate::sent::Sent;
use crate::server::Shared;
use axum::Json;
use axum::extract::State;
use desk::trust::{self, Offer, TrustBody};
use model::name::EnvironmentName;
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    environment: EnvironmentName,
}

pub(crate) async fn offer(State(api): State<Shared>, Sent(wanted): Sent<Wanted>) -> Result<Json<Offer>, Problem> {
    Ok(Json(trust::offer(&api.desk, &wanted.environment).await?))
}

pub(crate) async fn submit(State(api): State<Shared>, Sent(body): Sent<TrustBody>) -> Result<Json<Entered>, Problem> {
    Ok(Json(trust::submit(&api.desk, body.into()).await?.into()))
}

#[derive(Serialize)]
pub(crate) struct Health {
    /// `ok`, or `degraded` when a log is not published or nothing can be recorded.
    status: &'static str,
    software: &'static str,
    time_ms: u64,
    environments: usize,
    unpublished: Vec<Trouble>,
    /// Why no session can be recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    unrecorded: Option<String>,
}

#[derive(Serialize)]
struct Trouble {
    environment: EnvironmentName,
    because: String,
}

pub(crate) async fn health(State(api): State<Shared>) -> Result<Json<Health>, Problem> {
    let environments = api.desk.environments().await?;
    let unpublished: Vec<Trouble> = environments
        .iter()
        .filter_map(|environment| {
            (api.unpublished)(environment).map(|because| Trouble {
                environment: environment.clone(),
                because,
            })
        })
        .collect();
    let unrecorded = (api.unrecorded)();
    let is_well = unpublished.is_empty() && unrecorded.is_none();
    Ok(Json(Health {
        status: if is_well { "ok" } else { "degraded" },
        software: env!("CARGO_PKG_VERSION"),
        time_ms: api.desk.now_ms(),
        environments: environments.len(),
        unpublished,
        unrecorded,
    }))
}

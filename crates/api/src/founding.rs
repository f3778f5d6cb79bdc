//! Founding environments, and health. Nobody signs in for these: what roots sign carries its own authority.

use crate::access::Entered;
use crate::problem::Problem;
use crate::sent::Sent;
use crate::server::Shared;
use axum::Json;
use axum::extract::State;
use desk::trust::{self, Offer};
use model::body::Body;
use model::name::EnvironmentName;
use model::signature::Signed;
use model::statement::{Disablement, Engagement, Enrolment, Genesis, Resource, Workflow};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    environment: EnvironmentName,
}

pub(crate) async fn offer(State(api): State<Shared>, Sent(wanted): Sent<Wanted>) -> Result<Json<Offer>, Problem> {
    Ok(Json(trust::offer(&api.desk, &wanted.environment).await?))
}

/// A statement of a root, by the type of the entry that will hold it.
#[derive(Deserialize)]
#[serde(tag = "type", content = "body", deny_unknown_fields)]
pub(crate) enum Founding {
    #[serde(rename = "environment.genesis")]
    Genesis(Signed<Genesis>),
    #[serde(rename = "engagement.signed")]
    Engagement(Signed<Engagement>),
    #[serde(rename = "identity.enrolled")]
    Enrolled(Signed<Enrolment>),
    #[serde(rename = "identity.disabled")]
    Disabled(Signed<Disablement>),
    #[serde(rename = "resource.registered")]
    Resource(Signed<Resource>),
    #[serde(rename = "workflow.set")]
    Workflow(Signed<Workflow>),
}

impl From<Founding> for Body {
    fn from(founding: Founding) -> Self {
        match founding {
            Founding::Genesis(signed) => Self::Genesis(signed),
            Founding::Engagement(signed) => Self::Engagement(signed),
            Founding::Enrolled(signed) => Self::Enrolled(signed),
            Founding::Disabled(signed) => Self::Disabled(signed),
            Founding::Resource(signed) => Self::Resource(signed),
            Founding::Workflow(signed) => Self::Workflow(signed),
        }
    }
}

pub(crate) async fn submit(
    State(api): State<Shared>,
    Sent(founding): Sent<Founding>,
) -> Result<Json<Entered>, Problem> {
    Ok(Json(trust::submit(&api.desk, founding.into()).await?.into()))
}

#[derive(Serialize)]
pub(crate) struct Health {
    status: &'static str,
    software: &'static str,
    time_ms: u64,
    environments: usize,
}

pub(crate) async fn health(State(api): State<Shared>) -> Result<Json<Health>, Problem> {
    Ok(Json(Health {
        status: "ok",
        software: env!("CARGO_PKG_VERSION"),
        time_ms: api.desk.now_ms(),
        environments: api.desk.environments().await?.len(),
    }))
}

//! The list of what this API has. The router is made from it, and a golden file holds it.

use crate::problem::Problem;
use crate::server::Shared;
use crate::{access, founding, reading};
use axum::Router;
use axum::http::{Method, StatusCode};
use axum::routing::{MethodRouter, get, post};

struct Endpoint {
    method: Method,
    path: &'static str,
    signed_in: bool,
    handler: MethodRouter<Shared>,
}

/// For whoever sends a good token.
fn signed_in(method: Method, path: &'static str, handler: MethodRouter<Shared>) -> Endpoint {
    Endpoint {
        method,
        path,
        signed_in: true,
        handler,
    }
}

/// For anybody who reaches the port.
fn open(method: Method, path: &'static str, handler: MethodRouter<Shared>) -> Endpoint {
    Endpoint {
        signed_in: false,
        ..signed_in(method, path, handler)
    }
}

fn all() -> Vec<Endpoint> {
    const GET: Method = Method::GET;
    const POST: Method = Method::POST;
    vec![
        open(GET, "/v1/health", get(founding::health)),
        open(POST, "/v1/sign-in/challenge", post(access::challenge)),
        open(POST, "/v1/sign-in", post(access::sign_in)),
        signed_in(POST, "/v1/sign-out", post(access::sign_out)),
        signed_in(GET, "/v1/whoami", get(access::whoami)),
        signed_in(GET, "/v1/ls", get(access::ls)),
        signed_in(GET, "/v1/workflows", get(access::workflows)),
        signed_in(GET, "/v1/requests", get(access::requests)),
        signed_in(POST, "/v1/requests", post(access::submit_request)),
        signed_in(POST, "/v1/requests/prepare", post(access::prepare)),
        signed_in(GET, "/v1/requests/{id}", get(access::show_request)),
        signed_in(GET, "/v1/requests/{id}/approval", get(access::approval_statement)),
        signed_in(POST, "/v1/approvals", post(access::submit_approval)),
        signed_in(POST, "/v1/denials", post(access::submit_denial)),
        signed_in(GET, "/v1/grants/{id}", get(access::show_grant)),
        signed_in(POST, "/v1/revocations", post(access::submit_revocation)),
        signed_in(POST, "/v1/kills", post(access::submit_kill)),
        signed_in(GET, "/v1/sessions", get(reading::sessions)),
        signed_in(GET, "/v1/sessions/{id}", get(reading::show_session)),
        signed_in(GET, "/v1/sessions/{id}/entries", get(reading::session_entries)),
        signed_in(GET, "/v1/sessions/{id}/extents", get(reading::extents)),
        signed_in(GET, "/v1/environments/{environment}/entries", get(reading::entries)),
        signed_in(GET, "/v1/environments/{environment}/blobs/{digest}", get(reading::blob)),
        open(POST, "/v1/environments/offer", post(founding::offer)),
        open(POST, "/v1/trust", post(founding::submit)),
    ]
}

/// Method, path and whether a token is needed, one line each.
#[must_use]
pub fn list() -> Vec<String> {
    let line = |endpoint: Endpoint| {
        let who = if endpoint.signed_in { "token" } else { "open" };
        format!("{:<5} {:<5} {}", endpoint.method.as_str(), who, endpoint.path)
    };
    all().into_iter().map(line).collect()
}

pub(crate) fn router(api: Shared) -> Router {
    let routes = all().into_iter().fold(Router::new(), |router, endpoint| {
        router.route(endpoint.path, endpoint.handler)
    });
    let absent = || async { Problem::new(StatusCode::NOT_FOUND, "absent", "there is no such endpoint") };
    let method = || async {
        Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method",
            "the endpoint has no such method",
        )
    };
    routes
        .fallback(absent)
        .method_not_allowed_fallback(method)
        .with_state(api)
}

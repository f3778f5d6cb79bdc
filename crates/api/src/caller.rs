//! Who is calling, by the token in the request. The identities behind the token's key are looked up each time.

use crate::problem::Problem;
use crate::server::Shared;
use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use desk::attempt::Operation;
use desk::people::{self, Caller};
use desk::stranger;

/// The identities of whoever holds a good token.
pub(crate) struct SignedIn {
    pub(crate) callers: Vec<Caller>,
    pub(crate) token: String,
}

impl FromRequestParts<Shared> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Shared) -> Result<Self, Problem> {
        let given = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let token = given
            .and_then(|value| value.strip_prefix("Bearer "))
            .unwrap_or_default();
        let Some(key) = api.sign_in.holder(token) else {
            stranger::count(&api.desk, "api", "no_token");
            return Err(Problem::nobody());
        };
        let callers = people::admit(&api.desk, &key, Operation::SignIn).await?;
        Ok(Self {
            callers,
            token: token.to_owned(),
        })
    }
}

//! How the API says no: one JSON object (`application/problem+json`) with a code for programs and a sentence for
//! people; the field, where one is missing or wrong; what could have been meant, where several things fit.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use desk::Failure;
use serde::Serialize;

/// An answer that is no answer.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    body: Body,
}

#[derive(Debug, Serialize)]
struct Body {
    code: String,
    because: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    candidates: Vec<String>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: impl Into<String>, because: impl Into<String>) -> Self {
        Self {
            status,
            body: Body {
                code: code.into(),
                because: because.into(),
                field: None,
                candidates: vec![],
            },
        }
    }

    /// A field of what was sent is missing or wrong.
    pub(crate) fn field(field: impl Into<String>, because: impl Into<String>) -> Self {
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "field", because);
        problem.body.field = Some(field.into());
        problem
    }

    /// Nobody who is known. Always in the same words.
    pub(crate) fn nobody() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "not_signed_in",
            "sign in first, with a key that is enrolled here",
        )
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let because = failure.to_string();
        let code = failure.code();
        match failure {
            Failure::Refused { candidates, .. } => {
                let mut problem = Self::new(StatusCode::FORBIDDEN, code, because);
                problem.body.candidates = candidates;
                problem
            }
            Failure::Field { field, because } => Self::field(field, because),
            Failure::Absent(_) => Self::new(StatusCode::NOT_FOUND, code, because),
            Failure::Unavailable(_) | Failure::Unknown(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, code, because),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

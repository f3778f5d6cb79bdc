//! What a client sends: JSON of one type, or an answer that names what is wrong with it.

use crate::problem::Problem;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

/// A body of type `T`.
pub(crate) struct Sent<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Sent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
            let status = rejection.status();
            let code = if status == StatusCode::PAYLOAD_TOO_LARGE {
                "too_long"
            } else {
                "not_read"
            };
            Problem::new(status, code, rejection.body_text())
        })?;
        read(&bytes).map(Self)
    }
}

pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| match error.classify() {
        Category::Data => {
            let text = error.to_string();
            Problem::field(named(&text).unwrap_or("body").to_owned(), text)
        }
        Category::Syntax | Category::Eof | Category::Io => Problem::new(
            StatusCode::BAD_REQUEST,
            "not_json",
            format!("the body is not JSON: {error}"),
        ),
    })
}

/// The field that serde names in `missing field`, `unknown field` and `duplicate field`.
fn named(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once(" field `")?;
    Some(rest.split_once('`')?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_field() {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Inner {
            #[allow(dead_code, reason = "only its presence is read")]
            until_ms: u64,
        }
        let missing = serde_json::from_str::<Inner>("{}").map(drop).unwrap_err().to_string();
        assert_eq!(named(&missing), Some("until_ms"));
        let unknown = serde_json::from_str::<Inner>("{\"x\":1}")
            .map(drop)
            .unwrap_err()
            .to_string();
        assert_eq!(named(&unknown), Some("x"));
        assert!(read::<Inner>(b"{\"until_ms\":1}").is_ok());
    }
}

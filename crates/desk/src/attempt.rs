//! Refusals of callers whom a key identified: on record before they hear the answer.
//!
//! Not here: callers whom nobody knows (see `stranger`), and actions inside a session (see `session`).

use crate::desk::Desk;
use crate::failure::Failure;
use crate::people::Caller;
use crate::sealing;
use model::body::{AttemptRefused, Body};
use model::chain::Draft;
use model::commitment::{Opening, Openings};
use model::entry::BlobKind;
use model::id::IdentityId;
use model::name::EnvironmentName;

/// What was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Log in to gateway or API.
    SignIn,
    /// Open a session.
    Open,
    /// Ask for access.
    Request,
    /// Approve a request.
    Approve,
    /// Deny a request.
    Deny,
    /// Withdraw a grant.
    Revoke,
    /// End a session.
    Kill,
    /// Read evidence.
    Read,
}

impl Operation {
    /// The word for it, as entries hold it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::Open => "open",
            Self::Request => "request",
            Self::Approve => "approve",
            Self::Deny => "deny",
            Self::Revoke => "revoke",
            Self::Kill => "kill",
            Self::Read => "read",
        }
    }
}

/// The longest text of an object that is kept.
const OBJECT_CHARS_MAX: usize = 512;

/// Puts the refusal of `identity` on record and gives back the answer. What is no refusal passes unrecorded. Where the
/// record cannot be made, that is the answer.
pub async fn refuse(
    desk: &Desk,
    environment: &EnvironmentName,
    identity: IdentityId,
    operation: Operation,
    object: &str,
    answer: Failure,
) -> Failure {
    let Failure::Refused { code, .. } = &answer else {
        return answer;
    };
    match record(desk, environment, identity, operation, object, code).await {
        Ok(()) => answer,
        Err(failure) => failure,
    }
}

async fn record(
    desk: &Desk,
    environment: &EnvironmentName,
    identity: IdentityId,
    operation: Operation,
    object: &str,
    code: &str,
) -> Result<(), Failure> {
    if !desk.repeats.may_record(identity, desk.now_ms()) {
        desk.strangers.count("desk", "repeated");
        return Ok(());
    }
    let id = desk.entry_id()?;
    let text: String = object.chars().take(OBJECT_CHARS_MAX).collect();
    let opening = Opening::new("object", desk.fresh()?, text.as_bytes());
    let body = AttemptRefused {
        identity,
        operation: operation.as_str().into(),
        object: opening.commitment(id),
        code: code.into(),
    };
    let openings = Openings {
        entry: id,
        fields: vec![opening],
    };
    let sealed = sealing::seal(desk, environment, &openings).await?;
    let draft = Draft::new(id, Body::AttemptRefused(body)).with(BlobKind::Openings, sealed);
    desk.record(environment, vec![draft]).await?;
    Ok(())
}

/// As [`refuse`], for something that exists and is not the caller's to see: on record as refused, but the caller hears
/// that there is no such thing.
pub(crate) async fn hide(
    desk: &Desk,
    caller: &Caller,
    operation: Operation,
    object: &str,
    refusal: Failure,
    what: &'static str,
) -> Failure {
    match refuse(desk, &caller.environment, caller.identity, operation, object, refusal).await {
        Failure::Refused { .. } => Failure::Absent(what),
        other => other,
    }
}

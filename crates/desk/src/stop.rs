//! Ending what was permitted: a grant is revoked, a session is killed. Live sessions hear of it by `watch`.

use crate::approve::speaks;
use crate::attempt::{self, Operation};
use crate::desk::Desk;
use crate::failure::Failure;
use crate::people::Caller;
use model::body::Body;
use model::chain::Draft;
use model::entity::EntityKey;
use model::signature::Signed;
use model::statement::{Kill, Revocation};
use store::Receipt;

/// Withdraws a grant.
///
/// # Errors
/// A refusal, on record; or why nothing was stored.
pub async fn revoke(desk: &Desk, callers: &[Caller], signed: Signed<Revocation>) -> Result<Receipt, Failure> {
    let grant = signed.statement.grant;
    let caller = holder(desk, callers, EntityKey::grant(grant), "grant").await?;
    let draft = Draft::new(desk.entry_id()?, Body::Revoked(signed.clone()));
    let result = match speaks(caller, signed.statement.by) {
        Ok(()) => desk.record_one(&caller.environment, draft).await,
        Err(answer) => Err(answer),
    };
    on_record(desk, caller, Operation::Revoke, &grant.to_string(), result).await
}

/// Orders the end of a session.
///
/// # Errors
/// A refusal, on record; or why nothing was stored.
pub async fn kill(desk: &Desk, callers: &[Caller], signed: Signed<Kill>) -> Result<Receipt, Failure> {
    let session = signed.statement.session;
    let caller = holder(desk, callers, EntityKey::session(session), "session").await?;
    let draft = Draft::new(desk.entry_id()?, Body::Killed(signed.clone())).in_session(session);
    let result = match speaks(caller, signed.statement.by) {
        Ok(()) => desk.record_one(&caller.environment, draft).await,
        Err(answer) => Err(answer),
    };
    on_record(desk, caller, Operation::Kill, &session.to_string(), result).await
}

/// Who the caller is in the environment that holds `key`. Whether they may stop it is `apply`'s rule.
async fn holder<'a>(
    desk: &Desk,
    callers: &'a [Caller],
    key: EntityKey,
    what: &'static str,
) -> Result<&'a Caller, Failure> {
    for caller in callers {
        if desk
            .gather(&caller.environment, |state| Ok(state.find(&key)?.is_some()))
            .await?
        {
            return Ok(caller);
        }
    }
    Err(Failure::Absent(what))
}

async fn on_record(
    desk: &Desk,
    caller: &Caller,
    operation: Operation,
    object: &str,
    result: Result<Receipt, Failure>,
) -> Result<Receipt, Failure> {
    match result {
        Ok(receipt) => Ok(receipt),
        Err(answer) => {
            Err(attempt::refuse(desk, &caller.environment, caller.identity, operation, object, answer).await)
        }
    }
}

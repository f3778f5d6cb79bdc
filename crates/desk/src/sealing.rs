//! Encryption of what stands beside the log: openings of commitments, and the keys of recordings.
//!
//! Everything goes to the recipients that the environment's genesis names: the owner's, and the operator's if it has
//! any. Reasons and tickets are also readable to this desk, because approvers must be shown them before they sign.
//!
//! INVARIANT (ciphertext only): what leaves this module for the store is encrypted.

use crate::desk::{Desk, unavailable};
use crate::failure::Failure;
use crate::secret;
use model::commitment::Openings;
use model::entity::{EntityKey, RequestState};
use model::entry::BlobKind;
use model::id::RequestId;
use model::json;
use model::name::EnvironmentName;
use model::statement::Genesis;

/// Seals openings to the environment's recipients.
pub(crate) async fn seal(desk: &Desk, environment: &EnvironmentName, openings: &Openings) -> Result<Vec<u8>, Failure> {
    let genesis = desk.genesis(environment).await?;
    seal_for(&genesis, openings)
}

/// As [`seal`], with the genesis at hand.
pub(crate) fn seal_for(genesis: &Genesis, openings: &Openings) -> Result<Vec<u8>, Failure> {
    seal_to(&recipients(genesis), openings)
}

/// As [`seal`], readable to this desk too.
pub(crate) async fn seal_readable(
    desk: &Desk,
    environment: &EnvironmentName,
    openings: &Openings,
) -> Result<Vec<u8>, Failure> {
    let genesis = desk.genesis(environment).await?;
    let own = secret::reading_recipient(desk, environment).await?;
    let mut recipients = recipients(&genesis);
    recipients.push(own);
    seal_to(&recipients, openings)
}

/// Wraps a session's key.
pub(crate) fn wrap(genesis: &Genesis, dek: &[u8; 32]) -> Result<Vec<u8>, Failure> {
    store::seal_to(&recipients(genesis), dek).map_err(unavailable)
}

fn recipients(genesis: &Genesis) -> Vec<String> {
    [genesis.owner_recipients.as_slice(), &genesis.operator_recipients].concat()
}

fn seal_to(recipients: &[String], openings: &Openings) -> Result<Vec<u8>, Failure> {
    let plain = json::to_vec(openings)
        .map_err(|error| Failure::refused("too_long", format!("it cannot be put on record: {error}")))?;
    store::seal_to(recipients, &plain).map_err(unavailable)
}

/// What a request's commitments hide, where that is still stored and fits them.
pub(crate) async fn open_request(
    desk: &Desk,
    environment: &EnvironmentName,
    request: &RequestState,
) -> Result<Option<Openings>, Failure> {
    let entry = desk.parsed(environment, request.made_at).await?;
    let Some(blob) = entry.blobs.iter().find(|blob| blob.kind == BlobKind::Openings) else {
        return Ok(None);
    };
    let Some(sealed) = desk.blob(environment, blob.sha256).await?.and_then(|blob| blob.bytes) else {
        return Ok(None);
    };
    let identity = secret::reading(desk, environment).await?;
    let Ok(plain) = store::open_with(&identity, &sealed) else {
        return Ok(None);
    };
    let Ok(openings) = json::from_slice::<Openings>(&plain) else {
        return Ok(None);
    };
    let reason = openings.open("reason", request.statement.reason).is_some();
    let ticket = request
        .statement
        .ticket
        .is_none_or(|ticket| openings.open("ticket", ticket).is_some());
    Ok((openings.entry == request.statement.entry && reason && ticket).then_some(openings))
}

/// The text of a request's ticket, where it is still stored.
pub(crate) async fn ticket(
    desk: &Desk,
    environment: &EnvironmentName,
    request: RequestId,
) -> Result<Option<String>, Failure> {
    let state = desk
        .gather(environment, |state| {
            state.request(&EntityKey::request(request)).cloned()
        })
        .await?;
    let Some(commitment) = state.statement.ticket else {
        return Ok(None);
    };
    let openings = open_request(desk, environment, &state).await?;
    let value = openings
        .as_ref()
        .and_then(|openings| openings.open("ticket", commitment));
    Ok(value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()))
}

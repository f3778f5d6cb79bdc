//! Opening a session: the judge is asked, its permit becomes a step, the step is committed. What comes back is
//! durable; the publisher's gate still has to clear it before anything is dialed.
//!
//! Not here: the gate, dialing, and finding the grant (see `reach`). INVARIANT (wrapped to the owner): no session opens
//! whose key the environment's owner could not unwrap.

use crate::attempt::{self, Operation};
use crate::desk::{Desk, failure, unavailable};
use crate::failure::Failure;
use crate::sealing;
use model::apply::{Refused, Snapshot};
use model::body::{Body, CertificatePlan, Opened, TimeBasis};
use model::bytes::Digest;
use model::chain::{Opening as Terms, Permit, Session, Step};
use model::commitment::{Opening, Openings};
use model::entity::EntityKey;
use model::id::{EntryId, SessionId};
use model::judge::{JudgeError, OpenFacts, Refusal, Wanted, judge_open};
use model::name::EnvironmentName;
use model::signature::{Key, LogIn};
use model::statement::{Genesis, Resource};
use model::verdict::ControlId;
use std::time::Duration;
use store::{CommitError, Committed};
use zeroize::Zeroizing;

/// How often an opening is judged in all, when what it rests on changes under it.
const JUDGEMENTS_MAX: usize = 4;
/// How far before now a certificate is valid, for clocks that are behind.
const CERTIFICATE_EARLY_S: u64 = 90;
/// How long from now.
const CERTIFICATE_LIFE_S: u64 = 120;
/// How long to wait before a store that does not answer is asked again.
const SETTLE_EVERY: Duration = Duration::from_millis(500);

/// What the gateway brings to an opening.
pub struct Arrival {
    /// Who wants what with which grant.
    pub wanted: Wanted,
    /// The log-in that proves who.
    pub proof: LogIn,
    /// Where the client connects from, as `address:port`.
    pub client: String,
    /// The session's data key, 32 bytes; it is wrapped here and nowhere kept.
    pub dek: Zeroizing<[u8; 32]>,
    /// The recording's commitment to that key.
    pub dek_commitment: Digest,
    /// The session's own public key, for its one certificate.
    pub key: Key,
    /// What vouches for the time of the opening.
    pub time: TimeBasis,
}

/// Judges and commits an opening. A change underneath is judged again, three times at most.
///
/// # Errors
/// A refusal, on record; or why nothing was stored.
pub async fn open_session(
    desk: &Desk,
    environment: &EnvironmentName,
    arrival: &Arrival,
) -> Result<Committed<Session>, Failure> {
    match try_open(desk, environment, arrival).await {
        Ok(opened) => Ok(opened),
        Err(answer) => {
            let wanted = &arrival.wanted;
            let object = format!("{}+{}.{environment}+{}", wanted.account, wanted.resource, wanted.grant);
            Err(attempt::refuse(desk, environment, wanted.identity, Operation::Open, &object, answer).await)
        }
    }
}

/// What became of an opening that was answered with [`Failure::Unknown`]; asks until the store answers. An opening that
/// is stored after all is open, though its permit is gone: whoever asked for it has to end it on record.
pub async fn settle(desk: &Desk, environment: &EnvironmentName, entry: EntryId) -> Option<(SessionId, Opened)> {
    match settled(desk, environment, entry).await? {
        (session, Body::Opened(opened)) => Some((session, *opened)),
        _ => None,
    }
}

/// What a session's entry of unknown outcome says, if it is stored; asks until the store answers.
pub(crate) async fn settled(desk: &Desk, environment: &EnvironmentName, entry: EntryId) -> Option<(SessionId, Body)> {
    loop {
        match try_settle(desk, environment, entry).await {
            Ok(settled) => return settled,
            Err(failure) => tracing::debug!(%environment, %entry, %failure, "an entry's outcome is still not known"),
        }
        tokio::time::sleep(SETTLE_EVERY).await;
    }
}

async fn try_settle(
    desk: &Desk,
    environment: &EnvironmentName,
    entry: EntryId,
) -> Result<Option<(SessionId, Body)>, Failure> {
    let Some(receipt) = desk.store().settle(environment, entry).await.map_err(unavailable)? else {
        return Ok(None);
    };
    let stored = desk.parsed(environment, receipt.index).await?;
    Ok(stored.session.map(|link| (link.id, stored.body)))
}

async fn try_open(
    desk: &Desk,
    environment: &EnvironmentName,
    arrival: &Arrival,
) -> Result<Committed<Session>, Failure> {
    let genesis = desk.genesis(environment).await?;
    let wraps = sealing::wrap(&genesis, &arrival.dek)?;
    for _ in 0..JUDGEMENTS_MAX {
        let now_ms = desk.now_ms();
        let judged = desk
            .gather(environment, |state| judge(state, &arrival.wanted, now_ms))
            .await??;
        let step = step(desk, &genesis, arrival, judged, wraps.clone())?;
        match desk.commit(environment, step).await {
            Ok(committed) => return Ok(committed),
            Err(CommitError::Conflict(_)) => {}
            Err(error) => return Err(failure(error)),
        }
    }
    Err(Failure::Unavailable("what the opening rests on keeps changing".into()))
}

struct Judged {
    permit: Permit<OpenFacts>,
    controls: Vec<ControlId>,
    resource: Resource,
}

fn judge(state: &Snapshot, wanted: &Wanted, now_ms: u64) -> Result<Result<Judged, Refusal>, Refused> {
    let permit = match judge_open(state, wanted, now_ms) {
        Ok(permit) => permit,
        Err(JudgeError::Refusal(refusal)) => return Ok(Err(refusal)),
        Err(JudgeError::State(refused)) => return Err(refused),
    };
    Ok(Ok(Judged {
        permit,
        controls: state.grant(&EntityKey::grant(wanted.grant))?.granted.controls.clone(),
        resource: state
            .resource(&EntityKey::resource(&wanted.resource))?
            .statement
            .clone(),
    }))
}

fn step(
    desk: &Desk,
    genesis: &Genesis,
    arrival: &Arrival,
    judged: Judged,
    wraps: Vec<u8>,
) -> Result<Step<Session>, Failure> {
    let entry = desk.entry_id()?;
    let client = Opening::new("client", desk.fresh()?, arrival.client.as_bytes());
    let commitment = client.commitment(entry);
    let openings = Openings {
        entry,
        fields: vec![client],
    };
    let certificate = plan(desk, genesis, arrival, &judged.resource)?;
    Ok(judged.permit.open(Terms {
        session: SessionId::new(desk.now_ms(), desk.fresh()?),
        entry,
        proof: arrival.proof.clone(),
        client: commitment,
        openings: sealing::seal_for(genesis, &openings)?,
        certificate,
        dek: arrival.dek_commitment,
        wraps,
        controls: judged.controls,
        time: arrival.time.clone(),
        resource: judged.resource,
    }))
}

fn plan(desk: &Desk, genesis: &Genesis, arrival: &Arrival, resource: &Resource) -> Result<CertificatePlan, Failure> {
    let now_s = desk.now_ms() / 1000;
    let wanted = &arrival.wanted;
    Ok(CertificatePlan {
        key: arrival.key.clone(),
        serial: format!("{:016x}", u64::from_be_bytes(desk.fresh()?)),
        principal: format!("cs:{}:{}:{}", genesis.environment, wanted.resource, wanted.account),
        valid_after_s: now_s.saturating_sub(CERTIFICATE_EARLY_S),
        valid_before_s: now_s + CERTIFICATE_LIFE_S,
        source_addresses: resource.source_addresses.clone(),
    })
}

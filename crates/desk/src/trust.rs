//! Founding an environment and changing who is trusted in it. Statements come signed from the owner's and the
//! operator's side; this passes them on, and the log's rules refuse what is not under the right root.
//!
//! Nobody has to sign in for this: the signatures are the authority. INVARIANT (offered first): a genesis names the log
//! key and the certificate authorities that this server holds; none can be founded on keys that it does not have.

use crate::desk::Desk;
use crate::failure::Failure;
use crate::secret::{self, Authority};
use crate::session;
use model::body::Body;
use model::chain::Draft;
use model::entry::Entry;
use model::name::EnvironmentName;
use model::signature::{Key, Signed};
use model::statement::{Custody, Disablement, Engagement, Enrolment, Genesis, Resource, Workflow};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use store::Receipt;

/// What this server brings to a new environment; the owner's genesis repeats it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// The environment.
    pub environment: EnvironmentName,
    /// The log's origin.
    pub origin: String,
    /// The log's verifier key.
    pub log_key: String,
    /// Signs the gateway's host certificates for this environment.
    pub gateway_host_ca: Key,
    /// Signs the certificates that targets accept.
    pub user_ca: Key,
    /// Who holds it.
    pub custody: Custody,
}

/// A statement that an organisation's root signs, by the type of the entry that will hold it: a line of a trust file, and
/// what is posted to put it on record.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", content = "body", deny_unknown_fields)]
pub enum TrustBody {
    /// An environment begins.
    #[serde(rename = "environment.genesis")]
    Genesis(Signed<Genesis>),
    /// An operator is engaged.
    #[serde(rename = "engagement.signed")]
    Engagement(Signed<Engagement>),
    /// A person or workload.
    #[serde(rename = "identity.enrolled")]
    Enrolled(Signed<Enrolment>),
    /// The end of one.
    #[serde(rename = "identity.disabled")]
    Disabled(Signed<Disablement>),
    /// A target.
    #[serde(rename = "resource.registered")]
    Resource(Signed<Resource>),
    /// A purpose and its rules.
    #[serde(rename = "workflow.set")]
    Workflow(Signed<Workflow>),
}

impl TrustBody {
    /// What it says, in one line.
    #[must_use]
    pub fn summary(&self) -> String {
        match self {
            Self::Genesis(signed) => format!(
                "environment `{}` of {}",
                signed.statement.environment, signed.statement.owner
            ),
            Self::Engagement(signed) => format!("engagement of {}", signed.statement.operator),
            Self::Enrolled(signed) => format!(
                "identity `{}` of {}",
                signed.statement.handle, signed.statement.organisation
            ),
            Self::Disabled(signed) => format!("the end of {}", signed.statement.identity),
            Self::Resource(signed) => format!("resource `{}`", signed.statement.name),
            Self::Workflow(signed) => format!("workflow `{}`", signed.statement.name),
        }
    }
}

impl From<TrustBody> for Body {
    fn from(body: TrustBody) -> Self {
        match body {
            TrustBody::Genesis(signed) => Self::Genesis(signed),
            TrustBody::Engagement(signed) => Self::Engagement(signed),
            TrustBody::Enrolled(signed) => Self::Enrolled(signed),
            TrustBody::Disabled(signed) => Self::Disabled(signed),
            TrustBody::Resource(signed) => Self::Resource(signed),
            TrustBody::Workflow(signed) => Self::Workflow(signed),
        }
    }
}

/// The rule by which a statement that is on record is not entered again.
pub const ALREADY_ENTERED: &str = "already_entered";

/// The rules that refuse what is repeated. All but the genesis's look at the signatures first, so that no stranger has
/// a log searched.
const REPEATED: [&str; 3] = ["genesis_not_first", "statement_not_newer", "identity_ended"];

/// Environments that may be offered before they are founded. Anybody who reaches the port may ask for an offer, and each
/// makes keys.
const OFFERED_MAX: usize = 64;

/// Environments that this start offered and nobody has founded yet.
#[derive(Default)]
pub(crate) struct Offered(Mutex<BTreeSet<EnvironmentName>>);

impl Offered {
    fn note(&self, environment: &EnvironmentName, founded: &[EnvironmentName]) -> Result<(), Failure> {
        let mut offered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        offered.retain(|name| !founded.contains(name));
        if offered.len() >= OFFERED_MAX && !offered.contains(environment) {
            let because =
                "too many environments were offered and not founded; found one of them, or restart the server";
            return Err(Failure::refused("too_many_offers", because));
        }
        offered.insert(environment.clone());
        Ok(())
    }
}

/// Makes the keys of a new environment, or finds those that were made for it.
///
/// # Errors
/// When the vault cannot be used, or too many environments were offered and never founded.
pub async fn offer(desk: &Desk, environment: &EnvironmentName) -> Result<Offer, Failure> {
    let founded = desk.environments().await?;
    if !founded.contains(environment) {
        desk.offered.note(environment, &founded)?;
    }
    let origin = desk.origin_of(environment);
    secret::offer_reading(desk, environment).await?;
    Ok(Offer {
        environment: environment.clone(),
        log_key: desk.log_key(environment, &origin).await?,
        origin,
        gateway_host_ca: secret::offered_authority(desk, environment, Authority::GatewayHost).await?,
        user_ca: secret::offered_authority(desk, environment, Authority::User).await?,
        custody: Custody::Operator,
    })
}

/// Puts a statement of a root on record. A genesis creates the log, and this node announces itself in it.
///
/// # Errors
/// The rule that refuses it; or why nothing was stored.
pub async fn submit(desk: &Desk, body: Body) -> Result<Receipt, Failure> {
    let environment = match &body {
        Body::Genesis(signed) => {
            check_offer(desk, signed).await?;
            signed.statement.environment.clone()
        }
        Body::Engagement(signed) => signed.statement.environment.clone(),
        Body::Enrolled(signed) => signed.statement.environment.clone(),
        Body::Disabled(signed) => signed.statement.environment.clone(),
        Body::Resource(signed) => signed.statement.environment.clone(),
        Body::Workflow(signed) => signed.statement.environment.clone(),
        other => {
            return Err(Failure::field(
                "type",
                format!("`{}` is not signed by a root", other.kind()),
            ));
        }
    };
    let founding = matches!(body, Body::Genesis(_));
    if !founding && !desk.environments().await?.contains(&environment) {
        return Err(Failure::Absent("environment"));
    }
    let draft = Draft::new(desk.entry_id()?, body.clone());
    let receipt = match desk.record_one(&environment, draft).await {
        Ok(receipt) => receipt,
        Err(refused) if REPEATED.contains(&refused.code()) => {
            return Err(entered_already(desk, &environment, &body).await?.unwrap_or(refused));
        }
        Err(refused) => return Err(refused),
    };
    if founding {
        session::node_started(desk, &environment).await?;
    }
    Ok(receipt)
}

/// A statement that was refused because this very one, signatures and all, is on record. A genesis can only be the first
/// entry; for the others the log is searched.
async fn entered_already(desk: &Desk, environment: &EnvironmentName, body: &Body) -> Result<Option<Failure>, Failure> {
    const PAGE: u32 = 512;
    let founding = matches!(body, Body::Genesis(_));
    let mut from = 0;
    loop {
        let count = if founding { 1 } else { PAGE };
        let page = desk.entries(environment, from, count).await?;
        for (index, bytes) in &page {
            if holds_statement(bytes) && Entry::parse(bytes).is_ok_and(|entry| entry.body == *body) {
                let because = format!("this statement is entered already, as {index}");
                return Ok(Some(Failure::refused(ALREADY_ENTERED, because)));
            }
        }
        match page.last() {
            Some((last, _)) if !founding => from = last.saturating_add(1),
            _ => return Ok(None),
        }
    }
}

/// Whether an entry may be what a root signs, by a look at its bytes.
fn holds_statement(bytes: &[u8]) -> bool {
    const KINDS: [&str; 6] = [
        "environment.genesis",
        "engagement.signed",
        "identity.enrolled",
        "identity.disabled",
        "resource.registered",
        "workflow.set",
    ];
    str::from_utf8(bytes).is_ok_and(|text| KINDS.iter().any(|kind| text.contains(kind)))
}

async fn check_offer(desk: &Desk, signed: &Signed<Genesis>) -> Result<(), Failure> {
    let genesis = &signed.statement;
    let offer = offer(desk, &genesis.environment).await?;
    let differs = |field: &'static str| {
        Err(Failure::field(
            field,
            "is not what this server offered for the environment",
        ))
    };
    if genesis.origin != offer.origin {
        return differs("origin");
    }
    if genesis.log_key != offer.log_key {
        return differs("log_key");
    }
    if genesis.gateway_host_ca != offer.gateway_host_ca {
        return differs("gateway_host_ca");
    }
    if genesis.user_ca != offer.user_ca {
        return differs("user_ca");
    }
    Ok(())
}

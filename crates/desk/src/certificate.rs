//! OpenSSH certificates: the one that a session logs in to its target with, and the gateway's own for a name that it
//! answers to. Both authorities are the vault's in this version; the owner's side may take over without a caller
//! noticing, because each is one function.
//!
//! INVARIANT (as opened): a target certificate says exactly what the session's opening in the log says, it is signed for
//! an open session of this start of this node, once, and never after the plan's validity.

use crate::desk::{Desk, Listing};
use crate::failure::Failure;
use crate::secret::{self, Authority};
use model::body::{Body, CertificatePlan};
use model::chain::Session;
use model::entity::{EntityKey, ResourceState, SessionStatus};
use model::id::SessionId;
use model::name::EnvironmentName;
use model::signature::Key;
use model::statement::ActionClass;
use ssh_key::certificate::{Builder, CertType};
use ssh_key::{Certificate, PrivateKey};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// How long a gateway's host certificate is valid.
const HOST_LIFE_S: u64 = 24 * 60 * 60;
/// How far before now it is valid.
const HOST_EARLY_S: u64 = 300;
/// Sessions whose certificate was signed that are remembered; a session older than these has no valid plan any more.
const SIGNED_MAX: usize = 65_536;

/// Sessions of this start for which a certificate was signed.
#[derive(Default)]
pub(crate) struct Signed(Mutex<BTreeSet<SessionId>>);

impl Signed {
    /// Takes the one signature that `session` has.
    fn take(&self, session: SessionId) -> bool {
        let mut signed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Ids sort by the time they were made.
        if signed.len() >= SIGNED_MAX {
            signed.pop_first();
        }
        signed.insert(session)
    }
}

/// Signs the one certificate of `session`, which must be open in the log with exactly this plan, for `key`.
///
/// # Errors
/// A refusal; or why it could not be signed.
pub async fn sign_certificate(
    desk: &Desk,
    environment: &EnvironmentName,
    session: &Session,
    key: &Key,
) -> Result<Certificate, Failure> {
    let (plan, handle) = opened(desk, environment, session).await?;
    if plan != session.certificate || plan.key != *key {
        return Err(Failure::refused(
            "plan_differs",
            "the opening on record names another key or plan",
        ));
    }
    if desk.now_ms() / 1000 >= plan.valid_before_s {
        return Err(Failure::refused(
            "plan_expired",
            "the opening's certificate would have expired already",
        ));
    }
    if !desk.signed.take(session.id) {
        return Err(Failure::refused("signed_twice", "a session has one certificate"));
    }
    let authority = secret::authority(desk, environment, Authority::User).await?;
    let scope = desk
        .gather(environment, |state| {
            let grant = state.grant(&EntityKey::grant(session.facts.grant))?;
            Ok(grant.granted.scope.actions.clone())
        })
        .await?;
    let key_id = format!("{} {handle}", session.id);
    user_certificate(desk.fresh()?, &plan, &key_id, &scope, &authority).map_err(broken)
}

fn broken(error: ssh_key::Error) -> Failure {
    Failure::Unavailable(format!("the certificate could not be made: {error}"))
}

/// The plan that stands in the log, and the handle of who opened it.
async fn opened(
    desk: &Desk,
    environment: &EnvironmentName,
    session: &Session,
) -> Result<(CertificatePlan, String), Failure> {
    let found = desk
        .gather(environment, |state| {
            let known = state.session(&EntityKey::session(session.id))?.clone();
            let handle = state
                .identity(&EntityKey::identity(known.identity))?
                .enrolment
                .handle
                .to_string();
            Ok((known, handle))
        })
        .await?;
    let (known, handle) = found;
    let own = known.node == *desk.store().node() && known.boot == desk.store().boot();
    if known.status != SessionStatus::Open || known.killed_at.is_some() || !own {
        return Err(Failure::refused("session_over", "the session is over"));
    }
    match desk.parsed(environment, known.opened_at).await?.body {
        Body::Opened(body) => Ok((body.certificate, handle)),
        _ => Err(Failure::refused(
            "not_opened",
            "there is no opening of this session on record",
        )),
    }
}

fn user_certificate(
    nonce: [u8; 32],
    plan: &CertificatePlan,
    key_id: &str,
    actions: &[ActionClass],
    authority: &PrivateKey,
) -> Result<Certificate, ssh_key::Error> {
    let key = plan.key.parsed().map_err(|_| ssh_key::Error::PublicKey)?;
    let mut builder = Builder::new(nonce, key.key_data().clone(), plan.valid_after_s, plan.valid_before_s)?;
    // Checked by the log's rules to be 16 hex digits.
    builder.serial(u64::from_str_radix(&plan.serial, 16).map_err(|_| ssh_key::Error::FormatEncoding)?)?;
    builder
        .key_id(key_id)?
        .cert_type(CertType::User)?
        .valid_principal(&*plan.principal)?;
    if !plan.source_addresses.is_empty() {
        builder.critical_option("source-address", plan.source_addresses.join(","))?;
    }
    for extension in extensions(actions) {
        builder.extension(*extension, "")?;
    }
    builder.sign(authority)
}

/// Only what the granted actions need; sshd allows a command and a subsystem without any.
fn extensions(actions: &[ActionClass]) -> &'static [&'static str] {
    let terminal = actions
        .iter()
        .any(|class| matches!(class, ActionClass::Shell | ActionClass::Exec));
    let forward = actions
        .iter()
        .any(|class| matches!(class, ActionClass::Forward | ActionClass::TunnelLocal));
    match (terminal, forward) {
        (true, true) => &["permit-port-forwarding", "permit-pty"],
        (true, false) => &["permit-pty"],
        (false, true) => &["permit-port-forwarding"],
        (false, false) => &[],
    }
}

/// Signs a host certificate for the gateway's own key, valid a day, for every name and address that the environment's
/// resources have; clients ask for those behind `-J`.
///
/// # Errors
/// Why it could not be signed.
pub async fn sign_host_certificate(
    desk: &Desk,
    environment: &EnvironmentName,
    key: &Key,
) -> Result<Certificate, Failure> {
    let resources: Vec<ResourceState> = desk.list(environment, Listing::ALL, |_| true).await?;
    let mut names = BTreeSet::new();
    for resource in resources {
        let statement = resource.statement;
        names.insert(format!("{}.{environment}", statement.name));
        names.insert(statement.name.to_string());
        names.insert(statement.host);
    }
    if names.is_empty() {
        return Err(Failure::refused(
            "no_resource",
            "the environment has no resource that a client could ask for",
        ));
    }
    let authority = secret::authority(desk, environment, Authority::GatewayHost).await?;
    let now_s = desk.now_ms() / 1000;
    host_certificate(
        desk.fresh()?,
        key,
        now_s,
        &format!("gateway for {environment}"),
        names,
        &authority,
    )
    .map_err(broken)
}

fn host_certificate(
    nonce: [u8; 32],
    key: &Key,
    now_s: u64,
    key_id: &str,
    names: BTreeSet<String>,
    authority: &PrivateKey,
) -> Result<Certificate, ssh_key::Error> {
    let key = key.parsed().map_err(|_| ssh_key::Error::PublicKey)?;
    let from = now_s.saturating_sub(HOST_EARLY_S);
    let mut builder = Builder::new(nonce, key.key_data().clone(), from, now_s + HOST_LIFE_S)?;
    builder.key_id(key_id)?.cert_type(CertType::Host)?;
    for name in names {
        builder.valid_principal(name)?;
    }
    builder.sign(authority)
}

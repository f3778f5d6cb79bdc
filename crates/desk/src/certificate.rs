//! OpenSSH certificates: the one that a session logs in to its target with, and the gateway's own for a name that it
//! answers to. Both authorities are the vault's in this version; the owner's side may take over without a caller
//! noticing, because each is one function.
//!
//! INVARIANT (as opened): a target certificate says exactly what the session's opening in the log says, it is signed for
//! an open session of this start of this node, once, and never after the plan's validity.
//!
//! INVARIANT (worthless): a certificate that differs from the opening is signed for an action that is under way, once of
//! each kind a session, and what sshd runs where it is accepted is fixed here: nothing, or what tells clock and address.

use crate::desk::{Desk, Listing};
use crate::failure::Failure;
use crate::secret::{self, Authority};
use model::body::{Body, CertificatePlan};
use model::chain::Session;
use model::entity::{EntityKey, ResourceState, SessionStatus};
use model::id::{ActionId, SessionId};
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
/// Signatures that are remembered; a session older than these has no valid plan any more.
const SIGNED_MAX: usize = 65_536;

/// In what a certificate for a check of its target is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// Its principal is of a resource that cannot exist.
    OtherHost,
    /// It was valid an hour before the opening.
    Expired,
    /// It may be used from an address that is nobody's alone.
    OtherSource,
    /// It has always been valid, and from any address: for a target that refuses the session's own.
    Earlier,
    /// It is valid a day longer, and from any address: for a target that refuses the one before, too.
    Later,
}

impl Wrong {
    /// What sshd runs where it is accepted, whatever is asked for.
    const fn command(self) -> &'static str {
        match self {
            Self::OtherHost | Self::Expired | Self::OtherSource => NO_COMMAND,
            Self::Earlier | Self::Later => TELL_COMMAND,
        }
    }
}

/// No resource: its name has capitals.
const NO_RESOURCE: &str = "ANOTHER-HOST";
/// TEST-NET-1 (RFC 5737): nobody connects from there.
const NO_SOURCE: &str = "192.0.2.1/32";
/// How far back an expired certificate lies.
const EXPIRED_S: u64 = 3600;
/// How much longer a later certificate is valid.
const LATER_S: u64 = 24 * 3600;
/// All that a certificate which must be refused could run, where it is accepted.
const NO_COMMAND: &str = "exit 1";
/// All that a certificate of another time can run: it says what time it is there, and from where the log-in came.
const TELL_COMMAND: &str = r#"exec /bin/sh -c 'LC_ALL=C; export LC_ALL
echo "countersign-check 1"; echo "time $(date +%s)"; echo "from ${SSH_CONNECTION%% *}"; echo end'"#;

/// Sessions of this start, with what was signed for each: its own certificate, or a wrong one.
#[derive(Default)]
pub(crate) struct Signed(Mutex<BTreeSet<(SessionId, Option<Wrong>)>>);

impl Signed {
    /// Takes the one signature of this kind that `session` has.
    fn take(&self, session: SessionId, wrong: Option<Wrong>) -> bool {
        let mut signed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Ids sort by the time they were made.
        if signed.len() >= SIGNED_MAX {
            signed.pop_first();
        }
        signed.insert((session, wrong))
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
    let (plan, handle) = planned(desk, environment, session.id, key).await?;
    if plan != session.certificate {
        return Err(Failure::refused(
            "plan_differs",
            "the opening on record has another plan",
        ));
    }
    if !desk.signed.take(session.id, None) {
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
    let signing = builder(desk.fresh()?, &plan, &key_id).and_then(|mut builder| {
        for extension in extensions(&scope) {
            builder.extension(*extension, "")?;
        }
        builder.sign(&authority)
    });
    signing.map_err(broken)
}

/// Signs a certificate for `key` to find out whether the target refuses it, or why it refuses the session's own: the
/// session's own but for what is `wrong` in it. The action that tries it must be under way, on record.
///
/// # Errors
/// A refusal; or why it could not be signed.
pub async fn sign_wrong(
    desk: &Desk,
    environment: &EnvironmentName,
    session: SessionId,
    action: ActionId,
    (key, wrong): (&Key, Wrong),
) -> Result<Certificate, Failure> {
    let (plan, handle) = planned(desk, environment, session, key).await?;
    let intended = desk
        .gather(environment, |state| {
            let known = state.session(&EntityKey::session(session))?;
            Ok(known.live.get(&action) == Some(&ActionClass::Exec))
        })
        .await?;
    if !intended {
        return Err(Failure::refused(
            "not_intended",
            "no such action is under way on record",
        ));
    }
    if !desk.signed.take(session, Some(wrong)) {
        return Err(Failure::refused(
            "signed_twice",
            "a session tries each wrong certificate once",
        ));
    }
    let authority = secret::authority(desk, environment, Authority::User).await?;
    let plan = spoilt(plan, wrong, environment);
    let signing = builder(desk.fresh()?, &plan, &format!("{session} {handle} probe")).and_then(|mut builder| {
        builder.critical_option("force-command", wrong.command())?;
        builder.sign(&authority)
    });
    signing.map_err(broken)
}

/// The plan with one thing wrong in it.
fn spoilt(mut plan: CertificatePlan, wrong: Wrong, environment: &EnvironmentName) -> CertificatePlan {
    match wrong {
        Wrong::OtherHost => {
            let account = plan.principal.splitn(4, ':').nth(3).unwrap_or_default();
            plan.principal = format!("cs:{environment}:{NO_RESOURCE}:{account}");
        }
        Wrong::Expired => {
            let life_s = plan.valid_before_s.saturating_sub(plan.valid_after_s);
            plan.valid_before_s = plan.valid_after_s.saturating_sub(EXPIRED_S);
            plan.valid_after_s = plan.valid_before_s.saturating_sub(life_s);
        }
        Wrong::OtherSource => plan.source_addresses = vec![NO_SOURCE.to_owned()],
        Wrong::Earlier => {
            plan.source_addresses.clear();
            plan.valid_after_s = 0;
        }
        Wrong::Later => {
            plan.source_addresses.clear();
            plan.valid_before_s = plan.valid_before_s.saturating_add(LATER_S);
        }
    }
    plan
}

/// The plan of an open session, which must be for this key and not be over; and the handle of who opened it.
async fn planned(
    desk: &Desk,
    environment: &EnvironmentName,
    session: SessionId,
    key: &Key,
) -> Result<(CertificatePlan, String), Failure> {
    let (plan, handle) = opened(desk, environment, session).await?;
    if plan.key != *key {
        return Err(Failure::refused(
            "plan_differs",
            "the opening on record names another key",
        ));
    }
    if desk.now_ms() / 1000 >= plan.valid_before_s {
        return Err(Failure::refused(
            "plan_expired",
            "the opening's certificate would have expired already",
        ));
    }
    Ok((plan, handle))
}

fn broken(error: ssh_key::Error) -> Failure {
    Failure::Unavailable(format!("the certificate could not be made: {error}"))
}

/// The plan that stands in the log, and the handle of who opened it.
async fn opened(
    desk: &Desk,
    environment: &EnvironmentName,
    session: SessionId,
) -> Result<(CertificatePlan, String), Failure> {
    let found = desk
        .gather(environment, |state| {
            let known = state.session(&EntityKey::session(session))?.clone();
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

/// A user certificate as planned, without extensions.
fn builder(nonce: [u8; 32], plan: &CertificatePlan, key_id: &str) -> Result<Builder, ssh_key::Error> {
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
    Ok(builder)
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

//! Who is calling: an identity is found by the key that a log-in or a signature was verified under, in every
//! environment in which that key is enrolled.
//!
//! Not here: verifying the log-in. INVARIANT (looked up each time): nothing about a caller is remembered between calls,
//! so an identity that ends is out with the next one.

use crate::attempt::{self, Operation};
use crate::desk::Desk;
use crate::failure::Failure;
use model::apply::{Refused, Snapshot};
use model::entity::{Entity, EntityKey};
use model::id::IdentityId;
use model::name::{EnvironmentName, Handle, OrganisationName};
use model::signature::Key;
use model::statement::{IdentityKind, Role};
use serde::Serialize;

/// An identity in one environment, by the key it called with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Caller {
    /// Where.
    pub environment: EnvironmentName,
    /// The log's origin, which is part of what this identity signs.
    pub origin: String,
    /// Who.
    pub identity: IdentityId,
    /// With which key.
    pub key: Key,
    /// The short name.
    pub handle: Handle,
    /// Whose it is.
    pub organisation: OrganisationName,
    /// Whether that organisation owns the environment.
    pub of_owner: bool,
    /// Person, workload or agent.
    pub kind: IdentityKind,
    /// What it may do.
    pub roles: Vec<Role>,
}

impl Caller {
    /// Whether it has `role`.
    #[must_use]
    pub fn may(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}

enum Known {
    InForce(Caller),
    Ended(IdentityId),
}

/// The identities of `key`, one for each environment in which it is in force. Empty: nobody knows this key.
///
/// # Errors
/// When the store cannot be read.
pub async fn find(desk: &Desk, key: &Key) -> Result<Vec<Caller>, Failure> {
    let known = known(desk, key).await?;
    Ok(known.into_iter().filter_map(in_force).collect())
}

/// As [`find`], for whoever has just proved to hold `key`. A key of identities that have all ended is refused on record.
///
/// # Errors
/// `unknown_key`, not on record, for a key that nobody enrolled; `identity_ended`, on record, for one that was.
pub async fn admit(desk: &Desk, key: &Key, operation: Operation) -> Result<Vec<Caller>, Failure> {
    let known = known(desk, key).await?;
    if known.is_empty() {
        return Err(Failure::refused(
            "unknown_key",
            "this key is not enrolled anywhere here",
        ));
    }
    let mut callers = vec![];
    let mut ended = vec![];
    for (environment, known) in known {
        match known {
            Known::InForce(caller) => callers.push(caller),
            Known::Ended(identity) => ended.push((environment, identity)),
        }
    }
    if !callers.is_empty() {
        return Ok(callers);
    }
    let mut answer = Failure::refused("identity_ended", "this identity has ended");
    for (environment, identity) in ended {
        answer = attempt::refuse(desk, &environment, identity, operation, "log-in", answer).await;
    }
    Err(answer)
}

fn in_force((_, known): (EnvironmentName, Known)) -> Option<Caller> {
    match known {
        Known::InForce(caller) => Some(caller),
        Known::Ended(_) => None,
    }
}

async fn known(desk: &Desk, key: &Key) -> Result<Vec<(EnvironmentName, Known)>, Failure> {
    let mut found = vec![];
    for environment in desk.environments().await? {
        if let Some(known) = desk.gather(&environment, |state| look_up(state, key)).await? {
            found.push((environment, known));
        }
    }
    Ok(found)
}

fn look_up(state: &Snapshot, key: &Key) -> Result<Option<Known>, Refused> {
    let Some(Entity::Key(id)) = state.find(&EntityKey::key(key))? else {
        return Ok(None);
    };
    let identity = state.identity(&EntityKey::identity(*id))?;
    // A key that a later enrolment left out still points to its identity, and to nobody else.
    if identity.disabled_at.is_some() || !identity.enrolment.keys.contains(key) {
        return Ok(Some(Known::Ended(*id)));
    }
    let genesis = state.genesis()?;
    let enrolment = &identity.enrolment;
    Ok(Some(Known::InForce(Caller {
        environment: genesis.environment.clone(),
        origin: genesis.origin.clone(),
        identity: *id,
        key: key.clone(),
        handle: enrolment.handle.clone(),
        organisation: enrolment.organisation.clone(),
        of_owner: enrolment.organisation == genesis.owner,
        kind: enrolment.kind,
        roles: enrolment.roles.clone(),
    })))
}

/// The one caller for `environment`.
///
/// # Errors
/// When the key is not in force there.
pub fn in_environment<'a>(callers: &'a [Caller], environment: &EnvironmentName) -> Result<&'a Caller, Failure> {
    callers
        .iter()
        .find(|caller| caller.environment == *environment)
        .ok_or(Failure::Absent("environment"))
}

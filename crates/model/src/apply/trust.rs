//! Who is who: genesis, engagements, enrolments, resources, workflows. Each is signed under its own organisation's
//! root; a signature under another root has no effect.

use super::{Changes, Refused, Snapshot, ensure, rule};
use crate::bytes::Digest;
use crate::entity::{Entity, EntityKey, Identity, Organisation, ResourceState, WorkflowState};
use crate::entry::Placed;
use crate::json;
use crate::name::{EnvironmentName, OrganisationName};
use crate::signature::{Key, Signed, Statement};
use crate::statement::{Disablement, Engagement, Enrolment, Gate, Genesis, Resource, Role, Workflow};
use std::collections::BTreeSet;

/// Roots in one organisation.
const ROOTS_MAX: usize = 8;
/// The longest T, milliseconds.
const LAG_BOUND_MS_MAX: u64 = 15 * 60 * 1000;

pub(super) fn genesis(before: &Snapshot, placed: &Placed, signed: &Signed<Genesis>) -> Result<Changes, Refused> {
    let genesis = &signed.statement;
    ensure(
        placed.index == 0,
        "genesis_not_first",
        "the genesis is the first entry of a log",
    )?;
    ensure(
        before.find(&EntityKey::environment())?.is_none(),
        "genesis_twice",
        "the environment exists",
    )?;
    check_roots(&genesis.owner_roots, genesis.owner_threshold)?;
    ensure(
        genesis.owner_roots.len() >= 2,
        "one_root",
        "an environment needs at least two owner roots",
    )?;
    let recipients: BTreeSet<_> = genesis.owner_recipients.iter().collect();
    ensure(
        recipients.len() >= 2,
        "one_recipient",
        "an environment needs at least two recipients of the owner",
    )?;
    ensure(
        (1000..=LAG_BOUND_MS_MAX).contains(&genesis.lag_bound_ms),
        "lag_bound",
        "the lag bound is 1 s to 15 minutes",
    )?;
    let witnesses: BTreeSet<_> = genesis.witnesses.iter().collect();
    if let Gate::Witnesses(count) = genesis.gate {
        ensure(
            (1..=witnesses.len()).contains(&usize::from(count)),
            "gate_unmeetable",
            "the gate asks for more witnesses than are named",
        )?;
    }
    ensure(
        witnesses.len() == genesis.witnesses.len(),
        "witness_twice",
        "a witness is named twice",
    )?;
    check_signers(signed, &genesis.origin, &genesis.owner_roots, genesis.owner_threshold)?;
    let owner = Organisation {
        name: genesis.owner.clone(),
        roots: genesis.owner_roots.clone(),
        threshold: genesis.owner_threshold,
        owner: true,
        from_ms: genesis.created_ms,
        until_ms: None,
        signed_ms: genesis.created_ms,
    };
    Ok(Changes(vec![
        (EntityKey::environment(), Entity::Environment(Box::new(genesis.clone()))),
        (
            EntityKey::organisation(&genesis.owner),
            Entity::Organisation(Box::new(owner)),
        ),
    ]))
}

pub(super) fn engagement(before: &Snapshot, signed: &Signed<Engagement>) -> Result<Changes, Refused> {
    let engagement = &signed.statement;
    let genesis = signed_by_owner(before, signed, &engagement.environment)?;
    ensure(
        engagement.operator != genesis.owner,
        "own_operator",
        "the owner needs no engagement with itself",
    )?;
    check_roots(&engagement.operator_roots, engagement.operator_threshold)?;
    let shared = engagement
        .operator_roots
        .iter()
        .any(|root| genesis.owner_roots.contains(root));
    ensure(!shared, "shared_root", "a root of the operator is a root of the owner")?;
    ensure(
        engagement.from_ms < engagement.until_ms,
        "window_empty",
        "the engagement ends before it begins",
    )?;
    let key = EntityKey::organisation(&engagement.operator);
    if let Some(Entity::Organisation(known)) = before.find(&key)? {
        check_newer(engagement.signed_ms, known.signed_ms)?;
    }
    let operator = Organisation {
        name: engagement.operator.clone(),
        roots: engagement.operator_roots.clone(),
        threshold: engagement.operator_threshold,
        owner: false,
        from_ms: engagement.from_ms,
        until_ms: Some(engagement.until_ms),
        signed_ms: engagement.signed_ms,
    };
    Ok(Changes(vec![(key, Entity::Organisation(Box::new(operator)))]))
}

pub(super) fn enrolled(before: &Snapshot, placed: &Placed, signed: &Signed<Enrolment>) -> Result<Changes, Refused> {
    let enrolment = &signed.statement;
    signed_by(before, signed, &enrolment.environment, &enrolment.organisation)?;
    ensure(
        (1..=16).contains(&enrolment.keys.len()),
        "keys",
        "an identity has 1 to 16 keys",
    )?;
    let key = EntityKey::identity(enrolment.identity);
    let enrolled_at = match before.find(&key)? {
        None => placed.index,
        Some(Entity::Identity(known)) if known.disabled_at.is_some() => {
            return rule("identity_ended", "the identity has ended");
        }
        Some(Entity::Identity(known)) if known.enrolment.organisation != enrolment.organisation => {
            return rule("identity_moved", "an identity stays with its organisation");
        }
        Some(Entity::Identity(known)) => {
            check_newer(enrolment.signed_ms, known.enrolment.signed_ms)?;
            known.enrolled_at
        }
        Some(_) => return Err(Refused::Absent(key)),
    };
    let mut changes = vec![];
    for public in &enrolment.keys {
        let holder = EntityKey::key(public);
        match before.find(&holder)? {
            Some(Entity::Key(other)) if *other != enrolment.identity => {
                return rule("key_shared", format!("key {} belongs to {other}", public.fingerprint()));
            }
            Some(_) => {}
            None => changes.push((holder, Entity::Key(enrolment.identity))),
        }
    }
    let identity = Identity {
        enrolment: enrolment.clone(),
        enrolled_at,
        disabled_at: None,
    };
    changes.push((key, Entity::Identity(Box::new(identity))));
    Ok(Changes(changes))
}

pub(super) fn disabled(before: &Snapshot, placed: &Placed, signed: &Signed<Disablement>) -> Result<Changes, Refused> {
    let key = EntityKey::identity(signed.statement.identity);
    let mut identity = before.identity(&key)?.clone();
    signed_by(
        before,
        signed,
        &signed.statement.environment,
        &identity.enrolment.organisation,
    )?;
    ensure(
        identity.disabled_at.is_none(),
        "identity_ended",
        "the identity has ended already",
    )?;
    identity.disabled_at = Some(placed.index);
    Ok(Changes(vec![(key, Entity::Identity(Box::new(identity)))]))
}

pub(super) fn resource(before: &Snapshot, placed: &Placed, signed: &Signed<Resource>) -> Result<Changes, Refused> {
    let resource = &signed.statement;
    signed_by_owner(before, signed, &resource.environment)?;
    ensure(
        (1..=16).contains(&resource.host_keys.len()),
        "host_keys",
        "a resource has 1 to 16 pinned host keys",
    )?;
    ensure(
        !resource.accounts.is_empty(),
        "accounts",
        "a resource has at least one account",
    )?;
    let key = EntityKey::resource(&resource.name);
    if let Some(Entity::Resource(known)) = before.find(&key)? {
        check_newer(resource.signed_ms, known.statement.signed_ms)?;
    }
    let state = ResourceState {
        statement: resource.clone(),
        hash: Digest::of(&json::to_vec(resource)?),
        set_at: placed.index,
    };
    Ok(Changes(vec![(key, Entity::Resource(Box::new(state)))]))
}

pub(super) fn workflow(before: &Snapshot, placed: &Placed, signed: &Signed<Workflow>) -> Result<Changes, Refused> {
    let workflow = &signed.statement;
    let genesis = signed_by_owner(before, signed, &workflow.environment)?;
    ensure(
        workflow.owner != workflow.backup,
        "owner_is_backup",
        "owner and backup are one identity",
    )?;
    for id in [workflow.owner, workflow.backup] {
        let identity = before.identity(&EntityKey::identity(id))?;
        ensure(
            identity.may(Role::Own),
            "owner_not_entitled",
            "owner and backup need the role `own` and must not have ended",
        )?;
        ensure(
            identity.enrolment.organisation == genesis.owner,
            "owner_of_operator",
            "a workflow's owner belongs to the environment's owner",
        )?;
    }
    let consent = workflow
        .approvals
        .iter()
        .any(|q| q.organisation == genesis.owner && q.count >= 1);
    ensure(
        consent,
        "customer_approval_missing",
        "the rule asks for no approval of the environment's owner",
    )?;
    ensure(
        (1..=2).contains(&workflow.level),
        "level",
        "this version records at evidence levels 1 and 2",
    )?;
    ensure(workflow.window_ms_max > 0, "window_empty", "the longest window is zero")?;
    ensure(
        !workflow.purposes.is_empty(),
        "purposes",
        "a workflow has at least one purpose",
    )?;
    ensure(
        !workflow.controls.is_empty(),
        "controls",
        "a workflow pins at least one control",
    )?;
    let key = EntityKey::workflow(&workflow.name);
    if let Some(Entity::Workflow(known)) = before.find(&key)? {
        check_newer(workflow.signed_ms, known.statement.signed_ms)?;
    }
    let state = WorkflowState {
        statement: workflow.clone(),
        hash: workflow.hash()?,
        set_at: placed.index,
    };
    Ok(Changes(vec![(key, Entity::Workflow(Box::new(state)))]))
}

/// INVARIANT (no way back): a statement replaces only an older one. Whoever holds an old, validly signed policy,
/// enrolment or pin cannot put it in force again.
fn check_newer(signed_ms: u64, known_ms: u64) -> Result<(), Refused> {
    ensure(
        signed_ms > known_ms,
        "statement_not_newer",
        "a newer or equally old statement about this is in force",
    )
}

fn check_roots(roots: &[Key], threshold: u8) -> Result<(), Refused> {
    let distinct: BTreeSet<_> = roots.iter().collect();
    ensure(
        distinct.len() == roots.len() && (1..=ROOTS_MAX).contains(&roots.len()),
        "roots",
        "1 to 8 distinct roots are needed",
    )?;
    ensure(
        (1..=roots.len()).contains(&usize::from(threshold)),
        "threshold",
        "the threshold fits the number of roots",
    )
}

fn signed_by_owner<'a, T: Statement>(
    before: &'a Snapshot,
    signed: &Signed<T>,
    environment: &EnvironmentName,
) -> Result<&'a Genesis, Refused> {
    let genesis = before.genesis()?;
    signed_by(before, signed, environment, &genesis.owner)?;
    Ok(genesis)
}

/// INVARIANT (own root): a trust statement counts only under the roots of the organisation that it speaks for.
fn signed_by<T: Statement>(
    before: &Snapshot,
    signed: &Signed<T>,
    environment: &EnvironmentName,
    organisation: &OrganisationName,
) -> Result<(), Refused> {
    let genesis = before.genesis()?;
    ensure(
        *environment == genesis.environment,
        "other_environment",
        "the statement is for another environment",
    )?;
    let organisation = before.organisation(&EntityKey::organisation(organisation))?;
    check_signers(signed, &genesis.origin, &organisation.roots, organisation.threshold)
}

fn check_signers<T: Statement>(signed: &Signed<T>, origin: &str, roots: &[Key], threshold: u8) -> Result<(), Refused> {
    let signers = signed.signers(origin)?;
    let roots_signed = roots.iter().filter(|root| signers.contains(root)).count();
    ensure(
        roots_signed >= usize::from(threshold),
        "not_under_root",
        "the statement is not signed under its organisation's root",
    )
}

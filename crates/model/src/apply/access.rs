//! Who may do what: requests, approvals, grants, revocations.

use super::{Changes, Refused, Snapshot, ensure, rule};
use crate::body::{AttemptRefused, Granted, RequestProof, Requested};
use crate::entity::{
    ApprovalState, Entity, EntityKey, GrantState, Identity, RequestState, RequestStatus, RevokedState,
};
use crate::entry::Placed;
use crate::id::IdentityId;
use crate::signature::{Key, Namespace, Signed, Statement, signed_bytes};
use crate::statement::{Approval, Denial, Quorum, Revocation, Role, Scope, Workflow};

/// Resources, accounts or actions that one request may list.
pub const LIST_MAX: usize = 64;

pub(super) fn requested(before: &Snapshot, placed: &Placed, body: &Requested) -> Result<Changes, Refused> {
    let request = &body.statement;
    let genesis = before.genesis()?;
    let requester = before.identity(&EntityKey::identity(request.requester))?;
    let key = match &body.proof {
        RequestProof::Signature(signature) => {
            signature.verify(Namespace::Request, &signed_bytes(&genesis.origin, request)?)?
        }
        RequestProof::LogIn(proof) => proof.verify()?.key,
    };
    check_speaker(requester, &key)?;
    ensure(
        requester.may(Role::Request),
        "may_not_request",
        "the identity may not ask for access",
    )?;
    check_engaged(before, requester, placed.entry.time_ms)?;
    ensure(
        request.entry == placed.entry.id,
        "other_entry",
        "the request names another entry as its own",
    )?;
    let workflow = before.workflow(&EntityKey::workflow(&request.scope.workflow))?;
    ensure(
        workflow.hash == request.scope.policy,
        "policy_changed",
        "the workflow has changed since the request was written",
    )?;
    let engaged = workflow
        .statement
        .requesters
        .contains(&requester.enrolment.organisation);
    ensure(
        engaged,
        "may_not_request",
        "the workflow does not serve the requester's organisation",
    )?;
    check_scope(before, &workflow.statement, &request.scope)?;
    ensure(
        placed.entry.time_ms < request.scope.until_ms,
        "window_past",
        "the window has ended already",
    )?;
    let state_key = EntityKey::request(request.request);
    ensure(
        before.find(&state_key)?.is_none(),
        "request_twice",
        "a request of this id exists",
    )?;
    let state = RequestState::made(placed, request);
    Ok(Changes(vec![(state_key, Entity::Request(Box::new(state)))]))
}

fn check_scope(before: &Snapshot, workflow: &Workflow, scope: &Scope) -> Result<(), Refused> {
    for (name, count) in [
        ("resources", scope.resources.len()),
        ("accounts", scope.accounts.len()),
        ("actions", scope.actions.len()),
    ] {
        if !(1..=LIST_MAX).contains(&count) {
            return rule("scope_size", format!("{name}: list 1 to {LIST_MAX}"));
        }
    }
    ensure(
        workflow.purposes.contains(&scope.purpose),
        "purpose_not_in_workflow",
        "the workflow does not serve this purpose",
    )?;
    if let Some(name) = scope.resources.iter().find(|name| !workflow.resources.contains(name)) {
        return rule(
            "resource_not_in_workflow",
            format!("the workflow does not cover resource `{name}`"),
        );
    }
    if let Some(name) = scope.accounts.iter().find(|name| !workflow.accounts.contains(name)) {
        return rule(
            "account_not_in_workflow",
            format!("the workflow does not cover account `{name}`"),
        );
    }
    ensure(
        scope.actions.iter().all(|a| workflow.actions.contains(a)),
        "action_not_in_workflow",
        "the workflow does not cover an action",
    )?;
    for name in &scope.resources {
        let resource = before.resource(&EntityKey::resource(name))?;
        if let Some(account) = scope.accounts.iter().find(|a| !resource.statement.accounts.contains(a)) {
            return rule(
                "account_not_on_resource",
                format!("resource `{name}` has no account `{account}`"),
            );
        }
    }
    ensure(
        scope.from_ms < scope.until_ms,
        "window_empty",
        "the window ends before it begins",
    )?;
    ensure(
        scope.until_ms - scope.from_ms <= workflow.window_ms_max,
        "window_too_long",
        "the window is longer than the workflow allows",
    )
}

pub(super) fn approved(before: &Snapshot, placed: &Placed, signed: &Signed<Approval>) -> Result<Changes, Refused> {
    let approval = &signed.statement;
    let key = EntityKey::request(approval.request);
    let mut request = before.request(&key)?.clone();
    let signer = only_signer(before, signed)?;
    let approver = before.identity(&EntityKey::identity(approval.approver))?;
    check_decides(approver, &signer, &request)?;
    check_engaged(before, approver, placed.entry.time_ms)?;
    ensure(
        approval.request_hash == request.hash,
        "request_changed",
        "the approval is for other bytes than the request's",
    )?;
    let same = approval.scope == request.statement.scope && approval.requester == request.statement.requester;
    ensure(
        same,
        "scope_differs",
        "the approval does not repeat the request word for word",
    )?;
    let workflow = before.workflow(&EntityKey::workflow(&approval.scope.workflow))?;
    ensure(
        workflow.hash == approval.scope.policy,
        "policy_changed",
        "the workflow has changed since the request was made",
    )?;
    ensure(
        placed.entry.time_ms < approval.scope.until_ms,
        "window_past",
        "the window has ended already",
    )?;
    let twice = request.approvals.iter().any(|a| a.approver == approval.approver);
    ensure(!twice, "approved_twice", "this approver has approved already")?;
    request.approvals.push(ApprovalState {
        entry: placed.entry.id,
        index: placed.index,
        approver: approval.approver,
        organisation: approver.enrolment.organisation.clone(),
        key: signer,
    });
    Ok(Changes(vec![(key, Entity::Request(Box::new(request)))]))
}

pub(super) fn denied(before: &Snapshot, placed: &Placed, signed: &Signed<Denial>) -> Result<Changes, Refused> {
    let denial = &signed.statement;
    let key = EntityKey::request(denial.request);
    let mut request = before.request(&key)?.clone();
    let signer = only_signer(before, signed)?;
    let approver = before.identity(&EntityKey::identity(denial.approver))?;
    check_decides(approver, &signer, &request)?;
    check_engaged(before, approver, placed.entry.time_ms)?;
    ensure(
        denial.request_hash == request.hash,
        "request_changed",
        "the denial is for other bytes than the request's",
    )?;
    request.status = RequestStatus::Denied;
    Ok(Changes(vec![(key, Entity::Request(Box::new(request)))]))
}

/// Who may approve or deny: an approver in force, speaking with its own key, who is not the one who asks.
fn check_decides(approver: &Identity, signer: &Key, request: &RequestState) -> Result<(), Refused> {
    check_speaker(approver, signer)?;
    ensure(
        approver.may(Role::Approve),
        "may_not_approve",
        "the identity may not approve",
    )?;
    ensure(
        request.status == RequestStatus::Pending,
        "request_closed",
        "the request has been decided",
    )?;
    ensure(
        approver.enrolment.identity != request.statement.requester,
        "own_request",
        "nobody decides their own request",
    )
}

pub(super) fn granted(before: &Snapshot, placed: &Placed, body: &Granted) -> Result<Changes, Refused> {
    let request_key = EntityKey::request(body.request);
    let mut request = before.request(&request_key)?.clone();
    ensure(
        request.status == RequestStatus::Pending,
        "request_closed",
        "the request has been decided",
    )?;
    let workflow = before.workflow(&EntityKey::workflow(&body.scope.workflow))?;
    ensure(
        workflow.hash == body.scope.policy,
        "policy_changed",
        "the workflow has changed since the request was made",
    )?;
    let same = body.scope == request.statement.scope && body.requester == request.statement.requester;
    ensure(
        same,
        "scope_differs",
        "the grant does not repeat the request word for word",
    )?;
    let pinned = body.level == workflow.statement.level
        && body.controls == workflow.statement.controls
        && body.gate == before.genesis()?.gate;
    ensure(
        pinned,
        "pins_differ",
        "the grant does not pin what workflow and environment say",
    )?;
    let listed = request
        .approvals
        .iter()
        .map(|a| a.entry)
        .eq(body.approvals.iter().copied());
    ensure(
        listed,
        "approvals_differ",
        "the grant does not list the request's approvals",
    )?;
    if let Some(missing) = missing_approval(before, &workflow.statement.approvals, &request)? {
        let owner = missing.organisation == before.genesis()?.owner;
        let code = if owner {
            "customer_approval_missing"
        } else {
            "approval_missing"
        };
        return rule(code, format!("approvals of {} are missing", missing.organisation));
    }
    ensure(
        placed.entry.time_ms < body.scope.until_ms,
        "window_past",
        "the window has ended already",
    )?;
    let key = EntityKey::grant(body.grant);
    ensure(before.find(&key)?.is_none(), "grant_twice", "a grant of this id exists")?;
    request.status = RequestStatus::Granted(body.grant);
    let grant = GrantState::issued(placed, body);
    Ok(Changes(vec![
        (request_key, Entity::Request(Box::new(request))),
        (key, Entity::Grant(Box::new(grant))),
    ]))
}

/// The first quorum that the request's approvals do not meet. Approvers who have ended meanwhile do not count.
///
/// # Errors
/// When an approver is not loaded.
pub fn missing_approval(before: &Snapshot, rule: &[Quorum], request: &RequestState) -> Result<Option<Quorum>, Refused> {
    for quorum in rule {
        let mut count = 0;
        for approval in request
            .approvals
            .iter()
            .filter(|a| a.organisation == quorum.organisation)
        {
            let approver = before.identity(&EntityKey::identity(approval.approver))?;
            count += usize::from(approver.may(Role::Approve));
        }
        if count < usize::from(quorum.count) {
            return Ok(Some(quorum.clone()));
        }
    }
    Ok(None)
}

pub(super) fn revoked(before: &Snapshot, placed: &Placed, signed: &Signed<Revocation>) -> Result<Changes, Refused> {
    let revocation = &signed.statement;
    let key = EntityKey::grant(revocation.grant);
    let mut grant = before.grant(&key)?.clone();
    ensure(
        grant.revoked.is_none(),
        "revoked_twice",
        "the grant has been revoked already",
    )?;
    check_may_stop(before, &only_signer(before, signed)?, revocation.by, &grant)?;
    grant.revoked = Some(RevokedState {
        by: revocation.by,
        index: placed.index,
        time_ms: placed.entry.time_ms,
    });
    Ok(Changes(vec![(key, Entity::Grant(Box::new(grant)))]))
}

/// Who may stop what a grant permits: approvers and owners of the environment's owner, and the one who asked.
pub(super) fn check_may_stop(
    before: &Snapshot,
    signer: &Key,
    by: IdentityId,
    grant: &GrantState,
) -> Result<(), Refused> {
    let identity = before.identity(&EntityKey::identity(by))?;
    check_speaker(identity, signer)?;
    let of_owner = identity.enrolment.organisation == before.genesis()?.owner;
    let entitled = of_owner && (identity.may(Role::Approve) || identity.may(Role::Own));
    let own = by == grant.granted.requester;
    ensure(
        entitled || own,
        "may_not_revoke",
        "only the owner's approvers and owners, or the requester, may stop this",
    )
}

pub(super) fn attempt_refused(before: &Snapshot, body: &AttemptRefused) -> Result<Changes, Refused> {
    before.identity(&EntityKey::identity(body.identity))?;
    Ok(Changes::default())
}

/// INVARIANT (own key): an act counts for an identity only under one of its enrolled keys, while it is in force.
pub(super) fn check_speaker(identity: &Identity, key: &Key) -> Result<(), Refused> {
    ensure(
        identity.disabled_at.is_none(),
        "identity_ended",
        "the identity has ended",
    )?;
    ensure(
        identity.enrolment.keys.contains(key),
        "not_own_key",
        "the key is not one of the identity's keys",
    )
}

/// The identity's organisation is engaged at `time_ms`.
pub(super) fn check_engaged(before: &Snapshot, identity: &Identity, time_ms: u64) -> Result<(), Refused> {
    let organisation = before.organisation(&EntityKey::organisation(&identity.enrolment.organisation))?;
    let engaged = time_ms >= organisation.from_ms && organisation.until_ms.is_none_or(|until| time_ms < until);
    ensure(
        organisation.owner || engaged,
        "not_engaged",
        "the organisation's engagement is not in force",
    )
}

pub(super) fn only_signer<T: Statement>(before: &Snapshot, signed: &Signed<T>) -> Result<Key, Refused> {
    let mut signers = signed.signers(&before.genesis()?.origin)?.into_iter();
    match (signers.next(), signers.next()) {
        (Some(key), None) => Ok(key),
        _ => rule("one_signer", "exactly one key signs this"),
    }
}

//! Saying yes or no to a request. The approver signs a statement that repeats the request word for word; the grant
//! follows in the same step when the workflow's rule is met.
//!
//! INVARIANT (shown, then signed): what [`approval_statement`] shows is what the log holds, its reason and ticket are
//! those that the requester's commitments open to, and the statement to be signed carries the request's hash.

use crate::attempt::{self, Operation};
use crate::desk::{Desk, failure};
use crate::failure::Failure;
use crate::people::{self, Caller};
use crate::sealing;
use model::apply::{Refused, Snapshot, missing_approval};
use model::body::{Body, Granted};
use model::bytes::Digest;
use model::chain::{Draft, Step};
use model::commitment::Openings;
use model::entity::{ApprovalState, EntityKey, Identity, RequestState, RequestStatus};
use model::id::{EntryId, GrantId, IdentityId, RequestId};
use model::name::{EnvironmentName, Handle, OrganisationName};
use model::signature::Signed;
use model::statement::{Approval, Denial, Quorum, Request, Role, Surface};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use store::{CommitError, Receipt};

/// How often an approval is tried again when others decided meanwhile.
const TRIES_MAX: usize = 4;

/// Everything about a request that its approver must see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestView {
    /// Where.
    pub environment: EnvironmentName,
    /// The log's origin; part of what is signed.
    pub origin: String,
    /// The request's place in the log.
    pub index: u64,
    /// SHA-256 of its entry.
    pub hash: Digest,
    /// The entry, exactly as it stands in the log, for whoever checks the hash.
    pub entry: String,
    /// What is asked.
    pub statement: Request,
    /// Who asks.
    pub requester: Handle,
    /// Whose people the requester is one of.
    pub requester_organisation: OrganisationName,
    /// Why, in the requester's words; absent when it was erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The ticket, in the requester's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// What the commitments hide, with the salts; absent when it was erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub openings: Option<Openings>,
    /// Where it stands.
    pub status: RequestStatus,
    /// Approvals so far.
    pub approvals: Vec<ApprovalState>,
    /// Who the approvers are, as people call them.
    pub approvers: BTreeMap<IdentityId, Handle>,
    /// The approvals that the workflow asks for.
    pub rule: Vec<Quorum>,
    /// The first of them that is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Quorum>,
    /// Evidence level of the sessions.
    pub level: u8,
}

/// A request as `caller` may see it: its requester, and whoever may decide it.
///
/// # Errors
/// When it does not exist or is not the caller's to see.
pub async fn view(desk: &Desk, callers: &[Caller], request: RequestId) -> Result<RequestView, Failure> {
    let (caller, facts) = find(desk, callers, request).await?;
    let environment = &caller.environment;
    let stored = desk.entry(environment, facts.request.made_at).await?;
    let openings = sealing::open_request(desk, environment, &facts.request).await?;
    let statement = facts.request.statement;
    let opened = |path: &str, commitment| {
        let value = openings.as_ref()?.open(path, commitment)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    Ok(RequestView {
        environment: environment.clone(),
        origin: caller.origin.clone(),
        index: facts.request.made_at,
        hash: facts.request.hash,
        entry: String::from_utf8_lossy(&stored).into_owned(),
        reason: opened("reason", statement.reason),
        ticket: statement.ticket.and_then(|ticket| opened("ticket", ticket)),
        requester: facts.requester.enrolment.handle,
        requester_organisation: facts.requester.enrolment.organisation,
        openings,
        status: facts.request.status,
        approvals: facts.request.approvals,
        approvers: facts.approvers,
        rule: facts.rule,
        missing: facts.missing,
        level: facts.level,
        statement,
    })
}

struct RequestFacts {
    request: RequestState,
    requester: Identity,
    approvers: BTreeMap<IdentityId, Handle>,
    rule: Vec<Quorum>,
    missing: Option<Quorum>,
    level: u8,
}

fn facts(state: &Snapshot, id: RequestId) -> Result<Option<RequestFacts>, Refused> {
    let key = EntityKey::request(id);
    if state.find(&key)?.is_none() {
        return Ok(None);
    }
    let request = state.request(&key)?.clone();
    let workflow = &state
        .workflow(&EntityKey::workflow(&request.statement.scope.workflow))?
        .statement;
    Ok(Some(RequestFacts {
        requester: state
            .identity(&EntityKey::identity(request.statement.requester))?
            .clone(),
        approvers: approvers(state, &request)?,
        missing: missing_approval(state, &workflow.approvals, &request)?,
        rule: workflow.approvals.clone(),
        level: workflow.level,
        request,
    }))
}

fn approvers(state: &Snapshot, request: &RequestState) -> Result<BTreeMap<IdentityId, Handle>, Refused> {
    let handle = |approval: &ApprovalState| {
        let identity = state.identity(&EntityKey::identity(approval.approver))?;
        Ok((approval.approver, identity.enrolment.handle.clone()))
    };
    request.approvals.iter().map(handle).collect()
}

async fn find<'a>(desk: &Desk, callers: &'a [Caller], id: RequestId) -> Result<(&'a Caller, RequestFacts), Failure> {
    for caller in callers {
        let Some(facts) = desk.gather(&caller.environment, |state| facts(state, id)).await? else {
            continue;
        };
        if may_see(caller, &facts) {
            return Ok((caller, facts));
        }
        let foreign = Failure::refused("not_yours", "this request is not yours to see");
        let object = id.to_string();
        return Err(attempt::hide(desk, caller, Operation::Read, &object, foreign, "request").await);
    }
    Err(Failure::Absent("request"))
}

/// Whether `caller` may see this request.
pub(crate) async fn may_view(desk: &Desk, caller: &Caller, id: RequestId) -> Result<bool, Failure> {
    let facts = desk.gather(&caller.environment, |state| facts(state, id)).await?;
    Ok(facts.is_some_and(|facts| may_see(caller, &facts)))
}

/// People of the environment's owner, the requester, and approvers of the requester's organisation or of one that the
/// rule asks.
fn may_see(caller: &Caller, facts: &RequestFacts) -> bool {
    let asked = facts
        .rule
        .iter()
        .any(|quorum| quorum.organisation == caller.organisation)
        || facts.requester.enrolment.organisation == caller.organisation;
    caller.of_owner || facts.request.statement.requester == caller.identity || (asked && caller.may(Role::Approve))
}

/// The statement that `caller` signs to approve `request`, and everything it is about.
///
/// # Errors
/// As [`view`]; and a refusal, on record, when the caller could not approve it anyway.
pub async fn approval_statement(
    desk: &Desk,
    callers: &[Caller],
    request: RequestId,
) -> Result<(RequestView, Approval), Failure> {
    let view = view(desk, callers, request).await?;
    let caller = people::in_environment(callers, &view.environment)?;
    let answer = if view.statement.requester == caller.identity {
        Failure::refused("own_request", "nobody decides their own request")
    } else if !caller.may(Role::Approve) {
        Failure::refused(
            "may_not_approve",
            "you may not approve here; whoever has the role `approve` may, and the environment's owner gives it",
        )
    } else {
        let approval = Approval {
            request,
            request_hash: view.hash,
            approver: caller.identity,
            requester: view.statement.requester,
            scope: view.statement.scope.clone(),
            surface: Surface::CommandLine,
            at_ms: desk.now_ms(),
        };
        return Ok((view, approval));
    };
    let object = request.to_string();
    Err(attempt::refuse(
        desk,
        &caller.environment,
        caller.identity,
        Operation::Approve,
        &object,
        answer,
    )
    .await)
}

/// What an approval led to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// The approval's or denial's entry.
    pub entry: EntryId,
    /// Its place in the log.
    pub index: u64,
    /// The grant, when the rule is met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<GrantId>,
    /// The approval that is still missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Quorum>,
}

/// Puts an approval on record, and with it the grant when the rule is met.
///
/// # Errors
/// A refusal, on record; or why nothing was stored.
pub async fn submit_approval(desk: &Desk, callers: &[Caller], signed: Signed<Approval>) -> Result<Decided, Failure> {
    let request = signed.statement.request;
    let (caller, _) = find(desk, callers, request).await?;
    let approved = match speaks(caller, signed.statement.approver) {
        Ok(()) => approve(desk, &caller.environment, signed).await,
        Err(answer) => Err(answer),
    };
    refused_on_record(desk, caller, Operation::Approve, request, approved).await
}

/// Puts a denial on record.
///
/// # Errors
/// A refusal, on record; or why nothing was stored.
pub async fn submit_denial(desk: &Desk, callers: &[Caller], signed: Signed<Denial>) -> Result<Decided, Failure> {
    let request = signed.statement.request;
    let (caller, _) = find(desk, callers, request).await?;
    let denied = match speaks(caller, signed.statement.approver) {
        Ok(()) => deny(desk, &caller.environment, signed).await,
        Err(answer) => Err(answer),
    };
    refused_on_record(desk, caller, Operation::Deny, request, denied).await
}

pub(crate) fn speaks(caller: &Caller, identity: IdentityId) -> Result<(), Failure> {
    if caller.identity == identity {
        Ok(())
    } else {
        Err(Failure::refused(
            "other_person",
            "the statement speaks for somebody else than the caller",
        ))
    }
}

async fn refused_on_record<T>(
    desk: &Desk,
    caller: &Caller,
    operation: Operation,
    request: RequestId,
    result: Result<T, Failure>,
) -> Result<T, Failure> {
    match result {
        Ok(done) => Ok(done),
        Err(answer) => {
            let object = request.to_string();
            Err(attempt::refuse(desk, &caller.environment, caller.identity, operation, &object, answer).await)
        }
    }
}

async fn deny(desk: &Desk, environment: &EnvironmentName, signed: Signed<Denial>) -> Result<Decided, Failure> {
    let draft = Draft::new(desk.entry_id()?, Body::Denied(signed));
    Ok(decided(desk.record_one(environment, draft).await?, None, None))
}

fn decided(receipt: Receipt, grant: Option<GrantId>, missing: Option<Quorum>) -> Decided {
    Decided {
        entry: receipt.id,
        index: receipt.index,
        grant,
        missing,
    }
}

/// The approval, and the grant beside it if this approval is the last that was missing. The step rests on the versions
/// that this was judged by, so two approvals at once give one grant.
async fn approve(desk: &Desk, environment: &EnvironmentName, signed: Signed<Approval>) -> Result<Decided, Failure> {
    for _ in 0..TRIES_MAX {
        let entry = desk.entry_id()?;
        let grant = GrantId::new(desk.now_ms(), desk.fresh()?);
        let plan = desk
            .gather(environment, |state| plan(state, &signed, entry, grant))
            .await?;
        let mut drafts = vec![Draft::new(entry, Body::Approved(signed.clone()))];
        let granted = plan.grant.is_some();
        if let Some(body) = plan.grant {
            drafts.push(Draft::new(desk.entry_id()?, Body::Granted(body)));
        }
        let step = Step::record_on(drafts, plan.basis).map_err(|e| Failure::Unavailable(e.to_string()))?;
        match desk.commit(environment, step).await {
            Ok(committed) => {
                let receipt = committed.into_entries().into_iter().next();
                let receipt = receipt.ok_or_else(|| Failure::Unavailable("the store gave no receipt".into()))?;
                return Ok(decided(receipt, granted.then_some(grant), plan.missing));
            }
            Err(CommitError::Conflict(_)) => {}
            Err(error) => return Err(failure(error)),
        }
    }
    Err(Failure::Unavailable("others decided at the same moment".into()))
}

struct Plan {
    grant: Option<Granted>,
    missing: Option<Quorum>,
    basis: Vec<(EntityKey, u64)>,
}

fn plan(state: &Snapshot, signed: &Signed<Approval>, entry: EntryId, grant: GrantId) -> Result<Plan, Refused> {
    let approval = &signed.statement;
    let key = EntityKey::request(approval.request);
    let mut request = state.request(&key)?.clone();
    let workflow_key = EntityKey::workflow(&request.statement.scope.workflow);
    let workflow = &state.workflow(&workflow_key)?.statement;
    let approver_key = EntityKey::identity(approval.approver);
    let approver = state.identity(&approver_key)?;
    // As the state will be once the approval is in; only what `apply` accepts gets there.
    request.approvals.push(ApprovalState {
        entry,
        index: 0,
        approver: approval.approver,
        organisation: approver.enrolment.organisation.clone(),
        key: approver
            .enrolment
            .keys
            .first()
            .cloned()
            .ok_or(Refused::Absent(approver_key.clone()))?,
    });
    let missing = missing_approval(state, &workflow.approvals, &request)?;
    let met = missing.is_none() && request.status == RequestStatus::Pending;
    let granted = Granted {
        grant,
        request: approval.request,
        requester: request.statement.requester,
        approvals: request.approvals.iter().map(|approval| approval.entry).collect(),
        scope: request.statement.scope.clone(),
        level: workflow.level,
        gate: state.genesis()?.gate,
        controls: workflow.controls.clone(),
    };
    let mut keys = vec![key, workflow_key];
    keys.extend(
        request
            .approvals
            .iter()
            .map(|approval| EntityKey::identity(approval.approver)),
    );
    keys.dedup();
    let basis: Result<_, Refused> = keys
        .into_iter()
        .map(|key| state.version(&key).map(|version| (key, version)))
        .collect();
    Ok(Plan {
        grant: met.then_some(granted),
        missing,
        basis: basis?,
    })
}

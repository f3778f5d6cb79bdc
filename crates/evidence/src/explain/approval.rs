//! CS-AP-1, authorised before access, and CS-AP-2, the consent of the environment's owner.
//!
//! That an approval's signature, words and approver hold is the replay's finding: an approval counts here when the
//! replay accepted it before the opening, and its approver was still entitled at the opening.

use super::{Answer, Case};
use crate::render;
use model::entity::{ApprovalState, GrantState, RequestState};
use model::verdict::ControlId;

pub(super) fn before_access(case: &Case<'_>) -> Answer {
    match judge(case) {
        Err(fail) => fail.at(case.index()),
        Ok(pass) => case.blamed(ControlId::Ap1).unwrap_or(pass.at(case.index())),
    }
}

fn judge(case: &Case<'_>) -> Result<Answer, Answer> {
    let Some(grant) = &case.at.grant else {
        return Err(Answer::fail(
            "no_grant",
            format!("the grant {} that it names was never issued", case.opened.grant),
        ));
    };
    if let Some(finding) = case.world.refusal(grant.issued_at) {
        let because = format!("the grant has no effect: {}", finding.because);
        let cause = first_cause(case, grant);
        return Err(Answer::fail(finding.code, because).at(grant.issued_at).with(cause));
    }
    let Some(request) = &case.at.request else {
        return Err(Answer::fail("no_request", "the grant answers no request").at(grant.issued_at));
    };
    inside_grant(case, grant)?;
    let counted: Vec<&ApprovalState> = counted(case, request).collect();
    let workflow = case.world.workflow(grant.granted.scope.policy);
    let Some(model::body::Body::Workflow(signed)) = workflow.map(|placed| &placed.entry.body) else {
        return Err(Answer::fail(
            "no_rule",
            "the policy that it was granted under is not the owner's",
        ));
    };
    for quorum in &signed.statement.approvals {
        let count = counted.iter().filter(|a| a.organisation == quorum.organisation).count();
        if count < usize::from(quorum.count) {
            let because = format!(
                "{} of {} needed from {} in force at the opening",
                count,
                render::counted(quorum.count, "approval"),
                quorum.organisation
            );
            let all = request.approvals.iter().map(|a| a.index);
            return Err(Answer::fail("approval_not_in_force", because).with(all));
        }
    }
    let because = format!(
        "{} under the organisations' own roots stood before the opening",
        render::counted(counted.len(), "approval")
    );
    let shown = [request.made_at]
        .into_iter()
        .chain(counted.iter().map(|a| a.index))
        .chain([grant.issued_at]);
    Ok(Answer::pass("approved_before_open", because).with(shown))
}

/// The refused approval or request behind a refused grant.
fn first_cause(case: &Case<'_>, grant: &GrantState) -> Vec<u64> {
    let listed = grant.granted.approvals.iter().filter_map(|id| case.world.entry_of(*id));
    let indices = listed.map(|placed| placed.index);
    indices.filter(|index| case.world.refusal(*index).is_some()).collect()
}

/// The opening lies inside what was approved.
fn inside_grant(case: &Case<'_>, grant: &GrantState) -> Result<(), Answer> {
    let (opened, scope) = (case.opened, &grant.granted.scope);
    let time_ms = case.at.placed.entry.time_ms;
    let outside = |code: &str, because: String| Err(Answer::fail(code, because).at(grant.issued_at));
    if grant.granted.requester != opened.identity {
        return outside("other_person", "the grant was another person's".into());
    }
    if let Some(revoked) = &grant.revoked {
        return Err(Answer::fail("revoked_before_open", "the grant had been revoked").at(revoked.index));
    }
    if !scope.resources.contains(&opened.resource) {
        return outside(
            "resource_not_granted",
            format!("`{}` was not approved", opened.resource),
        );
    }
    if !scope.accounts.contains(&opened.account) {
        return outside(
            "account_not_granted",
            format!("account `{}` was not approved", opened.account),
        );
    }
    if time_ms < scope.from_ms || time_ms >= scope.until_ms {
        return outside("outside_window", "it was opened outside the approved window".into());
    }
    Ok(())
}

/// Approvals that the replay accepted before the opening, by approvers who were in force at it.
pub(super) fn counted<'a>(case: &'a Case<'_>, request: &'a RequestState) -> impl Iterator<Item = &'a ApprovalState> {
    request.approvals.iter().filter(|approval| {
        approval.index < case.index()
            && case.world.refusal(approval.index).is_none()
            && case.at.entitled.contains(&approval.approver)
    })
}

pub(super) fn owners_consent(case: &Case<'_>, ap_1: &Answer) -> Answer {
    if let Some(hindered) = ap_1.hinders(ControlId::Ap1) {
        return hindered;
    }
    let owner = case.at.genesis.as_ref().map(|genesis| &genesis.owner);
    let Some(request) = &case.at.request else {
        return Answer::fail("no_request", "the grant answers no request");
    };
    let of_owner: Vec<_> = counted(case, request)
        .filter(|a| Some(&a.organisation) == owner)
        .collect();
    let own: Vec<_> = of_owner
        .iter()
        .filter(|a| !case.world.is_operator_key(&a.key))
        .map(|a| a.index)
        .collect();
    if !own.is_empty() {
        let because = "an approver enrolled under the owner's root consented, on their own command line";
        return Answer::pass("owner_consented", because).with(own);
    }
    let all = of_owner.iter().map(|a| a.index);
    if of_owner.is_empty() {
        return Answer::fail("owner_not_asked", "no approver of the environment's owner took part");
    }
    let because = "the approver's key is one that the log shows in the operator's hands";
    Answer::fail("approver_key_of_operator", because).with(all)
}

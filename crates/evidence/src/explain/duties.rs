//! CS-AP-3: nobody held conflicting duties. Requester and approvers are different people; one person behind two
//! identities is known by a key that both were said to hold, under their organisations' own roots.

use super::approval::counted;
use super::{Answer, Case};
use model::entity::EntityKey;
use model::id::IdentityId;
use model::statement::IdentityKind;
use model::verdict::ControlId;

pub(super) fn separated(case: &Case<'_>, ap_1: &Answer) -> Answer {
    if let Some(hindered) = ap_1.hinders(ControlId::Ap1) {
        return hindered;
    }
    let Some(request) = &case.at.request else {
        return Answer::fail("no_request", "the grant answers no request");
    };
    let approvals: Vec<_> = counted(case, request).collect();
    let mut people = vec![request.statement.requester];
    if case.opened.identity != request.statement.requester {
        people.push(case.opened.identity);
    }
    let asking = people.len();
    people.extend(approvals.iter().map(|a| a.approver));
    for (at, one) in people.iter().enumerate() {
        // The one who asks may be the one who acts.
        for other in people.iter().skip((at + 1).max(asking)) {
            if let Some(conflict) = conflict(case, *one, *other) {
                return conflict;
            }
        }
    }
    let shown = approvals.iter().map(|a| a.index);
    match people.iter().find(|id| !is_person(case, **id)) {
        Some(id) => Answer::unknown("no_person", format!("{id} has no link to a person")).with(shown),
        None => Answer::pass("separated", "requester and approvers are different people").with(shown),
    }
}

fn conflict(case: &Case<'_>, one: IdentityId, other: IdentityId) -> Option<Answer> {
    if one == other {
        return Some(Answer::fail("own_approval", "one identity asked and approved"));
    }
    let (first, second) = case.world.one_person(one, other)?;
    let because = "two of them were enrolled with one key: they are one person";
    Some(Answer::fail("one_person", because).with([first, second]))
}

fn is_person(case: &Case<'_>, id: IdentityId) -> bool {
    let identity = case.world.state().identity(&EntityKey::identity(id));
    identity.is_ok_and(|identity| identity.enrolment.kind == IdentityKind::Person)
}

//! CS-ID-1: each session is attributable to one person, by a credential that proves it, of an organisation that may be
//! here. That actions carry the identity follows from the session's chain, which CS-RE-2 holds.

use super::{Answer, Case};
use model::statement::{IdentityKind, Role};
use model::verdict::ControlId;

pub(super) fn individual(case: &Case<'_>) -> Answer {
    let index = case.index();
    match judge(case) {
        Err(fail) => fail.at(index),
        Ok(pass) => case.blamed(ControlId::Id1).unwrap_or(pass.at(index)),
    }
}

fn judge(case: &Case<'_>) -> Result<Answer, Answer> {
    let fail = |code: &str, because: String| Err(Answer::fail(code, because));
    let Some(identity) = &case.at.identity else {
        return fail(
            "identity_unknown",
            format!(
                "nobody enrolled {} under its own organisation's root",
                case.opened.identity
            ),
        );
    };
    let name = &identity.enrolment.handle;
    if identity.disabled_at.is_some() {
        return fail("identity_ended", format!("{name} had ended before the opening"));
    }
    let key = match &case.at.proof {
        Ok(key) => key,
        Err(error) => return fail("proof_invalid", format!("the log-in proof does not hold: {error}")),
    };
    if !identity.enrolment.keys.contains(key) {
        return fail("not_own_key", format!("the key that logged in is not one of {name}'s"));
    }
    if let Some(session) = case.at.proof_used_by {
        return fail(
            "proof_reused",
            format!("the log-in proof was used before, in {session}"),
        );
    }
    if !identity.enrolment.roles.contains(&Role::Request) {
        return fail("may_not_request", format!("{name} is not enrolled to use access"));
    }
    let time_ms = case.at.placed.entry.time_ms;
    let engaged = case.at.organisation.as_ref().is_some_and(|organisation| {
        organisation.owner
            || (time_ms >= organisation.from_ms && organisation.until_ms.is_none_or(|until| time_ms < until))
    });
    if !engaged {
        return fail(
            "not_engaged",
            format!("{} was not engaged at the opening", identity.enrolment.organisation),
        );
    }
    let enrolled = identity.enrolled_at;
    if identity.enrolment.kind != IdentityKind::Person {
        let because = format!("{name} is no person, and this format names no owner for such an identity");
        return Ok(Answer::unknown("no_accountable_person", because).at(enrolled));
    }
    let organisation = &identity.enrolment.organisation;
    let because = format!("{name} of {organisation} logged in with a key enrolled under {organisation}'s root");
    Ok(Answer::pass("own_key_proved", because).at(enrolled))
}

//! CS-OW-1: a named business owner answers for a stated, permitted purpose. Absence is failure.

use super::{Answer, Case};
use model::verdict::ControlId;

pub(super) fn named(case: &Case<'_>) -> Answer {
    match judge(case) {
        Err(fail) => fail.at(case.index()),
        Ok(pass) => case.blamed(ControlId::Ow1).unwrap_or(pass),
    }
}

fn judge(case: &Case<'_>) -> Result<Answer, Answer> {
    let fail = |code: &str, because: String| Err(Answer::fail(code, because));
    let Some(grant) = &case.at.grant else {
        return fail("no_purpose", "no grant states a purpose".into());
    };
    let scope = &grant.granted.scope;
    let Some(workflow) = &case.at.workflow else {
        return fail(
            "no_workflow",
            format!("no workflow `{}` was in force under the owner's root", scope.workflow),
        );
    };
    let statement = &workflow.statement;
    let fail = |code: &str, because: String| Err(Answer::fail(code, because).at(workflow.set_at));
    let Some(owner) = &case.at.owner else {
        return fail(
            "owner_ended",
            format!("the owner of `{}` was not in force", statement.name),
        );
    };
    let Some(backup) = &case.at.backup else {
        return fail(
            "backup_ended",
            format!("the backup owner of `{}` was not in force", statement.name),
        );
    };
    if statement.owner == statement.backup {
        return fail("owner_is_backup", "owner and backup are one identity".into());
    }
    if statement.owner == case.opened.identity {
        return fail("owner_is_actor", "the owner used the access".into());
    }
    let environment_owner = case.at.genesis.as_ref().map(|genesis| &genesis.owner);
    if environment_owner != Some(&owner.enrolment.organisation) {
        return fail(
            "owner_of_operator",
            "the owner does not belong to the environment's owner".into(),
        );
    }
    if !statement.purposes.contains(&scope.purpose) {
        return fail(
            "purpose_not_in_workflow",
            format!("`{}` does not serve the purpose `{}`", statement.name, scope.purpose),
        );
    }
    let because = format!(
        "{} answers for `{}`, {} stands in; purpose: {}",
        owner.enrolment.handle, statement.name, backup.enrolment.handle, scope.purpose
    );
    Ok(Answer::pass("owner_named", because).at(workflow.set_at))
}

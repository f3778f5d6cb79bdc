//! CS-SC-1: nothing took effect outside what was approved: other actions, another target, a certificate that opens more.

use super::{Answer, Case};
use crate::render::counted;
use crate::timeline::word;
use model::statement::ActionClass;
use model::verdict::ControlId;

/// How far before the opening a certificate may begin, and how long it may live, seconds.
const CERTIFICATE_EARLY_S: u64 = 300;
const CERTIFICATE_LIFE_S_MAX: u64 = 600;

pub(super) fn stayed_inside(case: &Case<'_>, ap_1: &Answer, re_1: &Answer) -> Answer {
    if let Some(hindered) = ap_1.hinders(ControlId::Ap1) {
        return hindered;
    }
    if let Err(fail) = judge(case) {
        return fail;
    }
    if let Some(blamed) = case.blamed(ControlId::Sc1) {
        return blamed;
    }
    if let Some(hindered) = re_1.hinders(ControlId::Re1) {
        return hindered;
    }
    let mut intents = case.dossier.intents();
    let opaque = intents.find(|(_, i)| matches!(i.class, ActionClass::Forward | ActionClass::TunnelLocal));
    if let Some((placed, _)) = opaque {
        let because = "a tunnel was open, and what went through it is not seen";
        return Answer::unknown("opaque_tunnel", because).at(placed.index);
    }
    let actions: Vec<u64> = case.dossier.intents().map(|(placed, _)| placed.index).collect();
    let because = format!(
        "{}, all of the approved kinds, on the pinned target",
        counted(actions.len(), "action")
    );
    Answer::pass("inside_scope", because).at(case.index()).with(actions)
}

fn judge(case: &Case<'_>) -> Result<(), Answer> {
    let Some(grant) = &case.at.grant else {
        return Err(Answer::fail("no_grant", "there is no grant to stay inside of"));
    };
    let scope = &grant.granted.scope;
    let outside = case.dossier.intents().find(|(_, i)| !scope.actions.contains(&i.class));
    if let Some((placed, intended)) = outside {
        let because = format!("an action of kind `{}` was not approved", word(&intended.class));
        return Err(Answer::fail("action_not_granted", because).with([grant.issued_at, placed.index]));
    }
    let Some(resource) = &case.at.resource else {
        return Err(Answer::fail(
            "resource_unknown",
            format!("`{}` is not registered", case.opened.resource),
        ));
    };
    if resource.hash != case.opened.resource_hash {
        let because = format!(
            "`{}` was opened as another version of it than was in force",
            case.opened.resource
        );
        return Err(Answer::fail("resource_changed", because).with([resource.set_at, case.index()]));
    }
    certificate(case)?;
    match case.dossier.ended() {
        Some((placed, ended)) => match &ended.host_key {
            Some(shown) if !resource.statement.host_keys.contains(shown) => {
                let because = format!(
                    "the target showed a host key that `{}` does not have",
                    case.opened.resource
                );
                Err(Answer::fail("other_target", because).with([resource.set_at, placed.index]))
            }
            None if ended.bytes_out > 0 => {
                let because = "bytes came from a target whose host key is not on record";
                Err(Answer::fail("target_unproved", because).at(placed.index))
            }
            _ => Ok(()),
        },
        None => Ok(()),
    }
}

fn certificate(case: &Case<'_>) -> Result<(), Answer> {
    let plan = &case.opened.certificate;
    let environment = case.at.genesis.as_ref().map(|genesis| genesis.environment.to_string());
    let principal = format!(
        "cs:{}:{}:{}",
        environment.unwrap_or_default(),
        case.opened.resource,
        case.opened.account
    );
    let opened_s = case.at.placed.entry.time_ms / 1000;
    let short = plan.valid_after_s.saturating_add(CERTIFICATE_EARLY_S) >= opened_s
        && plan.valid_before_s.saturating_sub(plan.valid_after_s) <= CERTIFICATE_LIFE_S_MAX;
    let index = case.index();
    if plan.principal != principal {
        return Err(Answer::fail("other_principal", format!("the certificate opens `{}`", plan.principal)).at(index));
    }
    if !short {
        return Err(Answer::fail("certificate_too_long", "the certificate outlives its one log-in").at(index));
    }
    let twice = case.world.serials_twice().iter().find(|(_, later)| *later == index);
    match twice {
        Some((earlier, _)) => {
            let because = "another session's certificate has the same serial";
            Err(Answer::fail("serial_twice", because).with([*earlier, index]))
        }
        None => Ok(()),
    }
}

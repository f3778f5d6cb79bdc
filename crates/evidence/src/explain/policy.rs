//! CS-PO-1: every decision came from the owner's signed policy in force, and made again it is the same.
//!
//! A decision that the policy, asked again, refuses is the failure of the control whose rule refuses it: a missing
//! approval, an action outside the scope, an action after the end. Then this control is unknown because of that one.

use super::{Answer, Case};
use crate::render::counted;
use crate::replay::{DecisionCheck, Differs};
use model::verdict::{ControlId, Outcome};
use std::collections::BTreeMap;

pub(super) fn in_force(case: &Case<'_>, answers: &BTreeMap<ControlId, Answer>) -> Answer {
    let answer = judge(case, answers).unwrap_or_else(|answer| answer);
    if answer.outcome != Outcome::Pass {
        return answer;
    }
    if let Some(blamed) = case.blamed(ControlId::Po1) {
        return blamed;
    }
    // Totality: an opening that the rules refuse never passes every control.
    match case.world.refusal(case.index()) {
        Some(finding) if !answers.values().any(|a| a.outcome == Outcome::Fail) => {
            Answer::fail(finding.code, format!("the opening has no effect: {}", finding.because)).at(case.index())
        }
        _ => answer,
    }
}

fn judge(case: &Case<'_>, answers: &BTreeMap<ControlId, Answer>) -> Result<Answer, Answer> {
    let hindered = |control: ControlId| answers.get(&control).and_then(|a| a.hinders(control));
    let Some(grant) = &case.at.grant else {
        let because = "it cites no grant that exists, so the facts cannot be had";
        return Err(hindered(ControlId::Ap1).unwrap_or_else(|| Answer::fail("no_grant", because)));
    };
    let scope = &grant.granted.scope;
    let Some(workflow) = case
        .at
        .workflow
        .as_ref()
        .filter(|workflow| workflow.hash == scope.policy)
    else {
        let because = format!(
            "the policy of the grant was not the version of `{}` in force",
            scope.workflow
        );
        return Err(Answer::fail("policy_not_in_force", because).with([grant.issued_at, case.index()]));
    };
    let pinned = case.opened.until_ms == scope.until_ms && case.opened.controls == grant.granted.controls;
    if !pinned {
        let because = "the opening does not repeat the end and the controls that the grant pins";
        return Err(Answer::fail("pins_differ", because).with([grant.issued_at, case.index()]));
    }
    let mut checks = vec![(case.index(), &case.at.decision, true)];
    let actions = &case.dossier.decisions;
    checks.extend(actions.iter().map(|(index, check)| (*index, check, false)));
    let mut waiting = None;
    for (index, check, opening) in &checks {
        match one(check, *opening) {
            None => {}
            Some((fail, control)) => match control.and_then(hindered) {
                Some(answer) => drop(waiting.get_or_insert(answer.at(*index))),
                None => return Err(fail.at(*index)),
            },
        }
    }
    match waiting {
        Some(answer) => Err(answer),
        None => {
            let because = format!(
                "{} made again from the log, with the same answer",
                counted(checks.len(), "decision")
            );
            Ok(Answer::pass("decisions_repeat", because).with([workflow.set_at, case.index()]))
        }
    }
}

/// What is wrong with one decision, and the control whose rule refuses it, if it is another than this.
fn one(check: &DecisionCheck, opening: bool) -> Option<(Answer, Option<ControlId>)> {
    match check {
        DecisionCheck::Same => None,
        DecisionCheck::Differs(differs) => {
            let because = match differs {
                Differs::Policy => "the decision names another policy version than it was made under",
                Differs::Inputs => "the facts in the log are not those that the decision names",
                Differs::Rule => "the decision was made by rules that this version does not know",
                Differs::Time => "the decision is of another time than its entry",
            };
            Some((Answer::fail(differs.code(), because), None))
        }
        DecisionCheck::Refused { code, because } | DecisionCheck::NoFacts { code, because } => {
            let text = format!("asked again, the policy refuses: {because}");
            Some((Answer::fail(code, text), owner_of(code, opening)))
        }
    }
}

fn owner_of(code: &str, opening: bool) -> Option<ControlId> {
    match code {
        "policy_changed" | "not_canonical" => None,
        "identity_not_entitled" | "not_own_key" | "not_engaged" | "bad_signature" if opening => Some(ControlId::Id1),
        // Without an identity there are no facts either.
        "absent" if opening => Some(ControlId::Ap1),
        _ if opening => Some(ControlId::Ap1),
        "action_not_granted" => Some(ControlId::Sc1),
        "absent" => Some(ControlId::Ap1),
        _ => Some(ControlId::Ex1),
    }
}

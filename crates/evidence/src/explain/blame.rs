//! Which control a refused entry of a session speaks against.
//!
//! Entries that are refused only because an earlier one is speak against nothing by themselves.

use super::{Answer, CHAIN_CODES};
use crate::replay::{Dossier, Finding, World};
use model::body::{Body, Opened};
use model::statement::Gate;
use model::verdict::ControlId;
use std::collections::BTreeMap;

/// For each control that a refused entry speaks against, the first such entry.
pub(super) fn of(world: &World, dossier: &Dossier) -> BTreeMap<ControlId, Answer> {
    let mut blame = BTreeMap::new();
    for placed in &dossier.entries {
        let Some(finding) = world.refusal(placed.index).filter(|finding| !finding.follows) else {
            continue;
        };
        let control = match &placed.entry.body {
            Body::Opened(opened) => opening(dossier, opened, finding),
            body => within(body, finding),
        };
        if let Some(control) = control {
            add(&mut blame, control, finding);
        }
    }
    let lines = dossier.progress.iter().filter_map(|(index, _)| world.refusal(*index));
    for finding in lines.filter(|finding| !finding.follows) {
        add(&mut blame, ControlId::Re1, finding);
    }
    blame
}

fn add(blame: &mut BTreeMap<ControlId, Answer>, control: ControlId, finding: &Finding) {
    let text = format!("{} has no effect: {}", finding.kind, finding.because);
    blame
        .entry(control)
        .or_insert_with(|| Answer::fail(finding.code, text).at(finding.index));
}

fn opening(dossier: &Dossier, opened: &Opened, finding: &Finding) -> Option<ControlId> {
    let control = match finding.code {
        "bad_signature" | "not_own_key" | "identity_ended" | "may_not_request" | "not_engaged" | "proof_reused" => {
            ControlId::Id1
        }
        "grant_revoked" | "grant_not_begun" | "grant_expired" | "other_person" => ControlId::Ap1,
        "resource_not_granted" | "account_not_granted" => ControlId::Ap1,
        "resource_changed" | "account_not_on_resource" | "principal" | "serial" | "certificate_window" => {
            ControlId::Sc1
        }
        "pins_differ" => pins(dossier, opened),
        // What is absent is found by the control that misses it.
        "absent" => return None,
        "session_twice" => ControlId::Re2,
        code if CHAIN_CODES.contains(&code) => ControlId::Re2,
        _ => ControlId::Po1,
    };
    Some(control)
}

/// What an opening pins otherwise than its grant.
fn pins(dossier: &Dossier, opened: &Opened) -> ControlId {
    let grant = dossier.opening.as_ref().and_then(|at| at.grant.as_ref());
    match grant {
        Some(grant) if strength(opened.gate) < strength(grant.granted.gate) => ControlId::Ev1,
        Some(grant) if opened.level < grant.granted.level => ControlId::Re1,
        _ => ControlId::Po1,
    }
}

/// How many cosignatures a gate asks for.
pub(super) fn strength(gate: Gate) -> u8 {
    match gate {
        Gate::None => 0,
        Gate::Witnesses(count) => count,
    }
}

fn within(body: &Body, finding: &Finding) -> Option<ControlId> {
    let control = match (body, finding.code) {
        (_, code) if CHAIN_CODES.contains(&code) || code == "session_unasked" => ControlId::Re2,
        // An order that is not valid is an attempt, and has no effect.
        (Body::Killed(_), _) => return None,
        (_, "session_closed") => ControlId::Ex1,
        (Body::Intended(_), "action_not_granted") => ControlId::Sc1,
        (Body::Intended(_), "policy_changed") => ControlId::Po1,
        (Body::Intended(_), "action_twice" | "too_many_actions") => ControlId::Re2,
        (Body::Intended(_), "absent") => return None,
        (Body::Intended(_), _) => ControlId::Ex1,
        (Body::Ended(_) | Body::Lost(_), "recording_shrank") => ControlId::Re1,
        (Body::Ended(_), _) => ControlId::Ex1,
        (Body::Gap(_) | Body::Lost(_), _) => ControlId::Re1,
        _ => ControlId::Re2,
    };
    Some(control)
}

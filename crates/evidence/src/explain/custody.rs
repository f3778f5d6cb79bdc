//! CS-EV-1, neither party alone can alter the evidence, and CS-EV-2, times hold to a stated bound.

use super::blame::strength;
use super::{Answer, Case};
use crate::grounds::Basis;
use crate::render::counted;
use model::statement::Gate;
use model::verdict::ControlId;

/// S: how far the gateway's clock may be from the witnesses', milliseconds.
const SKEW_MS_MAX: u64 = 2000;

pub(super) fn separate(case: &Case<'_>) -> Answer {
    if let Some(blamed) = case.blamed(ControlId::Ev1) {
        return blamed;
    }
    let index = case.index();
    let wanted = case.at.genesis.as_ref().map_or(Gate::None, |genesis| genesis.gate);
    if strength(case.opened.gate) < strength(wanted) {
        return Answer::fail("gate_lowered", "it was opened through a weaker gate than the owner set").at(index);
    }
    let Some(first) = case.grounds.first_after(index) else {
        return Answer::unknown("not_cosigned", "no believed witness cosigned its opening").at(index);
    };
    let count = usize::from(strength(wanted));
    let effect = case.dossier.intents().map(|(placed, _)| placed.index).next();
    let awaited = case.grounds.anchors.iter().any(|anchor| {
        anchor.size > index && anchor.witnesses >= count && effect.is_none_or(|effect| anchor.size <= effect)
    });
    if count > 0 && !awaited {
        let because = format!(
            "it took effect before {} had cosigned its opening",
            counted(count, "witness")
        );
        return Answer::fail("gate_not_awaited", because).at(index).with(effect);
    }
    let end = case.dossier.ended().map(|(placed, _)| placed.index);
    let Some(end) = end.or_else(|| case.dossier.lost().map(|placed| placed.index)) else {
        return Answer::pending("still_open", "it has not ended yet");
    };
    match case.grounds.first_after(end) {
        Some(last) => {
            let because = format!(
                "{} that you believe cosigned its opening, {} its end",
                counted(first.witnesses, "witness"),
                last.witnesses
            );
            Answer::pass("cosigned", because).with([index, end])
        }
        None => Answer::unknown("end_not_cosigned", "no believed witness cosigned its end").at(end),
    }
}

pub(super) fn reliable_time(case: &Case<'_>) -> Answer {
    if let Some(blamed) = case.blamed(ControlId::Ev2) {
        return blamed;
    }
    let index = case.index();
    let after_s = match case.grounds.bases.get(&index) {
        Some(Basis::Cosigned(after_s)) => *after_s,
        Some(Basis::Refused(why)) => {
            return Answer::fail("basis_false", format!("the head that it embeds is not one: {why}")).at(index);
        }
        Some(Basis::Unwitnessed(why)) => {
            return Answer::unknown("unwitnessed", format!("no cosigned head was had at its opening: {why}")).at(index);
        }
        Some(Basis::NotCosigned) | None => {
            let because = "no believed witness cosigned the head that it embeds";
            return Answer::unknown("basis_not_cosigned", because).at(index);
        }
    };
    let Some(before) = case.grounds.first_after(index) else {
        return Answer::unknown("not_cosigned", "no believed witness cosigned its opening").at(index);
    };
    bracket(case, after_s, before.by_s).at(index)
}

/// Witnesses count whole seconds, so a bracket is up to one second shorter than it looks.
fn bracket(case: &Case<'_>, after_s: u64, before_s: u64) -> Answer {
    let bound_ms = case.at.genesis.as_ref().map_or(0, |genesis| genesis.lag_bound_ms);
    let wide_s = before_s.saturating_sub(after_s);
    if wide_s.saturating_mul(1000) >= bound_ms.saturating_add(1000) {
        let because = format!(
            "backdated: witnesses saw it {wide_s} s after the head that it embeds, {} s are allowed",
            bound_ms / 1000
        );
        return Answer::fail("backdated", because);
    }
    let stated_ms = case.at.placed.entry.time_ms;
    let early_ms = after_s.saturating_mul(1000).saturating_sub(SKEW_MS_MAX);
    let late_ms = before_s
        .saturating_add(1)
        .saturating_mul(1000)
        .saturating_add(SKEW_MS_MAX);
    if !(early_ms..=late_ms).contains(&stated_ms) {
        return Answer::fail("clock_off", "the time that it states is outside what witnesses saw");
    }
    Answer::pass("bracketed", format!("witnesses saw the log {wide_s} s apart around it"))
}

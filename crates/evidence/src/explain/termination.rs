//! CS-EX-1: access ended at its end, at its revocation or at the order to end it.

use super::{Answer, Case};
use model::body::{Body, EndCause, Ended};
use model::entity::EntityKey;
use model::entry::Placed;
use model::verdict::ControlId;

/// How late an end may be, milliseconds.
pub(super) const LATE_MS_MAX: u64 = 1000;

/// When a session had to end at the latest.
struct Due {
    at_ms: u64,
    /// The entry that ended the permission before its window did.
    index: Option<u64>,
}

pub(super) fn timely(case: &Case<'_>, ev_2: &Answer) -> Answer {
    if let Some(blamed) = case.blamed(ControlId::Ex1) {
        return blamed;
    }
    let answer = match case.dossier.ended() {
        Some((placed, ended)) => closed(case, placed, ended),
        None => unclosed(case),
    };
    match answer.outcome {
        model::verdict::Outcome::Pass => ev_2.hinders(ControlId::Ev2).unwrap_or(answer),
        _ => answer,
    }
}

fn closed(case: &Case<'_>, placed: &Placed, ended: &Ended) -> Answer {
    let due = due(case, placed.index);
    let shown = |answer: Answer| answer.with(due.index).at(placed.index);
    if let Some(late) = acted_after(case, &due) {
        return late;
    }
    let end_ms = placed.entry.time_ms;
    let late_ms = ended.late_ms.unwrap_or(0);
    let forced = matches!(ended.cause, EndCause::Expired | EndCause::Revoked | EndCause::Killed);
    if forced && late_ms > LATE_MS_MAX {
        return shown(Answer::fail(
            "late",
            format!("bytes could pass until {late_ms} ms after the end was due"),
        ));
    }
    if forced
        && ended
            .due_ms
            .is_some_and(|stated| stated > due.at_ms.saturating_add(LATE_MS_MAX))
    {
        return shown(Answer::fail("due_misstated", "the end was due earlier than it says"));
    }
    if !forced && end_ms > due.at_ms.saturating_add(LATE_MS_MAX) {
        return shown(Answer::fail(
            "outlived",
            "it went on after its end was due, and nothing cut it",
        ));
    }
    if ended.channels_opened != ended.channels_closed {
        let because = format!(
            "{} channels opened, {} closed",
            ended.channels_opened, ended.channels_closed
        );
        return shown(Answer::fail("channels_open", because));
    }
    let written_by = due.at_ms.saturating_add(late_ms).saturating_add(lag_ms(case));
    if forced && end_ms > written_by {
        return shown(Answer::unknown(
            "end_written_late",
            "its end was written long after it was due",
        ));
    }
    let because = match forced {
        true => format!("cut {late_ms} ms after its end was due"),
        false => "ended before its end was due".to_owned(),
    };
    shown(Answer::pass("ended_in_time", because))
}

fn unclosed(case: &Case<'_>) -> Answer {
    if let Some(lost) = case.dossier.lost() {
        let because = "its gateway died, and no second counter says when the last byte passed";
        return Answer::unknown("interrupted", because).at(lost.index);
    }
    let due = due(case, u64::MAX);
    if let Some(late) = acted_after(case, &due) {
        return late;
    }
    let seen_ms = case
        .grounds
        .anchors
        .iter()
        .map(|anchor| anchor.by_s.saturating_mul(1000));
    let horizon_ms = seen_ms.fold(case.world.last_ms(), u64::max);
    if horizon_ms > due.at_ms.saturating_add(LATE_MS_MAX).saturating_add(lag_ms(case)) {
        return Answer::fail("end_missing", "the log goes on past its due end, and no entry ends it").with(due.index);
    }
    Answer::pending("still_open", "it has not ended yet")
}

/// An action that was let through after the permission had ended.
fn acted_after(case: &Case<'_>, due: &Due) -> Option<Answer> {
    let after = |placed: &Placed| {
        due.index.is_some_and(|index| placed.index > index)
            || placed.entry.time_ms > due.at_ms.saturating_add(LATE_MS_MAX)
    };
    let (placed, _) = case.dossier.intents().find(|(placed, _)| after(placed))?;
    let because = "an action was let through after its end was due";
    Some(
        Answer::fail("action_after_due", because)
            .with(due.index)
            .at(placed.index),
    )
}

fn lag_ms(case: &Case<'_>) -> u64 {
    case.at.genesis.as_ref().map_or(0, |genesis| genesis.lag_bound_ms)
}

/// The window's end, or what came before it: a revocation, an order, the end of the identity; before the entry at `end`.
fn due(case: &Case<'_>, end: u64) -> Due {
    let window = case.at.grant.as_ref().map(|grant| grant.granted.scope.until_ms);
    let mut due = Due {
        at_ms: window.unwrap_or(case.opened.until_ms),
        index: None,
    };
    let mut sooner = |at_ms: u64, index: u64| {
        if index < end && at_ms < due.at_ms {
            due = Due {
                at_ms,
                index: Some(index),
            };
        }
    };
    let state = case.world.state();
    if let Ok(grant) = state.grant(&EntityKey::grant(case.opened.grant))
        && let Some(revoked) = &grant.revoked
    {
        sooner(revoked.time_ms, revoked.index);
    }
    let disabled = state.identity(&EntityKey::identity(case.opened.identity)).ok();
    if let Some(placed) = disabled.and_then(|i| case.world.entry(i.disabled_at?)) {
        sooner(placed.entry.time_ms, placed.index);
    }
    for placed in &case.dossier.entries {
        if matches!(placed.entry.body, Body::Killed(_)) && case.world.refusal(placed.index).is_none() {
            sooner(placed.entry.time_ms, placed.index);
        }
    }
    due
}

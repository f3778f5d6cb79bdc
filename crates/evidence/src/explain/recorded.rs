//! CS-RE-1, the session was recorded before it took effect, and CS-RE-2, each action has its decision and its outcome.

use super::{Answer, Case};
use crate::render::counted;
use model::body::{Body, Ended};
use model::entry::Placed;
use model::id::ActionId;
use model::verdict::ControlId;
use std::collections::BTreeMap;

/// G: the longest that a frame may wait for its sync, milliseconds, unless a gap accounts for it.
const SYNC_GAP_MS_MAX: u64 = 2500;

pub(super) fn session(case: &Case<'_>) -> Answer {
    if let Some(blamed) = case.blamed(ControlId::Re1) {
        return blamed;
    }
    let pinned = case.at.grant.as_ref().map(|grant| grant.granted.level);
    if pinned.is_some_and(|level| case.opened.level < level) {
        return Answer::fail("level_lowered", "it was opened at a lower evidence level than granted").at(case.index());
    }
    let Some(recording) = case.grounds.recordings.get(&case.dossier.session) else {
        return Answer::unknown("recording_not_seen", "its recording is not part of this evidence");
    };
    if !recording.intact {
        return Answer::unknown("recording_broken", "its recording is not the one that the log tells of");
    }
    if let Some(lost) = case.dossier.lost() {
        let because = "its gateway died, and no second counter says what passed last";
        return Answer::unknown("crash_no_second_counter", because).at(lost.index);
    }
    let Some((placed, ended)) = case.dossier.ended() else {
        return Answer::pending("still_open", "it has not ended yet");
    };
    whole(case, placed, ended)
}

fn whole(case: &Case<'_>, placed: &Placed, ended: &Ended) -> Answer {
    let forwarded = ended.bytes_in.saturating_add(ended.bytes_out);
    if ended.bytes_journaled < forwarded {
        let because = format!(
            "{} passed, {} recorded first",
            counted(forwarded, "byte"),
            ended.bytes_journaled
        );
        return Answer::fail("forwarded_unrecorded", because).at(placed.index);
    }
    let recording = case.grounds.recordings.get(&case.dossier.session);
    let (held_in, held_out) = recording.map_or((0, 0), |r| (r.bytes_in, r.bytes_out));
    // At level 1 input need not be kept.
    let short = held_out < ended.bytes_out || (case.opened.level >= 2 && held_in < ended.bytes_in);
    if short {
        let held = held_in.saturating_add(held_out);
        let because = format!("{} passed, the recording holds {held}", counted(forwarded, "byte"));
        return Answer::fail("recording_short", because).at(placed.index);
    }
    let gaps: Vec<u64> = case.dossier.gaps().map(|(placed, _)| placed.index).collect();
    if ended.sync_gap_ms_max > SYNC_GAP_MS_MAX && gaps.is_empty() {
        let because = format!(
            "a frame waited {} ms for its sync, and no gap accounts for it",
            ended.sync_gap_ms_max
        );
        return Answer::fail("sync_gap", because).at(placed.index);
    }
    let because = format!(
        "{} in {}, from opening to end without a hole{}; {} passed, all recorded first",
        counted(ended.recorded.frames, "frame"),
        counted(ended.recorded.extents, "extent"),
        in_doubt(gaps.len()),
        counted(forwarded, "byte")
    );
    Answer::pass("recorded_first", because)
        .at(case.index())
        .with(gaps)
        .at(placed.index)
}

/// That frames were in doubt while the session lived, and turned out to be here.
fn in_doubt(gaps: usize) -> String {
    match gaps {
        0 => String::new(),
        gaps => format!(", {} on record notwithstanding", counted(gaps as u64, "gap")),
    }
}

pub(super) fn actions(case: &Case<'_>, re_1: &Answer) -> Answer {
    if let Some(blamed) = case.blamed(ControlId::Re2) {
        return blamed;
    }
    let lines = match pair(case) {
        Ok(lines) => lines,
        Err(fail) => return fail,
    };
    // An open session's actions may still end.
    if case.dossier.ended().is_some() {
        if let Some(line) = lines.values().find(|line| line.ended.is_none()) {
            return Answer::fail("no_outcome", "an action has no outcome on record").at(line.intended);
        }
        if let Some(stray) = stray_frame(case, &lines) {
            return stray;
        }
    }
    if let Some(hindered) = re_1.hinders(ControlId::Re1) {
        return hindered;
    }
    let because = format!(
        "{}, each with its decision and its outcome",
        counted(lines.len(), "action")
    );
    let shown = lines
        .values()
        .flat_map(|line| [Some(line.intended), line.ended.map(|(at, _)| at)]);
    Answer::pass("actions_whole", because).with(shown.flatten())
}

/// The entries of one action.
struct Line {
    intended: u64,
    from_frame: u64,
    ended: Option<(u64, u64)>,
}

/// Decisions and outcomes, one to one.
fn pair(case: &Case<'_>) -> Result<BTreeMap<ActionId, Line>, Answer> {
    let mut lines: BTreeMap<ActionId, Line> = BTreeMap::new();
    for placed in &case.dossier.entries {
        match &placed.entry.body {
            Body::Intended(intended) => {
                let line = Line {
                    intended: placed.index,
                    from_frame: intended.frame,
                    ended: None,
                };
                if let Some(first) = lines.insert(intended.action, line) {
                    let both = [first.intended, placed.index];
                    return Err(Answer::fail("action_twice", "two actions have one id").with(both));
                }
            }
            Body::ActionEnded(ended) => match lines.get_mut(&ended.action) {
                Some(line) if line.ended.is_none() => line.ended = Some((placed.index, ended.frame)),
                _ => {
                    let because = "something was done that no decision let through";
                    return Err(Answer::fail("effect_without_decision", because).at(placed.index));
                }
            },
            _ => {}
        }
    }
    Ok(lines)
}

/// Actions lie inside the recording that shows them.
fn stray_frame(case: &Case<'_>, lines: &BTreeMap<ActionId, Line>) -> Option<Answer> {
    let frames = case.dossier.recorded().map_or(0, |recorded| recorded.frames);
    let stray = lines.values().find_map(|line| {
        let (index, until) = line.ended?;
        (line.from_frame > until || until > frames).then_some([line.intended, index])
    });
    stray.map(|both| Answer::fail("offset_outside", "an action lies outside its recording").with(both))
}

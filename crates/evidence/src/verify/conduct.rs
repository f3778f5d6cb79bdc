//! What was done, as far as a verification holds it against the log's holder: entries that the rules refuse, sessions
//! that do not follow, approvals, decisions and times that are not what they claim. How well a session was controlled is
//! the verdict's to say.

use super::collect::Collected;
use super::report::{Claim, Outcome};
use crate::explain::{Answer, CHAIN_CODES, answers};
use crate::grounds::Grounds;
use crate::pack::Place;
use crate::render::counted;
use crate::replay::{Dossier, Finding, World};
use model::id::SessionId;
use model::verdict::{self, ControlId};
use std::collections::BTreeMap;

/// Findings that are printed one by one.
const LISTED_MAX: usize = 32;

pub(super) fn check(parts: &Collected, grounds: &Grounds) -> Vec<Claim> {
    let world = &parts.log.world;
    let mut claims = refused(world);
    claims.push(writers(world));
    claims.push(serials(world));
    for line in &parts.manifest.sessions {
        if let Some(dossier) = world.dossier(line.id) {
            claims.extend(session(world, grounds, dossier));
        }
    }
    claims.push(Claim::noted("holds", "this format has none"));
    claims
}

fn refused(world: &World) -> Vec<Claim> {
    let causes: Vec<&Finding> = world
        .findings()
        .filter(|finding| !finding.follows && finding.code != "writer_sequence")
        .collect();
    let follows = world.findings().filter(|finding| finding.follows).count();
    if causes.is_empty() {
        let detail = format!("the rules allow each of the {}", counted(world.size(), "entry"));
        return vec![Claim::holds("replay", detail)];
    }
    let mut claims: Vec<Claim> = causes
        .iter()
        .take(LISTED_MAX)
        .map(|finding| {
            let detail = format!("{} has no effect ({})", finding.kind, finding.coded());
            Claim::fails("replay", Place::Entry(finding.index), detail)
        })
        .collect();
    let rest = causes.len().saturating_sub(LISTED_MAX);
    if rest + follows > 0 {
        let detail = match rest {
            0 => format!("without effect because of that: {}", counted(follows, "entry")),
            _ => format!(
                "the rules refuse {} more, and {follows} rest on refused ones",
                counted(rest, "entry")
            ),
        };
        claims.push(Claim::noted("replay", detail));
    }
    claims
}

fn writers(world: &World) -> Claim {
    match world.findings().find(|finding| finding.code == "writer_sequence") {
        Some(finding) => Claim::fails("writers", Place::Entry(finding.index), finding.because.clone()),
        None => Claim::holds("writers", "each writer's entries are numbered without a hole"),
    }
}

fn serials(world: &World) -> Claim {
    match world.serials_twice().first() {
        Some((first, later)) => {
            let detail = format!("uses the certificate serial of entry {first}");
            Claim::fails("certificates", Place::Entry(*later), detail)
        }
        None => Claim::holds("certificates", "no serial was used twice"),
    }
}

fn session(world: &World, grounds: &Grounds, dossier: &Dossier) -> Vec<Claim> {
    let answers = answers(world, grounds, dossier);
    let line = |subject: &str, control| of_control(subject, dossier.session, answers.get(&control));
    let mut claims = vec![range(world, dossier)];
    claims.extend(line("approvals", ControlId::Ap1));
    claims.extend(line("policy", ControlId::Po1));
    claims.extend(line("time", ControlId::Ev2));
    claims.extend(gate(dossier.session, &answers));
    claims
}

/// The session's entries, from 0 to the last, follow one another.
fn range(world: &World, dossier: &Dossier) -> Claim {
    let subject = format!("session {}", dossier.session);
    let broken = dossier
        .entries
        .iter()
        .filter_map(|placed| world.refusal(placed.index))
        .find(|finding| CHAIN_CODES.contains(&finding.code));
    if let Some(finding) = broken {
        return Claim::fails(&subject, Place::Entry(finding.index), finding.because.clone());
    }
    if dossier.opening.is_none() {
        return Claim::fails(&subject, Place::Session(dossier.session), "was never opened");
    }
    let last = dossier.entries.last().and_then(|placed| placed.entry.session.as_ref());
    let range = format!(
        "entries 0 to {}, each naming the one before",
        last.map_or(0, |link| link.seq)
    );
    match (dossier.ended(), dossier.lost()) {
        (Some(_), _) => Claim::holds(&subject, format!("{range}; complete from opening to end")),
        (None, Some(_)) => Claim::noted(&subject, format!("{range}; interrupted: its gateway died")),
        (None, None) => Claim::noted(&subject, format!("{range}; not ended yet")),
    }
}

fn of_control(subject: &str, session: SessionId, answer: Option<&Answer>) -> Option<Claim> {
    let answer = answer?;
    let subject = format!("{subject} {session}");
    let outcome = match answer.outcome {
        verdict::Outcome::Pass | verdict::Outcome::NotApplicable => Outcome::Holds,
        verdict::Outcome::Pending | verdict::Outcome::Unknown => Outcome::Noted,
        verdict::Outcome::Fail => Outcome::Fails,
    };
    let at = answer
        .evidence
        .last()
        .map_or(Place::Session(session), |index| Place::Entry(*index));
    let at = (outcome == Outcome::Fails).then_some(at);
    Some(Claim::new(&subject, outcome, answer.because.clone(), at))
}

/// A gate that was not awaited is worth a line; what is merely unknown is said by the verdict.
fn gate(session: SessionId, answers: &BTreeMap<ControlId, Answer>) -> Option<Claim> {
    let answer = answers.get(&ControlId::Ev1)?;
    let failed = answer.outcome == verdict::Outcome::Fail;
    failed.then(|| of_control("gate", session, Some(answer))).flatten()
}

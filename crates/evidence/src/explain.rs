//! A session judged against the controls that its grant pinned: one total function for each control, from evidence alone.
//!
//! PASS needs positive evidence for every conjunct; FAIL needs evidence that one is false; all else is UNKNOWN and says
//! why. Entries that the rules refuse are judged all the same: a malicious operator's log may hold an opening that
//! should not be there, and the verdict names the control that it breaks.
//!
//! INVARIANT (exactly the broken one): a control whose ground another control took away is unknown because of that one,
//! so the failed control stands alone: owner's consent, duties, scope and policy rest on the approval; actions and scope
//! on the recording; the end on the time; all on integrity.

mod approval;
mod attribution;
mod blame;
mod custody;
mod duties;
mod ownership;
mod policy;
mod recorded;
mod scope;
mod termination;

use crate::grounds::{Grounds, Integrity};
use crate::render::counted;
use crate::replay::{AtOpening, Dossier, World};
use model::body::{GapCause, Opened, TimeBasis};
use model::entity::SessionStatus;
use model::id::SessionId;
use model::name::OrganisationName;
use model::statement::{Custody, Gate};
use model::verdict::{ControlId, ControlResult, Outcome, Verdict, worst};
use std::collections::{BTreeMap, BTreeSet};

/// The version of the rules in this module, the same for all of them so far.
pub const RULE_VERSION: u32 = 1;

/// Why a session cannot be judged at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    /// The log does not name it, or it is not among the sessions that were followed.
    #[error("there is no session `{0}` in this evidence")]
    NoSession(SessionId),
    /// The log does not begin with a valid genesis, so nobody is accountable for anything.
    #[error("the log does not begin with a valid genesis")]
    NoGenesis,
}

/// What one control's rule found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) outcome: Outcome,
    pub(crate) code: String,
    pub(crate) because: String,
    /// Indices of the entries that show it.
    pub(crate) evidence: Vec<u64>,
}

impl Answer {
    fn new(outcome: Outcome, code: &str, because: impl Into<String>) -> Self {
        Self {
            outcome,
            code: code.to_owned(),
            because: because.into(),
            evidence: Vec::new(),
        }
    }
    fn pass(code: &str, because: impl Into<String>) -> Self {
        Self::new(Outcome::Pass, code, because)
    }
    fn fail(code: &str, because: impl Into<String>) -> Self {
        Self::new(Outcome::Fail, code, because)
    }
    fn unknown(code: &str, because: impl Into<String>) -> Self {
        Self::new(Outcome::Unknown, code, because)
    }
    fn pending(code: &str, because: impl Into<String>) -> Self {
        Self::new(Outcome::Pending, code, because)
    }
    fn at(mut self, index: u64) -> Self {
        self.evidence.push(index);
        self
    }
    fn with(mut self, indices: impl IntoIterator<Item = u64>) -> Self {
        self.evidence.extend(indices);
        self
    }

    /// What this answer leaves of a control that rests on it: nothing in its way when it passed.
    fn hinders(&self, control: ControlId) -> Option<Self> {
        let (outcome, verb) = match self.outcome {
            Outcome::Pass | Outcome::NotApplicable => return None,
            Outcome::Pending => (Outcome::Pending, "is pending"),
            Outcome::Unknown => (Outcome::Unknown, "is unknown"),
            Outcome::Fail => (Outcome::Unknown, "failed"),
        };
        let code = format!("because_{control}");
        Some(Self::new(
            outcome,
            &code,
            format!("because {control} {verb}: {}", self.because),
        ))
    }
}

/// One opened session with everything that its rules may look at.
pub(crate) struct Case<'a> {
    pub(crate) world: &'a World,
    pub(crate) grounds: &'a Grounds,
    pub(crate) dossier: &'a Dossier,
    pub(crate) at: &'a AtOpening,
    pub(crate) opened: &'a Opened,
    blame: BTreeMap<ControlId, Answer>,
}

impl Case<'_> {
    /// The opening's index.
    fn index(&self) -> u64 {
        self.at.placed.index
    }

    /// The answer that a refused entry of this session gives for `control`.
    fn blamed(&self, control: ControlId) -> Option<Answer> {
        self.blame.get(&control).cloned()
    }
}

/// The answers of all controls on one session, whatever the evidence as a whole is worth.
pub(crate) fn answers(world: &World, grounds: &Grounds, dossier: &Dossier) -> BTreeMap<ControlId, Answer> {
    let opened = dossier.opening.as_ref().and_then(|at| Some((at.as_ref(), at.body()?)));
    let Some((at, opened)) = opened else {
        return never_opened(dossier);
    };
    let case = Case {
        world,
        grounds,
        dossier,
        at,
        opened,
        blame: blame::of(world, dossier),
    };
    let ev_2 = custody::reliable_time(&case);
    let id_1 = attribution::individual(&case);
    let ap_1 = approval::before_access(&case);
    let re_1 = recorded::session(&case);
    let ex_1 = termination::timely(&case, &ev_2);
    let sc_1 = scope::stayed_inside(&case, &ap_1, &re_1);
    let mut answers = BTreeMap::from([
        (ControlId::Ow1, ownership::named(&case)),
        (ControlId::Ap2, approval::owners_consent(&case, &ap_1)),
        (ControlId::Ap3, duties::separated(&case, &ap_1)),
        (ControlId::Re2, recorded::actions(&case, &re_1)),
        (ControlId::Ev1, custody::separate(&case)),
        (ControlId::Id1, id_1),
        (ControlId::Ap1, ap_1),
        (ControlId::Re1, re_1),
        (ControlId::Ex1, ex_1),
        (ControlId::Sc1, sc_1),
        (ControlId::Ev2, ev_2),
    ]);
    let po_1 = policy::in_force(&case, &answers);
    answers.insert(ControlId::Po1, po_1);
    answers
}

fn never_opened(dossier: &Dossier) -> BTreeMap<ControlId, Answer> {
    let first = dossier.entries.first().map(|placed| placed.index);
    let ap_1 = Answer::fail("never_opened", "things were done in a session that was never opened").with(first);
    let hindered = ap_1.hinders(ControlId::Ap1).unwrap_or_else(|| ap_1.clone());
    let mut answers: BTreeMap<_, _> = ControlId::ALL.iter().map(|id| (*id, hindered.clone())).collect();
    answers.insert(ControlId::Ap1, ap_1);
    answers
}

/// Judges a session.
///
/// # Errors
/// When the evidence has no such session, or no valid genesis.
pub fn explain(world: &World, grounds: &Grounds, session: SessionId) -> Result<Verdict, ExplainError> {
    let dossier = world.dossier(session).ok_or(ExplainError::NoSession(session))?;
    let genesis = world.state().genesis().map_err(|_| ExplainError::NoGenesis)?;
    let mut answers = answers(world, grounds, dossier);
    let integrity = overlay(&mut answers, &grounds.integrity);
    let sides = Sides {
        owner: genesis.owner.clone(),
        operator: operator(dossier).unwrap_or_else(|| genesis.owner.clone()),
    };
    let passes = |control: ControlId| answers.get(&control).is_some_and(|a| a.outcome == Outcome::Pass);
    let required = required(world, dossier);
    let controls: Vec<ControlResult> = ControlId::ALL
        .into_iter()
        .filter(|id| required.contains(id))
        .filter_map(|id| Some(sides.result(world, id, answers.get(&id)?)))
        .collect();
    Ok(Verdict {
        session,
        overall: worst(controls.iter().map(|control| control.outcome)),
        integrity,
        completeness: completeness(world, grounds, dossier),
        approved: passes(ControlId::Ap1) && passes(ControlId::Ap2),
        monitored: passes(ControlId::Re1) && passes(ControlId::Re2),
        attributable: passes(ControlId::Id1),
        authorised: passes(ControlId::Ap1),
        bounded: passes(ControlId::Sc1),
        expired: passes(ControlId::Ex1),
        controls,
        remarks: remarks(genesis.custody, dossier, grounds),
    })
}

/// Evidence that is not what it claims to be shows nothing: every control is unknown.
fn overlay(answers: &mut BTreeMap<ControlId, Answer>, integrity: &Integrity) -> Outcome {
    let (outcome, code, because) = match integrity {
        Integrity::Established => return Outcome::Pass,
        Integrity::NotEstablished(why) => (Outcome::Unknown, "trust_not_established", why),
        Integrity::Broken(why) => (Outcome::Fail, "integrity_failed", why),
    };
    for answer in answers.values_mut() {
        *answer = Answer::unknown(code, because.clone());
    }
    outcome
}

/// Controls that the session is judged against: what policy, grant and opening pin. A list that was cut short in one of
/// them hides nothing.
fn required(world: &World, dossier: &Dossier) -> BTreeSet<ControlId> {
    let Some(at) = &dossier.opening else {
        return ControlId::ALL.into();
    };
    let mut pinned: BTreeSet<ControlId> = at
        .body()
        .map(|o| o.controls.iter().copied().collect())
        .unwrap_or_default();
    let mut signed = false;
    if let Some(grant) = &at.grant {
        signed |= world.refusal(grant.issued_at).is_none();
        pinned.extend(&grant.granted.controls);
    }
    if let Some(workflow) = &at.workflow {
        pinned.extend(&workflow.statement.controls);
    }
    if signed { pinned } else { ControlId::ALL.into() }
}

/// The organisation that operated: the actor's own, unless that is the owner; then the one that the owner engaged.
fn operator(dossier: &Dossier) -> Option<OrganisationName> {
    let at = dossier.opening.as_ref()?;
    match &at.organisation {
        Some(organisation) if !organisation.owner => Some(organisation.name.clone()),
        _ => at.operators.first().map(|organisation| organisation.name.clone()),
    }
}

struct Sides {
    owner: OrganisationName,
    operator: OrganisationName,
}

impl Sides {
    fn result(&self, world: &World, control: ControlId, answer: &Answer) -> ControlResult {
        let entry = |index: &u64| Some((*index, world.entry(*index)?.entry.id));
        let accountable = match control {
            ControlId::Ow1 | ControlId::Ap1 | ControlId::Ap2 | ControlId::Ap3 | ControlId::Po1 => &self.owner,
            _ => &self.operator,
        };
        ControlResult {
            control,
            rule: RULE_VERSION,
            outcome: answer.outcome,
            code: answer.code.clone(),
            because: answer.because.clone(),
            evidence: answer.evidence.iter().filter_map(entry).collect(),
            accountable: accountable.clone(),
        }
    }
}

/// Codes of findings that say that a session's entries do not follow one another.
pub(crate) const CHAIN_CODES: [&str; 2] = ["session_sequence", "session_chain"];

fn completeness(world: &World, grounds: &Grounds, dossier: &Dossier) -> Outcome {
    let broken = |index: u64| world.refusal(index).is_some_and(|f| CHAIN_CODES.contains(&f.code));
    let recording = grounds.recordings.get(&dossier.session);
    if dossier.opening.is_none() || dossier.entries.iter().any(|placed| broken(placed.index)) {
        Outcome::Fail
    } else if dossier.lost().is_some() || !recording.is_some_and(|r| r.intact) || doubtful_gaps(dossier) > 0 {
        Outcome::Unknown
    } else if dossier.ended().is_none() {
        Outcome::Pending
    } else {
        Outcome::Pass
    }
}

/// Gaps after which frames may be missing; in the others nothing was passed on.
fn doubtful_gaps(dossier: &Dossier) -> usize {
    let causes = dossier.gaps().map(|(_, gap)| gap.cause);
    causes.filter(|cause| *cause == GapCause::SyncFailed).count()
}

fn remarks(custody: Custody, dossier: &Dossier, grounds: &Grounds) -> Vec<String> {
    let mut remarks = Vec::new();
    match custody {
        Custody::Operator => remarks.push("custody: operator alone".to_owned()),
    }
    if let Some(opened) = dossier.opening.as_ref().and_then(|at| at.body()) {
        if opened.gate == Gate::None {
            remarks.push("gate: none".to_owned());
        }
        if let TimeBasis::Unwitnessed(why) = &opened.time {
            remarks.push(format!("time: unwitnessed ({why})"));
        }
    }
    remarks.push("counters: the gateway's alone".to_owned());
    match dossier.gaps().count() {
        0 => {}
        count => remarks.push(format!(
            "gaps: {count}, of which {} leave frames in doubt",
            doubtful_gaps(dossier)
        )),
    }
    match dossier.refused_actions() {
        0 => {}
        count => remarks.push(format!("attempts: {count} refused, none had an effect")),
    }
    if dossier.lost().is_some() {
        remarks.push("interrupted: the gateway died under the session".to_owned());
    }
    match grounds
        .recordings
        .get(&dossier.session)
        .map(|r| (r.withheld, r.openable))
    {
        Some((0, true)) | None => {}
        Some((withheld, openable)) => {
            let key = if openable { "" } else { "; its wrapped key is not here" };
            remarks.push(format!(
                "recording: {} of input withheld{key}",
                counted(withheld, "frame")
            ));
        }
    }
    remarks
}

/// The status of a session as the log has it, refused entries aside.
#[must_use]
pub fn status(world: &World, session: SessionId) -> Option<SessionStatus> {
    let key = model::entity::EntityKey::session(session);
    world.state().session(&key).ok().map(|session| session.status)
}

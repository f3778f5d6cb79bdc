//! The words in which a session is judged: controls, outcomes, results. The functions that judge are in `evidence`.

use crate::id::{EntryId, SessionId};
use crate::name::OrganisationName;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The session controls that this version can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ControlId {
    /// Individual attribution.
    #[serde(rename = "CS-ID-1")]
    Id1,
    /// Named owner and purpose.
    #[serde(rename = "CS-OW-1")]
    Ow1,
    /// Authorised before access.
    #[serde(rename = "CS-AP-1")]
    Ap1,
    /// Consent of the environment's owner.
    #[serde(rename = "CS-AP-2")]
    Ap2,
    /// Segregation of duties.
    #[serde(rename = "CS-AP-3")]
    Ap3,
    /// Decision by the policy in force.
    #[serde(rename = "CS-PO-1")]
    Po1,
    /// Stayed in scope.
    #[serde(rename = "CS-SC-1")]
    Sc1,
    /// Timely termination.
    #[serde(rename = "CS-EX-1")]
    Ex1,
    /// Session recording.
    #[serde(rename = "CS-RE-1")]
    Re1,
    /// Action telemetry.
    #[serde(rename = "CS-RE-2")]
    Re2,
    /// Evidence integrity under separate custody.
    #[serde(rename = "CS-EV-1")]
    Ev1,
    /// Reliable time.
    #[serde(rename = "CS-EV-2")]
    Ev2,
}

impl ControlId {
    /// All of them, in the order in which verdicts print them.
    pub const ALL: [Self; 12] = [
        Self::Id1,
        Self::Ow1,
        Self::Ap1,
        Self::Ap2,
        Self::Ap3,
        Self::Po1,
        Self::Sc1,
        Self::Ex1,
        Self::Re1,
        Self::Re2,
        Self::Ev1,
        Self::Ev2,
    ];

    /// The id, as `CS-AP-1`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Id1 => "CS-ID-1",
            Self::Ow1 => "CS-OW-1",
            Self::Ap1 => "CS-AP-1",
            Self::Ap2 => "CS-AP-2",
            Self::Ap3 => "CS-AP-3",
            Self::Po1 => "CS-PO-1",
            Self::Sc1 => "CS-SC-1",
            Self::Ex1 => "CS-EX-1",
            Self::Re1 => "CS-RE-1",
            Self::Re2 => "CS-RE-2",
            Self::Ev1 => "CS-EV-1",
            Self::Ev2 => "CS-EV-2",
        }
    }

    /// What it is called on screen and paper.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Id1 => "Individual attribution",
            Self::Ow1 => "Named owner and purpose",
            Self::Ap1 => "Authorised before access",
            Self::Ap2 => "Consent of the environment's owner",
            Self::Ap3 => "Segregation of duties",
            Self::Po1 => "Decision by the policy in force",
            Self::Sc1 => "Least privilege: stayed in scope",
            Self::Ex1 => "Timely termination",
            Self::Re1 => "Session recording",
            Self::Re2 => "Action telemetry",
            Self::Ev1 => "Evidence integrity, separate custody",
            Self::Ev2 => "Reliable time",
        }
    }
}

impl fmt::Display for ControlId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One control's answer. `Unknown` and `Fail` always say why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Does not apply here; counted, never worse than another.
    NotApplicable,
    /// Positive evidence for every conjunct.
    Pass,
    /// Not due yet.
    Pending,
    /// Neither shown true nor shown false.
    Unknown,
    /// Shown false.
    Fail,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotApplicable => "N/A",
            Self::Pass => "PASS",
            Self::Pending => "PENDING",
            Self::Unknown => "UNKNOWN",
            Self::Fail => "FAIL",
        })
    }
}

/// What one control's rule found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlResult {
    /// Which control.
    pub control: ControlId,
    /// The version of the rule.
    pub rule: u32,
    /// The answer.
    pub outcome: Outcome,
    /// Machine-readable ground, such as `approved_before_open`.
    pub code: String,
    /// The ground as a sentence.
    pub because: String,
    /// Entries that show it, with their indices.
    pub evidence: Vec<(u64, EntryId)>,
    /// Who answers for this control.
    pub accountable: OrganisationName,
}

/// The answer over one session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// The session.
    pub session: SessionId,
    /// Worst of the required controls.
    pub overall: Outcome,
    /// Integrity of the evidence as a whole.
    pub integrity: Outcome,
    /// Whether everything is there: `Unknown` says what is missing.
    pub completeness: Outcome,
    /// R003: approved, derived from the controls.
    pub approved: bool,
    /// R003: monitored.
    pub monitored: bool,
    /// R003: attributable.
    pub attributable: bool,
    /// R133: authorised.
    pub authorised: bool,
    /// R133: bounded.
    pub bounded: bool,
    /// R133: ended in time.
    pub expired: bool,
    /// One for each pinned control, in order.
    pub controls: Vec<ControlResult>,
    /// What the reader must know: `custody: operator alone`, `gate: none`, gaps.
    pub remarks: Vec<String>,
}

/// Worst of the required outcomes: fail, unknown, pending, pass; none at all is unknown.
#[must_use]
pub fn worst(outcomes: impl IntoIterator<Item = Outcome>) -> Outcome {
    outcomes
        .into_iter()
        .filter(|o| *o != Outcome::NotApplicable)
        .max()
        .unwrap_or(Outcome::Unknown)
}

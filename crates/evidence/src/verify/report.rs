//! What a verification found: one line for each thing that a pack claims, and one status over all of them.

use crate::pack::Place;
use crate::render::counted;
use model::id::SessionId;
use serde::Serialize;
use std::fmt;

/// How one claim came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Shown.
    Holds,
    /// Nothing to hold it against; what the reader must know.
    Noted,
    /// It would need the reader's trust, which is not given or does not reach this far.
    NotEstablished,
    /// A later version wrote it.
    Newer,
    /// Shown false.
    Fails,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Holds => "ok",
            Self::Noted => "note",
            Self::NotEstablished => "untrusted",
            Self::Newer => "newer",
            Self::Fails => "FAILED",
        })
    }
}

/// One line of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Claim {
    /// What is claimed, in a word or two.
    pub subject: String,
    /// How it came out.
    pub outcome: Outcome,
    /// What was found, as a sentence.
    pub detail: String,
    /// Where it went wrong, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Place>,
}

impl Claim {
    pub(crate) fn holds(subject: &str, detail: impl Into<String>) -> Self {
        Self::new(subject, Outcome::Holds, detail, None)
    }

    pub(crate) fn noted(subject: &str, detail: impl Into<String>) -> Self {
        Self::new(subject, Outcome::Noted, detail, None)
    }

    pub(crate) fn not_established(subject: &str, detail: impl Into<String>) -> Self {
        Self::new(subject, Outcome::NotEstablished, detail, None)
    }

    pub(crate) fn fails(subject: &str, at: Place, detail: impl Into<String>) -> Self {
        Self::new(subject, Outcome::Fails, detail, Some(at))
    }

    pub(crate) fn new(subject: &str, outcome: Outcome, detail: impl Into<String>, at: Option<Place>) -> Self {
        Self {
            subject: subject.to_owned(),
            outcome,
            detail: detail.into(),
            at,
        }
    }
}

/// The answer over a pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Intact, and vouched for by keys that the reader believes.
    Trusted,
    /// Something in it is shown false: the first place.
    Tampered {
        /// Where.
        at: Place,
        /// What is wrong there.
        what: String,
    },
    /// It agrees with itself; that it is the truth is not shown.
    TrustNotEstablished {
        /// What is missing.
        because: String,
    },
    /// A later version wrote it.
    NewerFormat {
        /// What.
        what: String,
    },
}

impl Status {
    /// The exit code of a verifier with this answer.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Trusted => 0,
            Self::Tampered { .. } => 1,
            Self::TrustNotEstablished { .. } => 2,
            Self::NewerFormat { .. } => 3,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trusted => f.write_str("intact, and vouched for by keys that you trust"),
            Self::Tampered { at, what } => write!(f, "tampered at {at}: {what}"),
            Self::TrustNotEstablished { because } => write!(f, "self-consistent, trust not established: {because}"),
            Self::NewerFormat { what } => f.write_str(what),
        }
    }
}

/// Whether a session's end is among the entries that are here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// It is.
    Ended,
    /// Its gateway died, and the log says so.
    Interrupted,
    /// It is not: the session went on, or what came later is not here.
    NotEnded,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ended => "ended",
            Self::Interrupted => "interrupted",
            Self::NotEnded => "not ended",
        })
    }
}

/// How far one session of a pack is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SessionEnd {
    /// The session.
    pub session: SessionId,
    /// Its end.
    pub end: End,
}

/// Everything that a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The environment, as far as it could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The log's origin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Entries in the pack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entries: Option<u64>,
    /// The sessions that the pack is about, and whether their ends are in it.
    pub sessions: Vec<SessionEnd>,
    /// How many of their recordings cannot be opened with this pack, whoever holds a key: the wrapped key is not in it.
    pub recordings_closed: usize,
    /// One for each claim, in the order in which they were checked.
    pub claims: Vec<Claim>,
    /// The answer.
    pub status: Status,
}

impl Report {
    /// The answer in one line, and how far it reaches: what comes after the last entry, nobody can say from a pack.
    #[must_use]
    pub fn result(&self) -> String {
        let answer = self.answer();
        match self.recordings_closed {
            0 => answer,
            count => format!(
                "{answer}; {} cannot be opened with this pack",
                counted(count, "recording")
            ),
        }
    }

    fn answer(&self) -> String {
        let reach = self.reach();
        match &self.status {
            Status::Trusted => format!("intact{reach}, and vouched for by keys that you trust"),
            Status::TrustNotEstablished { because } => {
                format!("self-consistent{reach}, trust not established: {because}")
            }
            Status::Tampered {
                at: Place::Byte(at),
                what,
            } if self.entries.is_none() => {
                format!("damaged, or no evidence pack at all, at byte {at}: {what}")
            }
            // Nothing that is here is shown false: what comes after it is missing.
            Status::Tampered { what, .. } if self.falls_short() => what.clone(),
            status => status.to_string(),
        }
    }

    /// What the reader may do about an answer that is no yes.
    #[must_use]
    pub fn next(&self) -> Option<&'static str> {
        match &self.status {
            Status::Tampered { .. } if self.entries.is_none() => {
                Some("was the file copied whole? ask whoever exported it for another copy, and keep this one")
            }
            Status::Tampered { .. } if self.falls_short() => None,
            Status::Tampered { .. } => {
                Some("keep this file as it is; ask the other party for the same session, and compare")
            }
            _ => None,
        }
    }

    /// Whether all that is wrong is that the reader has seen more: the place is the first entry that is not here.
    fn falls_short(&self) -> bool {
        matches!(&self.status, Status::Tampered { at: Place::Entry(at), .. } if Some(*at) == self.entries)
    }

    /// ` up to entry 18 (session ended)`.
    fn reach(&self) -> String {
        let Some(last) = self.entries.and_then(|entries| entries.checked_sub(1)) else {
            return String::new();
        };
        let ends = match self.sessions.as_slice() {
            [] => String::new(),
            [only] => format!(" (session {})", only.end),
            several => {
                let ended = several.iter().filter(|session| session.end == End::Ended).count();
                format!(" ({ended} of {} ended)", counted(several.len(), "session"))
            }
        };
        format!(" up to entry {last}{ends}")
    }

    /// The answer that claims give: the first that is shown false, else the first whose trust is missing.
    pub(crate) fn status_of(claims: &[Claim], has_trust: bool) -> Status {
        let first = |outcome| claims.iter().find(move |claim| claim.outcome == outcome);
        if let Some(claim) = first(Outcome::Newer) {
            return Status::NewerFormat {
                what: claim.detail.clone(),
            };
        }
        if let Some(claim) = first(Outcome::Fails) {
            return Status::Tampered {
                at: claim.at.clone().unwrap_or(Place::Pack),
                what: claim.detail.clone(),
            };
        }
        if !has_trust {
            return Status::TrustNotEstablished {
                because: "no trust file was given".into(),
            };
        }
        match first(Outcome::NotEstablished) {
            Some(claim) => Status::TrustNotEstablished {
                because: claim.detail.clone(),
            },
            None => Status::Trusted,
        }
    }
}

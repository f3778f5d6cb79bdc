//! What is known of a log's head: signed, cosigned, or why not.

use ledger::SignedCheckpoint;
use std::time::Instant;

/// A checkpoint with the cosignatures that its environment's gate asks for.
#[derive(Debug, Clone)]
pub struct Cosigned {
    /// The note: log signature and cosignatures.
    pub checkpoint: SignedCheckpoint,
    /// Entries that it covers.
    pub size: u64,
    /// The earliest time at which one of the witnesses says it saw it, Unix seconds; absent without a witness.
    pub time_s: Option<u64>,
    /// When the submission that earned it was begun: its age is never less than what this says.
    pub since: Instant,
}

/// Whether a log can be signed and cosigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Nothing has been published yet.
    Starting,
    /// Signed, and cosigned as the gate asks.
    Ready,
    /// Nothing is signed: a witness has seen more of this log than is here.
    Behind {
        /// The witness.
        witness: String,
        /// The size it has seen.
        seen: u64,
    },
    /// Signed, but too few witnesses answer; the reason.
    Uncosigned(String),
    /// Stopped for good: two histories exist, or the log cannot be kept; the reason.
    Stopped(String),
}

impl Status {
    /// Why the log is not published as it should be, in words; none when it is, or has only begun.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        match self {
            Self::Starting | Self::Ready => None,
            Self::Behind { witness, seen } => Some(format!(
                "witness `{witness}` has seen {seen} entries of this log, more than are here: the data is an old copy"
            )),
            Self::Uncosigned(why) => Some(why.clone()),
            Self::Stopped(why) => Some(format!("publishing has stopped for good: {why}")),
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn next(&self) -> &'static str {
        match self {
            Self::Starting | Self::Ready => "try again",
            Self::Uncosigned(_) => "try again when the witness answers; if it stays, tell the operator of this gateway",
            Self::Behind { .. } | Self::Stopped(_) => {
                "tell the operator of this gateway and the owner; trying again does not help"
            }
        }
    }
}

/// The newest state of one log, as its task publishes it.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) status: Status,
    pub(crate) cosigned: Option<Cosigned>,
}

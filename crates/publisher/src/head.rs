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

/// The newest state of one log, as its task publishes it.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) status: Status,
    pub(crate) cosigned: Option<Cosigned>,
}

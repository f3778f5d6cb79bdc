//! What a verification established beside the entries themselves: heads that believed witnesses saw, when they saw them,
//! and recordings that are intact. Judging a session rests on these and on the replayed log, and on nothing else.

use model::id::SessionId;
use std::collections::BTreeMap;

/// The ground on which sessions are judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grounds {
    /// Whether the evidence as a whole is what it claims to be.
    pub integrity: Integrity,
    /// Heads of this log that the reader's witnesses cosigned, by size.
    pub anchors: Vec<Anchor>,
    /// What each opening's embedded head is worth, by the opening's index.
    pub bases: BTreeMap<u64, Basis>,
    /// Recordings that were checked against the log.
    pub recordings: BTreeMap<SessionId, Recording>,
}

/// Whether the evidence is what it claims to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Integrity {
    /// Intact, and vouched for by keys that the reader believes.
    Established,
    /// It agrees with itself; whose it is, is not shown.
    NotEstablished(String),
    /// Shown false.
    Broken(String),
}

/// A head of the log that enough believed witnesses cosigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// Entries that it covers.
    pub size: u64,
    /// By this time enough of them had seen it, Unix seconds.
    pub by_s: u64,
    /// How many believed witnesses cosigned.
    pub witnesses: usize,
}

/// What an opening's embedded head is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Basis {
    /// Believed witnesses cosigned it; the opening was written after this time, Unix seconds.
    Cosigned(u64),
    /// No believed witness cosigned it.
    NotCosigned,
    /// It is not a head of this log from before the opening.
    Refused(String),
    /// There was none to embed; the reason that the opening gives.
    Unwitnessed(String),
}

/// A recording as far as it can be checked without its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// The chain runs from the opening to what the log says, without a hole.
    pub intact: bool,
    /// Extents.
    pub extents: u64,
    /// Frames.
    pub frames: u64,
    /// Bytes to the target, by the frames' own headers.
    pub bytes_in: u64,
    /// Bytes from the target.
    pub bytes_out: u64,
    /// Input frames that were withheld.
    pub withheld: u64,
    /// The wrapped key is at hand.
    pub openable: bool,
}

impl Grounds {
    /// The first believed head that covers the entry at `index`.
    #[must_use]
    pub fn first_after(&self, index: u64) -> Option<&Anchor> {
        let covering = self.anchors.iter().filter(|anchor| anchor.size > index);
        covering.min_by_key(|anchor| anchor.by_s)
    }
}

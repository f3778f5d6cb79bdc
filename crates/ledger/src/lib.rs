//! A transparency log over bytes: tree, tiles, notes, checkpoints, proofs, cosignatures. Pure.
//!
//! One module per noun of the specifications that it follows: RFC 6962 for hashing and proofs, and the C2SP documents
//! `tlog-tiles`, `signed-note`, `tlog-checkpoint`, `tlog-cosignature`, `tlog-witness` (its request), `tlog-proof` and
//! `tlog-policy`.
//! It is not a log server: it neither stores nor fetches, reads no clock and draws no randomness. Callers hand in
//! bytes, times and seeds.
//!
//! Invariants: every parser is bounded, never panics, and accepts exactly one encoding of each value (the trust policy,
//! which people write by hand, may carry blanks and comments). What was parsed prints as the bytes that came.
#![deny(missing_docs)]

pub mod bundle;
pub mod checkpoint;
pub mod consistency;
pub mod cosignature;
mod decimal;
#[doc(hidden)]
pub mod fuzz;
pub mod hash;
pub mod inclusion;
pub mod key;
pub mod note;
pub mod policy;
pub mod proof;
pub mod submission;
pub mod tile;
pub mod tree;

pub use checkpoint::{Checkpoint, SignedCheckpoint};
pub use hash::Hash;
pub use key::{KeyName, NoteKey, VerifierKey, WitnessKey};
pub use note::{Note, NoteSignature};
pub use policy::Policy;
pub use proof::TlogProof;
pub use submission::Submission;
pub use tile::TilePath;
pub use tree::Tree;

/// The most leaves that a log may have: sizes, indexes and times fit in a signed 64-bit integer everywhere.
pub const SIZE_MAX: u64 = (1 << 63) - 1;

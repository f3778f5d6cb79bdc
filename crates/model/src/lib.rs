//! The words of Countersign as types: what an entry is, which entry may follow which, who may sign it,
//! and the chain of values that stands between a request and the first byte at a target.
//!
//! Pure: no clock, no randomness, no I/O. Time and random bytes are arguments.
//!
//! - [`json`]: the one accepted JSON encoding; [`bytes`]: digests and byte strings inside it
//! - [`id`]: typed identifiers; [`name`]: names of environments, resources and accounts
//! - [`entry`]: the envelope of a log entry; [`body`]: its bodies; [`statement`]: what people sign
//! - [`signature`]: SSHSIG and SSH log-in proofs; [`commitment`]: erasable fields
//! - [`entity`]: the state that entries build; [`apply`]: the one function that moves it
//! - [`judge`]: facts in, a [`chain::Permit`] or a refusal out; [`chain`]: the steps towards a dial
//! - [`verdict`]: the words in which a session's controls are judged
#![warn(missing_docs)]

pub mod apply;
pub mod body;
pub mod bytes;
pub mod chain;
pub mod commitment;
pub mod entity;
pub mod entry;
#[cfg(feature = "fixtures")]
pub mod fixture;
#[doc(hidden)]
pub mod fuzz;
pub mod id;
pub mod json;
pub mod judge;
pub mod name;
pub mod signature;
pub mod statement;
pub mod verdict;

/// The grammar version that this crate writes, and the highest that it reads.
pub const GRAMMAR_VERSION: u32 = 1;

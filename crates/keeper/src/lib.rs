//! The owner's side of the log: a witness that cosigns only what extends what it has seen.
//!
//! A keeper holds its state in plain files, without a database, and believes no log: it checks each signature and each
//! consistency proof, and it persists before it answers. It is not a mirror: it sees checkpoints, never entries.

#[doc(hidden)]
pub mod fuzz;
pub mod witness;

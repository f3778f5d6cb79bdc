//! What stands between a person and a target: it ends the person's connection, asks whether it may go on, records
//! every byte first, and only then lets it pass.
//!
//! Not here: who may do what (`model`, `desk`), what is kept (`journal`, `store`), who signs certificates.

#[doc(hidden)]
pub mod fuzz;
pub mod ssh;

//! The use cases that gateway and API share: who is calling, what they may reach, asking, deciding, opening, stopping,
//! and what is entered while a session lives. No HTTP and no SSH here.
//!
//! What it is not: it makes no rule (those are `model`'s, and hold for the offline verifier too), and it writes nothing
//! but entries. Every function takes the [`Desk`] first.
//!
//! - [`people`]: identities by key; [`reach`]: what they may reach, and which grant a name means
//! - [`request`], [`approve`], [`stop`]: asking, deciding, taking back; [`attempt`], [`stranger`]: refusals
//! - [`open`], [`session`], [`watch`], [`certificate`]: a session's life
//! - [`read`]: what is on record; [`trust`]: founding environments

pub mod approve;
pub mod attempt;
pub mod certificate;
mod desk;
mod failure;
pub mod open;
pub mod people;
pub mod reach;
pub mod read;
pub mod request;
mod sealing;
mod secret;
pub mod session;
pub mod stop;
pub mod stranger;
pub mod trust;
pub mod watch;

pub use desk::{Desk, LogKeys, Terms};
pub use failure::Failure;
pub use store::{Committed, Receipt};

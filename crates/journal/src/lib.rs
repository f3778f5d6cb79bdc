//! The gateway's frame file: every session's sealed frames, written before their bytes go on, one sync for all.
//!
//! What it is: segment files that many sessions share, a lock per directory, one thread that syncs and one that
//! watches it, recovery after a crash, and reading back in export form. What it is not: it seals nothing in the
//! clear, knows no network, no database and no runtime.
//!
//! Invariants, each held in one place:
//! - written-first: a [`Journaled`] exists only after `write(2)` took all of its frames (`session`).
//! - synced-first: a [`Durable`] exists only after `fdatasync` returned success for them (`proof`).
//! - fail-stop: after a failed, short or late write or sync nothing is released to a session that lived then
//!   (`shared`, the stop epoch); a failed sync is never repeated on the same file (`sync`).
//! - said: whatever may be missing is a gap or halt frame, or is reported by [`Recovery`] (`live`, `recovery`).

mod config;
mod follow;
#[doc(hidden)]
pub mod fuzz;
mod halt;
mod journal;
mod live;
mod lock;
mod proof;
mod reader;
mod record;
mod recovery;
mod scan;
mod segment;
mod session;
mod shared;
mod sync;
mod writer;

pub use config::{ConfigError, JournalConfig};
pub use follow::Ending;
pub use halt::{Halt, HaltReason, Health, Notices, State};
pub use journal::{Journal, OpenError, ReadOnlyJournal, SessionError};
pub use live::{Closed, Progress};
pub use proof::{Durable, Journaled};
pub use reader::{Extent, Extents, ReadError};
pub use recovery::{Damage, DamageKind, RecoveredSession, Recovery};
pub use session::{SessionJournal, SessionStart};

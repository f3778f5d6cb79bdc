//! Evidence packs: one canonical tar with everything that a stranger needs to check an environment's sessions.
//! [`write`] builds one from what a log's holder has; [`crate::verify`] reads one. `docs/formats/pack.md` is the format.
//!
//! INVARIANT (one form): the same contents have one encoding. Names, their order, every header byte and all padding
//! follow from the contents, so a byte that differs is a fault with a place.

mod contents;
mod manifest;
mod name;
mod plan;
mod tar;

pub use contents::{Bundles, Contents, Extents, Loose, LooseKind, Proven, SourceError, Summary, WriteError, write};
pub(crate) use manifest::MANIFEST_BYTES_MAX;
pub use manifest::{FileLine, Manifest, ManifestError, SessionLine};
pub use name::{NAME_BYTES_MAX, Name};
pub use plan::{Plan, proven_entries};
pub use tar::Place;
pub(crate) use tar::{Fault, Tar};

/// The version of the format that this crate writes, and the highest that it reads.
pub const PACK_VERSION: u32 = 1;
/// The word in the manifest that says what the file is.
pub const PACK_FORMAT: &str = "countersign-pack";
/// The most entries that a pack can hold: up to here the order of names is the order of bundles.
pub const ENTRIES_MAX: u64 = 1 << 27;
/// The most files beside bundles, tiles and extents.
pub const LOOSE_MAX: usize = 1 << 20;
/// The most sessions that one pack is about.
pub const SESSIONS_MAX: usize = 1024;
/// The most extents of one session.
pub const EXTENTS_MAX: u64 = 99_999_999;
/// The longest loose file.
pub const LOOSE_BYTES_MAX: u64 = 1024 * 1024;

//! What a session's traffic becomes: sealed frames, extents of at most two seconds, a hash chain over them, and
//! their replay.
//!
//! Pure: no input or output, no clock, no randomness. Time, keys and bytes are arguments. Writing frames to a disk
//! is `journal`'s work; who may hold a key is decided elsewhere.
//!
//! - The chain is over ciphertext: it verifies without any key, and still after what was typed has been withheld.
//! - Input is sealed under a key of its own, so the screen can be shown without what was typed.
//! - Everything that a target printed is hostile until [`hostile::Filter`] has seen it.
//!
//! The format is written down in `docs/formats/recording.md`; `tests/vectors` holds its vectors.

mod body;
mod dek;
mod export;
mod extent;
mod frame;
#[doc(hidden)]
pub mod fuzz;
pub mod hostile;
mod totals;

#[cfg(feature = "seal")]
mod asciicast;
#[cfg(feature = "seal")]
mod replay;
#[cfg(feature = "screen")]
mod screen;
#[cfg(feature = "seal")]
mod seal;

pub use body::{BodyError, Exit, Gap, GapReason, Resize};
pub use dek::{Commitment, Dek};
pub use export::{
    ChainError, ChainedExtent, ExportError, ExportedExtent, ExportedFrame, FrameBody, MAX_EXPORT_BYTES, encode_export,
    verify_chain,
};
pub use extent::{
    Chain, ExtentBuilder, ExtentSeal, FrameDigest, MAX_EXTENT_BYTES, MAX_EXTENT_FRAMES, MAX_EXTENT_US, chain_next,
    chain_start, frame_digest,
};
pub use frame::{
    FRAME_MAGIC, FrameError, HEADER_BYTES, Header, Kind, MAX_CIPHERTEXT, MAX_PLAINTEXT, TAG_BYTES, decode, split,
};
pub use totals::{KindTotals, Totals};

#[cfg(feature = "seal")]
pub use asciicast::{CastError, CastOptions, asciicast};
#[cfg(feature = "seal")]
pub use replay::{Content, Played, play_extent, play_frame};
#[cfg(feature = "screen")]
pub use screen::{Screen, screen_at};
#[cfg(feature = "seal")]
pub use seal::{OpenError, Opener, SealError, Sealed, Sealer, SubKey};

/// A session's id, as its sixteen bytes.
pub type SessionId = [u8; 16];

/// The longest origin (a log's name) that a frame can be bound to, in bytes.
pub const MAX_ORIGIN_BYTES: usize = 255;

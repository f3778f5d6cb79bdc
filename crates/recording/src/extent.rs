//! Extents: at most two seconds of a session's frames, digested, and the chain over them.
//!
//! INVARIANT (keyless): nothing here needs a key. A frame enters by its header and the SHA-256 of its ciphertext,
//! so a withheld ciphertext leaves digest and chain as they were.

use sha2::{Digest, Sha256};

use crate::SessionId;
use crate::dek::Commitment;
use crate::frame::{HEADER_BYTES, Header};

const START_DOMAIN: &[u8] = b"countersign/recording/v1 chain start\n";
const NEXT_DOMAIN: &[u8] = b"countersign/recording/v1 chain next\n";
const EXTENT_DOMAIN: &[u8] = b"countersign/recording/v1 extent\n";

/// The longest time that one extent covers, in µs.
pub const MAX_EXTENT_US: u64 = 2_000_000;
/// The most bytes of frames that one extent holds.
pub const MAX_EXTENT_BYTES: u64 = 1024 * 1024;
/// The most frames that one extent holds.
pub const MAX_EXTENT_FRAMES: u64 = 8192;

/// A value of the chain.
pub type Chain = [u8; 32];

/// SHA-256 of one frame's ciphertext with its tag.
pub type FrameDigest = [u8; 32];

/// The chain before the first extent: binds it to log, session and data key.
///
/// The origin is preceded by its length in four bytes.
#[must_use]
pub fn chain_start(origin: &str, session: &SessionId, commitment: &Commitment) -> Chain {
    let length = u32::try_from(origin.len()).unwrap_or(u32::MAX);
    Sha256::new()
        .chain_update(START_DOMAIN)
        .chain_update(length.to_be_bytes())
        .chain_update(origin)
        .chain_update(session)
        .chain_update(commitment)
        .finalize()
        .into()
}

/// The chain after one more extent.
#[must_use]
pub fn chain_next(previous: &Chain, digest: &[u8; 32], first: u64, last: u64) -> Chain {
    Sha256::new()
        .chain_update(NEXT_DOMAIN)
        .chain_update(previous)
        .chain_update(digest)
        .chain_update(first.to_be_bytes())
        .chain_update(last.to_be_bytes())
        .finalize()
        .into()
}

/// The digest by which a frame's ciphertext enters its extent.
#[must_use]
pub fn frame_digest(ciphertext: &[u8]) -> FrameDigest {
    Sha256::digest(ciphertext).into()
}

/// What is known of one closed extent; enough to check its frames and to link the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtentSeal {
    /// The extent's place in its session, from 0.
    pub number: u64,
    /// Index of its first frame.
    pub first: u64,
    /// Index of its last frame.
    pub last: u64,
    /// Its frames.
    pub frames: u64,
    /// Bytes of its frames, headers included.
    pub bytes: u64,
    /// SHA-256 over its frames' headers and ciphertext digests.
    pub digest: [u8; 32],
    /// The chain up to and with this extent.
    pub chain: Chain,
    /// Time of its first frame, µs since the opening.
    pub first_us: u64,
    /// Time of its last frame.
    pub last_us: u64,
}

/// Builds extents from frames, one after another.
#[derive(Clone, Debug)]
pub struct ExtentBuilder {
    number: u64,
    chain: Chain,
    open: Option<OpenExtent>,
}

#[derive(Clone, Debug)]
struct OpenExtent {
    hash: Sha256,
    first: u64,
    last: u64,
    frames: u64,
    bytes: u64,
    first_us: u64,
    last_us: u64,
}

impl ExtentBuilder {
    /// At the session's opening, from [`chain_start`].
    #[must_use]
    pub const fn new(start: Chain) -> Self {
        Self {
            number: 0,
            chain: start,
            open: None,
        }
    }

    /// After the extent that `number` closed with `chain`.
    #[must_use]
    pub const fn resume(number: u64, chain: Chain) -> Self {
        Self {
            number,
            chain,
            open: None,
        }
    }

    /// The number that the next (or open) extent has.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// The chain over all closed extents.
    #[must_use]
    pub const fn chain(&self) -> Chain {
        self.chain
    }

    /// The time of the open extent's first frame.
    #[must_use]
    pub fn open_since_us(&self) -> Option<u64> {
        self.open.as_ref().map(|open| open.first_us)
    }

    /// Whether the open extent must be cut before a frame of `frame_len` bytes at `time_us`.
    #[must_use]
    pub fn is_full_before(&self, time_us: u64, frame_len: usize) -> bool {
        self.open.as_ref().is_some_and(|open| {
            time_us.saturating_sub(open.first_us) >= MAX_EXTENT_US
                || open.bytes + frame_len as u64 > MAX_EXTENT_BYTES
                || open.frames >= MAX_EXTENT_FRAMES
        })
    }

    /// Adds a frame. That indexes are contiguous is the caller's to hold.
    pub fn push(&mut self, header: &Header, digest: &FrameDigest) {
        let open = self.open.get_or_insert_with(|| OpenExtent::start(header));
        open.hash.update(header.encode());
        open.hash.update(digest);
        open.last = header.index;
        open.frames += 1;
        open.bytes += header.frame_len() as u64;
        open.last_us = header.time_us;
    }

    /// Closes the open extent; none when no frame came since the last cut.
    pub fn cut(&mut self) -> Option<ExtentSeal> {
        let seal = self.peek()?;
        self.open = None;
        self.number = seal.number + 1;
        self.chain = seal.chain;
        Some(seal)
    }

    /// The seal that [`ExtentBuilder::cut`] would give now.
    #[must_use]
    pub fn peek(&self) -> Option<ExtentSeal> {
        let open = self.open.as_ref()?;
        let digest = open.hash.clone().finalize().into();
        Some(ExtentSeal {
            number: self.number,
            first: open.first,
            last: open.last,
            frames: open.frames,
            bytes: open.bytes,
            digest,
            chain: chain_next(&self.chain, &digest, open.first, open.last),
            first_us: open.first_us,
            last_us: open.last_us,
        })
    }
}

impl OpenExtent {
    fn start(header: &Header) -> Self {
        Self {
            hash: Sha256::new().chain_update(EXTENT_DOMAIN),
            first: header.index,
            last: header.index,
            frames: 0,
            bytes: 0,
            first_us: header.time_us,
            last_us: header.time_us,
        }
    }
}

/// The digest of an extent whose frames are given as (header bytes, ciphertext digest).
pub(crate) fn extent_digest<'a>(frames: impl Iterator<Item = (&'a [u8; HEADER_BYTES], &'a FrameDigest)>) -> [u8; 32] {
    let mut hash = Sha256::new().chain_update(EXTENT_DOMAIN);
    for (header, digest) in frames {
        hash.update(header);
        hash.update(digest);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Kind;

    fn header(index: u64, time_us: u64) -> Header {
        Header {
            kind: Kind::Output,
            channel: 0,
            index,
            time_us,
            ciphertext_len: 20,
            session: [1; 16],
        }
    }

    #[test]
    fn an_extent_is_cut_by_time_and_by_bytes() {
        let mut builder = ExtentBuilder::new([0; 32]);
        assert!(!builder.is_full_before(u64::MAX, usize::MAX));
        builder.push(&header(0, 10), &[1; 32]);
        assert!(!builder.is_full_before(MAX_EXTENT_US + 9, 100));
        assert!(builder.is_full_before(MAX_EXTENT_US + 10, 100));
        assert!(builder.is_full_before(10, 1024 * 1024));
    }

    #[test]
    fn a_resumed_builder_continues_the_same_chain() {
        let mut whole = ExtentBuilder::new([0; 32]);
        whole.push(&header(0, 1), &[1; 32]);
        let first = whole.cut().unwrap();
        let mut resumed = ExtentBuilder::resume(first.number + 1, first.chain);
        whole.push(&header(1, 2), &[2; 32]);
        resumed.push(&header(1, 2), &[2; 32]);
        assert_eq!(whole.cut(), resumed.cut());
        assert_eq!(whole.cut(), None);
    }

    #[test]
    fn order_session_key_and_origin_are_all_in_the_chain() {
        let base = chain_start("acme", &[1; 16], &[2; 32]);
        assert_ne!(base, chain_start("acmf", &[1; 16], &[2; 32]));
        assert_ne!(base, chain_start("acme", &[3; 16], &[2; 32]));
        assert_ne!(base, chain_start("acme", &[1; 16], &[4; 32]));
    }
}

//! The export form of one extent: a table of frames, then their ciphertexts; and the check of extents against
//! the chain, without any key.
//!
//! ```text
//!   0  magic "CSX" and version 1   4        then per frame, 81 bytes:
//!   4  frames                      4          state: 1 kept, 0 withheld   1
//!   8  number                      8          header                     48
//!  16  session                    16          SHA-256 of ciphertext      32
//!  32  previous chain             32        then the kept ciphertexts, in order, and nothing after
//!  64  digest                     32
//!  96  chain                      32
//! ```
//!
//! INVARIANT (one-form): an extent has exactly one export form for a given set of withheld input frames.

use crate::SessionId;
use crate::extent::{
    Chain, ExtentSeal, FrameDigest, MAX_EXTENT_BYTES, MAX_EXTENT_FRAMES, chain_next, extent_digest, frame_digest,
};
use crate::frame::{FrameError, HEADER_BYTES, Header, Kind};

const MAGIC: [u8; 4] = *b"CSX\x01";
const PREFIX_BYTES: usize = 128;
const ROW_BYTES: usize = 1 + HEADER_BYTES + 32;
const KEPT: u8 = 1;
const WITHHELD: u8 = 0;

/// The most bytes that an export form can have.
#[expect(clippy::cast_possible_truncation, reason = "both limits are far below 2^32")]
pub const MAX_EXPORT_BYTES: usize = PREFIX_BYTES + MAX_EXTENT_FRAMES as usize * ROW_BYTES + MAX_EXTENT_BYTES as usize;

/// One frame's ciphertext, or the fact that it was withheld.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameBody<'a> {
    /// Ciphertext and tag.
    Sealed(&'a [u8]),
    /// Input that was withheld; its digest stays.
    Dropped(FrameDigest),
}

/// One frame of an exported extent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportedFrame<'a> {
    /// The clear header.
    pub header: Header,
    /// The ciphertext, unless withheld.
    pub body: FrameBody<'a>,
}

/// An exported extent whose frames, digest and chain link agree with each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedExtent<'a> {
    /// What the extent says of itself, recomputed from its frames.
    pub seal: ExtentSeal,
    /// The session.
    pub session: SessionId,
    /// The chain before this extent.
    pub previous: Chain,
    /// Its frames.
    pub frames: Vec<ExportedFrame<'a>>,
}

/// Why an exported extent is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// Ends too early.
    #[error("the extent is cut short at byte `{0}`")]
    Short(usize),
    /// Not an exported extent.
    #[error("this is not an exported extent")]
    Magic,
    /// A version that this reader does not know.
    #[error("written by a newer format (extent version `{0}`)")]
    Newer(u8),
    /// Bytes after the end, or more than an extent may have.
    #[error("the extent has bytes after its end, at byte `{0}`")]
    Trailing(usize),
    /// No frames, or more than an extent may have.
    #[error("an extent cannot have `{0}` frames")]
    FrameCount(u32),
    /// A row's frame header is malformed.
    #[error("frame in row `{row}`: {error}")]
    Frame {
        /// The row, from 0.
        row: usize,
        /// What is wrong.
        error: FrameError,
    },
    /// A row's state is neither kept nor withheld, or a frame other than input was withheld.
    #[error("frame `{0}` cannot be withheld: only input can")]
    State(u64),
    /// A frame is of another session.
    #[error("frame `{0}` is of another session")]
    Session(u64),
    /// A frame does not follow the one before.
    #[error("frame `{0}` does not follow the frame before it")]
    Order(u64),
    /// A frame stands after a halt frame, which is always the last.
    #[error("frame `{0}` stands after the halt, which is a recording's last frame")]
    AfterHalt(u64),
    /// The extent is over its limits of time or bytes.
    #[error("frame `{0}` is past what one extent may hold")]
    Limit(u64),
    /// A ciphertext is not the one that was recorded.
    #[error("frame `{0}` is not as it was recorded")]
    Body(u64),
    /// The table of frames is not the one that was recorded.
    #[error("the frame table of extent `{0}` is not as it was recorded")]
    Digest(u64),
    /// The link to the extent before is wrong.
    #[error("the chain of extent `{0}` does not follow from its parts")]
    Chain(u64),
}

/// Writes an extent in export form from its frames and the chain before it.
///
/// The chain and digest written are those of `seal`; a reader recomputes both.
#[must_use]
pub fn encode_export(
    seal: &ExtentSeal,
    session: &SessionId,
    previous: &Chain,
    frames: &[ExportedFrame<'_>],
) -> Vec<u8> {
    let count = u32::try_from(frames.len()).unwrap_or(u32::MAX);
    let mut out = Vec::with_capacity(PREFIX_BYTES + frames.len() * ROW_BYTES);
    out.extend(MAGIC);
    out.extend(count.to_be_bytes());
    out.extend(seal.number.to_be_bytes());
    out.extend(session);
    out.extend(previous);
    out.extend(seal.digest);
    out.extend(seal.chain);
    for frame in frames {
        let (state, digest) = match frame.body {
            FrameBody::Sealed(ciphertext) => (KEPT, frame_digest(ciphertext)),
            FrameBody::Dropped(digest) => (WITHHELD, digest),
        };
        out.push(state);
        out.extend(frame.header.encode());
        out.extend(digest);
    }
    for frame in frames {
        if let FrameBody::Sealed(ciphertext) = frame.body {
            out.extend(ciphertext);
        }
    }
    out
}

impl ExportError {
    /// Whether only a later version of this software can read it: that is no tampering.
    #[must_use]
    pub const fn is_newer(&self) -> bool {
        let frame = matches!(
            self,
            Self::Frame {
                error: FrameError::Newer(_),
                ..
            }
        );
        frame || matches!(self, Self::Newer(_))
    }
}

impl<'a> ExportedExtent<'a> {
    /// Reads an exported extent and checks it against itself. Whether it belongs to a session's chain is
    /// [`verify_chain`]'s question.
    ///
    /// # Errors
    /// At the first byte that is not as recorded: it names the frame, where one frame is at fault.
    pub fn parse(input: &'a [u8]) -> Result<Self, ExportError> {
        let prefix = Prefix::parse(input)?;
        let (rows, bodies) = rows(input, prefix.frames)?;
        let rows = rows
            .iter()
            .enumerate()
            .map(|(place, row)| Row::parse(place, row, &prefix.session))
            .collect::<Result<Vec<_>, _>>()?;
        check_order(&rows)?;
        let frames = attach(&rows, bodies, input.len())?;
        let seal = prefix.check(&rows)?;
        Ok(Self {
            seal,
            session: prefix.session,
            previous: prefix.previous,
            frames,
        })
    }

    /// The same extent with every input frame withheld; its digest and chain do not change.
    #[must_use]
    pub fn without_input(&self) -> Vec<u8> {
        let frames: Vec<_> = self.frames.iter().map(ExportedFrame::without_input).collect();
        encode_export(&self.seal, &self.session, &self.previous, &frames)
    }

    /// How many input frames were withheld.
    #[must_use]
    pub fn withheld(&self) -> usize {
        let dropped = |frame: &&ExportedFrame<'_>| matches!(frame.body, FrameBody::Dropped(_));
        self.frames.iter().filter(dropped).count()
    }
}

impl ExportedFrame<'_> {
    fn without_input(&self) -> Self {
        match self.body {
            FrameBody::Sealed(ciphertext) if self.header.kind.is_input() => Self {
                header: self.header,
                body: FrameBody::Dropped(frame_digest(ciphertext)),
            },
            _ => *self,
        }
    }
}

/// Where a session's chain stands after an extent that was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainedExtent {
    /// The number that the next extent must have.
    pub next_number: u64,
    /// The index that its first frame must have.
    pub next_index: u64,
    /// The chain that it must follow.
    pub chain: Chain,
    /// The time that its first frame must not be before.
    pub last_us: u64,
    /// Whether the last frame is a halt, after which none comes.
    pub halted: bool,
}

/// Why an extent does not follow the extents before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The extent itself is not sound.
    #[error(transparent)]
    Extent(#[from] ExportError),
    /// An extent is missing, doubled or out of order.
    #[error("extent `{found}` stands where extent `{expected}` belongs")]
    Number {
        /// The number that belongs here.
        expected: u64,
        /// The number found.
        found: u64,
    },
    /// Frames are missing or doubled between extents.
    #[error("frame `{found}` stands where frame `{expected}` belongs")]
    Index {
        /// The index that belongs here.
        expected: u64,
        /// The index found.
        found: u64,
    },
    /// The extent belongs to another session, log or key, or the one before was changed.
    #[error("extent `{0}` does not follow the extent before it")]
    Previous(u64),
    /// Time runs backwards between extents.
    #[error("frame `{0}` is earlier than the frame before it")]
    Time(u64),
}

impl ChainedExtent {
    /// Before the first extent; `start` is [`crate::chain_start`].
    #[must_use]
    pub const fn start(start: Chain) -> Self {
        Self {
            next_number: 0,
            next_index: 0,
            chain: start,
            last_us: 0,
            halted: false,
        }
    }

    /// Checks that `extent` comes next, and moves on.
    ///
    /// # Errors
    /// When it does not.
    pub fn follow(&mut self, extent: &ExportedExtent<'_>) -> Result<(), ChainError> {
        let seal = &extent.seal;
        if seal.number != self.next_number {
            return Err(ChainError::Number {
                expected: self.next_number,
                found: seal.number,
            });
        }
        if seal.first != self.next_index {
            return Err(ChainError::Index {
                expected: self.next_index,
                found: seal.first,
            });
        }
        if extent.previous != self.chain {
            return Err(ChainError::Previous(seal.number));
        }
        if seal.first_us < self.last_us {
            return Err(ChainError::Time(seal.first));
        }
        if self.halted {
            return Err(ExportError::AfterHalt(seal.first).into());
        }
        *self = Self {
            next_number: seal.number.saturating_add(1),
            next_index: seal.last.saturating_add(1),
            chain: seal.chain,
            last_us: seal.last_us,
            halted: extent
                .frames
                .last()
                .is_some_and(|frame| frame.header.kind == Kind::Halt),
        };
        Ok(())
    }
}

/// Checks a session's exported extents, in order, against the start of its chain, without any key.
/// The result's `chain` and `next_index` are then compared with what the log says of the session's end.
///
/// # Errors
/// At the first frame or extent that is not as recorded.
pub fn verify_chain<'a>(
    start: Chain,
    extents: impl IntoIterator<Item = &'a [u8]>,
) -> Result<ChainedExtent, ChainError> {
    let mut at = ChainedExtent::start(start);
    for bytes in extents {
        at.follow(&ExportedExtent::parse(bytes)?)?;
    }
    Ok(at)
}

struct Prefix {
    frames: u32,
    number: u64,
    session: SessionId,
    previous: Chain,
    digest: [u8; 32],
    chain: Chain,
}

impl Prefix {
    fn parse(input: &[u8]) -> Result<Self, ExportError> {
        let short = || ExportError::Short(input.len());
        let (magic, rest) = input.split_first_chunk::<4>().ok_or_else(short)?;
        match magic {
            magic if *magic == MAGIC => {}
            [b'C', b'S', b'X', version] if *version > 1 => return Err(ExportError::Newer(*version)),
            _ => return Err(ExportError::Magic),
        }
        if input.len() > MAX_EXPORT_BYTES {
            return Err(ExportError::Trailing(MAX_EXPORT_BYTES));
        }
        let (frames, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
        let (number, rest) = rest.split_first_chunk::<8>().ok_or_else(short)?;
        let (session, rest) = rest.split_first_chunk::<16>().ok_or_else(short)?;
        let (previous, rest) = rest.split_first_chunk::<32>().ok_or_else(short)?;
        let (digest, rest) = rest.split_first_chunk::<32>().ok_or_else(short)?;
        let (chain, _) = rest.split_first_chunk::<32>().ok_or_else(short)?;
        let frames = u32::from_be_bytes(*frames);
        if !(1..=MAX_EXTENT_FRAMES).contains(&u64::from(frames)) {
            return Err(ExportError::FrameCount(frames));
        }
        Ok(Self {
            frames,
            number: u64::from_be_bytes(*number),
            session: *session,
            previous: *previous,
            digest: *digest,
            chain: *chain,
        })
    }

    fn check(&self, rows: &[Row]) -> Result<ExtentSeal, ExportError> {
        let digest = extent_digest(rows.iter().map(|row| (&row.clear, &row.digest)));
        if digest != self.digest {
            return Err(ExportError::Digest(self.number));
        }
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
            return Err(ExportError::FrameCount(0));
        };
        let (first, last) = (&first.header, &last.header);
        if chain_next(&self.previous, &digest, first.index, last.index) != self.chain {
            return Err(ExportError::Chain(self.number));
        }
        Ok(ExtentSeal {
            number: self.number,
            first: first.index,
            last: last.index,
            frames: rows.len() as u64,
            bytes: rows.iter().map(|row| row.header.frame_len() as u64).sum(),
            digest,
            chain: self.chain,
            first_us: first.time_us,
            last_us: last.time_us,
        })
    }
}

struct Row {
    kept: bool,
    clear: [u8; HEADER_BYTES],
    header: Header,
    digest: FrameDigest,
}

impl Row {
    fn parse(place: usize, row: &[u8; ROW_BYTES], session: &SessionId) -> Result<Self, ExportError> {
        let bad = |error| ExportError::Frame { row: place, error };
        let (state, rest) = row.split_first().ok_or_else(|| bad(FrameError::Short))?;
        let (clear, digest) = rest.split_first_chunk().ok_or_else(|| bad(FrameError::Short))?;
        let header = Header::decode(clear).map_err(bad)?;
        let kept = match (*state, header.kind.is_input()) {
            (KEPT, _) => true,
            (WITHHELD, true) => false,
            _ => return Err(ExportError::State(header.index)),
        };
        if header.session != *session {
            return Err(ExportError::Session(header.index));
        }
        let digest = digest.try_into().map_err(|_| bad(FrameError::Short))?;
        Ok(Self {
            kept,
            clear: *clear,
            header,
            digest,
        })
    }
}

/// The table's rows, and what follows them.
fn rows(input: &[u8], frames: u32) -> Result<(&[[u8; ROW_BYTES]], &[u8]), ExportError> {
    let table = input
        .get(PREFIX_BYTES..)
        .and_then(|rest| rest.split_at_checked(frames as usize * ROW_BYTES));
    let (table, bodies) = table.ok_or(ExportError::Short(input.len()))?;
    let (rows, _) = table.as_chunks::<ROW_BYTES>();
    Ok((rows, bodies))
}

fn check_order(rows: &[Row]) -> Result<(), ExportError> {
    let mut bytes = 0_u64;
    let Some(first) = rows.first() else {
        return Ok(());
    };
    let mut before: Option<&Header> = None;
    for row in rows {
        let header = &row.header;
        if before
            .is_some_and(|before| before.index.checked_add(1) != Some(header.index) || header.time_us < before.time_us)
        {
            return Err(ExportError::Order(header.index));
        }
        if before.is_some_and(|before| before.kind == Kind::Halt) {
            return Err(ExportError::AfterHalt(header.index));
        }
        bytes += header.frame_len() as u64;
        let lasts = header.time_us.saturating_sub(first.header.time_us);
        if bytes > MAX_EXTENT_BYTES || lasts >= crate::MAX_EXTENT_US {
            return Err(ExportError::Limit(header.index));
        }
        before = Some(header);
    }
    Ok(())
}

/// Gives each row its ciphertext, and checks that it is the recorded one.
fn attach<'a>(rows: &[Row], mut bodies: &'a [u8], end: usize) -> Result<Vec<ExportedFrame<'a>>, ExportError> {
    let mut frames = Vec::with_capacity(rows.len());
    for row in rows {
        let body = if row.kept {
            let (ciphertext, rest) = bodies
                .split_at_checked(row.header.ciphertext_len as usize)
                .ok_or(ExportError::Short(end))?;
            bodies = rest;
            if frame_digest(ciphertext) != row.digest {
                return Err(ExportError::Body(row.header.index));
            }
            FrameBody::Sealed(ciphertext)
        } else {
            FrameBody::Dropped(row.digest)
        };
        frames.push(ExportedFrame {
            header: row.header,
            body,
        });
    }
    match bodies.len() {
        0 => Ok(frames),
        extra => Err(ExportError::Trailing(end - extra)),
    }
}

//! One frame: a fixed clear header, then ciphertext and tag. Big endian throughout.
//!
//! Not here: sealing and opening (`seal`), and the bodies inside (`body`).
//!
//! ```text
//!  0  magic "CSF" and version 1      4
//!  4  kind                           1
//!  5  flags, zero                    1
//!  6  reserved, zero                 2
//!  8  channel                        4
//! 12  index, contiguous from 0       8
//! 20  time, µs since the opening     8
//! 28  ciphertext length with tag     4
//! 32  session                       16
//! ```

use crate::SessionId;

/// The first four bytes of every frame: `CSF` and the version.
pub const FRAME_MAGIC: [u8; 4] = *b"CSF\x01";
/// Bytes of a frame's header.
pub const HEADER_BYTES: usize = 48;
/// Bytes of the AES-GCM tag at the end of a frame's ciphertext.
pub const TAG_BYTES: usize = 16;
/// The most plaintext that one frame holds; more is [`split`].
pub const MAX_PLAINTEXT: usize = 64 * 1024;
/// The most ciphertext that one frame holds, with its tag.
pub const MAX_CIPHERTEXT: usize = MAX_PLAINTEXT + TAG_BYTES;

/// What a frame records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// Bytes from the target to the user.
    Output = 1,
    /// The target's error stream to the user.
    ErrorOutput = 2,
    /// Bytes from the user to the target; sealed under the input key.
    Input = 3,
    /// A new terminal size.
    Resize = 4,
    /// A channel was opened; the body says for what.
    Opened = 5,
    /// A channel was closed.
    Closed = 6,
    /// How the channel's program ended.
    Exit = 7,
    /// Frames before this one may be missing; the body says which and why. The session went on.
    Gap = 8,
    /// A remark of the gateway: a heartbeat, a warning, a revocation.
    Mark = 9,
    /// Nothing was passed on any more, because it could not be recorded; always the last frame. Body as of a gap.
    Halt = 10,
}

impl Kind {
    /// Every kind, in the order of its code.
    pub const ALL: [Self; 10] = [
        Self::Output,
        Self::ErrorOutput,
        Self::Input,
        Self::Resize,
        Self::Opened,
        Self::Closed,
        Self::Exit,
        Self::Gap,
        Self::Mark,
        Self::Halt,
    ];

    /// The kind's code in the header.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// Whether the frame is sealed under the input key, and may be withheld alone.
    #[must_use]
    pub const fn is_input(self) -> bool {
        matches!(self, Self::Input)
    }
}

/// A frame's clear part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the frame records.
    pub kind: Kind,
    /// The channel within the session; 0 where the frame is about the whole session.
    pub channel: u32,
    /// The frame's place in its session: contiguous, from 0.
    pub index: u64,
    /// Microseconds since the session was opened; never less than the frame before.
    pub time_us: u64,
    /// Ciphertext with its tag, in bytes.
    pub ciphertext_len: u32,
    /// The session.
    pub session: SessionId,
}

/// Why bytes are not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Fewer bytes than the header, or than the header promises.
    #[error("the frame is cut short")]
    Short,
    /// The first four bytes are not those of a frame.
    #[error("no frame starts here")]
    Magic,
    /// A frame of a version that this reader does not know.
    #[error("written by a newer format (frame version `{0}`)")]
    Newer(u8),
    /// An unknown kind.
    #[error("frame kind `{0}` is not known")]
    Kind(u8),
    /// Flags or reserved bytes are not zero.
    #[error("reserved bytes of the frame are not zero")]
    Reserved,
    /// A ciphertext shorter than a tag or longer than the limit.
    #[error("frame length `{0}` is out of bounds")]
    Length(u32),
}

impl Header {
    /// The header's bytes.
    #[must_use]
    #[rustfmt::skip]
    pub const fn encode(&self) -> [u8; HEADER_BYTES] {
        // Spelled out: this runs for every keystroke, and a loop over parts costs ten times as much.
        let [m0, m1, m2, m3] = FRAME_MAGIC;
        let [c0, c1, c2, c3] = self.channel.to_be_bytes();
        let [i0, i1, i2, i3, i4, i5, i6, i7] = self.index.to_be_bytes();
        let [t0, t1, t2, t3, t4, t5, t6, t7] = self.time_us.to_be_bytes();
        let [l0, l1, l2, l3] = self.ciphertext_len.to_be_bytes();
        let [s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15] = self.session;
        let kind = self.kind.code();
        [
            m0, m1, m2, m3, kind, 0, 0, 0, c0, c1, c2, c3, i0, i1, i2, i3, i4, i5, i6, i7, t0, t1, t2, t3, t4, t5, t6, t7, l0, l1, l2, l3, s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15,
        ]
    }

    /// Reads a header from the start of `input`; what follows is not looked at.
    ///
    /// # Errors
    /// When the bytes are not exactly a header that [`Header::encode`] would write.
    pub fn decode(input: &[u8]) -> Result<Self, FrameError> {
        let (magic, rest) = take::<4>(input)?;
        check_magic(magic)?;
        let ([kind, flags], rest) = take::<2>(rest)?;
        let (reserved, rest) = take::<2>(rest)?;
        let (channel, rest) = take::<4>(rest)?;
        let (index, rest) = take::<8>(rest)?;
        let (time, rest) = take::<8>(rest)?;
        let (length, rest) = take::<4>(rest)?;
        let (session, _) = take::<16>(rest)?;
        let kind = Kind::from_code(kind).ok_or(FrameError::Kind(kind))?;
        if flags != 0 || reserved != [0, 0] {
            return Err(FrameError::Reserved);
        }
        let ciphertext_len = u32::from_be_bytes(length);
        if !(TAG_BYTES..=MAX_CIPHERTEXT).contains(&(ciphertext_len as usize)) {
            return Err(FrameError::Length(ciphertext_len));
        }
        Ok(Self {
            kind,
            channel: u32::from_be_bytes(channel),
            index: u64::from_be_bytes(index),
            time_us: u64::from_be_bytes(time),
            ciphertext_len,
            session,
        })
    }

    /// Plaintext bytes inside the frame.
    #[must_use]
    pub const fn plaintext_len(&self) -> u64 {
        (self.ciphertext_len as u64).saturating_sub(TAG_BYTES as u64)
    }

    /// Header and ciphertext together, in bytes.
    #[must_use]
    pub const fn frame_len(&self) -> usize {
        HEADER_BYTES + self.ciphertext_len as usize
    }
}

/// Splits the frame at the start of `input` into its header, its ciphertext and what follows it.
///
/// # Errors
/// When no whole frame starts there.
pub fn decode(input: &[u8]) -> Result<(Header, &[u8], &[u8]), FrameError> {
    let header = Header::decode(input)?;
    let after = input.get(HEADER_BYTES..).ok_or(FrameError::Short)?;
    let (ciphertext, rest) = after
        .split_at_checked(header.ciphertext_len as usize)
        .ok_or(FrameError::Short)?;
    Ok((header, ciphertext, rest))
}

/// Cuts data into pieces that fit one frame each; no data is one empty piece.
pub fn split(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let empty = data.is_empty().then_some(data);
    empty.into_iter().chain(data.chunks(MAX_PLAINTEXT))
}

fn check_magic(magic: [u8; 4]) -> Result<(), FrameError> {
    match (magic == FRAME_MAGIC, magic) {
        (true, _) => Ok(()),
        (false, [b'C', b'S', b'F', version]) if version > 1 => Err(FrameError::Newer(version)),
        (false, _) => Err(FrameError::Magic),
    }
}

fn take<const N: usize>(input: &[u8]) -> Result<([u8; N], &[u8]), FrameError> {
    let (head, rest) = input.split_first_chunk::<N>().ok_or(FrameError::Short)?;
    Ok((*head, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            kind: Kind::Input,
            channel: 7,
            index: 9,
            time_us: 11,
            ciphertext_len: 20,
            session: [3; 16],
        }
    }

    #[test]
    fn a_header_survives_its_encoding() {
        assert_eq!(Header::decode(&header().encode()), Ok(header()));
    }

    #[test]
    fn every_other_value_of_a_fixed_byte_is_refused() {
        for place in [0, 1, 2, 3, 5, 6, 7, 28, 29] {
            let mut bytes = header().encode();
            bytes[place] ^= 0x40;
            assert!(Header::decode(&bytes).is_err(), "byte {place}");
        }
    }

    #[test]
    fn a_newer_version_is_named_as_such() {
        let mut bytes = header().encode();
        bytes[3] = 2;
        assert_eq!(Header::decode(&bytes), Err(FrameError::Newer(2)));
    }

    #[test]
    fn a_frame_longer_than_its_bytes_is_short() {
        let mut bytes = header().encode().to_vec();
        bytes.extend([0; 19]);
        assert_eq!(decode(&bytes), Err(FrameError::Short));
        bytes.extend([0; 3]);
        let (_, ciphertext, rest) = decode(&bytes).unwrap();
        assert_eq!((ciphertext.len(), rest.len()), (20, 2));
    }

    #[test]
    fn split_keeps_every_byte_and_the_empty_piece() {
        assert_eq!(split(&[]).count(), 1);
        let data = vec![5; MAX_PLAINTEXT * 2 + 1];
        assert_eq!(split(&data).map(<[u8]>::len).collect::<Vec<_>>(), [65536, 65536, 1]);
    }
}

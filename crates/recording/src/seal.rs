//! Sealing and opening frames: AES-256-GCM, keys by HKDF-SHA256.
//!
//! - salt = session id, input = data key; `info` names output or input key; 32 bytes of key, 12 of nonce base.
//! - nonce = base xor (kind, three zero bytes, index); associated data = origin length in two bytes, origin, header.
//!
//! INVARIANT (one-nonce-once): a [`Sealer`] counts its own indexes and never seals two frames of one kind at one
//! index. The one exception to its counting, [`Sealer::halt`], can happen once and seals nothing after.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::body::Gap;
use crate::dek::Dek;
use crate::extent::FrameDigest;
use crate::frame::{FrameError, HEADER_BYTES, Header, Kind, MAX_PLAINTEXT, TAG_BYTES};
use crate::{MAX_ORIGIN_BYTES, SessionId};

const OUTPUT_LABEL: &[u8] = b"countersign/recording/v1 output key";
const INPUT_LABEL: &[u8] = b"countersign/recording/v1 input key";
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
const SUB_KEY_BYTES: usize = KEY_BYTES + NONCE_BYTES;

/// Why a frame was not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The origin is longer than 255 bytes.
    #[error("the log's name is longer than 255 bytes")]
    Origin,
    /// More plaintext than a frame holds.
    #[error("a frame holds at most 64 KiB")]
    TooLong,
    /// The sealer has ended, or was asked for a halt frame outside [`Sealer::halt`].
    #[error("the session's recording has ended")]
    Ended,
    /// The cipher refused, which it does for no input we know of.
    #[error("the cipher refused to seal")]
    Cipher,
}

/// Why a frame was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Not a frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The frame is of a kind whose key is not at hand.
    #[error("no key for what was typed")]
    NoKey,
    /// Wrong key, origin or session, or the bytes were changed.
    #[error("frame `{0}` does not open: it was changed, or the key is another session's")]
    Refused(u64),
}

/// One of the two keys derived from a data key: enough to open the frames of its kind, and no others.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct SubKey([u8; SUB_KEY_BYTES]);

impl SubKey {
    /// The key of everything except input.
    ///
    /// # Errors
    /// When the key derivation fails.
    pub fn output(dek: &Dek, session: &SessionId) -> Result<Self, SealError> {
        Self::derive(dek, session, OUTPUT_LABEL)
    }

    /// The key of what was typed.
    ///
    /// # Errors
    /// When the key derivation fails.
    pub fn input(dek: &Dek, session: &SessionId) -> Result<Self, SealError> {
        Self::derive(dek, session, INPUT_LABEL)
    }

    /// Takes over a released key's bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; SUB_KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// The key's bytes, for releasing it.
    #[must_use]
    pub const fn expose(&self) -> &[u8; SUB_KEY_BYTES] {
        &self.0
    }

    fn derive(dek: &Dek, session: &SessionId, label: &[u8]) -> Result<Self, SealError> {
        let mut out = [0; SUB_KEY_BYTES];
        let prk = Salt::new(HKDF_SHA256, session).extract(dek.expose());
        prk.expand(&[label], SubKeyLength)
            .and_then(|okm| okm.fill(&mut out))
            .map_err(|_| SealError::Cipher)?;
        Ok(Self(out))
    }
}

struct SubKeyLength;

impl KeyType for SubKeyLength {
    fn len(&self) -> usize {
        SUB_KEY_BYTES
    }
}

/// A sub-key made ready for use.
struct Cipher {
    key: LessSafeKey,
    base: [u8; NONCE_BYTES],
}

impl Cipher {
    fn new(sub: &SubKey) -> Result<Self, SealError> {
        let (key, base) = sub.0.split_at_checked(KEY_BYTES).ok_or(SealError::Cipher)?;
        let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| SealError::Cipher)?;
        let base = base.try_into().map_err(|_| SealError::Cipher)?;
        Ok(Self {
            key: LessSafeKey::new(key),
            base,
        })
    }

    fn nonce(&self, header: &Header) -> Nonce {
        let mut place = [0; NONCE_BYTES];
        let parts = [header.kind.code(), 0, 0, 0]
            .into_iter()
            .chain(header.index.to_be_bytes());
        for ((out, base), part) in place.iter_mut().zip(self.base).zip(parts) {
            *out = base ^ part;
        }
        Nonce::assume_unique_for_key(place)
    }
}

/// The associated data: what a frame is bound to besides its key.
struct Binding(Vec<u8>);

impl Binding {
    fn new(origin: &str) -> Result<Self, SealError> {
        if origin.len() > MAX_ORIGIN_BYTES {
            return Err(SealError::Origin);
        }
        let length = u16::try_from(origin.len()).map_err(|_| SealError::Origin)?;
        let mut bytes = Vec::with_capacity(2 + origin.len() + HEADER_BYTES);
        bytes.extend(length.to_be_bytes());
        bytes.extend(origin.as_bytes());
        Ok(Self(bytes))
    }

    fn with(&mut self, header: &[u8; HEADER_BYTES], origin_len: usize) -> &[u8] {
        self.0.truncate(2 + origin_len);
        self.0.extend(header);
        &self.0
    }
}

/// A frame that was just sealed.
#[derive(Clone, Copy, Debug)]
pub struct Sealed {
    /// Its header.
    pub header: Header,
    /// The digest by which it enters its extent.
    pub digest: FrameDigest,
}

/// Seals one session's frames, in order.
pub struct Sealer {
    output: Cipher,
    input: Cipher,
    binding: Binding,
    origin_len: usize,
    session: SessionId,
    next: u64,
    last_us: u64,
    ended: bool,
}

impl Sealer {
    /// Ready for the frame with index 0.
    ///
    /// # Errors
    /// When the origin is too long.
    pub fn new(dek: &Dek, origin: &str, session: SessionId) -> Result<Self, SealError> {
        Ok(Self {
            output: Cipher::new(&SubKey::output(dek, &session)?)?,
            input: Cipher::new(&SubKey::input(dek, &session)?)?,
            binding: Binding::new(origin)?,
            origin_len: origin.len(),
            session,
            next: 0,
            last_us: 0,
            ended: false,
        })
    }

    /// The index that the next frame gets.
    #[must_use]
    pub const fn next_index(&self) -> u64 {
        self.next
    }

    /// Appends one sealed frame to `out`. A time before the last frame's is taken as the last frame's.
    ///
    /// # Errors
    /// When the data is longer than a frame holds, or the sealer has ended; `out` is then unchanged.
    pub fn seal(
        &mut self,
        kind: Kind,
        channel: u32,
        time_us: u64,
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Sealed, SealError> {
        if self.ended || kind == Kind::Halt {
            return Err(SealError::Ended);
        }
        let sealed = self.seal_at(self.next, kind, channel, time_us, plaintext, out)?;
        self.next += 1;
        Ok(sealed)
    }

    /// Ends the recording with a halt frame at `index`, which is where the kept frames end; nothing can be sealed after.
    ///
    /// # Errors
    /// When the sealer has ended before.
    pub fn halt(&mut self, index: u64, time_us: u64, gap: &Gap, out: &mut Vec<u8>) -> Result<Sealed, SealError> {
        // INVARIANT (one-nonce-once): whatever was sealed at this index before was of another kind.
        if self.ended || index > self.next {
            return Err(SealError::Ended);
        }
        self.ended = true;
        self.seal_at(index, Kind::Halt, 0, time_us, &gap.encode(), out)
    }

    fn seal_at(
        &mut self,
        index: u64,
        kind: Kind,
        channel: u32,
        time_us: u64,
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Sealed, SealError> {
        if plaintext.len() > MAX_PLAINTEXT {
            return Err(SealError::TooLong);
        }
        let ciphertext_len = u32::try_from(plaintext.len() + TAG_BYTES).map_err(|_| SealError::TooLong)?;
        self.last_us = self.last_us.max(time_us);
        let header = Header {
            kind,
            channel,
            index,
            time_us: self.last_us,
            ciphertext_len,
            session: self.session,
        };
        let start = out.len();
        let digest = self.append(&header, plaintext, out);
        if digest.is_err() {
            out.truncate(start);
        }
        Ok(Sealed {
            header,
            digest: digest?,
        })
    }

    fn append(&mut self, header: &Header, plaintext: &[u8], out: &mut Vec<u8>) -> Result<FrameDigest, SealError> {
        let clear = header.encode();
        out.reserve(header.frame_len());
        out.extend_from_slice(&clear);
        let start = out.len();
        out.resize(start + plaintext.len() + TAG_BYTES, 0);
        let cipher = if header.kind.is_input() {
            &self.input
        } else {
            &self.output
        };
        let aad = Aad::from(self.binding.with(&clear, self.origin_len));
        let sealed = out
            .get_mut(start..)
            .and_then(|out| out.split_at_mut_checked(plaintext.len()));
        let (body, tag) = sealed.ok_or(SealError::Cipher)?;
        cipher
            .key
            .seal_out_of_place_scatter(cipher.nonce(header), aad, plaintext, body, &[], tag)
            .map_err(|_| SealError::Cipher)?;
        let ciphertext = out.get(start..).ok_or(SealError::Cipher)?;
        // As `frame_digest`; this library needs a third less time for it, and each byte of a session passes here.
        digest(&SHA256, ciphertext)
            .as_ref()
            .try_into()
            .map_err(|_| SealError::Cipher)
    }
}

/// Opens one session's frames, in any order.
pub struct Opener {
    output: Cipher,
    input: Option<Cipher>,
    binding: Binding,
    origin_len: usize,
    session: SessionId,
}

impl Opener {
    /// With the data key: opens everything.
    ///
    /// # Errors
    /// When the origin is too long.
    pub fn new(dek: &Dek, origin: &str, session: SessionId) -> Result<Self, SealError> {
        let input = SubKey::input(dek, &session)?;
        Self::with_keys(&SubKey::output(dek, &session)?, Some(&input), origin, session)
    }

    /// With released keys; without the input key, what was typed stays closed.
    ///
    /// # Errors
    /// When the origin is too long.
    pub fn with_keys(
        output: &SubKey,
        input: Option<&SubKey>,
        origin: &str,
        session: SessionId,
    ) -> Result<Self, SealError> {
        Ok(Self {
            output: Cipher::new(output)?,
            input: input.map(Cipher::new).transpose()?,
            binding: Binding::new(origin)?,
            origin_len: origin.len(),
            session,
        })
    }

    /// Opens one frame into its plaintext.
    ///
    /// # Errors
    /// When the key is not at hand, or the frame is not what was sealed.
    pub fn open(&mut self, header: &Header, ciphertext: &[u8]) -> Result<Vec<u8>, OpenError> {
        let refused = OpenError::Refused(header.index);
        if header.session != self.session || header.ciphertext_len as usize != ciphertext.len() {
            return Err(refused);
        }
        let cipher = match (header.kind.is_input(), &self.input) {
            (false, _) => &self.output,
            (true, Some(input)) => input,
            (true, None) => return Err(OpenError::NoKey),
        };
        let aad = Aad::from(self.binding.with(&header.encode(), self.origin_len));
        let mut buffer = ciphertext.to_vec();
        let length = cipher
            .key
            .open_in_place(cipher.nonce(header), aad, &mut buffer)
            .map_err(|_| refused)?
            .len();
        buffer.truncate(length);
        Ok(buffer)
    }
}

//! Byte strings inside canonical JSON: digests as 64 lower-case hex digits, other bytes as padded base64.

use crate::json::Text;
use base64ct::{Base64, Encoding};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// A SHA-256 value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// SHA-256 of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// SHA-256 over `domain`, then each part with its length before it (8 bytes, big endian), so that no two lists
    /// of parts meet.
    #[must_use]
    pub fn of_parts(domain: &str, parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in std::iter::once(&domain.as_bytes()).chain(parts) {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// Reads 64 lower-case hex digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut out = [0u8; 32];
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != 32 || !rest.is_empty() {
            return None;
        }
        let mut all = 0;
        for (byte, [high, low]) in out.iter_mut().zip(pairs) {
            let (high, low) = (nibble(*high), nibble(*low));
            *byte = (high << 4) | (low & 0x0f);
            all |= high | low;
        }
        (all < 0x10).then_some(Self(out))
    }
}

/// The value of a lower-case hex digit; more than 15 for any other byte. Without a branch on what is random.
fn nibble(digit: u8) -> u8 {
    let letter = if matches!(digit, b'a'..=b'f') { b'a' - 10 } else { b'0' };
    let known = matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    if known { digit.wrapping_sub(letter) } else { 0xff }
}

fn digit(value: u8) -> u8 {
    if value < 10 { b'0' + value } else { b'a' - 10 + value }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 64];
        for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(self.0) {
            *pair = [digit(byte >> 4), digit(byte & 0x0f)];
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Text::deserialize(deserializer)?.0;
        Self::from_hex(&text).ok_or_else(|| D::Error::custom("expected 64 lower-case hex digits"))
    }
}

/// Bytes that are written as padded base64.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Blob(pub Vec<u8>);

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.0.len())
    }
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Base64::encode_string(&self.0))
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Text::deserialize(deserializer)?.0;
        // base64ct refuses missing padding and non-zero trailing bits, so there is one spelling.
        Base64::decode_vec(&text)
            .map(Self)
            .map_err(|_| D::Error::custom("expected padded base64"))
    }
}

/// Text that came from outside: UTF-8 where it is, `{"b64":…}` where it is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Octets {
    /// Valid UTF-8.
    Text(String),
    /// Anything else.
    Raw {
        /// The bytes.
        b64: Blob,
    },
}

impl Octets {
    /// Takes the text form when `bytes` are UTF-8.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Raw {
                b64: Blob(bytes.to_vec()),
            },
        }
    }

    /// The bytes themselves.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Raw { b64 } => &b64.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_has_one_spelling() {
        let digest = Digest::of(b"x");
        assert_eq!(Digest::from_hex(&digest.to_string()), Some(digest));
        assert_eq!(Digest::from_hex(&digest.to_string().to_uppercase()), None);
        assert_eq!(Digest::from_hex(""), None);
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(
            Digest::of_parts("d", &[b"ab", b"c"]),
            Digest::of_parts("d", &[b"a", b"bc"])
        );
        assert_ne!(Digest::of_parts("d", &[b"ab"]), Digest::of_parts("da", &[b"b"]));
    }

    #[test]
    fn base64_has_one_spelling() {
        assert_eq!(serde_json::from_str::<Blob>("\"AA==\"").unwrap(), Blob(vec![0]));
        assert!(serde_json::from_str::<Blob>("\"AB==\"").is_err());
        assert!(serde_json::from_str::<Blob>("\"AA\"").is_err());
    }
}

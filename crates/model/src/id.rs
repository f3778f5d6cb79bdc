//! Typed identifiers: a printed prefix, then 26 characters of Crockford base32 over a UUIDv7 (the TypeID form).
//!
//! They sort by the time they were made. This crate has no clock and no randomness: both are arguments.

use crate::json::Text;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::fmt;
use std::str::FromStr;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Why a text is not an identifier of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an id of the form `{prefix}_…` with 26 characters after it")]
pub struct NotAnId {
    text: String,
    prefix: &'static str,
}

/// Letters after the prefix.
const LETTERS: usize = 26;
/// As many letters as fit into 64 bits; work on 128 is slow.
const AT_ONCE: usize = 12;

/// The printed form: a prefix of three letters, an underscore, and the number.
fn encode(prefix: &str, bytes: [u8; 16]) -> [u8; 4 + LETTERS] {
    let mut out = [b'_'; 4 + LETTERS];
    let (head, letters) = out.split_at_mut(4);
    head.iter_mut()
        .zip(prefix.bytes())
        .for_each(|(slot, byte)| *slot = byte);
    let mut n = u128::from_be_bytes(bytes);
    for slots in letters.rchunks_mut(AT_ONCE) {
        #[expect(clippy::cast_possible_truncation, reason = "the lower letters are wanted")]
        let mut low = n as u64;
        for slot in slots.iter_mut().rev() {
            *slot = ALPHABET.get((low & 31) as usize).copied().unwrap_or(b'0');
            low >>= 5;
        }
        n >>= 5 * slots.len();
    }
    out
}

fn decode(text: &str) -> Option<[u8; 16]> {
    let (first, _) = text.as_bytes().split_first()?;
    if text.len() != LETTERS || *first > b'7' {
        return None;
    }
    let (mut n, mut all): (u128, u8) = (0, 0);
    // From the front, so that the short piece is the first.
    for letters in text.as_bytes().rchunks(AT_ONCE).rev() {
        let mut low: u64 = 0;
        for letter in letters {
            let value = VALUES.get(usize::from(*letter)).copied().unwrap_or(u8::MAX);
            low = (low << 5) | u64::from(value);
            all |= value;
        }
        n = (n << (5 * letters.len())) | u128::from(low);
    }
    (all < 32).then(|| n.to_be_bytes())
}

/// The place of each letter in the alphabet; a table, because a branch on what is random costs more than the rest.
const VALUES: [u8; 256] = values();

#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "worked out by the compiler, which would refuse a place outside"
)]
const fn values() -> [u8; 256] {
    let mut out = [u8::MAX; 256];
    let mut n = 0;
    while n < ALPHABET.len() {
        out[ALPHABET[n] as usize] = n as u8;
        n += 1;
    }
    out
}

/// The 16 bytes of a UUIDv7 made at `unix_ms` from 10 random bytes.
#[must_use]
pub fn uuid_v7(unix_ms: u64, random: [u8; 10]) -> [u8; 16] {
    let mut out = [0u8; 16];
    let time = unix_ms.to_be_bytes();
    for (slot, byte) in out.iter_mut().zip(time.iter().skip(2).chain(random.iter())) {
        *slot = *byte;
    }
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut out;
    *version = 0x70 | (*version & 0x0f);
    *variant = 0x80 | (*variant & 0x3f);
    out
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// The printed prefix, without the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// A fresh one: made at `unix_ms`, told apart by 10 random bytes.
            #[must_use]
            pub fn new(unix_ms: u64, random: [u8; 10]) -> Self {
                Self(uuid_v7(unix_ms, random))
            }

            /// Takes the 16 bytes as they are.
            #[must_use]
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The 16 bytes.
            #[must_use]
            pub fn to_bytes(self) -> [u8; 16] {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(std::str::from_utf8(&encode($prefix, self.0)).unwrap_or_default())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;
            fn from_str(text: &str) -> Result<Self, NotAnId> {
                let body = text.strip_prefix(concat!($prefix, "_")).and_then(decode);
                body.map(Self).ok_or_else(|| NotAnId { text: text.chars().take(64).collect(), prefix: $prefix })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Text::deserialize(deserializer)?.0.parse().map_err(D::Error::custom)
            }
        }
    )*};
}

ids! {
    /// One record in an environment's log.
    EntryId = "ent";
    /// Who is accountable: a person, a workload or an agent.
    IdentityId = "idn";
    /// Who asks for what, why, how long.
    RequestId = "req";
    /// The bounded permission that approvals gave.
    GrantId = "grt";
    /// One authenticated connection to one account of one resource.
    SessionId = "ses";
    /// One privileged thing done in a session.
    ActionId = "act";
    /// One start of one writing node.
    BootId = "bot";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_reads_back() {
        let id = SessionId::new(1_700_000_000_000, [0xff; 10]);
        let text = id.to_string();
        assert!(text.starts_with("ses_") && text.len() == 30);
        assert_eq!(text.parse(), Ok(id));
        assert!(text.parse::<GrantId>().is_err());
        assert!(format!("ses_{}", "z".repeat(26)).parse::<SessionId>().is_err());
        assert!("ses_".parse::<SessionId>().is_err());
    }

    #[test]
    fn sorts_by_time() {
        assert!(EntryId::new(1, [0xff; 10]) < EntryId::new(2, [0; 10]));
    }

    #[test]
    fn is_a_uuid_of_version_7() {
        let bytes = uuid_v7(0x0123_4567_89ab, [0xff; 10]);
        assert_eq!(bytes[6] >> 4, 7);
        assert_eq!(bytes[8] >> 6, 2);
        assert_eq!(&bytes[..6], &[0x01, 0x23, 0x45, 0x67, 0x89, 0xab]);
    }
}

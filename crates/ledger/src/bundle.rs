//! Entry bundles of C2SP `tlog-tiles`: up to 256 entries, each behind its length as a big-endian uint16.

use crate::tile::FULL_WIDTH;

/// The longest entry that a bundle can carry.
pub const ENTRY_BYTES_MAX: usize = u16::MAX as usize;

/// Why entries do not make a bundle, or bytes are not one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BundleError {
    /// An entry is longer than a bundle can carry.
    #[error("an entry of {0} bytes is longer than 65535")]
    EntryLength(usize),
    /// The number of entries is not the width that was asked for, or not in 1 to 256.
    #[error("the bundle has {0} entries")]
    Width(usize),
    /// The bytes end inside an entry or its length.
    #[error("the bundle ends inside entry {0}")]
    Truncated(usize),
}

/// Bytes of a bundle of 1 to 256 entries.
pub fn encode<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, BundleError> {
    let mut bytes = Vec::new();
    let mut width = 0;
    for entry in entries {
        width += 1;
        let length = u16::try_from(entry.len()).map_err(|_| BundleError::EntryLength(entry.len()))?;
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    if width == 0 || width > usize::from(FULL_WIDTH) {
        return Err(BundleError::Width(width));
    }
    Ok(bytes)
}

/// The entries of a bundle that must hold exactly `width` of them.
pub fn decode(bytes: &[u8], width: u16) -> Result<Vec<&[u8]>, BundleError> {
    let expected = usize::from(width);
    if width == 0 || width > FULL_WIDTH {
        return Err(BundleError::Width(expected));
    }
    let mut entries = Vec::with_capacity(expected);
    let mut rest = bytes;
    while !rest.is_empty() {
        if entries.len() == expected {
            return Err(BundleError::Width(expected + 1));
        }
        let (entry, after) = split(rest).ok_or(BundleError::Truncated(entries.len()))?;
        entries.push(entry);
        rest = after;
    }
    if entries.len() != expected {
        return Err(BundleError::Width(entries.len()));
    }
    Ok(entries)
}

fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let bytes = encode([&b"a"[..], b"", b"bcd"]).unwrap();
        assert_eq!(bytes, b"\x00\x01a\x00\x00\x00\x03bcd");
        assert_eq!(decode(&bytes, 3).unwrap(), [&b"a"[..], b"", b"bcd"]);
    }

    #[test]
    fn bounds() {
        let longest = vec![7; ENTRY_BYTES_MAX];
        assert_eq!(decode(&encode([&longest[..]]).unwrap(), 1).unwrap(), [&longest[..]]);
        assert_eq!(encode([&vec![7; 65_536][..]]), Err(BundleError::EntryLength(65_536)));
        assert_eq!(encode(std::iter::empty()), Err(BundleError::Width(0)));
        assert_eq!(encode([&b""[..]; 257]), Err(BundleError::Width(257)));
        let bytes = encode([&b"a"[..], b"", b"bcd"]).unwrap();
        assert_eq!(decode(&bytes, 2), Err(BundleError::Width(3)));
        assert_eq!(decode(&bytes, 4), Err(BundleError::Width(3)));
        assert_eq!(decode(&bytes, 0), Err(BundleError::Width(0)));
        assert_eq!(decode(&bytes, 300), Err(BundleError::Width(300)));
        assert_eq!(decode(&bytes[..9], 3), Err(BundleError::Truncated(2)));
        assert_eq!(decode(&bytes[..6], 3), Err(BundleError::Truncated(2)));
    }
}

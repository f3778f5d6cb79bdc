//! Names of the files in a pack. Only these exist.

use ledger::TilePath;
use ledger::tile::TileKind;
use model::id::{EntryId, SessionId};
use std::fmt;
use std::str::FromStr;

/// Longest name.
pub const NAME_BYTES_MAX: usize = 100;

/// One file of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// `manifest`: what the pack holds; always first.
    Manifest,
    /// `checkpoint`: the log's head.
    Checkpoint,
    /// `disclosed/<entry>.json`: openings in clear.
    Disclosed(EntryId),
    /// `extents/<session>/<n>`: one extent of a recording, eight digits.
    Extent(SessionId, u64),
    /// `openings/<entry>.age`: openings, encrypted.
    Openings(EntryId),
    /// `proofs/<entry>.tlog-proof`: proof of inclusion under the first cosigned checkpoint.
    Proof(EntryId),
    /// `tile/entries/…` and `tile/0/…`: the log.
    Tile(TilePath),
    /// `wraps/<session>.age`: the recording's key, wrapped.
    Wraps(SessionId),
}

/// Why a text is not the name of a file in a pack.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the name of a file in a pack")]
pub struct BadName(String);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manifest => f.write_str("manifest"),
            Self::Checkpoint => f.write_str("checkpoint"),
            Self::Disclosed(entry) => write!(f, "disclosed/{entry}.json"),
            Self::Extent(session, number) => write!(f, "extents/{session}/{number:08}"),
            Self::Openings(entry) => write!(f, "openings/{entry}.age"),
            Self::Proof(entry) => write!(f, "proofs/{entry}.tlog-proof"),
            Self::Tile(path) => path.fmt(f),
            Self::Wraps(session) => write!(f, "wraps/{session}.age"),
        }
    }
}

impl FromStr for Name {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let found = read(text).filter(|name| text.len() <= NAME_BYTES_MAX && name.to_string() == text);
        found.ok_or_else(|| BadName(text.chars().take(NAME_BYTES_MAX).flat_map(char::escape_debug).collect()))
    }
}

fn read(text: &str) -> Option<Name> {
    let Some((folder, rest)) = text.split_once('/') else {
        return match text {
            "manifest" => Some(Name::Manifest),
            "checkpoint" => Some(Name::Checkpoint),
            _ => None,
        };
    };
    match folder {
        "disclosed" => Some(Name::Disclosed(rest.strip_suffix(".json")?.parse().ok()?)),
        "extents" => {
            let (session, number) = rest.split_once('/')?;
            Some(Name::Extent(session.parse().ok()?, number.parse().ok()?))
        }
        "openings" => Some(Name::Openings(rest.strip_suffix(".age")?.parse().ok()?)),
        "proofs" => Some(Name::Proof(rest.strip_suffix(".tlog-proof")?.parse().ok()?)),
        "tile" => {
            let path: TilePath = text.parse().ok()?;
            let used = matches!(path.kind(), TileKind::Entries | TileKind::Hashes(0));
            used.then_some(Name::Tile(path))
        }
        "wraps" => Some(Name::Wraps(rest.strip_suffix(".age")?.parse().ok()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_spelling() {
        let entry = EntryId::new(1, [2; 10]);
        let session = SessionId::new(1, [2; 10]);
        let tile = TilePath::new(TileKind::Entries, 1234, 7).unwrap();
        for name in [
            Name::Manifest,
            Name::Checkpoint,
            Name::Disclosed(entry),
            Name::Extent(session, 7),
            Name::Openings(entry),
            Name::Proof(entry),
            Name::Tile(tile),
            Name::Wraps(session),
        ] {
            assert_eq!(name.to_string().parse(), Ok(name));
        }
        for bad in [
            "",
            "/manifest",
            "manifest/",
            "./manifest",
            "tile/1/000",
            &format!("extents/{session}/7"),
            &format!("extents/{session}/+0000007"),
            &format!("extents/{session}/../00000007"),
            &format!("wraps/{entry}.age"),
            &format!("wraps/{session}.AGE"),
        ] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }

    #[test]
    fn bundles_sort_as_they_count() {
        let name = |index| TilePath::new(TileKind::Entries, index, 256).unwrap().to_string();
        let sorted = [0, 1, 255, 256, 999, 1000, 1001, 1999, 2000, 99_999, 100_000, 524_287].map(name);
        assert!(sorted.is_sorted());
    }
}

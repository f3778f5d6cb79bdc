//! The manifest: what a pack is of, and the digest of every file that neither the log's root nor a recording's chain
//! covers. One canonical JSON object a line: the header, the files, and a digest over the lines before it.
//!
//! It proves nothing by itself; whoever changes a pack can write it anew. It says where damage is, and that nothing is
//! missing or added.

use super::name::Name;
use super::{ENTRIES_MAX, EXTENTS_MAX, LOOSE_BYTES_MAX, LOOSE_MAX, PACK_FORMAT, PACK_VERSION, SESSIONS_MAX};
use ledger::TilePath;
use ledger::tile::{FULL_WIDTH, TileKind};
use model::bytes::Digest;
use model::id::SessionId;
use model::json;
use model::name::EnvironmentName;
use serde::{Deserialize, Serialize};

/// The longest manifest: every line at its longest.
pub(crate) const MANIFEST_BYTES_MAX: u64 = (LOOSE_MAX as u64 + 2) * 256 + 128 * SESSIONS_MAX as u64;

/// What a pack is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The environment.
    pub environment: EnvironmentName,
    /// Its log.
    pub origin: String,
    /// Entries in the pack: the checkpoint's size.
    pub size: u64,
    /// Sessions that the pack is about, ascending by id.
    pub sessions: Vec<SessionLine>,
    /// Loose files, ascending by name.
    pub files: Vec<FileLine>,
}

/// A session that the pack is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionLine {
    /// Its recording's extents.
    pub extents: u64,
    /// The session.
    pub id: SessionId,
}

/// A loose file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileLine {
    /// Its name.
    pub name: Name,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
    /// Their number.
    pub size: u64,
}

/// Why bytes are not a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Too long, not lines, or without a header and a last line.
    #[error("the manifest is not a list of lines with a header and a digest")]
    Lines,
    /// A later version wrote it.
    #[error("written by a newer format (pack version `{0}`); use a newer version of this program")]
    Newer(u32),
    /// A line is not of its form.
    #[error("line {line} of the manifest: {what}")]
    Line {
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
    /// The lines are not those that the digest was made of.
    #[error("the manifest does not have the digest that it names")]
    Digest,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    environment: EnvironmentName,
    files: u64,
    format: String,
    origin: String,
    sessions: Vec<SessionLine>,
    size: u64,
    v: u32,
}

/// Only what tells which version a manifest is of.
#[derive(Deserialize)]
struct Version {
    format: String,
    v: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    name: String,
    sha256: Digest,
    size: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Last {
    sha256: Digest,
}

impl Manifest {
    /// Its bytes.
    ///
    /// # Errors
    /// When a value cannot be written canonically, such as an origin of control characters beyond the limit.
    pub fn encode(&self) -> Result<Vec<u8>, json::JsonError> {
        let header = Header {
            environment: self.environment.clone(),
            files: self.files.len() as u64,
            format: PACK_FORMAT.to_owned(),
            origin: self.origin.clone(),
            sessions: self.sessions.clone(),
            size: self.size,
            v: PACK_VERSION,
        };
        let mut bytes = json::to_vec(&header)?;
        bytes.push(b'\n');
        for file in &self.files {
            bytes.extend(json::to_vec(&Listed {
                name: file.name.to_string(),
                sha256: file.sha256,
                size: file.size,
            })?);
            bytes.push(b'\n');
        }
        let last = Last {
            sha256: Digest::of(&bytes),
        };
        bytes.extend(json::to_vec(&last)?);
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// When the bytes are not what [`Manifest::encode`] writes.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() as u64 > MANIFEST_BYTES_MAX {
            return Err(ManifestError::Lines);
        }
        let body = bytes.strip_suffix(b"\n").ok_or(ManifestError::Lines)?;
        let cut = body
            .iter()
            .rposition(|byte| *byte == b'\n')
            .ok_or(ManifestError::Lines)?;
        let (lines, last) = bytes.split_at_checked(cut + 1).ok_or(ManifestError::Lines)?;
        let last = last.strip_suffix(b"\n").ok_or(ManifestError::Lines)?;
        // A newer manifest need not have this shape further down, so its version is looked at first.
        let first = lines.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let version: Version = serde_json::from_slice(first).map_err(|e| bad(1, e))?;
        if version.format != PACK_FORMAT {
            return Err(bad(1, format!("format `{PACK_FORMAT}` is expected")));
        }
        // Every version ends its manifest so; a version number that was merely damaged is damage.
        let intact = json::from_slice::<Last>(last).is_ok_and(|last| last.sha256 == Digest::of(lines));
        match version.v {
            _ if !intact => Err(ManifestError::Digest),
            PACK_VERSION => Self::read(lines),
            newer if newer > PACK_VERSION => Err(ManifestError::Newer(newer)),
            _ => Err(bad(1, "there is no such version")),
        }
    }

    /// Every file of the pack in its order, as this manifest calls for them.
    pub(crate) fn names(&self) -> impl Iterator<Item = Name> + '_ {
        let loose = |from: &'static str, to: &'static str| {
            let names = self.files.iter().map(|file| (file.name.to_string(), file.name));
            let inside = names.filter(move |(text, _)| from <= text.as_str() && text.as_str() < to);
            inside.map(|(_, name)| name)
        };
        let extents = self
            .sessions
            .iter()
            .flat_map(|session| (0..session.extents).map(|number| Name::Extent(session.id, number)));
        let tiles = |kind| {
            let bundles = 0..self.size.div_ceil(u64::from(FULL_WIDTH));
            bundles.filter_map(move |index| TilePath::of_tree(kind, index, self.size).map(Name::Tile))
        };
        std::iter::once(Name::Manifest)
            .chain(loose("", "extents/"))
            .chain(extents)
            .chain(loose("extents/", "tile/"))
            .chain(tiles(TileKind::Hashes(0)))
            .chain(tiles(TileKind::Entries))
            .chain(loose("tile/", "~"))
    }

    fn read(lines: &[u8]) -> Result<Self, ManifestError> {
        let mut lines = lines
            .strip_suffix(b"\n")
            .unwrap_or_default()
            .split(|byte| *byte == b'\n');
        let header: Header = json::from_slice(lines.next().unwrap_or_default()).map_err(|e| bad(1, e))?;
        let mut files = Vec::new();
        for (at, line) in lines.enumerate() {
            let file = file_line(line).map_err(|what| bad(at + 2, what))?;
            let sorted = files
                .last()
                .is_none_or(|before: &FileLine| before.name.to_string() < file.name.to_string());
            if !sorted || files.len() >= LOOSE_MAX {
                return Err(bad(at + 2, "the file is out of order, doubled or one too many"));
            }
            files.push(file);
        }
        if header.files != files.len() as u64 {
            return Err(bad(
                1,
                format!("{} files are announced, {} listed", header.files, files.len()),
            ));
        }
        if header.size == 0 || header.size > ENTRIES_MAX {
            return Err(bad(1, format!("a pack has 1 to {ENTRIES_MAX} entries")));
        }
        let sessions = &header.sessions;
        let fits = sessions.len() <= SESSIONS_MAX && sessions.iter().all(|s| s.extents <= EXTENTS_MAX);
        if !fits || !sessions.is_sorted_by(|a, b| a.id < b.id) {
            return Err(bad(1, "the sessions are out of order, doubled or too many"));
        }
        Ok(Self {
            environment: header.environment,
            origin: header.origin,
            size: header.size,
            sessions: header.sessions,
            files,
        })
    }
}

fn bad(line: usize, what: impl ToString) -> ManifestError {
    ManifestError::Line {
        line,
        what: what.to_string(),
    }
}

fn file_line(line: &[u8]) -> Result<FileLine, String> {
    let listed: Listed = json::from_slice(line).map_err(|e| e.to_string())?;
    let name: Name = listed.name.parse().map_err(|e: super::name::BadName| e.to_string())?;
    if matches!(name, Name::Manifest | Name::Tile(_) | Name::Extent(..)) {
        return Err(format!("`{name}` is not listed in a manifest"));
    }
    if listed.size > LOOSE_BYTES_MAX {
        return Err(format!("`{name}` is longer than {LOOSE_BYTES_MAX} bytes"));
    }
    Ok(FileLine {
        name,
        sha256: listed.sha256,
        size: listed.size,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::id::EntryId;

    fn manifest() -> Manifest {
        Manifest {
            environment: "acme".parse().unwrap(),
            origin: "acme.gateway.example".into(),
            size: 17,
            sessions: vec![SessionLine {
                extents: 2,
                id: SessionId::new(1, [1; 10]),
            }],
            files: vec![
                FileLine {
                    name: Name::Checkpoint,
                    sha256: Digest::of(b"c"),
                    size: 1,
                },
                FileLine {
                    name: Name::Proof(EntryId::new(1, [1; 10])),
                    sha256: Digest::of(b"p"),
                    size: 1,
                },
            ],
        }
    }

    #[test]
    fn reads_what_it_writes_and_nothing_near_it() {
        let bytes = manifest().encode().unwrap();
        assert_eq!(Manifest::parse(&bytes), Ok(manifest()));
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut other = bytes.clone();
                other[at] ^= 1 << bit;
                assert!(Manifest::parse(&other).is_err(), "byte {at}, bit {bit}");
            }
            assert!(Manifest::parse(&bytes[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_newer_manifest_is_called_newer() {
        let text = String::from_utf8(manifest().encode().unwrap()).unwrap();
        let newer = text
            .replace("\"v\":1", "\"v\":2")
            .replace("\"size\":17", "\"size\":17,\"treasure\":1");
        assert_eq!(Manifest::parse(newer.as_bytes()), Err(ManifestError::Digest));
        let (lines, _) = newer.trim_end().rsplit_once('\n').unwrap();
        let lines = format!("{lines}\n");
        let ended = |lines: &str| format!("{lines}{{\"sha256\":\"{}\"}}\n", Digest::of(lines.as_bytes()));
        assert_eq!(Manifest::parse(ended(&lines).as_bytes()), Err(ManifestError::Newer(2)));
        let older = ended(&lines.replace("\"v\":2", "\"v\":0"));
        assert!(matches!(
            Manifest::parse(older.as_bytes()),
            Err(ManifestError::Line { line: 1, .. })
        ));
    }

    #[test]
    fn names_ascend() {
        let manifest = Manifest {
            size: 600,
            ..manifest()
        };
        let names: Vec<String> = manifest.names().map(|name| name.to_string()).collect();
        assert_eq!(names.len(), 1 + 2 + 2 + 3 + 3);
        assert!(names.iter().skip(1).is_sorted());
        assert_eq!(
            names[9..],
            ["tile/entries/000", "tile/entries/001", "tile/entries/002.p/88"][1..]
        );
    }

    #[test]
    fn order_and_counts_are_held() {
        let refused = |change: fn(&mut Manifest)| {
            let mut manifest = manifest();
            change(&mut manifest);
            Manifest::parse(&manifest.encode().unwrap()).is_err()
        };
        assert!(refused(|m| m.files.reverse()));
        assert!(refused(|m| m.files[1] = m.files[0]));
        assert!(refused(|m| m.files[1].name = Name::Manifest));
        assert!(refused(|m| m.files[1].size = LOOSE_BYTES_MAX + 1));
        assert!(refused(|m| m.size = 0));
        assert!(refused(|m| m.size = ENTRIES_MAX + 1));
        assert!(refused(|m| m.sessions.push(m.sessions[0])));
        assert!(!refused(|m| m.sessions.clear()));
    }
}

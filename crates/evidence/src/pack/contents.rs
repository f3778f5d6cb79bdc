//! Building a pack: from what a log's holder has, to a stream, without holding the pack.

use super::manifest::{FileLine, Manifest, SessionLine};
use super::name::Name;
use super::tar::TarWriter;
use super::{ENTRIES_MAX, EXTENTS_MAX, LOOSE_BYTES_MAX, LOOSE_MAX, SESSIONS_MAX};
use ledger::inclusion::{self, ProveError};
use ledger::proof::ProofError;
use ledger::tile::{FULL_WIDTH, TileKind};
use ledger::tree::Node;
use ledger::{Hash, SignedCheckpoint, TilePath, TlogProof, Tree, bundle, hash, tile};
use model::bytes::Digest;
use model::id::{EntryId, SessionId};
use model::json;
use model::name::EnvironmentName;
use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, Write};

/// A failure of the storage that entries or extents come from.
pub type SourceError = Box<dyn Error + Send + Sync>;
/// Gives the entries from an index on, exactly as many as asked for; asked twice for each.
pub type Bundles<'a> = dyn FnMut(u64, u16) -> Result<Vec<Vec<u8>>, SourceError> + 'a;
/// Gives one extent of a session's recording in export form.
pub type Extents<'a> = dyn FnMut(SessionId, u64) -> Result<Vec<u8>, SourceError> + 'a;

/// Everything that goes into a pack.
pub struct Contents<'a> {
    /// The environment.
    pub environment: &'a EnvironmentName,
    /// The head up to which the log goes in, with its cosignatures.
    pub checkpoint: &'a SignedCheckpoint,
    /// Sessions that the pack is about, with the number of extents that the log says each has.
    pub sessions: &'a [SessionLine],
    /// Entries that get a proof of their own: each session's opening, approvals and end.
    pub proven: &'a [Proven<'a>],
    /// Files beside the log.
    pub loose: &'a [Loose],
    /// The log's entries.
    pub bundles: &'a mut Bundles<'a>,
    /// The recordings.
    pub extents: &'a mut Extents<'a>,
}

/// An entry that gets a proof of its own.
#[derive(Debug, Clone, Copy)]
pub struct Proven<'a> {
    /// The entry.
    pub entry: EntryId,
    /// Its index.
    pub index: u64,
    /// The first cosigned checkpoint that covers it: the one that its gate waited for. A later one makes the entry's
    /// time worth less, and an opening look backdated.
    pub checkpoint: &'a SignedCheckpoint,
}

/// A file beside the log.
#[derive(Debug, Clone)]
pub struct Loose {
    /// What it is.
    pub kind: LooseKind,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// What a file beside the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LooseKind {
    /// An entry's openings, encrypted.
    Openings(EntryId),
    /// An entry's openings in clear: canonical [`model::commitment::Openings`].
    Disclosed(EntryId),
    /// A session's wrapped key.
    Wraps(SessionId),
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Bytes of the pack.
    pub bytes: u64,
    /// Entries in it.
    pub entries: u64,
    /// Extents in it.
    pub extents: u64,
}

/// Why a pack was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The output failed.
    #[error("the pack cannot be written")]
    Io(#[from] io::Error),
    /// The storage failed.
    #[error("the evidence cannot be read: {0}")]
    Source(SourceError),
    /// More than a pack may hold.
    #[error("a pack cannot hold this many {0}")]
    TooMany(&'static str),
    /// Two files of one name.
    #[error("`{0}` is given twice")]
    Twice(String),
    /// A file beside the log is longer than a pack takes.
    #[error("`{0}` is longer than a pack takes")]
    TooLong(String),
    /// The storage gave another number of entries than it was asked for.
    #[error("the log gave no whole bundle at entry {0}")]
    Bundle(u64),
    /// The entries are not those that the checkpoint is of.
    #[error("the entries do not hash to the checkpoint's root")]
    Root,
    /// A proof was asked for that the log cannot give.
    #[error("no proof for entry {0}: its checkpoint does not cover it, or is not of these entries")]
    Unprovable(u64),
    /// Something cannot be written canonically.
    #[error(transparent)]
    Json(#[from] json::JsonError),
}

impl From<ProofError> for WriteError {
    fn from(_: ProofError) -> Self {
        Self::TooMany("hashes")
    }
}

/// Writes a pack.
///
/// # Errors
/// When the contents contradict themselves, a source fails, or the output does.
pub fn write<W: Write>(out: W, contents: Contents<'_>) -> Result<Summary, WriteError> {
    let Contents {
        environment,
        checkpoint,
        sessions,
        proven,
        loose,
        bundles,
        extents,
    } = contents;
    let head = *checkpoint.checkpoint().head();
    check_counts(head.size, sessions, proven.len() + loose.len())?;
    let nodes = Nodes::read(head.size, bundles)?;
    if nodes.root(head.size) != Some(head.root) {
        return Err(WriteError::Root);
    }
    let files = loose_files(checkpoint, proven, loose, &nodes)?;
    let mut sorted = sessions.to_vec();
    sorted.sort_by_key(|session| session.id);
    let manifest = Manifest {
        environment: environment.clone(),
        origin: checkpoint.checkpoint().origin().to_string(),
        size: head.size,
        sessions: sorted,
        files: files.values().map(|(line, _)| *line).collect(),
    };
    let mut tar = TarWriter::new(out);
    let mut count = 0;
    for name in manifest.names() {
        let body = match name {
            Name::Manifest => manifest.encode()?,
            Name::Extent(session, number) => {
                count += 1;
                extents(session, number).map_err(WriteError::Source)?
            }
            Name::Tile(path) => nodes.tile(path, bundles)?,
            _ => {
                let file = files.get(&name.to_string());
                file.map(|(_, bytes)| bytes.clone()).unwrap_or_default()
            }
        };
        tar.file(name, &body)?;
    }
    Ok(Summary {
        bytes: tar.finish()?,
        entries: head.size,
        extents: count,
    })
}

fn check_counts(size: u64, sessions: &[SessionLine], loose: usize) -> Result<(), WriteError> {
    if size == 0 || size > ENTRIES_MAX {
        return Err(WriteError::TooMany("entries"));
    }
    if sessions.len() > SESSIONS_MAX {
        return Err(WriteError::TooMany("sessions"));
    }
    if sessions.iter().any(|session| session.extents > EXTENTS_MAX) {
        return Err(WriteError::TooMany("extents"));
    }
    if loose >= LOOSE_MAX {
        return Err(WriteError::TooMany("files"));
    }
    let mut ids: Vec<_> = sessions.iter().map(|session| session.id).collect();
    ids.sort_unstable();
    match ids.windows(2).find(|pair| pair.first() == pair.last()) {
        Some(pair) => Err(WriteError::Twice(
            pair.iter().map(ToString::to_string).take(1).collect(),
        )),
        None => Ok(()),
    }
}

type Files = BTreeMap<String, (FileLine, Vec<u8>)>;

fn loose_files(
    checkpoint: &SignedCheckpoint,
    proven: &[Proven<'_>],
    loose: &[Loose],
    nodes: &Nodes,
) -> Result<Files, WriteError> {
    let mut files = Files::new();
    add(&mut files, Name::Checkpoint, checkpoint.to_string().into_bytes())?;
    for one in proven {
        let proof = nodes.prove(one)?;
        add(&mut files, Name::Proof(one.entry), proof.to_string().into_bytes())?;
    }
    for file in loose {
        let name = match file.kind {
            LooseKind::Openings(entry) => Name::Openings(entry),
            LooseKind::Disclosed(entry) => Name::Disclosed(entry),
            LooseKind::Wraps(session) => Name::Wraps(session),
        };
        add(&mut files, name, file.bytes.clone())?;
    }
    Ok(files)
}

fn add(files: &mut Files, name: Name, bytes: Vec<u8>) -> Result<(), WriteError> {
    let size = bytes.len() as u64;
    if size > LOOSE_BYTES_MAX {
        return Err(WriteError::TooLong(name.to_string()));
    }
    let line = FileLine {
        name,
        sha256: Digest::of(&bytes),
        size,
    };
    match files.insert(name.to_string(), (line, bytes)) {
        Some(_) => Err(WriteError::Twice(name.to_string())),
        None => Ok(()),
    }
}

/// All final nodes of the tree: 64 bytes an entry.
struct Nodes {
    levels: Vec<Vec<Hash>>,
}

impl Nodes {
    fn read(size: u64, bundles: &mut Bundles<'_>) -> Result<Self, WriteError> {
        let mut tree = Tree::new();
        let mut levels: Vec<Vec<Hash>> = Vec::new();
        while tree.size() < size {
            let entries = whole_bundle(tree.size(), size, bundles)?;
            for entry in &entries {
                let stored = tree.append_with(hash::leaf(entry), |node, hash| {
                    let level = usize::from(node.level);
                    if levels.len() <= level {
                        levels.push(Vec::new());
                    }
                    if let Some(level) = levels.get_mut(level) {
                        level.push(*hash);
                    }
                });
                stored.map_err(|_| WriteError::TooMany("entries"))?;
            }
        }
        Ok(Self { levels })
    }

    fn node(&self, node: Node) -> Option<Hash> {
        let level = self.levels.get(usize::from(node.level))?;
        level.get(usize::try_from(node.index).ok()?).copied()
    }

    fn root(&self, size: u64) -> Option<Hash> {
        ledger::tree::root(size, |node| self.node(node).ok_or(())).ok()
    }

    fn prove(&self, one: &Proven<'_>) -> Result<TlogProof, WriteError> {
        let head = one.checkpoint.checkpoint().head();
        let unprovable = WriteError::Unprovable(one.index);
        if self.root(head.size) != Some(head.root) {
            return Err(unprovable);
        }
        let hashes = inclusion::prove(one.index, head.size, |node| self.node(node).ok_or(()));
        let hashes = hashes.map_err(|_: ProveError<()>| unprovable)?;
        Ok(TlogProof::new(one.index, hashes, one.checkpoint.clone())?)
    }

    /// The bytes of a hash tile, or of a bundle, for which the entries are read again.
    fn tile(&self, path: TilePath, bundles: &mut Bundles<'_>) -> Result<Vec<u8>, WriteError> {
        let first = path.first();
        if path.kind() == TileKind::Entries {
            let entries = whole_bundle(first, first + u64::from(path.width()), bundles)?;
            let bytes = bundle::encode(entries.iter().map(Vec::as_slice));
            return bytes.map_err(|_| WriteError::Bundle(first));
        }
        let hashes = tile::from_nodes(path, |node| self.node(node).ok_or(WriteError::Bundle(first)));
        Ok(tile::encode(&hashes.unwrap_or_else(|| Ok(Vec::new()))?))
    }
}

fn whole_bundle(first: u64, end: u64, bundles: &mut Bundles<'_>) -> Result<Vec<Vec<u8>>, WriteError> {
    let count = u16::try_from((end - first).min(u64::from(FULL_WIDTH))).unwrap_or(FULL_WIDTH);
    let entries = bundles(first, count).map_err(WriteError::Source)?;
    if entries.len() == usize::from(count) {
        Ok(entries)
    } else {
        Err(WriteError::Bundle(first))
    }
}

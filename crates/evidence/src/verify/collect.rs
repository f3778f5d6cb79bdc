//! Reading a pack as a stream: every file in its place, every byte held against the manifest, the log's hashes or a
//! recording's own chain. What is left over for [`super`] is what the parts say about each other.

use super::log::{Begin, Log};
use super::recording::Track;
use super::{Phase, Progress};
use crate::pack::{Fault, FileLine, LOOSE_BYTES_MAX, MANIFEST_BYTES_MAX, Manifest, ManifestError, Name, Place, Tar};
use ledger::bundle::ENTRY_BYTES_MAX;
use ledger::tile::{FULL_WIDTH, TileKind};
use ledger::{SignedCheckpoint, TlogProof};
use model::bytes::Digest;
use model::commitment::Openings;
use model::id::{EntryId, SessionId};
use model::json;
use recording::MAX_EXPORT_BYTES;
use std::collections::BTreeMap;
use std::io::Read;

/// The parts of a pack, each sound by itself.
pub(super) struct Collected {
    pub(super) manifest: Manifest,
    pub(super) files: u64,
    pub(super) checkpoint: SignedCheckpoint,
    pub(super) proofs: BTreeMap<EntryId, TlogProof>,
    pub(super) openings: BTreeMap<EntryId, (Digest, u64)>,
    pub(super) disclosed: BTreeMap<EntryId, Openings>,
    pub(super) wraps: BTreeMap<SessionId, Digest>,
    pub(super) tracks: BTreeMap<SessionId, Track>,
    pub(super) log: Log,
}

/// Reads the whole pack.
pub(super) fn collect<R: Read>(
    input: R,
    progress: &mut dyn FnMut(&Progress),
    begin: Begin<'_>,
) -> Result<Collected, Fault> {
    let mut tar = Tar::new(input);
    let manifest = read_manifest(&mut tar)?;
    let mut collector = Collector {
        progress: Progress {
            entries: manifest.size,
            extents: manifest.sessions.iter().map(|session| session.extents).sum(),
            ..Progress::default()
        },
        log: Log::new(&manifest),
        ..Collector::default()
    };
    let mut listed = manifest.files.iter();
    let mut files = 1;
    for wanted in manifest.names().skip(1) {
        let Some((name, body)) = tar.next(length_max)? else {
            return Err(Fault::form(Place::File(wanted), "is missing"));
        };
        if name != wanted {
            return Err(Fault::form(Place::File(name), format!("stands where {wanted} belongs")));
        }
        let line = if is_listed(name) { listed.next() } else { None };
        collector.take(&manifest, name, line, body, begin)?;
        files += 1;
        collector.progress.bytes = tar.offset();
        progress(&collector.progress);
    }
    if let Some((name, _)) = tar.next(length_max)? {
        return Err(Fault::form(Place::File(name), "is not in the manifest"));
    }
    let missing = || Fault::form(Place::File(Name::Checkpoint), "is missing");
    let checkpoint = collector.checkpoint.ok_or_else(missing)?;
    collector.log.close(checkpoint.checkpoint().head())?;
    Ok(Collected {
        manifest,
        files,
        checkpoint,
        proofs: collector.proofs,
        openings: collector.openings,
        disclosed: collector.disclosed,
        wraps: collector.wraps,
        tracks: collector.tracks,
        log: collector.log,
    })
}

fn read_manifest<R: Read>(tar: &mut Tar<R>) -> Result<Manifest, Fault> {
    let at = Place::File(Name::Manifest);
    match tar.next(length_max)? {
        Some((Name::Manifest, body)) => Manifest::parse(&body).map_err(|error| match error {
            ManifestError::Newer(_) => Fault::Newer(error.to_string()),
            _ => Fault::form(at, error.to_string()),
        }),
        Some((name, _)) => Err(Fault::form(Place::File(name), "stands where the manifest belongs")),
        None => Err(Fault::form(Place::Byte(0), "the pack is empty")),
    }
}

fn length_max(name: Name) -> u64 {
    let bytes = match name {
        Name::Manifest => return MANIFEST_BYTES_MAX,
        Name::Extent(..) => MAX_EXPORT_BYTES,
        Name::Tile(path) if path.kind() == TileKind::Entries => usize::from(FULL_WIDTH) * (2 + ENTRY_BYTES_MAX),
        Name::Tile(_) => usize::from(FULL_WIDTH) * 32,
        _ => return LOOSE_BYTES_MAX,
    };
    bytes as u64
}

fn is_listed(name: Name) -> bool {
    !matches!(name, Name::Manifest | Name::Tile(_) | Name::Extent(..))
}

#[derive(Default)]
struct Collector {
    progress: Progress,
    checkpoint: Option<SignedCheckpoint>,
    proofs: BTreeMap<EntryId, TlogProof>,
    openings: BTreeMap<EntryId, (Digest, u64)>,
    disclosed: BTreeMap<EntryId, Openings>,
    wraps: BTreeMap<SessionId, Digest>,
    tracks: BTreeMap<SessionId, Track>,
    log: Log,
}

impl Collector {
    fn take(
        &mut self,
        manifest: &Manifest,
        name: Name,
        line: Option<&FileLine>,
        body: Vec<u8>,
        begin: Begin<'_>,
    ) -> Result<(), Fault> {
        let bad = |what: String| Fault::form(Place::File(name), what);
        let digest = match line {
            Some(line) => {
                let digest = Digest::of(&body);
                if line.size != body.len() as u64 || line.sha256 != digest {
                    return Err(bad("is not the file that the manifest lists".into()));
                }
                digest
            }
            None => Digest([0; 32]),
        };
        match name {
            Name::Manifest => return Err(bad("is there twice".into())),
            Name::Checkpoint => {
                let checkpoint = SignedCheckpoint::parse(&body).map_err(|e| bad(e.to_string()))?;
                let said = checkpoint.checkpoint();
                if said.origin().as_str() != manifest.origin || said.head().size != manifest.size {
                    return Err(bad("is of another log or size than the manifest says".into()));
                }
                self.checkpoint = Some(checkpoint);
            }
            Name::Proof(entry) => {
                let proof = TlogProof::parse(&body).map_err(|e| bad(e.to_string()))?;
                self.proofs.insert(entry, proof);
            }
            Name::Openings(entry) => drop(self.openings.insert(entry, (digest, body.len() as u64))),
            Name::Wraps(session) => drop(self.wraps.insert(session, digest)),
            Name::Disclosed(entry) => {
                let openings: Openings = json::from_slice(&body).map_err(|e| bad(e.to_string()))?;
                if openings.entry != entry {
                    return Err(bad("discloses another entry".into()));
                }
                self.disclosed.insert(entry, openings);
            }
            Name::Extent(session, number) => {
                self.progress.phase = Phase::Recordings;
                self.progress.extents_done += 1;
                self.tracks.entry(session).or_default().take(session, number, &body)?;
            }
            Name::Tile(path) => {
                self.progress.phase = Phase::Log;
                self.progress.entries_done += self.log.take(path, body, begin)?;
            }
        }
        Ok(())
    }
}

//! Verifying a pack: what it claims, against its own bytes, the log's rules and the reader's trust.
//!
//! First everything that needs no trust: the one form, entries and root, the genesis and what follows from it, proofs,
//! blobs, recordings. Then what believed witnesses saw. Then what was done: refused entries, sessions, approvals,
//! decisions, times. A pack that contradicts itself is tampered with; one that nobody whom the reader believes vouches
//! for is self-consistent and no more.

mod collect;
mod conduct;
mod heads;
mod log;
mod parts;
mod recording;
mod report;

pub use log::{Begin, Entries, Pending, read_bundle};
pub use report::{Claim, End, Outcome, Report, SessionEnd, Status};

use crate::explain::{ExplainError, explain};
use crate::grounds::{Grounds, Integrity};
use crate::pack::{Fault, Place};
use crate::reading::Reading;
use crate::render::counted;
use crate::replay::World;
use crate::trust::Trust;
use collect::Collected;
use model::commitment::Openings;
use model::id::{EntryId, SessionId};
use model::statement::Genesis;
use model::verdict::Verdict;
use std::collections::BTreeMap;
use std::io::{self, Read};

/// How far a verification is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// What is being read.
    pub phase: Phase,
    /// Bytes of the pack read.
    pub bytes: u64,
    /// Entries in the pack.
    pub entries: u64,
    /// Entries checked.
    pub entries_done: u64,
    /// Extents in the pack.
    pub extents: u64,
    /// Extents checked.
    pub extents_done: u64,
}

/// What is being read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Phase {
    /// Manifest, proofs, blobs.
    #[default]
    Papers,
    /// Extents.
    Recordings,
    /// Entries.
    Log,
}

/// A pack that was read.
#[derive(Debug)]
pub struct Verified {
    /// What was found.
    pub report: Report,
    contents: Option<Box<Readable>>,
}

/// What can be asked of a pack whose log is sound.
#[derive(Debug)]
struct Readable {
    world: World,
    grounds: Grounds,
    sessions: Vec<SessionId>,
    disclosed: BTreeMap<EntryId, Openings>,
}

impl Verified {
    /// The log, replayed; none when the pack could not be read so far.
    #[must_use]
    pub fn world(&self) -> Option<&World> {
        self.contents.as_ref().map(|contents| &contents.world)
    }

    /// The ground on which its sessions are judged.
    #[must_use]
    pub fn grounds(&self) -> Option<&Grounds> {
        self.contents.as_ref().map(|contents| &contents.grounds)
    }

    /// The sessions that the pack is about.
    #[must_use]
    pub fn sessions(&self) -> &[SessionId] {
        self.contents
            .as_ref()
            .map(|contents| contents.sessions.as_slice())
            .unwrap_or_default()
    }

    /// Everything that its sessions can be told from. What the pack discloses was checked against its commitments.
    #[must_use]
    pub fn reading(&self) -> Option<Reading<'_>> {
        let contents = self.contents.as_ref()?;
        Some(Reading {
            world: &contents.world,
            grounds: &contents.grounds,
            disclosed: &contents.disclosed,
        })
    }

    /// Judges one of its sessions.
    ///
    /// # Errors
    /// When the pack could not be read, or does not hold the session.
    pub fn explain(&self, session: SessionId) -> Result<Verdict, ExplainError> {
        let contents = self.contents.as_ref().ok_or(ExplainError::NoSession(session))?;
        explain(&contents.world, &contents.grounds, session)
    }

    fn refused(claim: Claim) -> Self {
        let claims = vec![claim];
        let status = Report::status_of(&claims, false);
        Self {
            report: Report {
                environment: None,
                origin: None,
                entries: None,
                sessions: vec![],
                recordings_closed: 0,
                claims,
                status,
            },
            contents: None,
        }
    }
}

/// Reads and judges a pack. `trust` is the reader's own.
///
/// # Errors
/// When `input` cannot be read. A pack that is cut off is an answer, not an error.
pub fn verify<R: Read>(input: R, trust: Option<&Trust>, progress: &mut dyn FnMut(&Progress)) -> io::Result<Verified> {
    verify_ahead(input, trust, progress, &mut log::when_asked)
}

/// As [`verify`]; entries are read by `begin`, which may do it elsewhere meanwhile.
///
/// # Errors
/// As [`verify`].
pub fn verify_ahead<R: Read>(
    input: R,
    trust: Option<&Trust>,
    progress: &mut dyn FnMut(&Progress),
    begin: Begin<'_>,
) -> io::Result<Verified> {
    match collect::collect(input, progress, begin) {
        Ok(parts) => Ok(judge(parts, trust)),
        Err(Fault::Io(error)) => Err(error),
        Err(Fault::Form { at, what }) => Ok(Verified::refused(Claim::fails("format", at, what))),
        Err(Fault::Newer(what)) => Ok(Verified::refused(Claim::new("format", Outcome::Newer, what, None))),
    }
}

fn judge(mut parts: Collected, trust: Option<&Trust>) -> Verified {
    if let Some(newer) = parts.log.newer.take() {
        return Verified::refused(Claim::new(
            "entries",
            Outcome::Newer,
            newer.to_string(),
            Some(Place::Entry(newer.index)),
        ));
    }
    let mut claims = vec![
        Claim::holds(
            "format",
            format!(
                "pack version {}, {}, every byte accounted for",
                crate::pack::PACK_VERSION,
                counted(parts.files, "file")
            ),
        ),
        Claim::holds(
            "entries",
            format!(
                "the checkpoint's root is that of {}",
                counted(parts.manifest.size, "entry")
            ),
        ),
    ];
    let Some(genesis) = parts.log.world.state().genesis().ok().cloned() else {
        let why = parts
            .log
            .world
            .refusal(0)
            .map_or("is not a genesis".to_owned(), |finding| finding.coded());
        claims.push(Claim::fails("genesis", Place::Entry(0), why));
        return finish(parts, claims, Vec::new(), None, trust);
    };
    let own = Trust::parse(Trust::file_of(&genesis).as_bytes());
    let own = match own {
        Ok(own) => own,
        Err(error) => {
            let what = format!("names keys that cannot be used: {error}");
            claims.push(Claim::fails("genesis", Place::Entry(0), what));
            return finish(parts, claims, Vec::new(), None, trust);
        }
    };
    let found = heads::check(&parts, &genesis, &own, trust);
    claims.extend(found.claims);
    let mut grounds = found.grounds;
    claims.extend(parts::check(&parts, &mut grounds));
    grounds.integrity = integrity(&claims, trust.is_some());
    let conduct = conduct::check(&parts, &grounds);
    finish(parts, claims, conduct, Some((grounds, genesis)), trust)
}

fn finish(
    parts: Collected,
    mut claims: Vec<Claim>,
    conduct: Vec<Claim>,
    ground: Option<(Grounds, Genesis)>,
    trust: Option<&Trust>,
) -> Verified {
    claims.extend(conduct);
    let report = Report {
        environment: Some(parts.manifest.environment.to_string()),
        origin: Some(parts.manifest.origin.clone()),
        entries: Some(parts.manifest.size),
        sessions: ends(&parts),
        recordings_closed: ground.as_ref().map_or(0, |(grounds, _)| closed(grounds)),
        status: Report::status_of(&claims, trust.is_some()),
        claims,
    };
    let contents = ground.map(|(grounds, _)| {
        Box::new(Readable {
            world: parts.log.world,
            grounds,
            sessions: parts.manifest.sessions.iter().map(|session| session.id).collect(),
            disclosed: parts.disclosed,
        })
    });
    Verified { report, contents }
}

/// Recordings that no key opens with this pack.
fn closed(grounds: &Grounds) -> usize {
    let recordings = grounds.recordings.values();
    recordings
        .filter(|recording| recording.extents > 0 && !recording.openable)
        .count()
}

/// How far each of the pack's sessions is told.
fn ends(parts: &Collected) -> Vec<SessionEnd> {
    let told = parts.manifest.sessions.iter().map(|line| {
        let dossier = parts.log.world.dossier(line.id);
        let end = match dossier.map(|dossier| (dossier.ended(), dossier.lost())) {
            Some((Some(_), _)) => End::Ended,
            Some((None, Some(_))) => End::Interrupted,
            _ => End::NotEnded,
        };
        SessionEnd { session: line.id, end }
    });
    told.collect()
}

/// What the claims so far leave of the evidence as a whole.
fn integrity(claims: &[Claim], has_trust: bool) -> Integrity {
    match Report::status_of(claims, has_trust) {
        Status::Trusted => Integrity::Established,
        Status::Tampered { at, what } => Integrity::Broken(format!("{at}: {what}")),
        Status::TrustNotEstablished { because } => Integrity::NotEstablished(because),
        Status::NewerFormat { what } => Integrity::NotEstablished(what),
    }
}

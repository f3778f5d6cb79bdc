//! One session's evidence wherever it is held: in a pack, at a server, in the folder of a stopped one.

use crate::command::verify::{self, TrustArgs};
use crate::exit::Failure;
use crate::source::{Pieces, Source, SourceArgs};
use clap::Args;
use evidence::pack::Name;
use evidence::verify::{Status, Verified};
use model::body::{Body, Opened};
use model::bytes::Digest;
use model::entry::Entry;
use model::id::SessionId;
use model::name::EnvironmentName;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

const BLOCK: usize = 512;

/// Where to look.
#[derive(Debug, Clone, Args)]
pub(crate) struct HeldArgs {
    /// Read this pack instead of asking a server
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    pack: Option<PathBuf>,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    source: SourceArgs,
}

/// Evidence of one session.
pub(crate) struct Held {
    session: SessionId,
    place: Place,
}

enum Place {
    Pack {
        path: PathBuf,
        verified: Box<Verified>,
    },
    Source {
        source: Source,
        environment: EnvironmentName,
    },
}

/// What an opening says of its recording.
pub(crate) struct Opening {
    pub(crate) origin: String,
    pub(crate) dek: Digest,
    pub(crate) time_ms: u64,
}

/// A recording's extents, in order.
pub(crate) enum Recording {
    Pack {
        files: Files,
        session: SessionId,
        next: u64,
    },
    Source(Pieces),
}

impl Held {
    pub(crate) async fn open(args: &HeldArgs, session: SessionId) -> Result<Self, Failure> {
        let place = match &args.pack {
            Some(path) => Place::Pack {
                verified: Box::new(sound(path, &args.trust)?),
                path: path.clone(),
            },
            None => {
                let source = Source::open(&args.source).await?;
                let environment = source.environment_of(session).await?;
                Place::Source { source, environment }
            }
        };
        Ok(Self { session, place })
    }

    pub(crate) async fn opening(&self) -> Result<Opening, Failure> {
        let (origin, time_ms, opened) = match &self.place {
            Place::Pack { verified, .. } => {
                let world = verified
                    .world()
                    .ok_or_else(|| Failure::refused("the pack cannot be read"))?;
                let dossier = world.dossier(self.session).and_then(|dossier| dossier.opening.as_ref());
                let at = dossier.ok_or_else(|| Failure::refused(format!("`{}` is not in this pack", self.session)))?;
                let origin = world.state().genesis().map_err(Failure::refused)?.origin.clone();
                let opened = at.body().cloned();
                (origin, at.placed.entry.time_ms, opened)
            }
            Place::Source { source, environment } => {
                let entries = source.session_entries(environment, self.session).await?;
                let (time_ms, opened) = opened_in(&entries)?;
                (source.origin(environment).await?, time_ms, Some(opened))
            }
        };
        let opened = opened.ok_or_else(|| Failure::refused(format!("{} has no opening", self.session)))?;
        Ok(Opening {
            origin,
            dek: opened.dek,
            time_ms,
        })
    }

    /// The wrapped key of the recording; none when it was erased.
    pub(crate) async fn wraps(&self) -> Result<Option<Vec<u8>>, Failure> {
        match &self.place {
            Place::Pack { path, .. } => Files::open(path)?.find(Name::Wraps(self.session)),
            Place::Source { source, environment } => {
                let entries = source.session_entries(environment, self.session).await?;
                let (_, opened) = opened_in(&entries)?;
                source.blob(environment, opened.wraps).await
            }
        }
    }

    /// How many extents the log says there are, as far as it is known.
    pub(crate) async fn extents(&self) -> Result<u64, Failure> {
        match &self.place {
            Place::Pack { verified, .. } => {
                let dossier = verified.world().and_then(|world| world.dossier(self.session));
                Ok(dossier
                    .and_then(|dossier| dossier.recorded())
                    .map_or(0, |recorded| recorded.extents))
            }
            Place::Source { source, environment } => {
                let entries = source.session_entries(environment, self.session).await?;
                let last = entries.last().and_then(|bytes| Entry::parse(bytes).ok());
                Ok(match last.map(|entry| entry.body) {
                    Some(Body::Ended(ended)) => ended.recorded.extents,
                    Some(Body::Lost(lost)) => lost.recorded.extents,
                    _ => 0,
                })
            }
        }
    }

    pub(crate) async fn recording(self) -> Result<Recording, Failure> {
        match self.place {
            Place::Pack { path, .. } => Ok(Recording::Pack {
                files: Files::open(&path)?,
                session: self.session,
                next: 0,
            }),
            Place::Source { source, .. } => source.recording(self.session).await.map(Recording::Source),
        }
    }
}

/// The head of the log that a sound pack is of, as it was signed.
pub(crate) fn checkpoint(path: &Path, trust: &TrustArgs) -> Result<Vec<u8>, Failure> {
    sound(path, trust)?;
    let found = Files::open(path)?.find(Name::Checkpoint)?;
    found.ok_or_else(|| Failure::refused(format!("`{}` holds no checkpoint", path.display())))
}

/// A pack is read only if it agrees with itself; whether anybody vouches for it is said.
fn sound(path: &Path, trust: &TrustArgs) -> Result<Verified, Failure> {
    let verified = verify::read_pack(path, trust.read()?.as_ref())?;
    match &verified.report.status {
        Status::Trusted => Ok(verified),
        Status::TrustNotEstablished { .. } => {
            eprintln!("{}: {}", path.display(), verified.report.result());
            Ok(verified)
        }
        Status::Tampered { .. } => {
            let failure = Failure::refused(format!("`{}`: {}", path.display(), verified.report.result()));
            Err(match verified.report.next() {
                Some(next) => failure.next(next),
                None => failure,
            })
        }
        Status::NewerFormat { .. } => Err(Failure::new(crate::exit::Exit::Newer, &verified.report.status)),
    }
}

fn opened_in(entries: &[Vec<u8>]) -> Result<(u64, Opened), Failure> {
    let first = entries
        .first()
        .ok_or_else(|| Failure::refused("the session has no entries"))?;
    let entry = Entry::parse(first).map_err(Failure::refused)?;
    match entry.body {
        Body::Opened(opened) => Ok((entry.time_ms, *opened)),
        _ => Err(Failure::refused("the session's first entry is no opening")),
    }
}

impl Recording {
    /// The next extent, in export form.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        match self {
            Self::Source(pieces) => pieces.next().await,
            Self::Pack { files, session, next } => {
                let found = files.find(Name::Extent(*session, *next))?;
                *next += 1;
                Ok(found)
            }
        }
    }
}

/// The files of a pack that was verified, read once from its beginning.
pub(crate) struct Files {
    path: PathBuf,
    input: BufReader<File>,
}

impl Files {
    fn open(path: &Path) -> Result<Self, Failure> {
        let file = File::open(path)
            .map_err(|error| Failure::unavailable(format!("`{}` cannot be read: {error}", path.display())))?;
        Ok(Self {
            path: path.to_owned(),
            input: BufReader::with_capacity(1 << 20, file),
        })
    }

    /// The next file of this name; none when there is none further on.
    fn find(&mut self, wanted: Name) -> Result<Option<Vec<u8>>, Failure> {
        let path = self.path.clone();
        let unreadable = |error| Failure::unavailable(format!("`{}` cannot be read: {error}", path.display()));
        let wanted = wanted.to_string();
        while let Some((name, size)) = self.header().map_err(unreadable)? {
            let padded = size.div_ceil(BLOCK as u64) * BLOCK as u64;
            if name == wanted {
                let mut bytes = Vec::new();
                (&mut self.input)
                    .take(padded)
                    .read_to_end(&mut bytes)
                    .map_err(unreadable)?;
                bytes.truncate(usize::try_from(size).unwrap_or(usize::MAX));
                return Ok(Some(bytes));
            }
            std::io::copy(&mut (&mut self.input).take(padded), &mut std::io::sink()).map_err(unreadable)?;
        }
        Ok(None)
    }

    /// Name and size of the next file, by its header (POSIX ustar).
    fn header(&mut self) -> std::io::Result<Option<(String, u64)>> {
        let mut block = [0; BLOCK];
        self.input.read_exact(&mut block)?;
        let text = |from: usize, to: usize| {
            let field = block.get(from..to).unwrap_or_default();
            let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
            String::from_utf8_lossy(field.get(..end).unwrap_or_default()).into_owned()
        };
        let name = text(0, 100);
        let size = u64::from_str_radix(text(124, 136).trim(), 8).unwrap_or(0);
        Ok((!name.is_empty()).then_some((name, size)))
    }
}

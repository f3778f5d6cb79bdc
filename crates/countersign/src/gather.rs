//! Gathers a pack: the log up to its newest cosigned head, proofs, blobs and recordings of some sessions, from wherever
//! they are held, to a stream.

use crate::exit::Failure;
use crate::source::{Pieces, Source};
use evidence::pack::{self, Contents, Loose, LooseKind, Plan, Proven, Summary, WriteError};
use evidence::replay::{Select, World};
use ledger::SignedCheckpoint;
use model::bytes::Digest;
use model::commitment::Openings;
use model::id::{EntryId, SessionId};
use model::json;
use model::name::EnvironmentName;
use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;
use tokio::runtime::Handle;
use zeroize::Zeroizing;

/// How long a head over the sessions' last entries is waited for.
const HEAD_WITHIN: Duration = Duration::from_secs(15);

/// What is wanted.
pub(crate) struct Wanted<'a> {
    pub(crate) sessions: &'a [SessionId],
    /// Discloses what these keys open: reasons, tickets, commands, addresses.
    pub(crate) identity: Option<&'a Zeroizing<String>>,
}

/// How far it is: entries or extents done of all.
pub(crate) type Progress<'a> = dyn FnMut(&'static str, u64, u64) + Send + 'a;

/// Writes the pack.
pub(crate) async fn gather<W: Write + Send>(
    source: &Source,
    wanted: &Wanted<'_>,
    out: W,
    progress: &mut Progress<'_>,
) -> Result<(EnvironmentName, Summary), Failure> {
    let environment = common_environment(source, wanted.sessions).await?;
    let checkpoint = covering_head(source, &environment, wanted.sessions).await?;
    let size = checkpoint.checkpoint().head().size;
    let world = replay(source, &environment, (wanted.sessions, size), progress).await?;
    let plan = Plan::of(&world);
    let heads = heads(source, &environment, &checkpoint, &plan).await?;
    let loose = loose(source, &environment, &plan, wanted.identity).await?;
    let proven: Vec<Proven<'_>> = plan
        .proven
        .iter()
        .zip(&heads)
        .map(|((entry, index), checkpoint)| Proven {
            entry: *entry,
            index: *index,
            checkpoint,
        })
        .collect();
    let total: u64 = plan.sessions.iter().map(|session| session.extents).sum();
    let handle = Handle::current();
    let written = tokio::task::block_in_place(|| {
        let mut reader = Reader::new(source, &environment, &handle);
        let mut recordings = Recordings::new(source, &handle);
        let mut done = 0;
        pack::write(
            out,
            Contents {
                environment: &environment,
                checkpoint: &checkpoint,
                sessions: &plan.sessions,
                proven: &proven,
                loose: &loose,
                bundles: &mut |from, count| reader.bundle(from, count).map_err(Into::into),
                extents: &mut |session, number| {
                    done += 1;
                    progress("recordings", done, total);
                    recordings.extent(session, number).map_err(Into::into)
                },
            },
        )
    });
    let summary = written.map_err(|error| match error {
        WriteError::Io(_) | WriteError::Source(_) => Failure::unavailable(error),
        _ => Failure::refused(error),
    })?;
    Ok((environment, summary))
}

async fn common_environment(source: &Source, sessions: &[SessionId]) -> Result<EnvironmentName, Failure> {
    let mut common: Option<EnvironmentName> = None;
    for session in sessions {
        let environment = source.environment_of(*session).await?;
        if common.as_ref().is_some_and(|common| *common != environment) {
            return Err(Failure::usage("a pack is about one environment; export each by itself"));
        }
        common = Some(environment);
    }
    common.ok_or_else(|| Failure::usage("name at least one session"))
}

/// A cosigned head that covers all entries that exist now; its own cosigning may take a moment.
async fn covering_head(
    source: &Source,
    environment: &EnvironmentName,
    sessions: &[SessionId],
) -> Result<SignedCheckpoint, Failure> {
    let watch = crate::clock::Stopwatch::start();
    loop {
        let head = source.head(environment, None).await?;
        let size = head.checkpoint().head().size;
        let newer = source.entries(environment, size, 64).await?;
        let concerns = |bytes: &Vec<u8>| {
            let entry = model::entry::Entry::parse(bytes);
            entry.is_ok_and(|entry| entry.session.is_some_and(|link| sessions.contains(&link.id)))
        };
        if !newer.iter().any(concerns) {
            return Ok(head);
        }
        if watch.elapsed() > HEAD_WITHIN {
            return Err(
                Failure::unavailable("the newest entries of these sessions are not cosigned yet")
                    .next("does the witness run? try again in a moment"),
            );
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn replay(
    source: &Source,
    environment: &EnvironmentName,
    (sessions, size): (&[SessionId], u64),
    progress: &mut Progress<'_>,
) -> Result<World, Failure> {
    let mut world = World::new(Select::Sessions(sessions.iter().copied().collect::<BTreeSet<_>>()));
    while world.size() < size {
        let from = world.size();
        let entries = source.entries(environment, from, size - from).await?;
        if entries.is_empty() {
            return Err(Failure::refused(format!(
                "the log ends at {from}, its head says {size}"
            )));
        }
        for bytes in entries {
            world
                .push(&bytes)
                .map_err(|newer| Failure::new(crate::exit::Exit::Newer, newer))?;
        }
        progress("log", world.size(), size);
    }
    Ok(world)
}

/// For each proven entry the first cosigned head over it; the newest where none was kept.
async fn heads(
    source: &Source,
    environment: &EnvironmentName,
    newest: &SignedCheckpoint,
    plan: &Plan,
) -> Result<Vec<SignedCheckpoint>, Failure> {
    let size = newest.checkpoint().head().size;
    let mut heads = Vec::with_capacity(plan.proven.len());
    for (_, index) in &plan.proven {
        let head = match source.head(environment, Some(*index)).await {
            Ok(head) if head.checkpoint().head().size <= size => head,
            Ok(_) => newest.clone(),
            Err(failure) if failure.is_unavailable() => newest.clone(),
            Err(failure) => return Err(failure),
        };
        heads.push(head);
    }
    Ok(heads)
}

async fn loose(
    source: &Source,
    environment: &EnvironmentName,
    plan: &Plan,
    identity: Option<&Zeroizing<String>>,
) -> Result<Vec<Loose>, Failure> {
    let mut files = vec![];
    for (entry, digest) in &plan.openings {
        let Some(bytes) = blob(source, environment, *digest).await? else {
            continue;
        };
        if let Some(bytes) = identity.and_then(|identity| disclosed(identity, *entry, &bytes)) {
            files.push(Loose {
                kind: LooseKind::Disclosed(*entry),
                bytes,
            });
        }
        files.push(Loose {
            kind: LooseKind::Openings(*entry),
            bytes,
        });
    }
    for (session, digest) in &plan.wraps {
        let Some(bytes) = blob(source, environment, *digest).await? else {
            continue;
        };
        files.push(Loose {
            kind: LooseKind::Wraps(*session),
            bytes,
        });
    }
    Ok(files)
}

async fn blob(source: &Source, environment: &EnvironmentName, digest: Digest) -> Result<Option<Vec<u8>>, Failure> {
    let found = source.blob(environment, digest).await?;
    // What does not hash to its name is as good as erased; the pack's own check would refuse it.
    Ok(found.filter(|bytes| Digest::of(bytes) == digest))
}

fn disclosed(identity: &Zeroizing<String>, entry: EntryId, sealed: &[u8]) -> Option<Vec<u8>> {
    let plain = store::open_with(identity, sealed).ok()?;
    let openings: Openings = json::from_slice(&plain).ok()?;
    (openings.entry == entry).then(|| plain.to_vec())
}

/// Entries for the writer, which asks in order and twice.
struct Reader<'a> {
    source: &'a Source,
    environment: &'a EnvironmentName,
    handle: &'a Handle,
}

impl<'a> Reader<'a> {
    fn new(source: &'a Source, environment: &'a EnvironmentName, handle: &'a Handle) -> Self {
        Self {
            source,
            environment,
            handle,
        }
    }

    fn bundle(&mut self, from: u64, count: u16) -> Result<Vec<Vec<u8>>, String> {
        let mut entries = vec![];
        let count = u64::from(count);
        while (entries.len() as u64) < count {
            let done = entries.len() as u64;
            let page = self.source.entries(self.environment, from + done, count - done);
            let page = self.handle.block_on(page).map_err(|failure| failure.to_string())?;
            if page.is_empty() {
                return Err(format!("the log ends at {}", from + done));
            }
            entries.extend(page);
        }
        Ok(entries)
    }
}

/// Recordings for the writer, which asks for each extent once and in order.
struct Recordings<'a> {
    source: &'a Source,
    handle: &'a Handle,
    open: Option<(SessionId, u64, Pieces)>,
}

impl<'a> Recordings<'a> {
    fn new(source: &'a Source, handle: &'a Handle) -> Self {
        Self {
            source,
            handle,
            open: None,
        }
    }

    fn extent(&mut self, session: SessionId, number: u64) -> Result<Vec<u8>, String> {
        let is_next = matches!(&self.open, Some((open, next, _)) if *open == session && *next == number);
        if !is_next {
            if number != 0 {
                return Err(format!("extent {number} of {session} is asked for out of order"));
            }
            let pieces = self.handle.block_on(self.source.recording(session));
            self.open = Some((session, 0, pieces.map_err(|failure| failure.to_string())?));
        }
        let Some((_, next, pieces)) = &mut self.open else {
            return Err("no recording is open".into());
        };
        *next += 1;
        let piece = self
            .handle
            .block_on(pieces.next())
            .map_err(|failure| failure.to_string())?;
        piece.ok_or_else(|| format!("extent {number} of {session} is missing"))
    }
}

//! Opening a journal's directory, beginning sessions, and asking how it is.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, current};
use std::time::{Duration, Instant};

use recording::{Sealer, SessionId, chain_start};

use crate::config::{ConfigError, JournalConfig};
use crate::halt::{Halt, HaltReason, Health, Notices, State};
use crate::live::{Live, Progress, Session};
use crate::lock::lock;
use crate::reader::{Catalog, Extents, ReadError, ReadPlan};
use crate::record::SessionRecord;
use crate::recovery::{Recovery, recover};
use crate::segment::{Segment, available, list, path};
use crate::session::{SessionJournal, SessionStart};
use crate::shared::Shared;
use crate::sync;
use crate::writer::Writer;

const LOCK_FILE: &str = "journal.lock";
/// How long a close waits for its threads; a storage that hangs does not hang whoever closes.
const CLOSE_MAX: Duration = Duration::from_secs(10);

/// Why a journal cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The configuration is refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Another process has it.
    #[error("the journal in `{}` belongs to another server that is running", .0.display())]
    InUse(PathBuf),
    /// The directory or a file in it cannot be used.
    #[error("the journal in `{}` cannot be opened: {error}", dir.display())]
    Io {
        /// The directory.
        dir: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// Why a session cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The storage is stopped.
    #[error("no session can begin: {0}")]
    Stopped(HaltReason),
    /// Too little space for a new session.
    #[error("no session can begin: the recording's disk is almost full")]
    LowDisk,
    /// The id was used before.
    #[error("the session id was used before")]
    Doubled,
    /// The frames cannot be sealed.
    #[error("no session can begin: {0}")]
    Seal(#[from] recording::SealError),
}

/// The journal of one gateway. Clones are the same journal; the last one closes it.
#[derive(Clone)]
pub struct Journal {
    owner: Arc<Owner>,
}

struct Owner {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Journal {
    /// Opens the directory for writing: takes its lock, reads what is there, and makes the first segment.
    ///
    /// # Errors
    /// When another server has it, or there is no space for a segment.
    pub fn open(config: JournalConfig) -> Result<(Self, Recovery), OpenError> {
        config.check()?;
        let dir = config.dir.clone();
        let failed = |error| OpenError::Io {
            dir: dir.clone(),
            error,
        };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .map_err(failed)?;
        let held = take_lock(&dir)?;
        let (recovery, catalog, newest) = recover(&dir, true).map_err(failed)?;
        let first = Segment::create(&dir, newest.saturating_add(1), config.segment_bytes).map_err(failed)?;
        let free = available(&dir).map_err(failed)?;
        let writer = Writer::new(first, &config);
        let shared = Arc::new(Shared::new(config, writer, catalog, free));
        shared.set_available(free);
        let threads = start(&shared, held).map_err(failed)?;
        let owner = Owner {
            shared,
            threads: Mutex::new(threads),
        };
        Ok((Self { owner: Arc::new(owner) }, recovery))
    }

    /// Opens the directory for reading only: takes no lock and changes nothing.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn open_read_only(dir: &Path) -> Result<(ReadOnlyJournal, Recovery), OpenError> {
        let read = recover(dir, false);
        let (recovery, catalog, _) = read.map_err(|error| OpenError::Io {
            dir: dir.to_owned(),
            error,
        })?;
        Ok((
            ReadOnlyJournal {
                dir: dir.to_owned(),
                catalog,
            },
            recovery,
        ))
    }

    /// Begins a session's recording.
    ///
    /// # Errors
    /// When the journal admits none.
    pub fn session(&self, start: &SessionStart<'_>) -> Result<SessionJournal, SessionError> {
        let shared = &self.owner.shared;
        let epoch = shared.epoch();
        match shared.state() {
            State::Ok => {}
            State::LowDisk => return Err(SessionError::LowDisk),
            State::Stopped(reason) => return Err(SessionError::Stopped(reason)),
        }
        let commitment = start.dek.commitment();
        let record = SessionRecord {
            session: start.session,
            next_index: 0,
            next_extent: 0,
            chain: chain_start(start.origin, &start.session, &commitment),
            opened_at_ms: start.opened_at_ms,
            commitment,
            origin: start.origin.to_owned(),
        };
        let sealer = Sealer::new(start.dek, start.origin, start.session)?;
        let poisons = lock(&shared.writer).poisons;
        let live = Mutex::new(Live::new(&record, sealer, poisons));
        let session = Arc::new(Session {
            id: start.session,
            shared: Arc::clone(shared),
            epoch,
            live,
        });
        let known = lock(&shared.catalog).sessions.contains_key(&start.session);
        let mut sessions = lock(&shared.sessions);
        if known || sessions.contains_key(&start.session) {
            return Err(SessionError::Doubled);
        }
        sessions.insert(start.session, Arc::clone(&session));
        drop(sessions);
        Ok(SessionJournal::new(session))
    }

    /// For each session with a newly synced extent, the newest one.
    #[must_use]
    pub fn progress(&self) -> Vec<Progress> {
        let shared = &self.owner.shared;
        let synced = shared.synced.load(Ordering::SeqCst);
        let mut out = Vec::new();
        for session in shared.live_sessions() {
            let mut live = lock(&session.live);
            if let Some(newest) = live.progress(synced) {
                let (lost_frames, gaps) = (live.lost_frames, live.gaps);
                out.push(Progress {
                    session: session.id,
                    newest,
                    lost_frames,
                    gaps,
                });
            }
        }
        out.sort_unstable_by_key(|progress| progress.session);
        out
    }

    /// Whether sessions are admitted and served, and the figures behind that.
    #[must_use]
    pub fn health(&self) -> Health {
        let shared = &self.owner.shared;
        let figures = &shared.figures;
        let us = |figure: &std::sync::atomic::AtomicU64| Duration::from_micros(figure.load(Ordering::Relaxed));
        let written = shared.written.load(Ordering::Relaxed);
        Health {
            state: shared.state(),
            available_bytes: figures.available.load(Ordering::Relaxed),
            unsynced_bytes: written.saturating_sub(shared.synced.load(Ordering::SeqCst)),
            sync_running: shared.sync_running(),
            last_sync: us(&figures.last_us),
            slowest_sync: us(&figures.slowest_us),
            syncs: figures.syncs.load(Ordering::Relaxed),
            sessions: lock(&shared.sessions).len(),
        }
    }

    /// What happened since the last call.
    #[must_use]
    pub fn notices(&self) -> Notices {
        std::mem::take(&mut lock(&self.owner.shared.notices))
    }

    /// Waits until there are notices to take.
    pub async fn noticed(&self) {
        let shared = &self.owner.shared;
        loop {
            let listener = shared.noticed.listen();
            if *lock(&shared.notices) != Notices::default() {
                return;
            }
            listener.await;
        }
    }

    /// Waits until everything written so far, by any session, is synced.
    ///
    /// # Errors
    /// When that is not possible.
    pub fn sync_blocking(&self) -> Result<(), Halt> {
        use event_listener::Listener as _;
        let shared = &self.owner.shared;
        let (epoch, position) = (shared.epoch(), lock(&shared.writer).position);
        loop {
            let listener = shared.synced_event.listen();
            if let Some(answer) = shared.covered(position, epoch) {
                return answer;
            }
            shared.wake(|wake| wake.now = true);
            listener.wait();
        }
    }

    /// A session's synced extents, from the first.
    ///
    /// # Errors
    /// When the journal does not know the session, or the directory cannot be listed.
    pub fn extents(&self, session: &SessionId) -> Result<Extents, ReadError> {
        self.extents_from(session, 0)
    }

    /// A session's synced extents from number `from`.
    ///
    /// # Errors
    /// As [`Journal::extents`].
    pub fn extents_from(&self, session: &SessionId, from: u64) -> Result<Extents, ReadError> {
        let shared = &self.owner.shared;
        let limit = *lock(&shared.synced_place);
        // A session of an earlier run has a tail that nobody will seal any more.
        let live = lock(&shared.sessions).contains_key(session);
        plan(shared.dir(), &lock(&shared.catalog), session, from, limit, !live)
    }

    /// The session's recording is kept elsewhere, verified: its segments may go once nothing else needs them.
    ///
    /// # Errors
    /// When a segment that is not needed cannot be removed.
    pub fn discard(&self, session: &SessionId) -> io::Result<()> {
        let shared = &self.owner.shared;
        if lock(&shared.sessions).contains_key(session) {
            return Ok(());
        }
        let below = lock(&shared.synced_place).0.min(lock(&shared.writer).segment.number);
        let free = lock(&shared.catalog).discard(session, below);
        free.into_iter()
            .try_for_each(|number| std::fs::remove_file(path(shared.dir(), number)))
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.wake(|wake| wake.end = true);
        let threads = std::mem::take(&mut *lock(&self.threads));
        // The last handle may go with something that one of them has woken.
        let own = threads.iter().any(|thread| thread.thread().id() == current().id());
        if !own && !join_by(Instant::now() + CLOSE_MAX, threads) {
            tracing::error!("the journal's storage hangs; it is left behind");
        }
        // Sessions hold what they share; without this they would hold each other.
        let sessions = std::mem::take(&mut *lock(&self.shared.sessions));
        drop(sessions);
    }
}

impl Shared {
    pub(crate) fn forget_live(&self, session: &SessionId) {
        lock(&self.sessions).remove(session);
    }
}

/// Waits for the end of these threads, until `deadline`.
fn join_by(deadline: Instant, threads: Vec<JoinHandle<()>>) -> bool {
    for thread in threads {
        while !thread.is_finished() {
            if Instant::now() > deadline {
                return false;
            }
            thread.thread().unpark();
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(thread.join());
    }
    true
}

/// A journal's directory, for reading.
pub struct ReadOnlyJournal {
    dir: PathBuf,
    catalog: Catalog,
}

impl ReadOnlyJournal {
    /// A session's extents; the last one may be an unsealed tail.
    ///
    /// # Errors
    /// When there is no such session, or the directory cannot be listed.
    pub fn extents(&self, session: &SessionId) -> Result<Extents, ReadError> {
        plan(&self.dir, &self.catalog, session, 0, (u64::MAX, u64::MAX), true)
    }
}

fn plan(
    dir: &Path,
    catalog: &Catalog,
    session: &SessionId,
    from: u64,
    limit: (u64, u64),
    tail: bool,
) -> Result<Extents, ReadError> {
    let (begin, at_header) = catalog.place(session, from).ok_or(ReadError::Unknown)?;
    let segments = list(dir).map_err(|error| ReadError::Io {
        segment: begin.0,
        error,
    })?;
    Ok(Extents::new(ReadPlan {
        session: *session,
        from,
        begin,
        at_header,
        limit,
        tail,
        segments,
    }))
}

fn take_lock(dir: &Path) -> Result<File, OpenError> {
    let failed = |error| OpenError::Io {
        dir: dir.to_owned(),
        error,
    };
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(dir.join(LOCK_FILE));
    let file = file.map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(dir.to_owned())),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// The directory's lock is held as long as its writer lives.
fn start(shared: &Arc<Shared>, held: File) -> io::Result<Vec<JoinHandle<()>>> {
    let (one, two) = (Arc::clone(shared), Arc::clone(shared));
    let syncing = std::thread::Builder::new().name("journal-sync".into()).spawn(move || {
        sync::run(&one);
        drop(held);
    })?;
    let watching = std::thread::Builder::new()
        .name("journal-watch".into())
        .spawn(move || sync::watch(&two))?;
    Ok(vec![syncing, watching])
}

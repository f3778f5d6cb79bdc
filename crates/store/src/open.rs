//! Opening a data directory: lock, tables, reading back where it stood.

use crate::image::Image;
use crate::lock::{Held, Lock};
use crate::schema::{self, SchemaError};
use crate::sql::{DatabaseError, array, number};
use crate::vault::{self, Keys, VaultError};
use crate::writer::{self, Handle, Writer};
use model::id::BootId;
use model::name::NodeName;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection, SqlitePool};
use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use zeroize::Zeroizing;

/// Readers at once. Each is a thread of its own.
const READERS_MAX: u32 = 4;
const DATABASE: &str = "store.db";

/// Tells the time, Unix milliseconds.
#[derive(Clone)]
pub struct Clock {
    wall: Arc<dyn Fn() -> u64 + Send + Sync>,
    steady: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl Clock {
    /// A clock that asks `now`.
    pub fn new(now: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self::steadied(now, || 0)
    }

    /// A clock that asks `now`, and is never slower than `passed`: milliseconds by a clock that nobody sets. So a wall
    /// clock that is set back lengthens no window.
    pub fn steadied(
        now: impl Fn() -> u64 + Send + Sync + 'static,
        passed: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Self {
        Self {
            wall: Arc::new(now),
            steady: Arc::new(passed),
        }
    }
}

/// A clock that never runs back: what it told once, or what stands in a log, is the least it tells. Nor does it wait for
/// a wall clock that was set back: from the latest moment that the wall clock told, it goes on as the steady one does.
#[derive(Clone)]
pub(crate) struct Ticker {
    clock: Clock,
    latest_ms: Arc<AtomicU64>,
    /// How far the wall clock was ahead of the steady one, at most.
    lead_ms: Arc<AtomicU64>,
}

impl Ticker {
    fn new(clock: Clock, latest_ms: u64) -> Self {
        Self {
            clock,
            latest_ms: Arc::new(AtomicU64::new(latest_ms)),
            lead_ms: Arc::default(),
        }
    }

    pub(crate) fn now_ms(&self) -> u64 {
        let passed = (self.clock.steady)();
        let lead = (self.clock.wall)().saturating_sub(passed);
        let lead = lead.max(self.lead_ms.fetch_max(lead, Ordering::AcqRel));
        let now = lead.saturating_add(passed);
        now.max(self.latest_ms.fetch_max(now, Ordering::AcqRel))
    }
}

/// Where the master key of the vault is.
pub enum MasterKey {
    /// In `master.key` of the data directory; made at the first start.
    InDirectory,
    /// In this file; made if it does not exist and no secret has been sealed yet.
    File(PathBuf),
    /// Given by whoever starts the server.
    Given(Zeroizing<[u8; 32]>),
}

/// What a store is opened with.
pub struct StoreConfig {
    /// The data directory; made if it does not exist.
    pub directory: PathBuf,
    /// Names this writer in entries.
    pub node: NodeName,
    /// This start of it, never used before.
    pub boot: BootId,
    /// Tells the time.
    pub clock: Clock,
    /// Where the vault's key is.
    pub master_key: MasterKey,
    /// Failures to inject.
    #[cfg(feature = "faults")]
    pub faults: crate::faults::Faults,
}

impl StoreConfig {
    /// The usual: the vault's key in the data directory.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>, node: NodeName, boot: BootId, clock: Clock) -> Self {
        Self {
            directory: directory.into(),
            node,
            boot,
            clock,
            master_key: MasterKey::InDirectory,
            #[cfg(feature = "faults")]
            faults: crate::faults::Faults::default(),
        }
    }
}

/// Why a data directory was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another server has it.
    #[error("data directory `{directory}` is in use by {holder}; one server at a time")]
    InUse {
        /// The directory.
        directory: String,
        /// Who, as far as the lock file says.
        holder: String,
    },
    /// The directory or a file in it could not be used.
    #[error("`{path}`: {source}")]
    File {
        /// The path.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not a database of ours, or not of this version.
    #[error("`{path}` cannot be used: {because}")]
    Unusable {
        /// The path.
        path: String,
        /// Why.
        because: String,
    },
    /// The vault's key is missing or does not fit.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// Tells one database from every other; made when the database is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StoreId([u8; 16]);

impl fmt::Debug for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreId({:032x})", u128::from_be_bytes(self.0))
    }
}

/// A handle to the one store of a data directory; clones share it.
#[derive(Clone)]
pub struct Store {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    id: StoreId,
    node: NodeName,
    boot: BootId,
    ticker: Ticker,
    pub(crate) writer: Handle,
    pub(crate) readers: SqlitePool,
    pub(crate) committed: watch::Receiver<u64>,
    pub(crate) image: Image,
    pub(crate) keys: Arc<Keys>,
}

impl Store {
    /// Opens the data directory, or makes it.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(config: StoreConfig) -> Result<Self, OpenError> {
        let directory = config.directory.as_path();
        make_directory(directory)?;
        let lock = Lock::take(directory).map_err(|held| in_use(directory, held))?;
        let path = directory.join(DATABASE);
        let options = connect_options(&path);
        let mut db = options.connect().await.map_err(DatabaseError::from)?;
        let id: [u8; 16] = vault::random()?;
        schema::prepare(&mut db, id)
            .await
            .map_err(|error| unusable(&path, error))?;
        // New files are durable only with the directory that names them.
        sync_directory(directory)?;
        writer::fence(&mut db).await?;
        let keys = Arc::new(vault::unlock(&mut db, directory, config.master_key).await?);
        let (id, latest_ms, cursor) = standing(&mut db).await?;
        let ticker = Ticker::new(config.clock, latest_ms);
        let (committed_tx, committed) = watch::channel(cursor);
        let image = Image::default();
        image.begin(cursor);
        let writer = writer::start(Writer {
            db: Some(db),
            options,
            node: config.node.clone(),
            boot: config.boot,
            ticker: ticker.clone(),
            committed: committed_tx,
            image: image.clone(),
            lock,
            state: writer::State::default(),
            #[cfg(feature = "faults")]
            guard: config.faults.into(),
            #[cfg(not(feature = "faults"))]
            guard: crate::faults::Guard::default(),
        });
        Ok(Self {
            shared: Arc::new(Shared {
                id,
                node: config.node,
                boot: config.boot,
                ticker,
                writer,
                readers: readers(&path),
                committed,
                image,
                keys,
            }),
        })
    }

    /// Which database this is.
    #[must_use]
    pub fn id(&self) -> StoreId {
        self.shared.id
    }

    /// The node that writes here.
    #[must_use]
    pub fn node(&self) -> &NodeName {
        &self.shared.node
    }

    /// This start of the node.
    #[must_use]
    pub fn boot(&self) -> BootId {
        self.shared.boot
    }

    /// The time by which entries are written: the clock's, and never before what was told or written earlier. Whoever
    /// judges asks this clock, so that a clock set back reopens no window.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.shared.ticker.now_ms()
    }

    /// Writes what was handed over, then closes the database and lets go of the directory. Handles that are left
    /// answer that the store is closed.
    pub async fn close(&self) {
        self.shared.readers.close().await;
        self.shared.writer.close().await;
        self.shared.image.forget();
    }
}

pub(crate) fn connect_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(5))
        // The writer checkpoints itself, after it has answered.
        .pragma("wal_autocheckpoint", "0")
        // REPLACE fires delete triggers only with this.
        .pragma("recursive_triggers", "ON")
        // Erased blobs leave no trace in free pages.
        .pragma("secure_delete", "ON")
        .statement_cache_capacity(128)
}

fn readers(path: &Path) -> SqlitePool {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .busy_timeout(Duration::from_secs(5));
    SqlitePoolOptions::new()
        .max_connections(READERS_MAX)
        // A file does not hang up, and each test wakes a thread and waits for it.
        .test_before_acquire(false)
        .idle_timeout(Duration::from_secs(60))
        .connect_lazy_with(options)
}

/// The store's id, the latest time in any log, and the last cursor.
async fn standing(db: &mut SqliteConnection) -> Result<(StoreId, u64, u64), DatabaseError> {
    let row = sqlx::query(
        "SELECT (SELECT id FROM side_store),
            (SELECT COALESCE(MAX(time_ms), 0) FROM log_entry WHERE (log, idx) IN
                (SELECT v.log, (SELECT MAX(idx) FROM log_entry e WHERE e.log = v.log) FROM log_environment v)),
            (SELECT COALESCE(MAX(cursor), 0) FROM log_entry)",
    )
    .fetch_one(db)
    .await?;
    Ok((StoreId(array(&row, 0)?), number(&row, 1)?, number(&row, 2)?))
}

fn make_directory(directory: &Path) -> Result<(), OpenError> {
    use std::os::unix::fs::DirBuilderExt;
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|source| file_error(directory, source))
}

pub(crate) fn sync_directory(directory: &Path) -> Result<(), OpenError> {
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(|source| file_error(directory, source))
}

fn file_error(path: &Path, source: std::io::Error) -> OpenError {
    OpenError::File {
        path: path.display().to_string(),
        source,
    }
}

fn in_use(directory: &Path, held: Held) -> OpenError {
    match held {
        Held::By(holder) => OpenError::InUse {
            directory: directory.display().to_string(),
            holder,
        },
        Held::Io(source) => file_error(&directory.join("lock"), source),
    }
}

fn unusable(path: &Path, error: SchemaError) -> OpenError {
    match error {
        SchemaError::Database(error) => error.into(),
        other => OpenError::Unusable {
            path: path.display().to_string(),
            because: other.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_clock_that_is_set_stops_no_time() {
        let (wall, passed) = (Arc::new(AtomicU64::new(10_000)), Arc::new(AtomicU64::new(0)));
        let (told, since) = (Arc::clone(&wall), Arc::clone(&passed));
        let clock = Clock::steadied(
            move || told.load(Ordering::SeqCst),
            move || since.load(Ordering::SeqCst),
        );
        let ticker = Ticker::new(clock, 0);
        let at = |wall_ms: u64, passed_ms: u64| {
            wall.store(wall_ms, Ordering::SeqCst);
            passed.store(passed_ms, Ordering::SeqCst);
            ticker.now_ms()
        };
        assert_eq!(at(10_000, 0), 10_000);
        // Set back while nobody looked, and later: it goes on.
        assert_eq!(at(4_000, 1_000), 11_000);
        assert_eq!(at(5_000, 2_000), 12_000);
        // Set ahead: that is the time now, and stays so when it is set right.
        assert_eq!(at(90_000, 2_500), 90_000);
        assert_eq!(at(13_000, 3_000), 90_500);
    }

    #[test]
    fn what_stands_in_a_log_is_the_least_it_tells() {
        let ticker = Ticker::new(Clock::new(|| 5), 9);
        assert_eq!(ticker.now_ms(), 9);
    }
}

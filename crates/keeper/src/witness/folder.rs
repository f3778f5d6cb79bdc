//! The folder of a witness: its key, the list of logs, the records, and the register of whom it has ever cosigned.
//!
//! `key` (mode 0600) · `logs` (edited by people) · `witness` (the register) · `records/` · `forks/` · `lock`.
//! The register is written after an origin's first record and before the first answer, so that a record that vanished is
//! noticed: an origin in the register without a record refuses the start.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ledger::key::KeyError;
use ledger::{KeyName, VerifierKey, WitnessKey};
use zeroize::Zeroizing;

use super::file::{self, ReadError, ReplaceError};
use super::logs::{self, LogsError};
use super::record::{self, Persisted, Record, RecordError};

const KEY: &str = "key";
const LOCK: &str = "lock";
const RECORDS: &str = "records";
const REGISTER: &str = "witness";
const REGISTER_HEADER: &str = "countersign witness v1";
pub(super) const FORKS: &str = "forks";
pub(super) const LOGS: &str = "logs";

/// A folder that this process holds.
pub(super) struct Folder {
    path: PathBuf,
    /// Origins in the register.
    registered: Mutex<BTreeSet<KeyName>>,
    _lock: File,
}

/// Why a witness folder was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// There is something in it: a witness never starts over in a used folder.
    #[error("`{0}` is not empty")]
    NotEmpty(PathBuf),
    /// The folder could not be made or written.
    #[error("`{0}` cannot be made a witness folder: {1}")]
    Io(PathBuf, io::Error),
}

/// Why a witness was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("`{0}` is in use by another process")]
    InUse(PathBuf),
    /// It was not made by [`create`], or not completely.
    #[error("`{0}` is not a witness folder")]
    NotAWitness(PathBuf),
    /// The key can be read by others than its owner.
    #[error("`{path}` can be read by others (mode {mode:03o}); make it 600")]
    KeyIsOpen {
        /// The key file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The key file holds no witness key.
    #[error("`{0}` holds no witness key: {1}")]
    Key(PathBuf, KeyError),
    /// The register belongs to another key, or is not whole.
    #[error("the register `{0}` is not usable: {1}. A witness that lost its state must be retired with its key")]
    Register(PathBuf, String),
    /// A record is missing, not whole, or not what its name says.
    #[error("the records in `{0}` are not usable: {1}. A witness that lost its state must be retired with its key")]
    Records(PathBuf, String),
    /// The list of logs is not usable.
    #[error(transparent)]
    Logs(#[from] LogsError),
    /// A file could not be read.
    #[error("`{0}` cannot be read: {1}")]
    Io(PathBuf, io::Error),
}

/// A new key from the system's randomness.
pub fn generate_key(name: KeyName) -> Result<WitnessKey, getrandom::Error> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut_slice())?;
    Ok(WitnessKey::from_seed(name, &seed))
}

/// Makes the folder of a new witness that knows no log yet. The folder must be empty or not there.
pub fn create(path: &Path, key: &WitnessKey) -> Result<(), CreateError> {
    let failed = |error| CreateError::Io(path.into(), error);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(failed)?;
    if fs::read_dir(path).map_err(failed)?.next().is_some() {
        return Err(CreateError::NotEmpty(path.into()));
    }
    fill(path, key).map_err(failed)
}

/// The register comes last: without it the folder is not a witness's.
fn fill(path: &Path, key: &WitnessKey) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path.join(KEY))?;
    let mut text = key.to_text();
    text.push('\n');
    file.write_all(text.as_bytes())?;
    file.sync_data()?;
    fs::write(path.join(LOGS), logs::EMPTY)?;
    fs::create_dir(path.join(RECORDS))?;
    fs::create_dir(path.join(FORKS))?;
    write_register(path, key.verifier(), &BTreeSet::new()).map_err(|error| match error {
        ReplaceError::Unchanged(error) | ReplaceError::Unknown(error) => error,
    })
}

impl Folder {
    pub(super) fn lock(path: &Path) -> Result<Self, OpenError> {
        if !path.join(REGISTER).is_file() {
            return Err(OpenError::NotAWitness(path.into()));
        }
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join(LOCK));
        let lock = lock.map_err(|error| OpenError::Io(path.join(LOCK), error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.into(),
                registered: Mutex::default(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse(path.into())),
            Err(TryLockError::Error(error)) => Err(OpenError::Io(path.join(LOCK), error)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn read_key(&self) -> Result<WitnessKey, OpenError> {
        let path = self.path.join(KEY);
        let failed = |error| OpenError::Io(path.clone(), error);
        let mode = fs::metadata(&path).map_err(failed)?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(OpenError::KeyIsOpen { path, mode });
        }
        let text = Zeroizing::new(file::read_text(&path).map_err(failed)?);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        WitnessKey::parse(text).map_err(|error| OpenError::Key(path.clone(), error))
    }

    /// Reads all records and holds them against the register.
    pub(super) fn read_records(&self, key: &VerifierKey) -> Result<BTreeMap<KeyName, Persisted>, OpenError> {
        let mut registered =
            read_register(&self.path, key).map_err(|error| OpenError::Register(self.path.join(REGISTER), error))?;
        let folder = self.path.join(RECORDS);
        let refused = |error: String| OpenError::Records(folder.clone(), error);
        let records = record::read_all(&folder).map_err(|error: RecordError| refused(error.to_string()))?;
        if let Some(lost) = registered.iter().find(|origin| !records.contains_key(*origin)) {
            return Err(refused(format!("the record of `{lost}` is missing")));
        }
        // A first record whose answer was never given.
        if records.len() > registered.len() {
            registered.extend(records.keys().cloned());
            write_register(&self.path, key, &registered).map_err(|error| refused(error.to_string()))?;
        }
        *self.registered.lock().unwrap_or_else(PoisonError::into_inner) = registered;
        Ok(records)
    }

    /// Writes a record, and the register when it is its log's first.
    pub(super) fn write_record(&self, key: &VerifierKey, record: Record) -> Result<Persisted, ReplaceError> {
        let record = record::write(&self.path.join(RECORDS), record)?;
        let mut registered = self.registered.lock().unwrap_or_else(PoisonError::into_inner);
        if !registered.contains(record.origin()) {
            let mut more = registered.clone();
            more.insert(record.origin().clone());
            write_register(&self.path, key, &more)?;
            *registered = more;
        }
        Ok(record)
    }
}

fn write_register(path: &Path, key: &VerifierKey, origins: &BTreeSet<KeyName>) -> Result<(), ReplaceError> {
    let origins: String = origins.iter().map(|origin| format!("origin {origin}\n")).collect();
    file::replace(path, REGISTER, REGISTER_HEADER, &format!("key {key}\n{origins}"))
}

fn read_register(path: &Path, key: &VerifierKey) -> Result<BTreeSet<KeyName>, String> {
    let content = file::read(&path.join(REGISTER), REGISTER_HEADER).map_err(|error: ReadError| error.to_string())?;
    let rest = content
        .strip_prefix(&format!("key {key}\n"))
        .ok_or("it belongs to another key")?;
    let origin = |line: &str| KeyName::new(line.strip_prefix("origin ")?).ok();
    rest.lines()
        .map(origin)
        .collect::<Option<_>>()
        .ok_or_else(|| "it lists something else than origins".into())
}

//! The logs that a witness watches: a text file with one vkey a line, read at the start and whenever it changes.
//!
//! A log is known by its key's name, which is its origin; several keys of one origin are all believed (rotation). Blank
//! lines and lines that begin with `#` are free. A change that cannot be read is reported and changes nothing.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use ledger::key::{KeyError, KeyKind};
use ledger::{KeyName, VerifierKey};

use super::file::{self, ReplaceError};

/// What a new file says.
pub(super) const EMPTY: &str = "# Logs that this witness cosigns for: one verifier key (vkey) a line.\n";
/// The most keys that are read.
const KEYS_MAX: usize = 10_000;

/// The keys, and the file that they come from.
pub(super) struct Logs {
    path: PathBuf,
    seen: Option<Stamp>,
    keys: BTreeMap<KeyName, Vec<VerifierKey>>,
}

/// Tells one content of the file from the next.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    length: u64,
    changed: (i64, i64),
}

/// Why the list of logs is not usable.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// It could not be read.
    #[error("`{0}` cannot be read: {1}")]
    Io(PathBuf, io::Error),
    /// A line is not the key of a log.
    #[error("line {line} of `{path}` is not the key of a log: {error}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong.
        error: KeyError,
    },
    /// The last line does not end in a newline.
    #[error("`{0}` does not end in a newline: it may be cut off")]
    Unfinished(PathBuf),
    /// More than 10,000 keys.
    #[error("`{0}` lists more than {KEYS_MAX} keys")]
    TooMany(PathBuf),
}

/// Why a log was not added.
#[derive(Debug, thiserror::Error)]
pub enum AddLogError {
    /// The key is not that of a log.
    #[error("not the key of a log: {0}")]
    Key(KeyError),
    /// The list as it stands is not usable.
    #[error(transparent)]
    Logs(#[from] LogsError),
    /// The list could not be written.
    #[error("`{0}` cannot be written: {1}")]
    Io(PathBuf, io::Error),
}

/// Adds a log to the list in the folder of a witness, which notices it if it is running. Adding twice changes nothing.
pub fn add_log(folder: &Path, vkey: &str) -> Result<VerifierKey, AddLogError> {
    let key = read_key(vkey).map_err(AddLogError::Key)?;
    let path = folder.join(super::folder::LOGS);
    let text = file::read_text(&path).map_err(|error| LogsError::Io(path.clone(), error))?;
    let keys = parse(&path, &text)?;
    if keys.values().flatten().all(|known| *known != key) {
        let longer = format!("{text}{key}\n");
        file::replace_plain(folder, super::folder::LOGS, longer.as_bytes()).map_err(|error| match error {
            ReplaceError::Unchanged(error) | ReplaceError::Unknown(error) => AddLogError::Io(path, error),
        })?;
    }
    Ok(key)
}

impl Logs {
    pub(super) fn read(path: PathBuf) -> Result<Self, LogsError> {
        let mut logs = Self {
            path,
            seen: None,
            keys: BTreeMap::new(),
        };
        logs.seen = Some(logs.stamp()?);
        logs.keys = logs.load()?;
        Ok(logs)
    }

    /// The keys of a log; none when it is not known.
    pub(super) fn keys(&mut self, origin: &KeyName) -> Vec<VerifierKey> {
        self.refresh();
        self.keys.get(origin).cloned().unwrap_or_default()
    }

    pub(super) fn origins(&mut self) -> Vec<KeyName> {
        self.refresh();
        self.keys.keys().cloned().collect()
    }

    /// Reads the file again when it changed. One bad version is reported once, and the last good one stays.
    fn refresh(&mut self) {
        let stamp = self.stamp();
        let now = stamp.as_ref().ok().copied();
        if now == self.seen {
            return;
        }
        self.seen = now;
        match stamp.and_then(|_| self.load()) {
            Ok(keys) => {
                tracing::info!(logs = keys.len(), "the list of logs changed");
                self.keys = keys;
            }
            Err(error) => tracing::error!(%error, "the list of logs changed and cannot be used; the last one stays"),
        }
    }

    fn stamp(&self) -> Result<Stamp, LogsError> {
        let metadata = fs::metadata(&self.path).map_err(|error| LogsError::Io(self.path.clone(), error))?;
        Ok(Stamp {
            inode: metadata.ino(),
            length: metadata.len(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    fn load(&self) -> Result<BTreeMap<KeyName, Vec<VerifierKey>>, LogsError> {
        let text = file::read_text(&self.path).map_err(|error| LogsError::Io(self.path.clone(), error))?;
        parse(&self.path, &text)
    }
}

pub(super) fn parse(path: &Path, text: &str) -> Result<BTreeMap<KeyName, Vec<VerifierKey>>, LogsError> {
    if !text.is_empty() && !text.ends_with('\n') {
        return Err(LogsError::Unfinished(path.into()));
    }
    let mut keys: BTreeMap<KeyName, Vec<VerifierKey>> = BTreeMap::new();
    let lines = text.lines().map(str::trim).enumerate();
    for (at, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let key = read_key(line).map_err(|error| LogsError::Line {
            path: path.into(),
            line: at + 1,
            error,
        })?;
        if at >= KEYS_MAX {
            return Err(LogsError::TooMany(path.into()));
        }
        keys.entry(key.name().clone()).or_default().push(key);
    }
    Ok(keys)
}

fn read_key(text: &str) -> Result<VerifierKey, KeyError> {
    let key: VerifierKey = text.parse()?;
    match key.kind() {
        KeyKind::Note => Ok(key),
        KeyKind::Cosignature => Err(KeyError::Kind(0x04)),
    }
}

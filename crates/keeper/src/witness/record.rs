//! The record of one log: the latest checkpoint that was cosigned, as the log signed it, and when.
//!
//! INVARIANT (persisted before answered): a [`Persisted`] record comes only out of [`write`] and [`read_all`].

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::Path;
use std::{fs, io};

use ledger::consistency::Head;
use ledger::{Checkpoint, KeyName, SignedCheckpoint};
use sha2::{Digest, Sha256};

use super::file::{self, ReadError, ReplaceError, UNFINISHED};

const HEADER: &str = "countersign witness record v1";

/// A checkpoint and the time of its first cosignature.
#[derive(Clone)]
pub(super) struct Record {
    signed: SignedCheckpoint,
    time: u64,
}

/// A record that is on the disk.
#[derive(Clone)]
pub(super) struct Persisted(Record);

/// Why a record is not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("`{0}`: {1}")]
    File(String, ReadError),
    #[error("`{0}`: it is not the record of the log that its name stands for")]
    Content(String),
}

impl Record {
    pub(super) const fn new(signed: SignedCheckpoint, time: u64) -> Self {
        Self { signed, time }
    }

    pub(super) const fn origin(&self) -> &KeyName {
        self.checkpoint().origin()
    }

    pub(super) const fn head(&self) -> &Head {
        self.checkpoint().head()
    }

    pub(super) const fn checkpoint(&self) -> &Checkpoint {
        self.signed.checkpoint()
    }

    pub(super) const fn signed(&self) -> &SignedCheckpoint {
        &self.signed
    }

    /// Seconds since the Unix epoch.
    pub(super) const fn time(&self) -> u64 {
        self.time
    }

    /// The record as its file holds it.
    pub(super) fn content(&self) -> String {
        format!("time {}\n{}", self.time, self.signed)
    }

    pub(super) fn parse(content: &str) -> Option<Self> {
        let (time, note) = content.strip_prefix("time ")?.split_once('\n')?;
        let signed = SignedCheckpoint::parse(note.as_bytes()).ok()?;
        Some(Self::new(signed, time.parse().ok()?))
    }
}

impl Deref for Persisted {
    type Target = Record;

    fn deref(&self) -> &Record {
        &self.0
    }
}

/// Name of an origin's file: origins may hold any character.
pub(super) fn file_name(origin: &KeyName) -> String {
    hex::encode(Sha256::digest(origin.as_str()))
}

/// Replaces the record of its log; returns once it lasts.
pub(super) fn write(folder: &Path, record: Record) -> Result<Persisted, ReplaceError> {
    file::replace(folder, &file_name(record.origin()), HEADER, &record.content())?;
    Ok(Persisted(record))
}

/// Every record in the folder; removes what an interrupted write left beside them.
pub(super) fn read_all(folder: &Path) -> Result<BTreeMap<KeyName, Persisted>, RecordError> {
    let mut records = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(UNFINISHED) {
            fs::remove_file(entry.path())?;
            continue;
        }
        let content = file::read(&entry.path(), HEADER).map_err(|error| RecordError::File(name.clone(), error))?;
        let record = Record::parse(&content).filter(|record| file_name(record.origin()) == name);
        let record = record.ok_or(RecordError::Content(name))?;
        records.insert(record.origin().clone(), Persisted(record));
    }
    Ok(records)
}

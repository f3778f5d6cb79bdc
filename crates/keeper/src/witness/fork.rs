//! Evidence of a fork: two notes by which one log signed two trees of the same size, kept as they came.
//!
//! `forks/<log>-<size>-<root>/cosigned` and `…/refused` verify with any C2SP tool. Only a log's own key can make one, and
//! at most [`KEPT_MAX`] of a witness's forks are kept, so that such a log cannot fill the disk.

use std::path::Path;
use std::{fs, io};

use ledger::SignedCheckpoint;

use super::file::{self, ReplaceError};
use super::record;

const KEPT_MAX: usize = 64;

/// Keeps both notes; a fork that cannot be kept is reported, and refused all the same.
pub(super) fn keep(folder: &Path, cosigned: &SignedCheckpoint, refused: &SignedCheckpoint) {
    let checkpoint = refused.checkpoint();
    let (origin, size) = (checkpoint.origin(), checkpoint.head().size);
    tracing::error!(%origin, size, cosigned = %cosigned.checkpoint().head().root, refused = %checkpoint.head().root, "the log forked");
    let log: String = record::file_name(origin).chars().take(16).collect();
    let root: String = hex::encode(checkpoint.head().root.as_bytes())
        .chars()
        .take(16)
        .collect();
    if let Err(error) = write(&folder.join(format!("{log}-{size}-{root}")), folder, cosigned, refused) {
        tracing::error!(%origin, %error, "the fork's notes could not be kept");
    }
}

fn write(path: &Path, folder: &Path, cosigned: &SignedCheckpoint, refused: &SignedCheckpoint) -> io::Result<()> {
    if path.join("refused").exists() {
        return Ok(());
    }
    if fs::read_dir(folder)?.count() >= KEPT_MAX {
        return Err(io::Error::new(io::ErrorKind::QuotaExceeded, "enough forks are kept"));
    }
    fs::create_dir_all(path)?;
    for (name, note) in [("cosigned", cosigned), ("refused", refused)] {
        file::replace_plain(path, name, note.to_string().as_bytes()).map_err(|error| match error {
            ReplaceError::Unchanged(error) | ReplaceError::Unknown(error) => error,
        })?;
    }
    file::sync_folder(folder)
}

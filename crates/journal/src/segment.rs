//! Segment files: their names, making one, writing at an offset, and what is free beside them.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use crate::halt::HaltReason;
use crate::record::{SEGMENT_HEADER, segment_header};

/// One segment file, open for writing.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) file: File,
    pub(crate) path: PathBuf,
}

impl Segment {
    /// Makes a segment with all of its space, durable with its name, before anything relies on it.
    pub(crate) fn create(dir: &Path, number: u64, bytes: u64) -> io::Result<Self> {
        let path = path(dir, number);
        let made = Self::make(dir, &path, number, bytes);
        if made.is_err() {
            // An unfinished file holds nothing; when it cannot be removed, recovery names it.
            drop(std::fs::remove_file(&path));
        }
        made
    }

    fn make(dir: &Path, path: &Path, number: u64, bytes: u64) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        fallocate(&file, FallocateFlags::empty(), 0, bytes)?;
        file.write_all_at(&segment_header(number), 0)?;
        file.sync_all()?;
        File::open(dir)?.sync_all()?;
        Ok(Self {
            number,
            file,
            path: path.to_owned(),
        })
    }

    /// One `write(2)`; fewer bytes than given is a failure of its own.
    pub(crate) fn write(&self, bytes: &[u8], offset: u64) -> Result<(), HaltReason> {
        loop {
            match self.file.write_at(bytes, offset) {
                Ok(written) if written == bytes.len() => return Ok(()),
                Ok(_) => return Err(HaltReason::ShortWrite),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(reason(&error)),
            }
        }
    }
}

pub(crate) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:016x}.segment"))
}

/// The segments in a directory, by number.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if let Some(number) = number_of(&path) {
            found.push((number, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Gives back the space after the last byte that was written.
pub(crate) fn trim(file: &File, end: u64) -> io::Result<()> {
    file.set_len(end.max(SEGMENT_HEADER as u64))
}

pub(crate) fn available(dir: &Path) -> io::Result<u64> {
    let stat = statvfs(dir)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// What an error of the storage means for the sessions.
pub(crate) fn reason(error: &io::Error) -> HaltReason {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => HaltReason::NoSpace,
        io::ErrorKind::ReadOnlyFilesystem => HaltReason::ReadOnly,
        _ => HaltReason::WriteFailed,
    }
}

fn number_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?.strip_suffix(".segment")?;
    let digits = name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    digits.then(|| u64::from_str_radix(name, 16).ok()).flatten()
}

//! Reading and writing the files that commands name: bounded reads, private files that nobody else can read, and
//! nothing ever overwritten by accident.

use crate::exit::Failure;
use serde::de::DeserializeOwned;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// The longest file that is read whole, other than packs.
const LENGTH_MAX: u64 = 4 * 1024 * 1024;
/// A server's database, and what SQLite makes beside it with the same mode.
const DATABASE: [&str; 3] = ["store.db", "store.db-wal", "store.db-shm"];

/// Reads a file of at most 4 MiB.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    read_up_to(path, LENGTH_MAX)
}

/// Reads a file of at most `max` bytes; `-` is standard input.
pub(crate) fn read_up_to(path: &Path, max: u64) -> Result<Vec<u8>, Failure> {
    let failed = |error: io::Error| unreadable(path, &error);
    let source: Box<dyn Read> = if path.as_os_str() == "-" {
        Box::new(io::stdin())
    } else {
        Box::new(fs::File::open(path).map_err(failed)?)
    };
    let mut bytes = Vec::new();
    source.take(max + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > max {
        return Err(Failure::refused(format!(
            "`{}` is longer than {max} bytes",
            path.display()
        )));
    }
    Ok(bytes)
}

/// As [`read`], of a regular file or standard input.
pub(crate) fn read_regular(path: &Path) -> Result<Vec<u8>, Failure> {
    if path.as_os_str() != "-" {
        open(path).map_err(|error| unreadable(path, &error))?;
    }
    read(path)
}

/// Opens a regular file; a pipe or device, which may never end or never begin, is none.
pub(crate) fn open(path: &Path) -> io::Result<fs::File> {
    verify::open(path)
}

/// Says that a file cannot be read, and why.
pub(crate) fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let why = match error.kind() {
        io::ErrorKind::IsADirectory => "it is a folder; name the file in it".to_owned(),
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        _ => error.to_string(),
    };
    Failure::unavailable(format!("`{}` cannot be read: {why}", path.display()))
}

/// Reads a UTF-8 file.
pub(crate) fn read_text(path: &Path) -> Result<String, Failure> {
    String::from_utf8(read(path)?).map_err(|_| Failure::refused(format!("`{}` is not UTF-8 text", path.display())))
}

/// Reads a JSON file of a known shape; the error names place and reason.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path, what: &str) -> Result<T, Failure> {
    serde_json::from_slice(&read(path)?)
        .map_err(|error| Failure::refused(format!("`{}` is not {what}: {error}", path.display())))
}

/// Makes a folder that only its owner can enter; it may exist.
pub(crate) fn private_folder(path: &Path) -> Result<(), Failure> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| Failure::unavailable(format!("folder `{}` cannot be made: {error}", path.display())))
}

/// From here on, nothing that this process makes can be read by another account. For the processes that keep data.
pub(crate) fn keep_private() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
}

/// Takes a folder of ours, and a database in it, away from everybody else, as if they had been made privately. Keys are
/// left as they are: whoever reads them refuses those that others could read, which is to be heard.
pub(crate) fn tighten(path: &Path) -> Result<(), Failure> {
    let shown = path.display();
    let unknown = |error: io::Error| Failure::unavailable(format!("folder `{shown}`: {error}"));
    let found = fs::metadata(path).map_err(unknown)?;
    let not_ours = found.uid() != rustix::process::geteuid().as_raw();
    if not_ours || found.mode() & 0o1000 != 0 {
        return Err(
            Failure::refused(format!("folder `{shown}` belongs to another account, or to all")).next(
                "name a folder of this account's own with --data, or give this one to it: chown -R ACCOUNT FOLDER",
            ),
        );
    }
    if found.mode() & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(unknown)?;
    }
    DATABASE
        .iter()
        .try_for_each(|name| make_private(&path.join(name)))
        .map_err(unknown)
}

/// A regular file of this account, if it is there.
fn make_private(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    let ours = found.is_file() && found.uid() == rustix::process::geteuid().as_raw();
    match ours && found.mode() & 0o077 != 0 {
        true => fs::set_permissions(path, fs::Permissions::from_mode(0o600)),
        false => Ok(()),
    }
}

/// Writes a new file that only its owner can read. An existing file is never touched.
pub(crate) fn create_private(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    create(path, bytes, 0o600)
}

/// Writes a new file that everybody may read. An existing file is never touched.
pub(crate) fn create_public(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    create(path, bytes, 0o644)
}

fn create(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::refused(format!("`{}` exists already", path.display()))
            .next("choose another name or folder; keys and signed statements are never overwritten"),
        _ => Failure::unavailable(format!("`{}` cannot be written: {error}", path.display())),
    })
}

/// Replaces a file as a whole, for what can be made again: never for keys.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let written = fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, path));
    written.map_err(|error| Failure::unavailable(format!("`{}` cannot be written: {error}", path.display())))
}

//! Small state files: replaced as a whole, read back only when whole.
//!
//! A file is a header line, the SHA-256 of all that follows, and the content. It is written beside its place, synced,
//! renamed over it, and its folder is synced: a reader sees the old content or the new, never a part. So a file that is
//! cut off or altered was not left by a crash, and is refused.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use base64ct::{Base64, Encoding};
use sha2::{Digest, Sha256};

/// Ending of a file that is being written. One that is found at the start was never in use.
pub(super) const UNFINISHED: &str = ".new";
/// Far above any content that is written here.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Why a file was not replaced.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReplaceError {
    /// The old content is still in place.
    #[error(transparent)]
    Unchanged(io::Error),
    /// The new content is in place, but may not be after a crash.
    #[error(transparent)]
    Unknown(io::Error),
}

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it is cut off or altered")]
    NotWhole,
}

/// Replaces `folder/name` and returns once the new content lasts.
pub(super) fn replace(folder: &Path, name: &str, header: &str, content: &str) -> Result<(), ReplaceError> {
    let sealed = format!("{header}\nsha256 {}\n{content}", digest(content));
    replace_plain(folder, name, sealed.as_bytes())
}

/// [`replace`] without header and digest, for files that people edit and for notes kept as they came.
pub(super) fn replace_plain(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), ReplaceError> {
    let unfinished = folder.join(format!("{name}{UNFINISHED}"));
    write_synced(&unfinished, bytes).map_err(ReplaceError::Unchanged)?;
    fs::rename(&unfinished, folder.join(name)).map_err(ReplaceError::Unchanged)?;
    sync_folder(folder).map_err(ReplaceError::Unknown)
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_data()
}

pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Content of a file that [`replace`] wrote under the same header.
pub(super) fn read(path: &Path, header: &str) -> Result<String, ReadError> {
    let text = match read_text(path) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(ReadError::NotWhole),
        text => text?,
    };
    open(&text, header).map(Into::into).ok_or(ReadError::NotWhole)
}

pub(super) fn open<'a>(text: &'a str, header: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(header)?.strip_prefix("\nsha256 ")?;
    let (sum, content) = rest.split_once('\n')?;
    (sum == digest(content)).then_some(content)
}

/// Text of a file of bounded length.
pub(super) fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let length = File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if length as u64 > FILE_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("longer than {FILE_BYTES_MAX} bytes"),
        ));
    }
    Ok(text)
}

fn digest(content: &str) -> String {
    Base64::encode_string(&Sha256::digest(content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_whole_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        replace(folder.path(), "state", "form v1", "one\ntwo\n").unwrap();
        let path = folder.path().join("state");
        assert_eq!(read(&path, "form v1").unwrap(), "one\ntwo\n");
        assert!(matches!(read(&path, "form v2"), Err(ReadError::NotWhole)));
        let whole = fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            assert!(read(&path, "form v1").is_err(), "{cut}");
        }
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            fs::write(&path, &flipped).unwrap();
            assert!(read(&path, "form v1").is_err(), "{at}");
        }
        fs::write(&path, vec![b'a'; 5 << 20]).unwrap();
        assert!(matches!(read(&path, "form v1"), Err(ReadError::Io(_))));
    }

    #[test]
    fn a_write_that_cannot_start_leaves_the_old_content() {
        let folder = tempfile::tempdir().unwrap();
        replace(folder.path(), "state", "form v1", "old").unwrap();
        fs::create_dir(folder.path().join("state.new")).unwrap();
        assert!(matches!(
            replace(folder.path(), "state", "form v1", "new"),
            Err(ReplaceError::Unchanged(_))
        ));
        assert_eq!(read(&folder.path().join("state"), "form v1").unwrap(), "old");
    }
}

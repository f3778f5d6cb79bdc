//! The container: POSIX ustar with every free choice taken away, read and written as a stream.
//!
//! Plain files only; mode 0644, owner and group 0 without names, time 0, no prefix; padding and the two closing blocks
//! are zero and nothing follows them. A reader makes the header that the name and size call for and compares.

use super::name::Name;
use model::id::SessionId;
use std::fmt;
use std::io::{self, Read, Write};

const BLOCK: usize = 512;
const SIZE_MAX: u64 = 0o7_777_777_777;
/// Memory taken for a file before its bytes are there.
const RESERVED_MAX: u64 = 256 * 1024;

/// A place in a pack, as precise as it can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The pack as a whole.
    Pack,
    /// A byte of the pack, from 0.
    Byte(u64),
    /// A file in it.
    File(Name),
    /// An entry of the log, by index.
    Entry(u64),
    /// A hash in the log's tiles, by the index of its entry.
    Hash(u64),
    /// A session.
    Session(SessionId),
    /// An extent of a session's recording.
    Extent(SessionId, u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pack => f.write_str("the pack"),
            Self::Byte(at) => write!(f, "byte {at} of the pack"),
            Self::File(name) => write!(f, "file {name}"),
            Self::Entry(index) => write!(f, "entry {index}"),
            Self::Hash(index) => write!(f, "hash of entry {index}"),
            Self::Session(session) => write!(f, "session {session}"),
            Self::Extent(session, number) => write!(f, "extent {number} of {session}"),
        }
    }
}

impl serde::Serialize for Place {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Why a pack cannot be read on.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The reader under it failed.
    Io(io::Error),
    /// The bytes are not those of a pack.
    Form {
        /// Where.
        at: Place,
        /// What is wrong there.
        what: String,
    },
    /// A later version wrote it.
    Newer(String),
}

impl Fault {
    pub(crate) fn form(at: Place, what: impl Into<String>) -> Self {
        Self::Form { at, what: what.into() }
    }
}

/// The header of a file.
fn header(name: &str, size: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let fields: [(usize, &str); 11] = [
        (0, name),
        (100, "0000644"),
        (108, "0000000"),
        (116, "0000000"),
        (124, &format!("{size:011o}")),
        (136, "00000000000"),
        (148, "        "),
        (156, "0"),
        (257, "ustar\u{0}00"),
        (329, "0000000"),
        (337, "0000000"),
    ];
    for (at, text) in fields {
        place(&mut block, at, text.as_bytes());
    }
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    place(&mut block, 148, format!("{sum:06o}\u{0} ").as_bytes());
    block
}

fn place(block: &mut [u8; BLOCK], at: usize, bytes: &[u8]) {
    for (slot, byte) in block.iter_mut().skip(at).zip(bytes) {
        *slot = *byte;
    }
}

fn padding(size: u64) -> usize {
    let over = usize::try_from(size % BLOCK as u64).unwrap_or(0);
    if over == 0 { 0 } else { BLOCK - over }
}

/// Writes files of a pack in the order in which they are given.
pub(crate) struct TarWriter<W> {
    out: W,
    pub(crate) written: u64,
}

impl<W: Write> TarWriter<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, written: 0 }
    }

    pub(crate) fn file(&mut self, name: Name, body: &[u8]) -> io::Result<()> {
        let size = body.len() as u64;
        if size > SIZE_MAX {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "a file of a pack is too long",
            ));
        }
        self.put(&header(&name.to_string(), size))?;
        self.put(body)?;
        self.put([0; BLOCK].get(..padding(size)).unwrap_or_default())
    }

    pub(crate) fn finish(mut self) -> io::Result<u64> {
        self.put(&[0; 2 * BLOCK])?;
        self.out.flush()?;
        Ok(self.written)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }
}

/// Reads files of a pack one after another.
pub(crate) struct Tar<R> {
    input: R,
    offset: u64,
}

impl<R: Read> Tar<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, offset: 0 }
    }

    /// Bytes read so far.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next file with its body, of at most `length_max(name)` bytes; nothing after the last, and then the pack has
    /// been seen to end there.
    pub(crate) fn next(&mut self, length_max: impl Fn(Name) -> u64) -> Result<Option<(Name, Vec<u8>)>, Fault> {
        let start = self.offset;
        let mut block = [0; BLOCK];
        self.fill(&mut block)?;
        if block.first() == Some(&0) {
            self.close(start, &block)?;
            return Ok(None);
        }
        let (name, size) = read_header(start, &block)?;
        if size > length_max(name) {
            return Err(Fault::form(Place::File(name), "is longer than it can be"));
        }
        let body = self.body(size)?;
        Ok(Some((name, body)))
    }

    fn body(&mut self, size: u64) -> Result<Vec<u8>, Fault> {
        let start = self.offset;
        // Grows with what is there, not with what the header claims, past what most files are.
        let mut body = Vec::with_capacity(usize::try_from(size.min(RESERVED_MAX)).unwrap_or_default());
        let read = (&mut self.input).take(size).read_to_end(&mut body).map_err(Fault::Io)?;
        self.offset += read as u64;
        if read as u64 != size {
            return Err(Fault::form(
                Place::Byte(start + read as u64),
                "the pack ends inside a file",
            ));
        }
        let mut block = [0; BLOCK];
        let pad = block.get_mut(..padding(size)).unwrap_or_default();
        let at = self.offset;
        self.fill(pad)?;
        match pad.iter().position(|byte| *byte != 0) {
            Some(bad) => Err(Fault::form(Place::Byte(at + bad as u64), "padding is not zero")),
            None => Ok(body),
        }
    }

    fn fill(&mut self, out: &mut [u8]) -> Result<(), Fault> {
        let mut rest = out;
        while !rest.is_empty() {
            let read = match self.input.read(rest) {
                Ok(0) => return Err(Fault::form(Place::Byte(self.offset), "the pack is cut off")),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Fault::Io(error)),
            };
            self.offset += read as u64;
            rest = rest.get_mut(read..).unwrap_or_default();
        }
        Ok(())
    }

    fn close(&mut self, start: u64, first: &[u8; BLOCK]) -> Result<(), Fault> {
        let mut second = [0; BLOCK];
        self.fill(&mut second)?;
        let blocks = first.iter().chain(&second);
        if let Some(bad) = blocks.into_iter().position(|byte| *byte != 0) {
            return Err(Fault::form(
                Place::Byte(start + bad as u64),
                "the closing blocks are not zero",
            ));
        }
        let mut more = [0];
        match self.input.read(&mut more) {
            Ok(0) => Ok(()),
            Ok(_) => Err(Fault::form(Place::Byte(self.offset), "the pack goes on after its end")),
            Err(error) => Err(Fault::Io(error)),
        }
    }
}

fn read_header(start: u64, block: &[u8; BLOCK]) -> Result<(Name, u64), Fault> {
    let malformed = |at: usize, what: &str| Fault::form(Place::Byte(start + at as u64), what);
    let field = |from: usize, to: usize| block.get(from..to).unwrap_or_default();
    let name = field(0, 100).split(|byte| *byte == 0).next().unwrap_or_default();
    let name = str::from_utf8(name).map_err(|_| malformed(0, "a file's name is not text"))?;
    let name: Name = name
        .parse()
        .map_err(|e: super::name::BadName| malformed(0, &e.to_string()))?;
    let size = str::from_utf8(field(124, 135)).ok();
    let size = size.and_then(|text| u64::from_str_radix(text, 8).ok());
    let size = size.ok_or_else(|| malformed(124, "a file's size is malformed"))?;
    // INVARIANT (one form)
    let wanted = header(&name.to_string(), size);
    match wanted.iter().zip(block).position(|(wanted, found)| wanted != found) {
        Some(bad) => Err(malformed(bad, "the header of a file is not in its one form")),
        None => Ok((name, size)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::id::EntryId;

    fn small() -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut tar = TarWriter::new(&mut bytes);
        tar.file(Name::Manifest, b"hello").unwrap();
        tar.file(Name::Disclosed(EntryId::new(1, [1; 10])), b"").unwrap();
        tar.file(Name::Checkpoint, &[7; 1024]).unwrap();
        assert_eq!(tar.finish().unwrap(), bytes.len() as u64);
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Vec<(Name, Vec<u8>)>, Fault> {
        let mut tar = Tar::new(bytes);
        let mut files = Vec::new();
        while let Some(file) = tar.next(|_| 4096)? {
            files.push(file);
        }
        Ok(files)
    }

    #[test]
    fn reads_what_it_wrote() {
        let files = read(&small()).unwrap();
        assert_eq!(files.len(), 3);
        assert_eq!(files[0], (Name::Manifest, b"hello".to_vec()));
        assert_eq!(files[2].1, [7; 1024]);
    }

    #[test]
    fn every_byte_outside_the_bodies_is_fixed() {
        let bytes = small();
        let bodies = [512..517, 2048..3072];
        for at in (0..bytes.len()).filter(|at| !bodies.iter().any(|b| b.contains(at))) {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            // A name or a size can become another one that is possible; the manifest holds those.
            let error = read(&bad);
            let in_header = at % 512 < 100 || (124..136).contains(&(at % 512)) || (148..156).contains(&(at % 512));
            assert!(error.is_err() || in_header, "{at}");
            if let Err(Fault::Form {
                at: Place::Byte(found), ..
            }) = error
            {
                assert_eq!(found / 512, at as u64 / 512, "{at}");
            }
        }
        for cut in 0..bytes.len() {
            assert!(read(&bytes[..cut]).is_err(), "{cut}");
        }
        assert!(read(&[&bytes[..], &[0]].concat()).is_err());
    }

    #[test]
    fn a_header_that_promises_much_costs_nothing() {
        let mut bytes = header("checkpoint", SIZE_MAX).to_vec();
        bytes.extend([1; 64]);
        let mut tar = Tar::new(&bytes[..]);
        assert!(matches!(
            tar.next(|_| u64::MAX),
            Err(Fault::Form {
                at: Place::Byte(576),
                ..
            })
        ));
        let mut tar = Tar::new(&bytes[..]);
        assert!(matches!(
            tar.next(|_| 10),
            Err(Fault::Form {
                at: Place::File(Name::Checkpoint),
                ..
            })
        ));
    }
}

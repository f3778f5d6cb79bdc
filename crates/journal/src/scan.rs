//! Reading a segment from front to back in bounded memory: frames, records, and what is neither.
//!
//! Damage never ends a scan: it is reported with its offset, and the scan goes on at the next thing that reads as a
//! frame or a record.

use std::io::{self, Read};

use recording::{FRAME_MAGIC, FrameError, HEADER_BYTES, Header, MAX_CIPHERTEXT};

use crate::record::{MAX_RECORD, RECORD_HEAD, RECORD_MAGIC, Record};

const BUFFER: usize = 256 * 1024;
const MAX_ITEM: usize = HEADER_BYTES + MAX_CIPHERTEXT;
const _: () = assert!(MAX_ITEM < BUFFER && MAX_RECORD < MAX_ITEM);

/// What stands at one offset.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    Frame(Header, &'a [u8]),
    Record(Record),
    /// This many bytes are neither frame nor record; the scan goes on behind them.
    Junk(u64),
    /// This many zero bytes stand between things that were written.
    Hole(u64),
    /// A frame or record begins here and the file ends inside it.
    Torn(u64),
    /// A frame whose last bytes never reached the disk.
    Unwritten(Header),
    /// A newer version of the format.
    Newer(u8),
}

/// A reader of one segment, after its header.
pub(crate) struct Scanner<R> {
    reader: R,
    buffer: Vec<u8>,
    start: usize,
    /// File offset of `start`.
    offset: u64,
    /// How many more bytes may be read.
    left: u64,
}

impl<R: Read> Scanner<R> {
    /// `reader` stands at `offset`; nothing from `end` on is looked at.
    pub(crate) const fn new(reader: R, offset: u64, end: u64) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
            start: 0,
            offset,
            left: end.saturating_sub(offset),
        }
    }

    /// The offset behind the last item.
    pub(crate) const fn offset(&self) -> u64 {
        self.offset
    }

    /// The next item and where it starts; none at the end, or when only zeros are left.
    pub(crate) fn next(&mut self) -> io::Result<Option<(u64, Item<'_>)>> {
        self.fill(MAX_ITEM)?;
        let at = self.offset;
        let window = self.window();
        if window.is_empty() {
            return Ok(None);
        }
        if window.first_chunk() == Some(&[0; 4]) || (window.len() < 4 && all_zero(window)) {
            return Ok(self.zeros()?.map(|length| (at, Item::Hole(length))));
        }
        match look(window) {
            Look::Frame(header) => Ok(Some((at, self.frame(header)))),
            Look::Record(record, length) => {
                self.advance(length);
                Ok(Some((at, Item::Record(record))))
            }
            Look::Short => {
                let skipped = self.junk()?;
                let torn = self.window().is_empty();
                Ok(Some((at, if torn { Item::Torn(skipped) } else { Item::Junk(skipped) })))
            }
            Look::Newer(version) => {
                self.junk()?;
                Ok(Some((at, Item::Newer(version))))
            }
            Look::Neither => Ok(Some((at, Item::Junk(self.junk()?)))),
        }
    }

    fn frame(&mut self, header: Header) -> Item<'_> {
        let start = self.start + HEADER_BYTES;
        self.advance(header.frame_len());
        let ciphertext = self.buffer.get(start..self.start).unwrap_or_default();
        match ciphertext.last_chunk::<16>() {
            Some([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]) => Item::Unwritten(header),
            _ => Item::Frame(header, ciphertext),
        }
    }

    /// Skips zeros; none when the file ends with them.
    fn zeros(&mut self) -> io::Result<Option<u64>> {
        let from = self.offset;
        loop {
            self.fill(1)?;
            let window = self.window();
            if window.is_empty() {
                return Ok(None);
            }
            let zeros = window.iter().take_while(|byte| **byte == 0).count();
            let all = zeros == window.len();
            self.advance(zeros);
            if !all {
                return Ok(Some(self.offset - from));
            }
        }
    }

    /// Skips at least one byte, up to what reads as a frame or record, or to the end.
    fn junk(&mut self) -> io::Result<u64> {
        let from = self.offset;
        self.advance(1);
        loop {
            self.fill(MAX_ITEM)?;
            let window = self.window();
            if window.is_empty() {
                return Ok(self.offset - from);
            }
            let found = window
                .windows(4)
                .position(|four| four == FRAME_MAGIC || four == RECORD_MAGIC);
            let skip = found.unwrap_or(window.len().saturating_sub(3).max(1));
            self.advance(skip);
            if found.is_some() {
                self.fill(MAX_ITEM)?;
                if matches!(look(self.window()), Look::Frame(_) | Look::Record(..)) {
                    return Ok(self.offset - from);
                }
                self.advance(1);
            }
        }
    }

    fn window(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    fn advance(&mut self, bytes: usize) {
        let bytes = bytes.min(self.window().len());
        self.start += bytes;
        self.offset += bytes as u64;
    }

    /// Makes `want` bytes available, or as many as there are.
    fn fill(&mut self, want: usize) -> io::Result<()> {
        if self.window().len() >= want || self.left == 0 {
            return Ok(());
        }
        self.buffer.drain(..self.start);
        self.start = 0;
        while self.buffer.len() < BUFFER && self.left > 0 {
            let room = (BUFFER - self.buffer.len()) as u64;
            let asked = room.min(self.left);
            let got = self.reader.by_ref().take(asked).read_to_end(&mut self.buffer)? as u64;
            self.left -= got;
            if got < asked {
                self.left = 0;
            }
        }
        Ok(())
    }
}

enum Look {
    Frame(Header),
    Record(Record, usize),
    Short,
    Newer(u8),
    Neither,
}

fn look(window: &[u8]) -> Look {
    match Header::decode(window) {
        Ok(header) if header.frame_len() <= window.len() => return Look::Frame(header),
        Ok(_) | Err(FrameError::Short) => return Look::Short,
        Err(FrameError::Newer(version)) => return Look::Newer(version),
        Err(FrameError::Magic) => {}
        Err(_) => return Look::Neither,
    }
    let Some(head) = window.first_chunk::<RECORD_HEAD>() else {
        return Look::Short;
    };
    let Some(length) = Record::length(head) else {
        return Look::Neither;
    };
    match window.get(..length) {
        None => Look::Short,
        Some(bytes) => match Record::decode(bytes) {
            Some(record) => Look::Record(record, length),
            None => Look::Neither,
        },
    }
}

fn all_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

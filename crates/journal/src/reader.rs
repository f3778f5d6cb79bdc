//! Reading sessions back, in export form, from the segments; and the index that says where they begin.
//!
//! While the journal is open only synced bytes are read.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use recording::{Chain, ExportedFrame, ExtentSeal, FrameBody, SessionId, decode, encode_export, frame_digest};

use crate::follow::{Fault, Follower};
use crate::record::{Record, SEGMENT_HEADER, SessionRecord, segment_number};
use crate::scan::{Item, Scanner};

/// Segment number and offset.
pub(crate) type Place = (u64, u64);

/// Where each session is.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    pub(crate) sessions: HashMap<SessionId, Entry>,
    segments: BTreeMap<u64, HashSet<SessionId>>,
}

#[derive(Debug)]
pub(crate) struct Entry {
    first: Place,
    /// The number of the first extent in `extents`.
    from: u64,
    /// Where each extent begins.
    extents: Vec<(u32, u32)>,
    discarded: bool,
}

impl Catalog {
    pub(crate) fn session_seen(&mut self, session: &SessionId, place: Place) {
        self.sessions.entry(*session).or_insert_with(|| Entry {
            first: place,
            from: 0,
            extents: Vec::new(),
            discarded: false,
        });
        self.segments.entry(place.0).or_default().insert(*session);
    }

    pub(crate) fn extent_begins(&mut self, session: &SessionId, number: u64, place: Place) {
        let Some(entry) = self.sessions.get_mut(session) else {
            return;
        };
        if entry.extents.is_empty() {
            entry.from = number;
        }
        if entry.from + entry.extents.len() as u64 == number {
            let small = |part: u64| u32::try_from(part).unwrap_or(u32::MAX);
            entry.extents.push((small(place.0), small(place.1)));
        }
    }

    /// Marks a session as no longer needed here; gives the segments that hold nothing else, below `below`.
    pub(crate) fn discard(&mut self, session: &SessionId, below: u64) -> Vec<u64> {
        if let Some(entry) = self.sessions.get_mut(session) {
            entry.discarded = true;
        }
        let unneeded = |held: &HashSet<SessionId>| {
            held.iter()
                .all(|one| self.sessions.get(one).is_none_or(|entry| entry.discarded))
        };
        let free: Vec<u64> = self
            .segments
            .range(..below)
            .filter(|(_, held)| unneeded(held))
            .map(|(number, _)| *number)
            .collect();
        for number in &free {
            self.segments.remove(number);
        }
        let needed: HashSet<SessionId> = self.segments.values().flatten().copied().collect();
        self.sessions
            .retain(|session, entry| !entry.discarded || needed.contains(session));
        free
    }

    /// Where to begin reading for extent `number`, and whether that is at the session's first header.
    pub(crate) fn place(&self, session: &SessionId, number: u64) -> Option<(Place, bool)> {
        let entry = self.sessions.get(session)?;
        let before = number.checked_sub(1).and_then(|before| before.checked_sub(entry.from));
        let found = before.and_then(|place| entry.extents.get(usize::try_from(place).ok()?));
        Some(found.map_or((entry.first, true), |(segment, offset)| {
            ((u64::from(*segment), u64::from(*offset)), false)
        }))
    }
}

/// One extent, in export form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// What it says of itself.
    pub seal: ExtentSeal,
    /// Its export form.
    pub bytes: Vec<u8>,
    /// False for the tail of a session that crashed: the gateway never closed this extent.
    pub sealed: bool,
}

/// Why an extent cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The journal has no such session.
    #[error("the journal has no such session")]
    Unknown,
    /// A segment cannot be read.
    #[error("segment `{segment}` cannot be read: {error}")]
    Io {
        /// The segment.
        segment: u64,
        /// Why.
        error: io::Error,
    },
    /// The extent is not as it was recorded, or frames of it are missing.
    #[error("extent `{extent}` before offset `{offset}` of segment `{segment}` is not as it was recorded")]
    Damaged {
        /// The extent.
        extent: u64,
        /// The segment where its seal stands.
        segment: u64,
        /// The seal's offset.
        offset: u64,
    },
}

/// A session's extents, in order.
pub struct Extents {
    session: SessionId,
    from: u64,
    segments: std::vec::IntoIter<(u64, PathBuf)>,
    begin: Place,
    limit: Place,
    current: Option<(u64, Scanner<File>)>,
    follower: Option<Follower>,
    frames: Vec<u8>,
    tail: bool,
    done: bool,
}

pub(crate) struct ReadPlan {
    pub(crate) session: SessionId,
    pub(crate) from: u64,
    pub(crate) begin: Place,
    /// Whether `begin` is at a header of the session.
    pub(crate) at_header: bool,
    pub(crate) limit: Place,
    /// Whether frames after the last seal are the tail of a dead session.
    pub(crate) tail: bool,
    pub(crate) segments: Vec<(u64, PathBuf)>,
}

impl Extents {
    pub(crate) fn new(plan: ReadPlan) -> Self {
        let within = |(number, _): &(u64, PathBuf)| (plan.begin.0..=plan.limit.0).contains(number);
        let segments: Vec<_> = plan.segments.into_iter().filter(within).collect();
        // Begun in the middle, the first seal only tells the chain; nothing before `from` is given out.
        let follower = (!plan.at_header).then(|| Follower::new(unknown(plan.session)));
        Self {
            session: plan.session,
            from: plan.from,
            segments: segments.into_iter(),
            begin: plan.begin,
            limit: plan.limit,
            current: None,
            follower,
            frames: Vec::new(),
            tail: plan.tail,
            done: false,
        }
    }

    fn open_next(&mut self) -> Option<Result<(), ReadError>> {
        let (number, path) = self.segments.next()?;
        let start = if number == self.begin.0 {
            self.begin.1
        } else {
            SEGMENT_HEADER as u64
        };
        let end = if number == self.limit.0 { self.limit.1 } else { u64::MAX };
        Some(match open_at(&path, number, start) {
            Ok(file) => {
                self.current = Some((number, Scanner::new(file, start, end)));
                Ok(())
            }
            Err(error) => Err(ReadError::Io { segment: number, error }),
        })
    }

    /// The next extent of the open segment; none at its end.
    fn step(&mut self) -> Option<Result<Extent, ReadError>> {
        let (number, scanner) = self.current.as_mut()?;
        loop {
            let (offset, item) = match scanner.next() {
                Ok(Some(found)) => found,
                Ok(None) => return None,
                Err(error) => {
                    return Some(Err(ReadError::Io {
                        segment: *number,
                        error,
                    }));
                }
            };
            match item {
                Item::Frame(header, ciphertext) if header.session == self.session => {
                    let Some(follower) = &mut self.follower else {
                        continue;
                    };
                    let doubled = matches!(
                        follower.frame(&header, &frame_digest(ciphertext)),
                        Err(Fault::Duplicate(_))
                    );
                    if !doubled && self.frames.len() <= recording::MAX_EXPORT_BYTES {
                        self.frames.extend(header.encode());
                        self.frames.extend_from_slice(ciphertext);
                    }
                }
                Item::Record(Record::Session(record)) if record.session == self.session => {
                    self.follower.get_or_insert_with(|| Follower::new(record)).ending = None;
                    self.done = false;
                }
                Item::Record(Record::Seal(session, seal)) if session == self.session => {
                    let Some(follower) = &mut self.follower else {
                        continue;
                    };
                    let previous = follower.builder.chain();
                    let sound = follower.seal(&seal) == Ok(true);
                    let frames = std::mem::take(&mut self.frames);
                    if seal.number < self.from {
                        continue;
                    }
                    return Some(if sound {
                        Ok(extent(&seal, &self.session, &previous, &frames, true))
                    } else {
                        Err(ReadError::Damaged {
                            extent: seal.number,
                            segment: *number,
                            offset,
                        })
                    });
                }
                Item::Record(Record::Finish(finish)) if finish.session == self.session => self.done = true,
                _ => {}
            }
        }
    }

    fn tail(&mut self) -> Option<Extent> {
        let follower = self.follower.as_ref()?;
        let seal = follower
            .builder
            .peek()
            .filter(|seal| self.tail && !self.done && seal.number >= self.from);
        self.done = true;
        let frames = std::mem::take(&mut self.frames);
        seal.map(|seal| extent(&seal, &self.session, &follower.builder.chain(), &frames, false))
    }
}

impl Iterator for Extents {
    type Item = Result<Extent, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(found) = self.step() {
                return Some(found);
            }
            self.current = None;
            match self.open_next() {
                None => return self.tail().map(Ok),
                Some(Err(error)) => return Some(Err(error)),
                Some(Ok(())) => {}
            }
        }
    }
}

fn extent(seal: &ExtentSeal, session: &SessionId, previous: &Chain, frames: &[u8], sealed: bool) -> Extent {
    let (mut list, mut rest) = (Vec::new(), frames);
    while let Ok((header, ciphertext, after)) = decode(rest) {
        list.push(ExportedFrame {
            header,
            body: FrameBody::Sealed(ciphertext),
        });
        rest = after;
    }
    Extent {
        seal: *seal,
        bytes: encode_export(seal, session, previous, &list),
        sealed,
    }
}

fn open_at(path: &PathBuf, number: u64, start: u64) -> io::Result<File> {
    let mut file = File::open(path)?;
    let mut header = [0; SEGMENT_HEADER];
    file.read_exact(&mut header)?;
    if segment_number(&header) != Some(number) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the file is not this segment",
        ));
    }
    file.seek(SeekFrom::Start(start))?;
    Ok(file)
}

const fn unknown(session: SessionId) -> SessionRecord {
    SessionRecord {
        session,
        next_index: 0,
        next_extent: 0,
        chain: [0; 32],
        opened_at_ms: 0,
        commitment: [0; 32],
        origin: String::new(),
    }
}

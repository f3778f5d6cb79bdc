//! Opening a directory again: every segment is read once, and whatever does not fit is named with its place.
//!
//! Recovery runs at each start, after a crash or not. It changes nothing but the empty space at the segments' ends.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

use recording::{Commitment, ExtentSeal, SessionId, Totals, frame_digest};

use crate::follow::{Ending, Follower};
use crate::reader::Catalog;
use crate::record::{Record, SEGMENT_HEADER, segment_number};
use crate::scan::{Item, Scanner};
use crate::segment::{list, trim};

const MAX_DAMAGE: usize = 1000;

/// One place where the segments are not as they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The segment.
    pub segment: u64,
    /// The offset in it.
    pub offset: u64,
    /// What is there.
    pub kind: DamageKind,
}

/// What is wrong at a place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DamageKind {
    /// The file's header is not that of this segment.
    #[error("the file is not this segment")]
    NotThisSegment,
    /// The file cannot be read to its end.
    #[error("the file cannot be read: {0}")]
    Unreadable(String),
    /// The file ends inside a frame or record.
    #[error("the last `{0}` bytes are a torn write")]
    Torn(u64),
    /// Bytes that are neither frame nor record.
    #[error("`{0}` bytes are neither frame nor record")]
    Junk(u64),
    /// Zeros between things that were written: they never reached the disk.
    #[error("`{0}` bytes never reached the disk")]
    Hole(u64),
    /// A frame whose end never reached the disk.
    #[error("frame `{0}` never reached the disk whole")]
    Unwritten(u64),
    /// Written by a newer format.
    #[error("written by a newer format (version `{0}`)")]
    Newer(u8),
    /// Frames of a session whose beginning is not here.
    #[error("frames of a session that does not begin here")]
    Orphan(SessionId),
    /// A session's frames or records contradict each other.
    #[error("{what}")]
    Session {
        /// The session.
        session: SessionId,
        /// How.
        what: String,
    },
}

/// One session as the segments tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveredSession {
    /// The session.
    pub session: SessionId,
    /// The log that it is bound to.
    pub origin: String,
    /// Its data key's commitment.
    pub commitment: Commitment,
    /// When it was opened, in ms since 1970.
    pub opened_at_ms: u64,
    /// The index that a further frame would have.
    pub next_index: u64,
    /// Frames and bytes of each kind that are here.
    pub totals: Totals,
    /// Its newest sealed extent.
    pub newest: Option<ExtentSeal>,
    /// Frames after that, as the extent they make.
    pub tail: Option<ExtentSeal>,
    /// How it ended; none when the gateway died first.
    pub ending: Option<Ending>,
    /// Frames whose index is missing: at most eight ranges, of which the last may cover frames that are here.
    pub missing: Vec<Range<u64>>,
    /// Its newest gap frame: after a failed sync it went on there.
    pub newest_gap: Option<u64>,
}

/// What opening a directory found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Every session in the segments, by its beginning.
    pub sessions: Vec<RecoveredSession>,
    /// What is not as it was written: at most a thousand places.
    pub damage: Vec<Damage>,
    /// Further places.
    pub more_damage: u64,
    /// Segments read.
    pub segments: u64,
    /// Bytes read.
    pub bytes: u64,
}

/// Follows every session through the segments.
#[derive(Default)]
pub(crate) struct Recoverer {
    followers: HashMap<SessionId, Follower>,
    order: Vec<SessionId>,
    orphans: HashMap<SessionId, ()>,
    catalog: Catalog,
    report: Recovery,
    segment: u64,
}

/// Reads every segment in `dir`; gives back unused space when `tidy`.
pub(crate) fn recover(dir: &Path, tidy: bool) -> io::Result<(Recovery, Catalog, u64)> {
    let mut recoverer = Recoverer::default();
    let mut newest = 0;
    for (number, path) in list(dir)? {
        newest = number;
        recoverer.file(number, &path, tidy);
    }
    let (report, catalog) = recoverer.finish();
    Ok((report, catalog, newest))
}

impl Recoverer {
    fn file(&mut self, number: u64, path: &Path, tidy: bool) {
        self.segment = number;
        self.report.segments += 1;
        let opened = OpenOptions::new().read(true).write(tidy).open(path);
        let read = opened.and_then(|file| {
            let end = self.segment(number, &file)?;
            // Only zeros are cut: a torn end stays as it is.
            match end {
                Some(end) if tidy && end < file.metadata()?.len() => trim(&file, end),
                _ => Ok(()),
            }
        });
        if let Err(error) = read {
            self.damage(0, DamageKind::Unreadable(error.to_string()));
        }
    }

    fn segment(&mut self, number: u64, mut file: &File) -> io::Result<Option<u64>> {
        let mut header = [0; SEGMENT_HEADER];
        let length = file.metadata()?.len();
        if length < SEGMENT_HEADER as u64 {
            self.damage(0, DamageKind::NotThisSegment);
            return Ok(None);
        }
        file.read_exact(&mut header)?;
        if segment_number(&header) != Some(number) {
            self.damage(0, DamageKind::NotThisSegment);
            return Ok(None);
        }
        self.stream(number, file, SEGMENT_HEADER as u64, length).map(Some)
    }

    /// Reads what follows a segment's header; gives the offset behind the last thing in it.
    pub(crate) fn stream(&mut self, number: u64, reader: impl Read, start: u64, end: u64) -> io::Result<u64> {
        self.segment = number;
        let mut scanner = Scanner::new(reader, start, end);
        let mut used = start;
        while let Some((offset, item)) = scanner.next()? {
            self.item(offset, item);
            used = scanner.offset();
        }
        self.report.bytes += used;
        Ok(used)
    }

    fn item(&mut self, offset: u64, item: Item<'_>) {
        match item {
            Item::Frame(header, ciphertext) => match self.followers.get_mut(&header.session) {
                Some(follower) => {
                    if follower.builder.open_since_us().is_none() {
                        let place = (self.segment, offset);
                        self.catalog
                            .extent_begins(&header.session, follower.builder.number(), place);
                    }
                    let followed = follower.frame(&header, &frame_digest(ciphertext));
                    self.judge(offset, header.session, followed);
                }
                None => self.orphan(offset, header.session),
            },
            Item::Record(Record::Session(record)) => {
                let session = record.session;
                self.catalog.session_seen(&session, (self.segment, offset));
                match self.followers.get_mut(&session) {
                    Some(follower) => {
                        let followed = follower.session(&record);
                        self.judge(offset, session, followed);
                    }
                    None => {
                        self.order.push(session);
                        self.followers.insert(session, Follower::new(record));
                    }
                }
            }
            Item::Record(Record::Seal(session, seal)) => match self.followers.get_mut(&session) {
                Some(follower) => {
                    let followed = follower.seal(&seal).map(drop);
                    self.judge(offset, session, followed);
                }
                None => self.orphan(offset, session),
            },
            Item::Record(Record::Finish(finish)) => match self.followers.get_mut(&finish.session) {
                Some(follower) => {
                    let followed = follower.finish(&finish);
                    self.judge(offset, finish.session, followed);
                }
                None => self.orphan(offset, finish.session),
            },
            Item::Junk(bytes) => self.damage(offset, DamageKind::Junk(bytes)),
            Item::Hole(bytes) => self.damage(offset, DamageKind::Hole(bytes)),
            Item::Torn(bytes) => self.damage(offset, DamageKind::Torn(bytes)),
            Item::Unwritten(header) => self.damage(offset, DamageKind::Unwritten(header.index)),
            Item::Newer(version) => self.damage(offset, DamageKind::Newer(version)),
        }
    }

    fn judge(&mut self, offset: u64, session: SessionId, followed: Result<(), crate::follow::Fault>) {
        if let Err(fault) = followed {
            self.damage(
                offset,
                DamageKind::Session {
                    session,
                    what: fault.to_string(),
                },
            );
        }
    }

    fn orphan(&mut self, offset: u64, session: SessionId) {
        if self.orphans.insert(session, ()).is_none() {
            self.damage(offset, DamageKind::Orphan(session));
        }
    }

    fn damage(&mut self, offset: u64, kind: DamageKind) {
        if self.report.damage.len() < MAX_DAMAGE {
            self.report.damage.push(Damage {
                segment: self.segment,
                offset,
                kind,
            });
        } else {
            self.report.more_damage += 1;
        }
    }

    pub(crate) fn finish(mut self) -> (Recovery, Catalog) {
        let followers = std::mem::take(&mut self.followers);
        self.report.sessions = self
            .order
            .iter()
            .filter_map(|session| followers.get(session))
            .map(recovered)
            .collect();
        (self.report, self.catalog)
    }
}

fn recovered(follower: &Follower) -> RecoveredSession {
    RecoveredSession {
        session: follower.start.session,
        origin: follower.start.origin.clone(),
        commitment: follower.start.commitment,
        opened_at_ms: follower.start.opened_at_ms,
        next_index: follower.next_index,
        totals: follower.totals,
        newest: follower.newest,
        tail: follower.builder.peek(),
        ending: follower.ending,
        missing: follower.missing.clone(),
        newest_gap: follower.newest_gap,
    }
}

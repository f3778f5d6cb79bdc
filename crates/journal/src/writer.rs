//! The one place that appends: which segment, at which offset, and when the next segment begins.
//!
//! Positions count every byte ever appended, over all segments, so "synced up to here" is one number.
//!
//! INVARIANT (no-reuse): after a failed write or sync nothing ordinary is appended to that segment again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::config::JournalConfig;
use crate::halt::HaltReason;
use crate::record::SEGMENT_HEADER;
use crate::segment::{Segment, reason};

/// A session's oldest frame that no sync has covered.
pub(crate) struct Waiting {
    pub(crate) since: Instant,
    /// The session's longest wait, in µs.
    pub(crate) longest_us: Arc<AtomicU64>,
}

impl Waiting {
    pub(crate) fn synced(&self) {
        let waited = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.longest_us.fetch_max(waited, Ordering::Relaxed);
    }
}

pub(crate) struct Writer {
    pub(crate) segment: Arc<Segment>,
    pub(crate) offset: u64,
    /// Bytes appended so far, over all segments.
    pub(crate) position: u64,
    /// Segments with bytes that no sync has covered, and where each ends; the current one comes last.
    pub(crate) unsynced: Vec<(Arc<Segment>, u64)>,
    /// Sessions with frames that no sync has covered, once each.
    pub(crate) waiting: Vec<Waiting>,
    /// A segment made ahead.
    pub(crate) next: Option<Segment>,
    /// The sync thread was asked to make one.
    pub(crate) ahead_asked: bool,
    /// The number that the next segment made will have.
    pub(crate) next_number: u64,
    /// Why nothing more may be appended to the current segment: a write or sync failed on it.
    pub(crate) broken: Option<HaltReason>,
    /// How many syncs have failed; a session that knows of fewer owes a gap frame.
    pub(crate) poisons: u64,
    pub(crate) reserve: u64,
    pub(crate) capacity: u64,
}

impl Writer {
    pub(crate) fn new(segment: Segment, config: &JournalConfig) -> Self {
        Self {
            next_number: segment.number + 1,
            segment: Arc::new(segment),
            offset: SEGMENT_HEADER as u64,
            position: 0,
            unsynced: Vec::new(),
            waiting: Vec::new(),
            next: None,
            ahead_asked: false,
            broken: None,
            poisons: 0,
            reserve: config.reserve(),
            capacity: config.segment_bytes,
        }
    }

    /// Appends one piece, whole or not at all as far as the caller may rely on it.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), HaltReason> {
        self.sound()?;
        self.segment
            .write(bytes, self.offset)
            .inspect_err(|reason| self.broken = Some(*reason))?;
        self.offset += bytes.len() as u64;
        self.position += bytes.len() as u64;
        self.mark_unsynced();
        Ok(())
    }

    /// Makes sure that `bytes` more fit before the reserve, in a new segment if need be.
    pub(crate) fn make_room(&mut self, bytes: u64, config: &JournalConfig) -> Result<(), HaltReason> {
        self.sound()?;
        if self.offset + bytes <= self.capacity - self.reserve {
            return Ok(());
        }
        self.rotate(config)
    }

    /// Whether `bytes` more fit, the reserve included.
    pub(crate) fn has_reserve(&self, bytes: u64) -> bool {
        self.broken.is_none() && self.offset + bytes <= self.capacity
    }

    /// INVARIANT (no-reuse): only the sync thread, which accounts for what is lost, leaves a broken segment.
    fn sound(&self) -> Result<(), HaltReason> {
        self.broken.map_or(Ok(()), Err)
    }

    /// Goes on in a new segment.
    pub(crate) fn rotate(&mut self, config: &JournalConfig) -> Result<(), HaltReason> {
        let next = match self.next.take() {
            Some(next) => next,
            None => self.create(config)?,
        };
        self.segment = Arc::new(next);
        self.offset = SEGMENT_HEADER as u64;
        self.broken = None;
        self.ahead_asked = false;
        Ok(())
    }

    /// Whether a segment should be made ahead, and under which number.
    pub(crate) fn wants_next(&mut self) -> Option<u64> {
        let wanted = self.next.is_none() && self.broken.is_none() && self.is_half_full();
        wanted.then(|| self.take_number())
    }

    pub(crate) const fn is_half_full(&self) -> bool {
        self.offset > self.capacity / 2
    }

    /// A number no segment has had: one that could not be made is not tried again under its number.
    pub(crate) const fn take_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number - 1
    }

    fn create(&mut self, config: &JournalConfig) -> Result<Segment, HaltReason> {
        let number = self.take_number();
        Segment::create(&config.dir, number, config.segment_bytes).map_err(|error| reason(&error))
    }

    fn mark_unsynced(&mut self) {
        match self.unsynced.last_mut() {
            Some((segment, end)) if segment.number == self.segment.number => *end = self.offset,
            _ => self.unsynced.push((Arc::clone(&self.segment), self.offset)),
        }
    }
}

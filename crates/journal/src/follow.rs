//! One session followed through its frames and records: what recovery and reading share.

use std::ops::Range;

use recording::{ExtentBuilder, ExtentSeal, FrameDigest, Header, Kind, Totals};

use crate::record::{FinishRecord, SessionRecord};

/// Ranges of missing frames that are told apart; the last one covers everything up to the last missing frame.
const MISSING_MAX: usize = 8;

/// How a session's recording ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Ending {
    /// Closed in order.
    Finished = 0,
    /// Stopped because it could not be recorded any more; a halt frame says why.
    Halted = 1,
    /// The gateway let go of it without closing it.
    Dropped = 2,
}

impl Ending {
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        [Self::Finished, Self::Halted, Self::Dropped]
            .into_iter()
            .find(|ending| *ending as u8 == code)
    }
}

/// What does not follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("frame `{0}` stands there a second time")]
    Duplicate(u64),
    #[error("frames `{from}` up to `{to}` are missing")]
    Missing { from: u64, to: u64 },
    #[error("frame `{0}` is earlier than the frame before it")]
    Backwards(u64),
    #[error("extent `{0}` is not as it was recorded")]
    Seal(u64),
    #[error("the session's header contradicts what stands before it")]
    Session,
    #[error("the session's end contradicts what stands before it")]
    Finish,
    #[error("something follows the session's end")]
    AfterEnd,
}

/// Where a session stands.
#[derive(Clone, Debug)]
pub(crate) struct Follower {
    pub(crate) start: SessionRecord,
    pub(crate) next_index: u64,
    pub(crate) builder: ExtentBuilder,
    pub(crate) totals: Totals,
    pub(crate) newest: Option<ExtentSeal>,
    pub(crate) ending: Option<Ending>,
    pub(crate) missing: Vec<Range<u64>>,
    pub(crate) newest_gap: Option<u64>,
}

impl Follower {
    pub(crate) fn new(start: SessionRecord) -> Self {
        Self {
            next_index: start.next_index,
            builder: ExtentBuilder::resume(start.next_extent, start.chain),
            totals: Totals::default(),
            newest: None,
            ending: None,
            missing: Vec::new(),
            newest_gap: None,
            start,
        }
    }

    /// The session again, at the head of a further segment; after an end whose own sync failed, it goes on.
    pub(crate) fn session(&mut self, again: &SessionRecord) -> Result<(), Fault> {
        let same = again.commitment == self.start.commitment
            && again.origin == self.start.origin
            && again.opened_at_ms == self.start.opened_at_ms
            && again.next_extent == self.builder.number()
            && again.chain == self.builder.chain();
        self.ending = None;
        if same { Ok(()) } else { Err(Fault::Session) }
    }

    /// The next frame. A second copy is left out; after missing frames the session goes on.
    pub(crate) fn frame(&mut self, header: &Header, digest: &FrameDigest) -> Result<(), Fault> {
        if self.ending.is_some() {
            return Err(Fault::AfterEnd);
        }
        if header.index < self.next_index {
            return Err(Fault::Duplicate(header.index));
        }
        let missing = header.index - self.next_index;
        let fault = if missing > 0 {
            Some(Fault::Missing {
                from: self.next_index,
                to: header.index,
            })
        } else {
            (header.time_us < self.totals.last_us).then_some(Fault::Backwards(header.index))
        };
        if missing > 0 {
            self.miss(self.next_index..header.index);
        }
        if header.kind == Kind::Gap {
            self.newest_gap = Some(header.index);
        }
        self.next_index = header.index.saturating_add(1);
        self.builder.push(header, digest);
        self.totals.add(header);
        fault.map_or(Ok(()), Err)
    }

    fn miss(&mut self, frames: Range<u64>) {
        let full = self.missing.len() == MISSING_MAX;
        match self.missing.last_mut() {
            Some(last) if full => last.end = frames.end,
            _ => self.missing.push(frames),
        }
    }

    /// The end of an extent; false when the extent begins before what was followed, in a segment that is gone.
    /// Its recorded chain is believed for what follows, and a difference reported.
    pub(crate) fn seal(&mut self, seal: &ExtentSeal) -> Result<bool, Fault> {
        let found = self.builder.cut();
        self.newest = Some(*seal);
        if found.as_ref() == Some(seal) {
            return Ok(true);
        }
        self.builder = ExtentBuilder::resume(seal.number.saturating_add(1), seal.chain);
        let begins_before = seal.first < self.start.next_index;
        if begins_before {
            Ok(false)
        } else {
            Err(Fault::Seal(seal.number))
        }
    }

    pub(crate) fn finish(&mut self, finish: &FinishRecord) -> Result<(), Fault> {
        if self.ending.is_some() {
            return Err(Fault::AfterEnd);
        }
        self.ending = Some(finish.ending);
        let same = finish.next_index == self.next_index
            && finish.extents == self.builder.number()
            && finish.chain == self.builder.chain()
            && self.builder.peek().is_none();
        if same { Ok(()) } else { Err(Fault::Finish) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_holes_are_told_in_few_ranges_that_cover_them_all() {
        let mut follower = Follower::new(SessionRecord {
            session: [1; 16],
            next_index: 0,
            next_extent: 0,
            chain: [0; 32],
            opened_at_ms: 0,
            commitment: [0; 32],
            origin: "log.example/acme".to_owned(),
        });
        let holes = MISSING_MAX as u64 + 3;
        for hole in 0..holes {
            follower.miss(hole * 10..hole * 10 + 1);
        }
        assert_eq!(follower.missing.len(), MISSING_MAX);
        for hole in 0..holes {
            assert!(
                follower.missing.iter().any(|range| range.contains(&(hole * 10))),
                "{hole}"
            );
        }
    }
}

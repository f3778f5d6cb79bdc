//! One open session: its sealer, its open extent, and what it owes to the log.
//!
//! INVARIANT (written-first): indexes, extents and totals move on only after the frame was written.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use recording::{Commitment, ExtentBuilder, ExtentSeal, Gap, Kind, MAX_EXTENT_US, Sealed, Sealer, SessionId, Totals};

use crate::follow::Ending;
use crate::halt::{Halt, HaltReason};
use crate::lock::lock;
use crate::record::{FinishRecord, Record, SessionRecord};
use crate::shared::Shared;
use crate::writer::{Waiting, Writer};

/// What room a frame's seal, session and finish records may need beside it.
const PREFIX_ROOM: u64 = 1024;
const IDLE_BUFFER: usize = 2048;

/// The newest synced extent of one session, for the log's batched progress entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The session.
    pub session: SessionId,
    /// Its newest synced extent; the chain covers those before it.
    pub newest: ExtentSeal,
    /// Frames that may be missing so far.
    pub lost_frames: u64,
    /// Gap frames so far.
    pub gaps: u64,
}

/// What a session's recording came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The session.
    pub session: SessionId,
    /// Frames and bytes of each kind.
    pub totals: Totals,
    /// Extents.
    pub extents: u64,
    /// The index that a further frame would have.
    pub next_index: u64,
    /// The chain over all extents.
    pub chain: [u8; 32],
    /// Gap frames.
    pub gaps: u64,
    /// Frames that may be missing.
    pub lost_frames: u64,
    /// Why it was halted, if it was.
    pub halt: Option<HaltReason>,
    /// What the halt leaves in doubt. Of the gaps after which the session went on, the notices tell.
    pub doubt: Option<Gap>,
    /// The longest time between a frame being written, from when on its bytes may be forwarded, and the end of the sync
    /// that covered it. Frames that no sync covered are in a gap.
    pub longest_unsynced: Duration,
    /// Everything named here is synced. False only where the storage refused to the end.
    pub durable: bool,
}

/// A session's shared part: what its owner, its journaled values and the sync thread hold.
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) shared: Arc<Shared>,
    pub(crate) epoch: u64,
    pub(crate) live: Mutex<Live>,
}

pub(crate) struct Live {
    pub(crate) origin: String,
    pub(crate) commitment: Commitment,
    pub(crate) opened_at_ms: u64,
    sealer: Sealer,
    builder: ExtentBuilder,
    pub(crate) totals: Totals,
    buffer: Vec<u8>,
    /// The index of the next frame to be kept.
    pub(crate) next_index: u64,
    /// The segment that last saw this session's header.
    segment: Option<u64>,
    /// The failed syncs that this session has answered for.
    poisons: u64,
    /// Position and index where the frames of each of the last syncs begin.
    marks: VecDeque<(u64, u64)>,
    marked_at: u64,
    /// The longest that a frame waited for its sync, in µs.
    longest_us: Arc<AtomicU64>,
    /// The position behind the session's newest byte.
    pub(crate) position: u64,
    /// The position behind its newest frame.
    frame_position: u64,
    seals: VecDeque<(u64, ExtentSeal)>,
    clock: (Instant, u64),
    pub(crate) gaps: u64,
    pub(crate) lost_frames: u64,
    /// What the halt frame says.
    doubt: Option<Gap>,
    /// The session's header, then its halt frame and what follows it: sealed once, kept until written.
    epilogue: Option<(Vec<u8>, Vec<u8>)>,
    pub(crate) ending: Option<Ending>,
}

impl Live {
    pub(crate) fn new(record: &SessionRecord, sealer: Sealer, poisons: u64) -> Self {
        Self {
            origin: record.origin.clone(),
            commitment: record.commitment,
            opened_at_ms: record.opened_at_ms,
            sealer,
            builder: ExtentBuilder::new(record.chain),
            totals: Totals::default(),
            buffer: Vec::new(),
            next_index: 0,
            segment: None,
            poisons,
            marks: VecDeque::new(),
            marked_at: u64::MAX,
            longest_us: Arc::default(),
            position: 0,
            frame_position: 0,
            seals: VecDeque::new(),
            clock: (Instant::now(), 0),
            gaps: 0,
            lost_frames: 0,
            doubt: None,
            epilogue: None,
            ending: None,
        }
    }

    /// Session time now, for frames that the journal itself writes.
    fn now_us(&self) -> u64 {
        let (at, us) = self.clock;
        let since = u64::try_from(at.elapsed().as_micros()).unwrap_or(u64::MAX);
        us.saturating_add(since)
    }

    fn header(&self, session: SessionId) -> Record {
        Record::Session(SessionRecord {
            session,
            next_index: self.next_index,
            next_extent: self.builder.number(),
            chain: self.builder.chain(),
            opened_at_ms: self.opened_at_ms,
            commitment: self.commitment,
            origin: self.origin.clone(),
        })
    }

    /// What may be missing after the failed syncs that this session has not answered for.
    fn possibly_lost(&self, shared: &Shared) -> Option<Gap> {
        let place = usize::try_from(self.poisons).unwrap_or(usize::MAX);
        let (after, _) = lock(&shared.lost).get(place).copied()?;
        if self.frame_position <= after {
            return None;
        }
        let from = self.marks.iter().rev().find(|(position, _)| *position <= after);
        let from = from.or(self.marks.front()).map_or(0, |(_, index)| *index);
        Some(Gap {
            reason: HaltReason::SyncFailed.gap(),
            from,
            frames: self.next_index.saturating_sub(from),
            since_us: self.totals.last_us,
        })
    }

    /// What a halt leaves in doubt: what is not synced, and what an earlier failed sync leaves the session owing.
    fn in_doubt(&self, shared: &Shared, reason: HaltReason) -> Gap {
        let unsynced = self.unsynced(shared);
        let owed = self.possibly_lost(shared).map_or(unsynced, |gap| gap.from);
        let from = unsynced.min(owed);
        Gap {
            reason: reason.gap(),
            from,
            frames: self.next_index.saturating_sub(from),
            since_us: self.totals.last_us,
        }
    }

    /// The first frame that is not synced.
    fn unsynced(&self, shared: &Shared) -> u64 {
        let synced = shared.synced.load(Ordering::SeqCst);
        if self.frame_position <= synced {
            return self.next_index;
        }
        let from = self.marks.iter().rev().find(|(position, _)| *position <= synced);
        from.or(self.marks.front()).map_or(0, |(_, index)| *index)
    }

    fn mark(&mut self, shared: &Shared, writer: &mut Writer, before: u64) {
        let syncs = shared.figures.syncs.load(Ordering::SeqCst);
        if self.marked_at != syncs {
            self.marked_at = syncs;
            self.marks.push_back((before, self.next_index));
            writer.waiting.push(Waiting {
                since: Instant::now(),
                longest_us: Arc::clone(&self.longest_us),
            });
        }
        let synced = shared.synced.load(Ordering::SeqCst);
        while self.marks.get(1).is_some_and(|(position, _)| *position <= synced) {
            self.marks.pop_front();
        }
    }

    fn note_seal(&mut self, shared: &Shared, position: u64, seal: ExtentSeal) {
        let synced = shared.synced.load(Ordering::SeqCst);
        while self.seals.get(1).is_some_and(|(position, _)| *position <= synced) {
            self.seals.pop_front();
        }
        self.seals.push_back((position, seal));
    }

    /// The newest synced extent since the last call.
    pub(crate) fn progress(&mut self, synced: u64) -> Option<ExtentSeal> {
        let mut newest = None;
        while self.seals.front().is_some_and(|(position, _)| *position <= synced) {
            newest = self.seals.pop_front().map(|(_, seal)| seal);
        }
        newest
    }
}

/// Why a frame was not written.
pub(crate) enum Refusal {
    /// The session was stopped before.
    Stale(Halt),
    /// The storage failed just now: everything is to be stopped.
    Storage(HaltReason),
}

impl From<Halt> for Refusal {
    fn from(halt: Halt) -> Self {
        Self::Stale(halt)
    }
}

impl From<HaltReason> for Refusal {
    fn from(reason: HaltReason) -> Self {
        Self::Storage(reason)
    }
}

impl Refusal {
    pub(crate) fn halt(self, shared: &Shared) -> Halt {
        match self {
            Self::Stale(halt) => halt,
            Self::Storage(reason) => shared.stop(reason),
        }
    }
}

impl Session {
    /// Seals one frame and writes it; what it owes before and after goes with it. Gives the position behind it.
    pub(crate) fn record(&self, kind: Kind, channel: u32, time_us: u64, plain: &[u8]) -> Result<u64, Halt> {
        let shared = &*self.shared;
        self.check()?;
        let live = &mut *lock(&self.live);
        if live.ending.is_some() {
            return Err(Halt::new(HaltReason::Ended));
        }
        live.clock = (Instant::now(), live.totals.last_us.max(time_us));
        let mut buffer = std::mem::take(&mut live.buffer);
        buffer.clear();
        let sealed = live.sealer.seal(kind, channel, time_us, plain, &mut buffer);
        let written = match sealed {
            Ok(sealed) => self.write_frame(live, &sealed, &buffer),
            Err(_) => Err(Refusal::Stale(Halt::new(HaltReason::Ended))),
        };
        live.buffer = buffer;
        written.map_err(|refusal| refusal.halt(shared))?;
        Ok(live.position)
    }

    /// Refuses once a stop has come, or a sync is late that nobody has reported yet.
    pub(crate) fn check(&self) -> Result<(), Halt> {
        self.shared.check(self.epoch)?;
        if self.shared.is_sync_late() {
            return Err(self.shared.stop(HaltReason::SlowSync));
        }
        Ok(())
    }

    fn write_frame(&self, live: &mut Live, sealed: &Sealed, bytes: &[u8]) -> Result<(), Refusal> {
        let shared = &*self.shared;
        let mut writer = lock(&shared.writer);
        shared.check(self.epoch)?;
        writer.make_room(bytes.len() as u64 + PREFIX_ROOM, &shared.config)?;
        let owed = (live.poisons != writer.poisons)
            .then(|| live.possibly_lost(shared))
            .flatten();
        live.poisons = writer.poisons;
        let full = live.builder.is_full_before(sealed.header.time_us, bytes.len());
        if full || owed.is_some() {
            self.cut(live, &mut writer)?;
        }
        self.append_frame(live, &mut writer, sealed, bytes)?;
        if let Some(gap) = owed {
            self.append_gap(live, &mut writer, &gap)?;
        }
        shared.wake_if_clean(&mut writer);
        Ok(())
    }

    fn append_frame(
        &self,
        live: &mut Live,
        writer: &mut Writer,
        sealed: &Sealed,
        bytes: &[u8],
    ) -> Result<(), HaltReason> {
        self.introduce(live, writer)?;
        if live.builder.open_since_us().is_none() {
            let place = (writer.segment.number, writer.offset);
            lock(&self.shared.catalog).extent_begins(&self.id, live.builder.number(), place);
        }
        let before = writer.position;
        writer.append(bytes)?;
        live.mark(&self.shared, writer, before);
        live.position = writer.position;
        live.frame_position = writer.position;
        live.builder.push(&sealed.header, &sealed.digest);
        live.totals.add(&sealed.header);
        live.next_index = sealed.header.index + 1;
        Ok(())
    }

    /// Writes the gap that failed syncs have left this session owing.
    fn answer_poison(&self, live: &mut Live, writer: &mut Writer) -> Result<(), HaltReason> {
        let owed = (live.poisons != writer.poisons)
            .then(|| live.possibly_lost(&self.shared))
            .flatten();
        live.poisons = writer.poisons;
        match owed {
            None => Ok(()),
            Some(gap) => {
                self.cut(live, writer)?;
                self.append_gap(live, writer, &gap)
            }
        }
    }

    fn append_gap(&self, live: &mut Live, writer: &mut Writer, gap: &Gap) -> Result<(), HaltReason> {
        let mut bytes = Vec::new();
        let now = live.now_us();
        let sealed = live.sealer.seal(Kind::Gap, 0, now, &gap.encode(), &mut bytes);
        let sealed = sealed.map_err(|_| HaltReason::Ended)?;
        self.append_frame(live, writer, &sealed, &bytes)?;
        live.gaps += 1;
        live.lost_frames += gap.frames;
        self.shared.notice(|notices| notices.gaps.push((self.id, *gap)));
        Ok(())
    }

    /// Writes the session's header where this segment has not seen it.
    fn introduce(&self, live: &mut Live, writer: &mut Writer) -> Result<(), HaltReason> {
        if live.segment == Some(writer.segment.number) {
            return Ok(());
        }
        let mut out = Vec::new();
        live.header(self.id).encode(&mut out);
        let place = (writer.segment.number, writer.offset);
        writer.append(&out)?;
        live.position = writer.position;
        live.segment = Some(writer.segment.number);
        lock(&self.shared.catalog).session_seen(&self.id, place);
        Ok(())
    }

    /// Closes the open extent and writes its seal.
    fn cut(&self, live: &mut Live, writer: &mut Writer) -> Result<(), HaltReason> {
        let mut next = live.builder.clone();
        let Some(seal) = next.cut() else {
            return Ok(());
        };
        self.introduce(live, writer)?;
        let mut out = Vec::new();
        Record::Seal(self.id, seal).encode(&mut out);
        writer.append(&out)?;
        live.builder = next;
        live.position = writer.position;
        live.note_seal(&self.shared, writer.position, seal);
        Ok(())
    }

    /// What the sync thread does for a session that is silent: a gap it owes, an extent older than two seconds.
    pub(crate) fn settle(&self) -> Result<(), HaltReason> {
        let shared = &*self.shared;
        let live = &mut *lock(&self.live);
        if live.ending.is_some() || shared.check(self.epoch).is_err() {
            return Ok(());
        }
        let mut writer = lock(&shared.writer);
        writer.make_room(PREFIX_ROOM, &shared.config)?;
        self.answer_poison(live, &mut writer)?;
        let old = live
            .builder
            .open_since_us()
            .is_some_and(|since| live.now_us() >= since + MAX_EXTENT_US);
        if old {
            self.cut(live, &mut writer)?;
            if live.buffer.capacity() > IDLE_BUFFER {
                live.buffer = Vec::new();
            }
        }
        shared.wake_if_clean(&mut writer);
        Ok(())
    }

    /// Ends the session for its owner: seal and end record. Gives the position to wait for.
    pub(crate) fn end(&self, ending: Ending, now_us: u64) -> Result<u64, Refusal> {
        let shared = &*self.shared;
        let live = &mut *lock(&self.live);
        if live.ending.is_some() {
            return Ok(live.position);
        }
        let mut writer = lock(&shared.writer);
        shared.check(self.epoch)?;
        writer.make_room(PREFIX_ROOM, &shared.config)?;
        self.answer_poison(live, &mut writer)?;
        live.totals.end(now_us);
        self.cut(live, &mut writer)?;
        self.introduce(live, &mut writer)?;
        let mut out = Vec::new();
        self.finish_record(live, ending).encode(&mut out);
        writer.append(&out)?;
        live.position = writer.position;
        live.ending = Some(ending);
        shared.wake_if_clean(&mut writer);
        Ok(live.position)
    }

    /// After the end record's own sync failed: the session owes a gap and another end record.
    pub(crate) fn reopen(&self) -> bool {
        let mut live = lock(&self.live);
        let finished = live.ending == Some(Ending::Finished);
        if finished {
            live.ending = None;
        }
        finished
    }

    fn finish_record(&self, live: &Live, ending: Ending) -> Record {
        Record::Finish(FinishRecord {
            session: self.id,
            ending,
            next_index: live.next_index,
            extents: live.builder.number(),
            chain: live.builder.chain(),
        })
    }

    /// After a stop: the halt frame, its extent's seal and the end record, into whatever still takes them.
    /// True when it is written.
    pub(crate) fn halt(&self, reason: HaltReason) -> bool {
        let live = &mut *lock(&self.live);
        if live.ending.is_some() {
            return live.epilogue.is_none();
        }
        let (header, epilogue) = match live.epilogue.take() {
            Some(composed) => composed,
            None => self.compose_epilogue(live, reason),
        };
        let mut writer = lock(&self.shared.writer);
        let known = live.segment == Some(writer.segment.number);
        let out = if known {
            epilogue.clone()
        } else {
            [header.as_slice(), &epilogue].concat()
        };
        let place = (writer.segment.number, writer.offset);
        if writer.has_reserve(out.len() as u64) && writer.append(&out).is_ok() {
            lock(&self.shared.catalog).session_seen(&self.id, place);
            live.position = writer.position;
            live.ending = Some(Ending::Halted);
            return true;
        }
        live.epilogue = Some((header, epilogue));
        false
    }

    fn compose_epilogue(&self, live: &mut Live, reason: HaltReason) -> (Vec<u8>, Vec<u8>) {
        let gap = live.in_doubt(&self.shared, reason);
        let mut header = Vec::new();
        live.header(self.id).encode(&mut header);
        let (mut out, mut frame) = (Vec::new(), Vec::new());
        if let Some(seal) = live.builder.cut() {
            Record::Seal(self.id, seal).encode(&mut out);
        }
        let now = live.now_us();
        if let Ok(sealed) = live.sealer.halt(live.next_index, now, &gap, &mut frame) {
            out.extend_from_slice(&frame);
            live.builder.push(&sealed.header, &sealed.digest);
            live.totals.add(&sealed.header);
            live.next_index += 1;
            live.gaps += 1;
            live.lost_frames += gap.frames;
            live.doubt = Some(gap);
        }
        if let Some(seal) = live.builder.cut() {
            Record::Seal(self.id, seal).encode(&mut out);
        }
        self.finish_record(live, Ending::Halted).encode(&mut out);
        (header, out)
    }

    /// What the session came to.
    pub(crate) fn closed(&self, halt: Option<HaltReason>, durable: bool) -> Closed {
        let live = lock(&self.live);
        Closed {
            session: self.id,
            totals: live.totals,
            extents: live.builder.number(),
            next_index: live.next_index,
            chain: live.builder.chain(),
            gaps: live.gaps,
            lost_frames: live.lost_frames,
            halt,
            // Without a halt frame, as when its writer hangs, it is what is in doubt now.
            doubt: live
                .doubt
                .or_else(|| halt.map(|reason| live.in_doubt(&self.shared, reason))),
            longest_unsynced: Duration::from_micros(live.longest_us.load(Ordering::Relaxed)),
            durable,
        }
    }
}

//! The sync thread and its watchdog: one `fdatasync` for all sessions, and what happens when it fails.
//!
//! INVARIANT (no-second-try): a failed `fdatasync` may have dropped the pages, so the file is never synced again;
//! what it covered is called possibly lost, in a gap or halt frame in a new segment.

use std::fs::File;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::fs::{Advice, fadvise};

use crate::config::MAX_APPEND;
use crate::halt::HaltReason;
use crate::lock::lock;
use crate::segment::{Segment, available, reason, trim};
use crate::shared::Shared;
use crate::writer::{Waiting, Writer};

const HOUSEKEEPING: Duration = Duration::from_millis(500);
const MAX_POISONS: u64 = 1000;
/// A sync of at least so many bytes is a bulk transfer's.
const LET_GO_BYTES: u64 = 1024 * 1024;

/// The sync thread.
pub(crate) fn run(shared: &Shared) {
    let _ended = Ended(shared);
    let mut looked = Instant::now();
    loop {
        let asked = shared.wait_asked(HOUSEKEEPING, |wake| wake.dirty || wake.now || wake.stop || wake.end);
        if asked.dirty && !(asked.now || asked.stop || asked.end) {
            shared.wait_asked(shared.config.sync_every, |wake| wake.now || wake.stop || wake.end);
        }
        sync_once(shared);
        make_ahead(shared);
        if looked.elapsed() >= HOUSEKEEPING {
            looked = Instant::now();
            keep_house(shared);
        }
        if shared.stopped().is_some() {
            after_stop(shared);
        }
        if asked.end {
            return end(shared);
        }
    }
}

/// The watchdog: a sync thread that hangs in `fdatasync` cannot report itself.
pub(crate) fn watch(shared: &Shared) {
    let step = (shared.config.slow_sync / 8).clamp(Duration::from_millis(5), Duration::from_millis(250));
    while !shared.ended.load(Ordering::SeqCst) {
        std::thread::park_timeout(step);
        if shared.is_sync_late() {
            shared.stop(HaltReason::SlowSync);
            // The thread that would write halt frames is the one that hangs.
            shared.settled.store(shared.epoch(), Ordering::SeqCst);
            shared.synced_event.notify(usize::MAX);
        }
    }
}

/// Syncs everything written so far. True when nothing is left unsynced.
fn sync_once(shared: &Shared) -> bool {
    let (files, waiting, position, place) = {
        let mut writer = lock(&shared.writer);
        shared.seen();
        shared.figures.syncs.fetch_add(1, Ordering::SeqCst);
        let place = (writer.segment.number, writer.offset);
        let waiting = std::mem::take(&mut writer.waiting);
        (std::mem::take(&mut writer.unsynced), waiting, writer.position, place)
    };
    if files.is_empty() {
        return true;
    }
    let begun = Instant::now();
    let since = micros(shared.begun.elapsed());
    shared.figures.running_since.store(since + 1, Ordering::SeqCst);
    let synced = files.iter().try_for_each(|(segment, _)| segment.file.sync_data());
    let late = shared.is_sync_late();
    shared.figures.running_since.store(0, Ordering::SeqCst);
    let took = micros(begun.elapsed());
    shared.figures.last_us.store(took, Ordering::Relaxed);
    shared.figures.slowest_us.fetch_max(took, Ordering::Relaxed);
    if late {
        shared.stop(HaltReason::SlowSync);
    }
    if let Err(error) = synced {
        tracing::error!(%error, "syncing the journal failed");
        return poison(shared);
    }
    waiting.iter().for_each(Waiting::synced);
    let before = shared.synced.swap(position, Ordering::SeqCst);
    *lock(&shared.synced_place) = place;
    shared.synced_event.notify(usize::MAX);
    give_back(&files, place.0);
    if position.saturating_sub(before) >= LET_GO_BYTES {
        let_go(&files);
    }
    true
}

/// After a failed sync: everything since the last good one may be lost. Goes on in a new segment that proves itself,
/// with a gap in each session concerned, or stops.
fn poison(shared: &Shared) -> bool {
    shared.notice(|notices| notices.poisoned_segments += 1);
    let renewed = renew(shared, &mut lock(&shared.writer));
    if renewed.is_err() {
        shared.stop(HaltReason::SyncFailed);
        return false;
    }
    for session in shared.live_sessions() {
        if let Err(reason) = session.settle() {
            shared.stop(reason);
        }
    }
    shared.synced_event.notify(usize::MAX);
    shared.wake(|wake| wake.now = true);
    false
}

/// Leaves the current segment for a new one, made and synced now, and calls what was not synced lost.
fn renew(shared: &Shared, writer: &mut Writer) -> Result<(), HaltReason> {
    writer.broken.get_or_insert(HaltReason::SyncFailed);
    writer.unsynced.clear();
    if writer.poisons >= MAX_POISONS {
        return Err(HaltReason::SyncFailed);
    }
    if let Some(ahead) = writer.next.take() {
        // Made before the failure, so it proves nothing.
        drop(std::fs::remove_file(&ahead.path));
    }
    writer.rotate(&shared.config)?;
    let after = shared.synced.load(Ordering::SeqCst);
    lock(&shared.lost).push((after, writer.position));
    writer.poisons += 1;
    shared.synced.store(writer.position, Ordering::SeqCst);
    Ok(())
}

/// While stopped: writes what can still be written, and proves the storage before anything new is admitted.
fn after_stop(shared: &Shared) {
    let Some(reason) = shared.stopped() else {
        return;
    };
    let epoch = shared.epoch();
    let room = {
        let mut writer = lock(&shared.writer);
        if writer.broken.is_some() {
            renew(shared, &mut writer)
        } else {
            writer.make_room(MAX_APPEND, &shared.config)
        }
    };
    let mut written = true;
    for session in shared.live_sessions() {
        if session.epoch < epoch {
            written &= session.halt(reason);
        }
    }
    let synced = sync_once(shared);
    shared.settled.store(epoch, Ordering::SeqCst);
    shared.synced_event.notify(usize::MAX);
    let free = look_at_space(shared);
    if room.is_ok() && written && synced && free >= shared.config.stop_water_bytes && reason != HaltReason::Closed {
        for session in shared.live_sessions() {
            if session.epoch < epoch {
                shared.forget_live(&session.id);
            }
        }
        shared.resume();
    }
}

fn keep_house(shared: &Shared) {
    let free = look_at_space(shared);
    if shared.stopped().is_some() {
        return;
    }
    if free < shared.config.stop_water_bytes {
        shared.stop(HaltReason::NoSpace);
        return;
    }
    for session in shared.live_sessions() {
        if let Err(reason) = session.settle() {
            shared.stop(reason);
            return;
        }
    }
}

/// Makes the next segment before it is needed, so that a full disk shows before a session depends on it.
fn make_ahead(shared: &Shared) {
    let Some(number) = lock(&shared.writer).wants_next() else {
        return;
    };
    if shared.stopped().is_some() {
        return;
    }
    match Segment::create(shared.dir(), number, shared.config.segment_bytes) {
        Ok(segment) => {
            let mut writer = lock(&shared.writer);
            if writer.segment.number < number {
                writer.next = Some(segment);
            } else {
                drop(std::fs::remove_file(&segment.path));
            }
        }
        Err(error) => {
            tracing::warn!(%error, reason = %reason(&error), "the next segment cannot be made yet");
            shared.set_available(0);
        }
    }
}

fn look_at_space(shared: &Shared) -> u64 {
    let free = available(shared.dir()).unwrap_or(0);
    shared.set_available(free);
    free
}

/// Segments that are full and synced give back what they did not use.
fn give_back(files: &[(Arc<Segment>, u64)], current: u64) {
    for (segment, end) in files.iter().filter(|(segment, _)| segment.number != current) {
        if let Err(error) = trim(&segment.file, *end) {
            tracing::warn!(%error, segment = segment.number, "a full segment could not be trimmed");
        }
    }
}

/// What is synced is read again only for evidence: its pages are let go, so that a bulk transfer writes into few pages
/// again and again, and pushes nobody else's out of memory. Advice: a refusal changes nothing.
fn let_go(files: &[(Arc<Segment>, u64)]) {
    for (segment, end) in files {
        if let Err(error) = fadvise(&segment.file, 0, NonZeroU64::new(*end), Advice::DontNeed) {
            tracing::debug!(%error, segment = segment.number, "synced pages stay in memory");
        }
    }
}

/// The journal is closed: sessions that still live are halted, and everything is synced once more.
fn end(shared: &Shared) {
    shared.stop(HaltReason::Closed);
    after_stop(shared);
    let writer = lock(&shared.writer);
    if writer.broken.is_none() {
        drop(trim(&writer.segment.file, writer.offset).and_then(|()| File::sync_all(&writer.segment.file)));
    }
    if let Some(ahead) = &writer.next {
        drop(std::fs::remove_file(&ahead.path));
    }
}

/// The end of the sync thread, by whatever way. When it panicked nobody syncs any more, so every session stops.
struct Ended<'a>(&'a Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        let Self(shared) = self;
        shared.ended.store(true, Ordering::SeqCst);
        if std::thread::panicking() {
            shared.stop(HaltReason::SyncFailed);
        }
        shared.synced_event.notify(usize::MAX);
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

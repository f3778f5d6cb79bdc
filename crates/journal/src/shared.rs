//! What the sessions, the sync thread and the watchdog share.
//!
//! Lock order: a session's `live`, then `writer`; the other locks are leaves and never held over another.
//!
//! INVARIANT (fail-stop): a stop raises the epoch; a session compares it with the epoch that it began in, before
//! it writes and again under the writer's lock, so no session outlives a stop.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use event_listener::Event;
use recording::SessionId;

use crate::config::JournalConfig;
use crate::halt::{Halt, HaltReason, Notices, State};
use crate::live::Session;
use crate::lock::lock;
use crate::reader::Catalog;
use crate::writer::Writer;

pub(crate) struct Shared {
    pub(crate) config: JournalConfig,
    pub(crate) begun: Instant,
    pub(crate) writer: Mutex<Writer>,
    pub(crate) sessions: Mutex<HashMap<SessionId, Arc<Session>>>,
    pub(crate) catalog: Mutex<Catalog>,
    pub(crate) notices: Mutex<Notices>,
    /// Somebody waits for notices.
    pub(crate) noticed: Event,
    /// Ranges of positions whose sync failed: after the first, up to and with the second.
    pub(crate) lost: Mutex<Vec<(u64, u64)>>,
    /// The reason of each stop so far; its length is the epoch.
    stops: Mutex<Vec<HaltReason>>,
    epoch: AtomicU64,
    stopped: AtomicU8,
    low: AtomicBool,
    dirty: AtomicBool,
    pub(crate) ended: AtomicBool,
    /// Up to where a reader may look: segment and offset of the last sync.
    pub(crate) synced_place: Mutex<(u64, u64)>,
    pub(crate) synced: AtomicU64,
    pub(crate) written: AtomicU64,
    /// The last epoch for whose sessions a halt frame was tried.
    pub(crate) settled: AtomicU64,
    pub(crate) synced_event: Event,
    pub(crate) figures: Figures,
    wake: Mutex<Wake>,
    wake_sync: Condvar,
}

/// Figures of the sync thread.
#[derive(Default)]
pub(crate) struct Figures {
    /// µs since the journal began, plus one, when a sync is running.
    pub(crate) running_since: AtomicU64,
    pub(crate) last_us: AtomicU64,
    pub(crate) slowest_us: AtomicU64,
    pub(crate) syncs: AtomicU64,
    pub(crate) available: AtomicU64,
}

/// What the sync thread is asked to do.
#[derive(Clone, Copy, Default)]
pub(crate) struct Wake {
    pub(crate) dirty: bool,
    pub(crate) now: bool,
    pub(crate) stop: bool,
    pub(crate) end: bool,
}

impl Shared {
    pub(crate) fn new(config: JournalConfig, writer: Writer, catalog: Catalog, available: u64) -> Self {
        let begins = (writer.segment.number, writer.offset);
        let figures = Figures {
            available: AtomicU64::new(available),
            ..Figures::default()
        };
        Self {
            config,
            begun: Instant::now(),
            writer: Mutex::new(writer),
            sessions: Mutex::default(),
            catalog: Mutex::new(catalog),
            notices: Mutex::default(),
            noticed: Event::new(),
            lost: Mutex::default(),
            stops: Mutex::default(),
            epoch: AtomicU64::new(0),
            stopped: AtomicU8::new(0),
            low: AtomicBool::new(false),
            dirty: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            synced_place: Mutex::new(begins),
            synced: AtomicU64::new(0),
            written: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            synced_event: Event::new(),
            figures,
            wake: Mutex::default(),
            wake_sync: Condvar::new(),
        }
    }

    pub(crate) fn dir(&self) -> &PathBuf {
        &self.config.dir
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    /// Why a session that began in `epoch` may not go on, if it may not.
    pub(crate) fn check(&self, epoch: u64) -> Result<(), Halt> {
        if self.epoch() == epoch {
            return Ok(());
        }
        let place = usize::try_from(epoch).unwrap_or(usize::MAX);
        let reason = lock(&self.stops).get(place).copied().unwrap_or(HaltReason::Closed);
        Err(Halt::new(reason))
    }

    /// Whether anything is stopped now.
    pub(crate) fn stopped(&self) -> Option<HaltReason> {
        HaltReason::from_code(self.stopped.load(Ordering::SeqCst))
    }

    pub(crate) fn state(&self) -> State {
        match self.stopped() {
            Some(reason) => State::Stopped(reason),
            None if self.low.load(Ordering::SeqCst) => State::LowDisk,
            None => State::Ok,
        }
    }

    /// Stops every session that lives now, for ever, and refuses new ones until the sync thread has recovered.
    pub(crate) fn stop(&self, reason: HaltReason) -> Halt {
        let mut stops = lock(&self.stops);
        if self.stopped().is_none() {
            stops.push(reason);
            self.stopped.store(reason as u8, Ordering::SeqCst);
            self.epoch.store(stops.len() as u64, Ordering::SeqCst);
            match reason {
                HaltReason::Closed => tracing::info!("the journal is closed"),
                _ => tracing::error!(%reason, "the journal stopped every session"),
            }
            self.notice(|notices| {
                notices.stops += 1;
                notices.last_stop = Some(reason);
            });
        }
        // Whoever comes second is told what the first was.
        let first = stops.last().copied().unwrap_or(reason);
        drop(stops);
        self.wake(|wake| wake.stop = true);
        self.synced_event.notify(usize::MAX);
        Halt::new(first)
    }

    /// After the storage has been proven again: new sessions may come.
    pub(crate) fn resume(&self) {
        if self.stopped.swap(0, Ordering::SeqCst) != 0 {
            tracing::warn!("the journal records again");
            self.notice(|notices| notices.recoveries += 1);
        }
    }

    pub(crate) fn notice(&self, note: impl FnOnce(&mut Notices)) {
        note(&mut lock(&self.notices));
        self.noticed.notify(usize::MAX);
    }

    pub(crate) fn set_available(&self, bytes: u64) {
        self.figures.available.store(bytes, Ordering::Relaxed);
        self.low.store(bytes < self.config.low_water_bytes, Ordering::SeqCst);
    }

    /// The sync running now is older than allowed.
    pub(crate) fn is_sync_late(&self) -> bool {
        self.sync_running()
            .is_some_and(|running| running > self.config.slow_sync)
    }

    pub(crate) fn sync_running(&self) -> Option<Duration> {
        let since = self.figures.running_since.load(Ordering::SeqCst).checked_sub(1)?;
        Some(self.begun.elapsed().saturating_sub(Duration::from_micros(since)))
    }

    pub(crate) fn wake(&self, ask: impl FnOnce(&mut Wake)) {
        ask(&mut lock(&self.wake));
        self.wake_sync.notify_one();
    }

    /// Waits until something is asked, or `timeout` passes; takes what was asked.
    pub(crate) fn wait_asked(&self, timeout: Duration, ready: impl Fn(&Wake) -> bool) -> Wake {
        let guard = lock(&self.wake);
        let waited = self.wake_sync.wait_timeout_while(guard, timeout, |wake| !ready(wake));
        let (mut wake, _) = waited.unwrap_or_else(std::sync::PoisonError::into_inner);
        let end = wake.end;
        std::mem::replace(&mut *wake, Wake { end, ..Wake::default() })
    }

    /// Tells the sync thread of the first write since its last look.
    pub(crate) fn wake_if_clean(&self, writer: &mut Writer) {
        self.written.store(writer.position, Ordering::Relaxed);
        if !self.dirty.swap(true, Ordering::SeqCst) {
            self.wake(|wake| wake.dirty = true);
        }
        if writer.is_half_full() && !std::mem::replace(&mut writer.ahead_asked, true) {
            self.wake(|wake| wake.now = true);
        }
    }

    /// The sync thread has seen everything written so far; called under the writer's lock.
    pub(crate) fn seen(&self) {
        self.dirty.store(false, Ordering::SeqCst);
    }

    /// What a wait for `position` comes to, if it has come to anything.
    pub(crate) fn covered(&self, position: u64, epoch: u64) -> Option<Result<(), Halt>> {
        if let Err(halt) = self.check(epoch) {
            return Some(Err(halt));
        }
        if self.synced.load(Ordering::SeqCst) < position {
            return None;
        }
        let failed = lock(&self.lost)
            .iter()
            .any(|(after, to)| *after < position && position <= *to);
        Some(if failed {
            Err(Halt::new(HaltReason::SyncFailed))
        } else {
            Ok(())
        })
    }

    pub(crate) fn live_sessions(&self) -> Vec<Arc<Session>> {
        lock(&self.sessions).values().cloned().collect()
    }
}

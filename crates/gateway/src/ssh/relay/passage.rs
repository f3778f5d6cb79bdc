//! Where a session's bytes are recorded, held or stopped. Every byte that is to go on is written here first.
//!
//! INVARIANT (cut): `shut` and `record` exclude each other, so what is recorded after `shut` is nothing, and bytes that
//! were not recorded cannot be forwarded.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use journal::{Closed, Halt, Journaled, SessionJournal};
use recording::{Exit, Kind, Resize};
use tokio::sync::{mpsc, watch};

use crate::ssh::session::Input;

/// Nothing passes any more: the session is over.
#[derive(Debug)]
pub(super) struct Shut;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    Open,
    Held,
    Shut,
}

/// One session's passage.
pub(super) struct Passage {
    gate: watch::Sender<Gate>,
    journal: Mutex<Option<SessionJournal>>,
    opened: Instant,
    /// Where a stopped recording is told.
    happened: mpsc::Sender<Input>,
    totals: Totals,
}

#[derive(Debug, Default)]
struct Totals {
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    journaled: AtomicU64,
    last_us: AtomicU64,
}

/// What has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Passed {
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) journaled: u64,
    /// When the last of it did.
    pub(super) last: Instant,
}

impl Passage {
    pub(super) fn new(journal: SessionJournal, opened: Instant, happened: mpsc::Sender<Input>) -> Self {
        let (gate, _) = watch::channel(Gate::Open);
        Self {
            gate,
            journal: Mutex::new(Some(journal)),
            opened,
            happened,
            totals: Totals::default(),
        }
    }

    /// Records bytes that are to go on. Waits while the session is held.
    pub(super) async fn record<T: AsRef<[u8]>>(&self, kind: Kind, channel: u32, data: T) -> Result<Journaled<T>, Shut> {
        let bytes = data.as_ref().len() as u64;
        let journaled = self
            .write(|journal, now| journal.write(kind, channel, data, now))
            .await?;
        match kind {
            Kind::Input => self.totals.bytes_in.fetch_add(bytes, Relaxed),
            Kind::Output | Kind::ErrorOutput => self.totals.bytes_out.fetch_add(bytes, Relaxed),
            _ => return Ok(journaled),
        };
        self.totals.journaled.fetch_add(bytes, Relaxed);
        Ok(journaled)
    }

    /// Records a terminal's size.
    pub(super) async fn resize(&self, channel: u32, size: Resize) -> Result<Journaled<Resize>, Shut> {
        self.write(|journal, now| journal.resize(channel, size, now)).await
    }

    /// Records how a program ended.
    pub(super) async fn exit(&self, channel: u32, exit: Exit) -> Result<Journaled<Exit>, Shut> {
        self.write(|journal, now| journal.exit(channel, exit, now)).await
    }

    /// The recording's next frame; 0 once it is finished.
    pub(super) fn next_frame(&self) -> u64 {
        self.journal().as_ref().map_or(0, SessionJournal::next_frame)
    }

    /// Microseconds since the session opened.
    pub(super) fn now_us(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Nothing passes until [`Passage::resume`].
    pub(super) fn hold(&self) {
        self.gate.send_if_modified(|gate| change(gate, Gate::Open, Gate::Held));
    }

    /// Bytes pass again.
    pub(super) fn resume(&self) {
        self.gate.send_if_modified(|gate| change(gate, Gate::Held, Gate::Open));
    }

    /// Nothing passes from here on. Gives what has passed.
    pub(super) fn shut(&self) -> Passed {
        let journal = self.journal();
        self.gate.send_replace(Gate::Shut);
        drop(journal);
        Passed {
            bytes_in: self.totals.bytes_in.load(Relaxed),
            bytes_out: self.totals.bytes_out.load(Relaxed),
            journaled: self.totals.journaled.load(Relaxed),
            last: self.opened + Duration::from_micros(self.totals.last_us.load(Relaxed)),
        }
    }

    /// Resolves once nothing passes any more.
    pub(super) async fn is_shut(&self) {
        let mut gate = self.gate.subscribe();
        // The sender lives as long as `self`.
        drop(gate.wait_for(|gate| *gate == Gate::Shut).await);
    }

    /// Whether the recording could go on; a stop is told to the session.
    pub(super) fn check(&self) {
        let stopped = self.journal().as_ref().and_then(|journal| journal.check().err());
        if let Some(halt) = stopped {
            self.halted(halt);
        }
    }

    /// A check begins or ends; a session that would end for its target's refusal waits for it.
    pub(super) fn checking(&self, begins: bool) {
        drop(self.happened.try_send(Input::Checking(begins)));
    }

    /// A remark of the gateway, also after [`Passage::shut`].
    pub(super) fn remark(&self, channel: u32, text: &str) {
        let now = self.now_us();
        if let Some(Ok(remark)) = self
            .journal()
            .as_mut()
            .map(|journal| journal.write(Kind::Mark, channel, text, now))
        {
            drop(remark); // it goes nowhere
        }
    }

    /// Ends the recording and waits until it is durable. Once only.
    pub(super) async fn finish(&self) -> Option<Closed> {
        let journal = self.journal().take()?;
        Some(journal.finish(self.now_us()).await)
    }

    async fn write<T>(&self, write: impl FnOnce(&mut SessionJournal, u64) -> Result<T, Halt>) -> Result<T, Shut> {
        if *self.gate.borrow() != Gate::Open {
            let mut gate = self.gate.subscribe();
            let opened = gate.wait_for(|gate| *gate != Gate::Held).await;
            if opened.map_err(|_| Shut).is_ok_and(|gate| *gate == Gate::Shut) {
                return Err(Shut);
            }
        }
        let written = {
            let mut journal = self.journal();
            // Under the lock: `shut` waits for us, or we see it.
            if *self.gate.borrow() == Gate::Shut {
                return Err(Shut);
            }
            let now = self.now_us();
            self.totals.last_us.store(now, Relaxed);
            journal.as_mut().ok_or(Shut).map(|journal| write(journal, now))?
        };
        written.map_err(|halt| self.halted(halt))
    }

    /// INVARIANT (stop first): nothing passes any more before anybody is told why.
    fn halted(&self, halt: Halt) -> Shut {
        self.gate.send_replace(Gate::Shut);
        // A full queue already holds the session's end, or another halt.
        drop(self.happened.try_send(Input::Halted(halt.to_string())));
        Shut
    }

    fn journal(&self) -> MutexGuard<'_, Option<SessionJournal>> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn change(gate: &mut Gate, from: Gate, to: Gate) -> bool {
    let changed = *gate == from;
    if changed {
        *gate = to;
    }
    changed
}

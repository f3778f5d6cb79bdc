//! A session's one owner: writes frames, gives the bytes back as proof, and closes.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use recording::{Dek, Exit, Kind, MAX_PLAINTEXT, Resize, SessionId};

use crate::follow::Ending;
use crate::halt::Halt;
use crate::live::{Closed, Session};
use crate::lock::lock;
use crate::proof::Journaled;

/// What a session begins with.
pub struct SessionStart<'a> {
    /// Its id, never used before in this journal.
    pub session: SessionId,
    /// The log that its opening is in.
    pub origin: &'a str,
    /// Its data key.
    pub dek: &'a Dek,
    /// When it was opened, in ms since 1970; frame times count from there.
    pub opened_at_ms: u64,
}

/// The writing end of one session's recording.
pub struct SessionJournal {
    session: Arc<Session>,
    closed: bool,
}

impl SessionJournal {
    pub(crate) const fn new(session: Arc<Session>) -> Self {
        Self { session, closed: false }
    }

    /// The session's id.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.session.id
    }

    /// The index that the next frame gets: where the recording stands.
    #[must_use]
    pub fn next_frame(&self) -> u64 {
        lock(&self.session.live).next_index
    }

    /// Seals and writes `data`, in as many frames as it needs, and only then gives it back.
    ///
    /// Blocks for one `write(2)` per 64 KiB; nothing else. `now_us` counts from the opening.
    ///
    /// # Errors
    /// When the session may not go on. It may not from then on: every later call gives the same answer.
    pub fn write<T: AsRef<[u8]>>(
        &mut self,
        kind: Kind,
        channel: u32,
        data: T,
        now_us: u64,
    ) -> Result<Journaled<T>, Halt> {
        let mut position = 0;
        for piece in recording::split(data.as_ref()) {
            debug_assert!(piece.len() <= MAX_PLAINTEXT, "split keeps to the limit");
            position = self.session.record(kind, channel, now_us, piece)?;
        }
        Ok(Journaled::new(data, Arc::clone(&self.session), position))
    }

    /// Writes a new terminal size.
    ///
    /// # Errors
    /// As [`SessionJournal::write`].
    pub fn resize(&mut self, channel: u32, size: Resize, now_us: u64) -> Result<Journaled<Resize>, Halt> {
        let position = self.session.record(Kind::Resize, channel, now_us, &size.encode())?;
        Ok(Journaled::new(size, Arc::clone(&self.session), position))
    }

    /// Writes how a channel's program ended.
    ///
    /// # Errors
    /// As [`SessionJournal::write`].
    pub fn exit(&mut self, channel: u32, exit: Exit, now_us: u64) -> Result<Journaled<Exit>, Halt> {
        let position = self.session.record(Kind::Exit, channel, now_us, &exit.encode())?;
        Ok(Journaled::new(exit, Arc::clone(&self.session), position))
    }

    /// Whether the session may still go on; cheap, for a relay that has nothing to write.
    ///
    /// # Errors
    /// The same halt that a write would give.
    pub fn check(&self) -> Result<(), Halt> {
        self.session.check()
    }

    /// Resolves when the session may not go on any more; for a relay's `select`.
    pub async fn halted(&self) -> Halt {
        loop {
            let listener = self.session.shared.synced_event.listen();
            if let Err(halt) = self.session.check() {
                return halt;
            }
            listener.await;
        }
    }

    /// Ends the recording and waits until all of it is durable, or until that is known to be impossible.
    pub async fn finish(mut self, now_us: u64) -> Closed {
        self.closed = true;
        let halt = loop {
            let ended = match self.end(now_us) {
                Ok(position) => self.session.wait_synced(position).await,
                Err(halt) => Err(halt),
            };
            let Err(halt) = ended else {
                return self.close(None);
            };
            if self.session.check().is_err() || !self.session.reopen() {
                break halt;
            }
        };
        self.wait_settled().await;
        self.close(Some(halt))
    }

    /// As [`SessionJournal::finish`], for a thread that may block.
    #[must_use]
    pub fn finish_blocking(self, now_us: u64) -> Closed {
        crate::proof::block_on(self.finish(now_us))
    }

    fn end(&self, now_us: u64) -> Result<u64, Halt> {
        let ended = self.session.end(Ending::Finished, now_us);
        ended.map_err(|refusal| refusal.halt(&self.session.shared))
    }

    /// Whether a halt frame was written, or at least tried once.
    fn is_settled(&self) -> bool {
        let shared = &self.session.shared;
        shared.settled.load(Ordering::SeqCst) > self.session.epoch
            || shared.check(self.session.epoch).is_ok()
            || shared.ended.load(Ordering::SeqCst)
    }

    async fn wait_settled(&self) {
        loop {
            let listener = self.session.shared.synced_event.listen();
            if self.is_settled() {
                return;
            }
            listener.await;
        }
    }

    fn close(&self, halt: Option<Halt>) -> Closed {
        let (ended, position) = {
            let live = lock(&self.session.live);
            (live.ending.is_some(), live.position)
        };
        let shared = &self.session.shared;
        let synced = shared.synced.load(Ordering::SeqCst) >= position;
        let kept = !lock(&shared.lost)
            .iter()
            .any(|(after, to)| *after < position && position <= *to);
        if ended {
            shared.forget_live(&self.session.id);
        }
        self.session
            .closed(halt.map(|halt| halt.reason()), ended && synced && kept)
    }
}

impl Drop for SessionJournal {
    fn drop(&mut self) {
        if self.closed {
            return;
        }
        let shared = &self.session.shared;
        shared.notice(|notices| notices.dropped.push(self.session.id));
        if self.session.end(Ending::Dropped, 0).is_ok() {
            shared.forget_live(&self.session.id);
        }
    }
}

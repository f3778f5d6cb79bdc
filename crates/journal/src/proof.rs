//! The two proofs that bytes may go on: written, and synced.
//!
//! INVARIANT (made-once): both are made in this crate alone, from a session's own write; neither can be copied,
//! defaulted or read from anywhere, and taking the bytes out consumes them.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use crate::halt::Halt;
use crate::live::Session;

/// Bytes whose frames `write(2)` took: a killed process has them, a lost machine may not.
#[must_use = "bytes that are not released do not reach anybody"]
pub struct Journaled<T> {
    value: T,
    session: Arc<Session>,
    position: u64,
}

/// Bytes whose frames `fdatasync` has confirmed.
#[must_use = "bytes that are not released do not reach anybody"]
pub struct Durable<T> {
    value: T,
}

impl<T> Journaled<T> {
    pub(crate) const fn new(value: T, session: Arc<Session>, position: u64) -> Self {
        Self {
            value,
            session,
            position,
        }
    }

    /// Takes the bytes out. Called by the gateway's forwarding module, and by nothing else.
    #[must_use]
    pub fn release(self) -> T {
        self.value
    }

    /// Waits for the sync that covers these frames; one is begun at once.
    ///
    /// # Errors
    /// When that sync failed, or everything was stopped meanwhile: the bytes are gone, and were never released.
    pub async fn durable(self) -> Result<Durable<T>, Halt> {
        self.session.wait_synced(self.position).await?;
        Ok(Durable { value: self.value })
    }

    /// As [`Journaled::durable`], for a thread that may block.
    ///
    /// # Errors
    /// As there.
    pub fn durable_blocking(self) -> Result<Durable<T>, Halt> {
        block_on(self.durable())
    }
}

impl<T> Durable<T> {
    /// Takes the bytes out. Called by the gateway's forwarding module, and by nothing else.
    #[must_use]
    pub fn release(self) -> T {
        self.value
    }
}

impl Session {
    pub(crate) async fn wait_synced(&self, position: u64) -> Result<(), Halt> {
        loop {
            let listener = self.shared.synced_event.listen();
            if let Some(answer) = self.shared.covered(position, self.epoch) {
                return answer;
            }
            self.shared.wake(|wake| wake.now = true);
            listener.await;
        }
    }
}

/// Runs one future on this thread.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::park();
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

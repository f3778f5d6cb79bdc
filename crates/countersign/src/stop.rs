//! When a server is told to stop: SIGTERM, or Ctrl-C.

use crate::exit::Failure;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens from now on, so that no signal is missed between start and wait.
pub(crate) struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    pub(crate) fn listen() -> Result<Self, Failure> {
        let heard =
            |kind| signal(kind).map_err(|error| Failure::unavailable(format!("signals cannot be heard: {error}")));
        Ok(Self {
            interrupt: heard(SignalKind::interrupt())?,
            terminate: heard(SignalKind::terminate())?,
        })
    }

    /// Returns at the next signal.
    pub(crate) async fn told(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Runs `work` on a runtime of its own.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::unavailable(format!("no runtime: {error}")))?
        .block_on(work)
}

/// Diagnostics of a server, on standard error. `COUNTERSIGN_LOG=debug` shows more. Never evidence: a line that nobody
/// reads any more is dropped, and must stop nothing.
pub(crate) fn diagnostics() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("COUNTERSIGN_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,russh=warn,sqlx=warn,hyper=warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // It would be said on standard error, too, and panic.
        .log_internal_errors(false)
        .with_ansi(crate::paint::Paint::of_errors().is_on())
        .init();
}

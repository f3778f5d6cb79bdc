//! Progress of long work, on standard error and only on a terminal; quick work shows nothing.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;

/// A bar for whatever is being done now.
pub(crate) struct Bar {
    bar: ProgressBar,
    phase: &'static str,
}

impl Bar {
    pub(crate) fn new() -> Self {
        let target = if std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr_with_hz(8)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{msg:>12} {wide_bar} {human_pos}/{human_len} {eta}") {
            bar.set_style(style);
        }
        Self { bar, phase: "" }
    }

    /// `done` of `total` in this phase.
    pub(crate) fn at(&mut self, phase: &'static str, done: u64, total: u64) {
        if self.phase != phase {
            self.phase = phase;
            self.bar.set_message(phase);
        }
        self.bar.set_length(total);
        self.bar.set_position(done);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

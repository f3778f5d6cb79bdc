//! Plays a recorded session on a terminal: in its own time, faster, from a point on, stopped and resumed by keys.
//!
//! INVARIANT (never raw): every byte of the target passes `recording::hostile` before it reaches the reader's terminal.

mod keys;
mod script;

pub(crate) use script::{Cue, Pace, Script};

use crate::clock::Stopwatch;
use crate::exit::Failure;
use keys::{Key, Keys};
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// How far an arrow key jumps, in session time.
const JUMP_US: u64 = 10_000_000;
/// After the last cue: colours, alternate screen and cursor as they were.
const RESTORE: &str = "\x1b[0m\x1b[?1049l\x1b[?25h\r\n";

/// Plays the script: with keys and in its pace where a person watches, all at once into a pipe.
pub(crate) fn play(script: &Script, pace: Pace, from_us: u64) -> Result<(), Failure> {
    let shown = if io::stdout().is_terminal() && io::stdin().is_terminal() {
        watch(script, pace, from_us)
    } else {
        pour(script, from_us)
    };
    match shown {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        shown => shown.map_err(|error| Failure::unavailable(format!("the session cannot be shown: {error}"))),
    }
}

fn pour(script: &Script, from_us: u64) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for cue in script.cues().iter().filter(|cue| cue.at_us >= from_us) {
        out.write_all(script::text_only(&cue.text).as_bytes())?;
    }
    out.flush()
}

fn watch(script: &Script, pace: Pace, from_us: u64) -> io::Result<()> {
    let keys = Keys::listen()?;
    let mut play = Play {
        script,
        pace,
        out: io::stdout(),
        next: 0,
        at_us: 0,
    };
    play.seek(from_us)?;
    let ended = play.run(&keys);
    play.out.write_all(RESTORE.as_bytes())?;
    play.out.flush()?;
    ended
}

/// Where a running play stands.
struct Play<'a> {
    script: &'a Script,
    pace: Pace,
    out: io::Stdout,
    /// The next cue.
    next: usize,
    /// Session time that was reached.
    at_us: u64,
}

impl Play<'_> {
    fn run(&mut self, keys: &Keys) -> io::Result<()> {
        while let Some(cue) = self.script.cues().get(self.next) {
            let wait = self.pace.wait(self.at_us, cue.at_us);
            match keys.within(wait.duration) {
                None => self.show(cue)?,
                Some((Key::Quit, _)) => return Ok(()),
                Some((Key::Pause, waited)) => {
                    self.at_us = wait.reached(waited);
                    if !self.pause(keys)? {
                        return Ok(());
                    }
                }
                Some((Key::Forward, waited)) => self.seek(wait.reached(waited).saturating_add(JUMP_US))?,
                Some((Key::Back, waited)) => self.seek(wait.reached(waited).saturating_sub(JUMP_US))?,
                Some((Key::Faster, waited)) => {
                    self.at_us = wait.reached(waited);
                    self.pace.speed = (self.pace.speed * 2.0).min(64.0);
                }
                Some((Key::Slower, waited)) => {
                    self.at_us = wait.reached(waited);
                    self.pace.speed = (self.pace.speed / 2.0).max(0.125);
                }
            }
        }
        Ok(())
    }

    fn show(&mut self, cue: &Cue) -> io::Result<()> {
        self.out.write_all(cue.text.as_bytes())?;
        self.out.flush()?;
        self.at_us = cue.at_us;
        self.next += 1;
        Ok(())
    }

    /// Waits for the next key; false when it ends the play.
    fn pause(&mut self, keys: &Keys) -> io::Result<bool> {
        loop {
            match keys.next() {
                Some(Key::Quit) | None => return Ok(false),
                Some(Key::Forward) => self.seek(self.at_us.saturating_add(JUMP_US))?,
                Some(Key::Back) => self.seek(self.at_us.saturating_sub(JUMP_US))?,
                Some(_) => return Ok(true),
            }
        }
    }

    fn seek(&mut self, to_us: u64) -> io::Result<()> {
        self.next = self.script.cues().partition_point(|cue| cue.at_us <= to_us);
        self.at_us = to_us;
        if to_us > 0 {
            self.out.write_all(self.script.screen_at(to_us).as_bytes())?;
            self.out.flush()?;
        }
        Ok(())
    }
}

/// How long to wait for a cue, and where in the session a broken-off wait has come.
struct Wait {
    duration: Duration,
    from_us: u64,
    to_us: u64,
}

impl Wait {
    fn reached(&self, waited: Duration) -> u64 {
        if self.duration.is_zero() {
            return self.to_us;
        }
        let part = (waited.as_secs_f64() / self.duration.as_secs_f64()).clamp(0.0, 1.0);
        let span = Duration::from_micros(self.to_us.saturating_sub(self.from_us)).mul_f64(part);
        let passed = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        self.from_us.saturating_add(passed)
    }
}

impl Pace {
    fn wait(self, from_us: u64, to_us: u64) -> Wait {
        let gap = Duration::from_micros(to_us.saturating_sub(from_us));
        let gap = self.idle_max.map_or(gap, |most| gap.min(most));
        Wait {
            duration: gap.div_f64(self.speed),
            from_us,
            to_us,
        }
    }
}

impl Keys {
    /// The first key within `duration`, and how long it took.
    fn within(&self, duration: Duration) -> Option<(Key, Duration)> {
        let watch = Stopwatch::start();
        self.wait(duration).map(|key| (key, watch.elapsed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_is_cut_and_speed_divides() {
        let pace = Pace {
            speed: 2.0,
            idle_max: Some(Duration::from_secs(4)),
        };
        assert_eq!(pace.wait(0, 1_000_000).duration, Duration::from_millis(500));
        let long = pace.wait(1_000_000, 61_000_000);
        assert_eq!(long.duration, Duration::from_secs(2));
        assert_eq!(long.reached(Duration::from_secs(1)), 31_000_000);
        assert_eq!(long.reached(Duration::from_secs(9)), 61_000_000);
    }
}

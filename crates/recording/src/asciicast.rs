//! One channel of a session as an asciicast, version 2.
//!
//! All output passes the hostile filter first: a cast is played on somebody's terminal.

use std::fmt::Write as _;

use crate::body::{Exit, Resize};
use crate::hostile::Filter;
use crate::replay::{Content, Played};

/// What goes into a cast.
#[derive(Clone, Debug)]
pub struct CastOptions<'a> {
    /// The channel to show; none for all.
    pub channel: Option<u32>,
    /// Whether what was typed is shown, where it could be opened.
    pub input: bool,
    /// Seconds since 1970 of the opening.
    pub timestamp: Option<u64>,
    /// The cast's title.
    pub title: &'a str,
    /// The size until the first resize.
    pub size: Resize,
}

/// Why no cast was made.
#[derive(Debug, thiserror::Error)]
pub enum CastError {
    /// A text could not be written as JSON.
    #[error("the cast cannot be written")]
    Json(#[from] serde_json::Error),
    /// The text could not be formatted.
    #[error("the cast cannot be written")]
    Format(#[from] std::fmt::Error),
}

/// Writes a cast: a header line, then one line per frame.
///
/// # Errors
/// When a line cannot be written, which does not happen for any known input.
pub fn asciicast<'a>(
    played: impl IntoIterator<Item = &'a Played>,
    options: &CastOptions<'_>,
) -> Result<String, CastError> {
    let mut cast = Cast::new(options)?;
    for played in played {
        if options.channel.is_none_or(|channel| played.concerns(channel)) {
            cast.add(played)?;
        }
    }
    cast.finish()
}

/// How it ended, as a person reads it.
fn ended(exit: &Exit) -> String {
    match exit {
        Exit::Status(status) => format!("exit {status}"),
        Exit::Signal(name) => format!("signal {name}"),
        Exit::Unsaid => "closed without an exit status".to_owned(),
    }
}

struct Cast {
    out: String,
    screen: Filter,
    typed: Filter,
    input: bool,
    last_us: u64,
}

impl Cast {
    fn new(options: &CastOptions<'_>) -> Result<Self, CastError> {
        let Resize { columns, rows } = options.size;
        let mut out = format!("{{\"version\": 2, \"width\": {columns}, \"height\": {rows}");
        if let Some(timestamp) = options.timestamp {
            write!(out, ", \"timestamp\": {timestamp}")?;
        }
        writeln!(out, ", \"title\": {}}}", serde_json::to_string(options.title)?)?;
        Ok(Self {
            out,
            screen: Filter::default(),
            typed: Filter::default(),
            input: options.input,
            last_us: 0,
        })
    }

    fn add(&mut self, played: &Played) -> Result<(), CastError> {
        self.last_us = played.time_us;
        match &played.content {
            Content::Output(bytes) | Content::ErrorOutput(bytes) => {
                let mut shown = String::new();
                self.screen.push(bytes, &mut shown);
                self.line("o", &shown)
            }
            Content::Input(bytes) if self.input => {
                let mut shown = String::new();
                self.typed.push(bytes, &mut shown);
                self.line("i", &shown)
            }
            Content::Resize(size) => self.line("r", &format!("{}x{}", size.columns, size.rows)),
            Content::Opened(what) => self.line("m", &format!("opened {what}")),
            Content::Mark(text) => self.line("m", text),
            Content::Gap(gap) => self.line("m", &format!("gap: {} frames may be missing", gap.frames)),
            Content::Halt(_) => self.line("m", "halted: recording was no longer possible"),
            Content::Exit(exit) => self.line("m", &ended(exit)),
            Content::Input(_) | Content::Withheld(_) | Content::Closed | Content::Malformed => Ok(()),
        }
    }

    fn finish(mut self) -> Result<String, CastError> {
        let mut shown = String::new();
        std::mem::take(&mut self.screen).finish(&mut shown);
        self.line("o", &shown)?;
        Ok(self.out)
    }

    fn line(&mut self, code: &str, text: &str) -> Result<(), CastError> {
        if text.is_empty() {
            return Ok(());
        }
        let (seconds, micros) = (self.last_us / 1_000_000, self.last_us % 1_000_000);
        let text = serde_json::to_string(text)?;
        writeln!(self.out, "[{seconds}.{micros:06}, \"{code}\", {text}]")?;
        Ok(())
    }
}

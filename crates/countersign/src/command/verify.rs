//! `countersign verify`: the same engine as `countersign-verify`, which is the smaller thing to trust.

use crate::exit::{Exit, Failure};
use crate::file;
use crate::paint::Paint;
use crate::progress::Bar;
use clap::Args;
use evidence::trust::Trust;
use evidence::verify::{Phase, Status, Verified};
use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};
use verify::Question;

pub(crate) const HELP: &str = "Examples:
  countersign verify evidence.pack --trust trust.txt
  countersign verify evidence.pack --trust trust.txt --json | jq .report.status

The trust file is yours: get it from the environment's owner, never from the pack or the operator. Without it a pack
can only be shown to agree with itself (exit code 2). No network is used; countersign-verify is the same check alone.";

/// Whom the reader believes.
#[derive(Debug, Clone, Args)]
pub(crate) struct TrustArgs {
    /// Whom you believe: logs, witnesses and owners' roots
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// The newest checkpoint that you have seen of this log: the evidence may not fall short of it
    #[arg(long, value_name = "FILE", requires = "trust")]
    seen: Option<PathBuf>,
}

impl TrustArgs {
    pub(crate) fn read(&self) -> Result<Option<Trust>, Failure> {
        let Some(path) = &self.trust else { return Ok(None) };
        let trust = Trust::parse(&file::read(path)?)
            .map_err(|error| Failure::usage(format!("`{}`: {error}", path.display())))?;
        let Some(seen) = &self.seen else { return Ok(Some(trust)) };
        let known = trust.with_seen_note(&file::read(seen)?);
        known
            .map(Some)
            .map_err(|error| Failure::usage(format!("`{}` is not a checkpoint: {error}", seen.display())))
    }
}

pub(crate) fn run(question: &Question) -> Result<(), Failure> {
    let mut page = Vec::new();
    let code = verify::answer(question, &mut page).map_err(|error| match error.exit_code() {
        verify::EXIT_USAGE => Failure::usage(error),
        _ => Failure::unavailable(error),
    })?;
    let page = String::from_utf8_lossy(&page);
    show(&if question.json {
        page.into_owned()
    } else {
        Paint::of_output().outcomes(&page)
    });
    match code {
        0 => Ok(()),
        2 => Err(Failure::silent(Exit::TrustNotEstablished)),
        3 => Err(Failure::silent(Exit::Newer)),
        _ => Err(Failure::silent(Exit::Refused)),
    }
}

/// To standard output; a reader that has gone away is no failure.
pub(crate) fn show(page: &str) {
    std::io::stdout().write_all(page.as_bytes()).unwrap_or_default();
}

/// Reads and judges a pack, with progress.
pub(crate) fn read_pack(path: &Path, trust: Option<&Trust>) -> Result<Verified, Failure> {
    let unreadable = |error| Failure::unavailable(format!("`{}` cannot be read: {error}", path.display()));
    let file = File::open(path).map_err(unreadable)?;
    let mut bar = Bar::new();
    let input = BufReader::with_capacity(1 << 20, file);
    let read = evidence::verify::verify(input, trust, &mut |progress| match progress.phase {
        Phase::Papers => {}
        Phase::Recordings => bar.at("recordings", progress.extents_done, progress.extents),
        Phase::Log => bar.at("log", progress.entries_done, progress.entries),
    });
    read.map_err(unreadable)
}

/// The exit code that a status stands for; the page has said the rest.
pub(crate) fn ended(status: &Status) -> Result<(), Failure> {
    match status {
        Status::Trusted => Ok(()),
        Status::Tampered { .. } => Err(Failure::silent(Exit::Refused)),
        Status::TrustNotEstablished { .. } => Err(Failure::silent(Exit::TrustNotEstablished)),
        Status::NewerFormat { .. } => Err(Failure::silent(Exit::Newer)),
    }
}

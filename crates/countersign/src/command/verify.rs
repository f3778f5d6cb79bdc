//! `countersign verify`: what a pack claims, held against its own bytes, the log's rules and the reader's own trust.

use crate::exit::{Exit, Failure};
use crate::paint::Paint;
use crate::progress::Bar;
use crate::{command, file};
use clap::Args;
use evidence::trust::Trust;
use evidence::verify::{Outcome, Phase, Report, Status, Verified, verify};
use ledger::SignedCheckpoint;
use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  countersign verify evidence.pack --trust trust.txt
  countersign verify evidence.pack --trust trust.txt --json | jq .status

The trust file is yours: get it from the environment's owner, never from the pack or the operator. Without it a pack
can only be shown to agree with itself (exit code 2). No network is used.")]
pub(crate) struct VerifyArgs {
    /// The pack
    pack: PathBuf,
    #[command(flatten)]
    trust: TrustArgs,
    /// As JSON, for programs
    #[arg(long)]
    json: bool,
}

/// Whom the reader believes.
#[derive(Debug, Clone, Args)]
pub(crate) struct TrustArgs {
    /// Whom you believe: logs, witnesses and owners' roots
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// The newest checkpoint that you have seen of this log: the pack may not fall short of it
    #[arg(long, value_name = "FILE", requires = "trust")]
    seen: Option<PathBuf>,
}

impl TrustArgs {
    pub(crate) fn read(&self) -> Result<Option<Trust>, Failure> {
        let Some(path) = &self.trust else { return Ok(None) };
        let trust = Trust::parse(&file::read(path)?)
            .map_err(|error| Failure::usage(format!("`{}`: {error}", path.display())))?;
        let Some(seen) = &self.seen else { return Ok(Some(trust)) };
        let note = SignedCheckpoint::parse(&file::read(seen)?)
            .map_err(|error| Failure::usage(format!("`{}` is not a checkpoint: {error}", seen.display())))?;
        Ok(Some(trust.with_seen(note)))
    }
}

pub(crate) fn run(args: VerifyArgs) -> Result<(), Failure> {
    let verified = read_pack(&args.pack, args.trust.read()?.as_ref())?;
    if args.json {
        command::access::print_json(&verified.report)?;
    } else {
        std::io::stdout()
            .write_all(page(&verified.report).as_bytes())
            .unwrap_or_default();
    }
    ended(&verified.report.status)
}

/// Reads and judges a pack, with progress.
pub(crate) fn read_pack(path: &Path, trust: Option<&Trust>) -> Result<Verified, Failure> {
    let unreadable = |error| Failure::unavailable(format!("`{}` cannot be read: {error}", path.display()));
    let file = File::open(path).map_err(unreadable)?;
    let mut bar = Bar::new();
    let read = verify(
        BufReader::with_capacity(1 << 20, file),
        trust,
        &mut |progress| match progress.phase {
            Phase::Papers => {}
            Phase::Recordings => bar.at("recordings", progress.extents_done, progress.extents),
            Phase::Log => bar.at("log", progress.entries_done, progress.entries),
        },
    );
    read.map_err(unreadable)
}

/// The report, a line a claim.
pub(crate) fn page(report: &Report) -> String {
    let paint = Paint::of_output();
    let mut text = String::new();
    for claim in &report.claims {
        let word = format!("{:<10}", claim.outcome.to_string());
        let word = match claim.outcome {
            Outcome::Holds => paint.good(word),
            Outcome::Fails => paint.bad(word),
            Outcome::Noted | Outcome::NotEstablished | Outcome::Newer => paint.doubt(word),
        };
        let at = claim.at.as_ref().map_or_else(String::new, |at| format!("{at}: "));
        text.push_str(&format!("{word} {:<16} {at}{}\n", claim.subject, claim.detail));
    }
    let status = report.status.to_string();
    let status = match report.status {
        Status::Trusted => paint.good(status),
        Status::Tampered { .. } => paint.bad(status),
        Status::TrustNotEstablished { .. } | Status::NewerFormat { .. } => paint.doubt(status),
    };
    text.push_str(&format!("\n{}\n", paint.bold(status)));
    text
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

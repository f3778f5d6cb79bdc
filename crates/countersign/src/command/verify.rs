//! `countersign verify`: the same engine as `countersign-verify`, which is the smaller thing to trust.

use crate::exit::{Exit, Failure};
use crate::file;
use crate::paint::Paint;
use crate::progress::Bar;
use clap::Args;
use evidence::trust::Trust;
use evidence::verify::{Phase, Progress, Status, Verified, verify_ahead};
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};
use verify::{Question, QuestionError};

pub(crate) const HELP: &str = "Examples:
  countersign verify evidence.pack --trust trust.txt
  countersign verify evidence.pack --trust trust.txt --seen acme.checkpoint
  countersign verify evidence.pack --trust trust.txt --json | jq .report.status

The trust file is yours: get it from the environment's owner, never from the pack or the operator. \
Without it a pack can only be shown to agree with itself (exit code 2). \
A pack ends somewhere: only a checkpoint that you have seen before (`countersign checkpoint`) shows that nothing was \
cut off its end. No network is used; countersign-verify is the same check alone.";

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
        let trust = Trust::parse(&file::read_regular(path)?).map_err(|error| {
            Failure::usage(format!("`{}` is not a trust file: {error}", path.display()))
                .next("its environment's owner has one: `countersign owner init` writes trust.txt")
        })?;
        let Some(seen) = &self.seen else { return Ok(Some(trust)) };
        let known = trust.with_seen_note(&file::read_regular(seen)?);
        known.map(Some).map_err(|error| {
            Failure::usage(format!("`{}` is not a checkpoint: {error}", seen.display()))
                .next("countersign checkpoint --help says how to save one")
        })
    }

    /// What to do where nobody is believed: beside `beside`, such as the owner's recording key, may be whom to believe.
    fn missing(&self, beside: Option<&Path>) -> Option<String> {
        if self.trust.is_some() {
            return None;
        }
        Some(match trust_at_hand(beside) {
            Some(path) => format!("say whom you believe: --trust {}", path.display()),
            None => format!("say whom you believe: --trust FILE {WHO_HAS_IT}"),
        })
    }
}

/// Who has a trust file.
pub(crate) const WHO_HAS_IT: &str =
    "(the trust.txt that the environment's owner gives out; `countersign owner init` wrote it)";

/// A trust file in this folder, or beside a file of the owner's that was named.
pub(crate) fn trust_at_hand(beside: Option<&Path>) -> Option<PathBuf> {
    let here = PathBuf::from("trust.txt");
    let there = beside.and_then(Path::parent).map(|folder| folder.join("trust.txt"));
    [Some(here), there].into_iter().flatten().find(|path| path.is_file())
}

pub(crate) fn run(question: &Question) -> Result<(), Failure> {
    let mut page = Vec::new();
    let code = verify::answer(question, &mut page).map_err(|error| match error {
        QuestionError::Read { .. } | QuestionError::Write(_) => Failure::unavailable(error),
        _ => Failure::usage(error),
    })?;
    let page = String::from_utf8_lossy(&page);
    show(&if question.json {
        page.into_owned()
    } else {
        Paint::of_output().page(&page)
    });
    match code {
        0 => Ok(()),
        2 => {
            let trust = TrustArgs {
                trust: question.trust.clone(),
                seen: None,
            };
            Err(unbelieved(&trust, Some(&question.pack)))
        }
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
    let unreadable = |error| file::unreadable(path, &error);
    let file = file::open(path).map_err(unreadable)?;
    let mut bar = Bar::new();
    let input = BufReader::with_capacity(1 << 20, file);
    let mut ahead = verify::Ahead::default();
    let mut show = |progress: &Progress| match progress.phase {
        Phase::Papers => {}
        Phase::Recordings => bar.at("recordings", progress.extents_done, progress.extents),
        Phase::Log => bar.at("log", progress.entries_done, progress.entries),
    };
    let read = verify_ahead(input, trust, &mut show, &mut |first, bundle| ahead.begin(first, bundle));
    read.map_err(unreadable)
}

/// The exit code that a status stands for; the page has said the rest.
pub(crate) fn ended(status: &Status, trust: &TrustArgs, beside: Option<&Path>) -> Result<(), Failure> {
    match status {
        Status::Trusted => Ok(()),
        Status::Tampered { .. } => Err(Failure::silent(Exit::Refused)),
        Status::TrustNotEstablished { .. } => Err(unbelieved(trust, beside)),
        Status::NewerFormat { .. } => Err(Failure::silent(Exit::Newer)),
    }
}

fn unbelieved(trust: &TrustArgs, beside: Option<&Path>) -> Failure {
    let failure = Failure::silent(Exit::TrustNotEstablished);
    match trust.missing(beside) {
        Some(next) => failure.next(next),
        None => failure,
    }
}

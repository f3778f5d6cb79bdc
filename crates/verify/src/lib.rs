//! The offline verifier: a pack and the reader's trust in, a report, verdicts and an exit code out. It reads the files
//! that it is given and nothing else: no network, no clock, no database.
//!
//! Exit codes: 0 intact and trusted, 1 tampered with, 2 trust not established, 3 written by a newer format, 64 wrong
//! usage, or an argument that is not what it must be, 69 a file cannot be read.

mod ahead;

pub use ahead::Ahead;

use evidence::pack::NAME_BYTES_MAX;
use evidence::render;
use evidence::trust::{TRUST_BYTES_MAX, Trust, TrustError};
use evidence::verify::{Phase, Progress, Verified, verify_ahead};
use model::id::SessionId;
use model::verdict::Verdict;
use std::fs::File;
use std::io::{self, BufReader, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

/// Wrong usage, or an argument that is not what it must be.
pub const EXIT_USAGE: u8 = 64;
/// A file could not be read, or the answer not be written.
pub const EXIT_UNAVAILABLE: u8 = 69;
/// The longest checkpoint file.
const CHECKPOINT_BYTES_MAX: usize = 128 * 1024;
/// Buffer between file and reader.
const BUFFER_BYTES: usize = 256 * 1024;

/// What to verify, and against what.
#[derive(Debug, Clone, clap::Args)]
pub struct Question {
    /// The evidence pack
    pub pack: PathBuf,
    /// Your trust file: logs, witnesses and owners that you believe
    #[arg(long, value_name = "FILE")]
    pub trust: Option<PathBuf>,
    /// The newest checkpoint of this log that you have seen before; shows whether the tail was cut
    #[arg(long, value_name = "FILE", requires = "trust")]
    pub seen: Option<PathBuf>,
    /// Judge only this session; may be given more than once
    #[arg(long, value_name = "ID")]
    pub session: Vec<SessionId>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum QuestionError {
    /// A file could not be read.
    #[error("cannot read `{path}`: {}", unreadable(error))]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The trust file is not one.
    #[error(
        "`{path}` is not a trust file: {error}; its environment's owner has one, `countersign owner init` writes it"
    )]
    Trust {
        /// Which.
        path: PathBuf,
        /// Why.
        error: TrustError,
    },
    /// The checkpoint is not one.
    #[error("`{0}` is not a signed checkpoint; `countersign checkpoint` saves one")]
    Checkpoint(PathBuf),
    /// The pack is not about this session.
    #[error("the pack is not about session `{0}`; leave --session out to judge those that it is about")]
    Session(SessionId),
    /// The answer could not be written.
    #[error("cannot write the answer: {0}")]
    Write(#[from] io::Error),
}

impl QuestionError {
    /// The exit code for it.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Write(_) | Self::Read { .. } => EXIT_UNAVAILABLE,
            _ => EXIT_USAGE,
        }
    }
}

fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::IsADirectory => "it is a folder; name the file in it".into(),
        io::ErrorKind::NotFound => "there is no such file".into(),
        _ => error.to_string(),
    }
}

/// Answers: the report, then a verdict for each session. Progress goes to standard error when it is a terminal.
///
/// # Errors
/// When a file cannot be read, is not what it must be, or the answer cannot be written.
pub fn answer(question: &Question, out: &mut dyn Write) -> Result<u8, QuestionError> {
    let trust = match &question.trust {
        Some(path) => Some(trust(path, question.seen.as_deref())?),
        None => None,
    };
    let path = &question.pack;
    let unread = |error| QuestionError::Read {
        path: path.clone(),
        error,
    };
    let file = BufReader::with_capacity(BUFFER_BYTES, open(path).map_err(unread)?);
    let mut shown = Shown::new();
    let mut ahead = Ahead::default();
    let mut show = |progress: &Progress| shown.show(progress);
    let verified = verify_ahead(file, trust.as_ref(), &mut show, &mut |first, bundle| {
        ahead.begin(first, bundle)
    });
    shown.clear();
    let verified = verified.map_err(unread)?;
    let verdicts = verdicts(question, &verified)?;
    if question.json {
        let answer = serde_json::json!({
            "exit_code": verified.report.status.exit_code(),
            "report": &verified.report,
            "verdicts": verdicts,
        });
        writeln!(out, "{answer:#}")?;
    } else {
        write!(out, "{}", render::report(&verified.report))?;
        for verdict in &verdicts {
            write!(out, "\n{}", render::verdict(verdict))?;
        }
    }
    out.flush()?;
    Ok(verified.report.status.exit_code())
}

fn verdicts(question: &Question, verified: &Verified) -> Result<Vec<Verdict>, QuestionError> {
    let held = verified.sessions();
    let wanted = match question.session.as_slice() {
        [] => held,
        named => match named.iter().find(|id| !held.contains(id)) {
            // A pack that could not be read holds none, and its report says why.
            Some(id) if verified.world().is_some() => return Err(QuestionError::Session(*id)),
            _ => named,
        },
    };
    Ok(wanted.iter().filter_map(|id| verified.explain(*id).ok()).collect())
}

fn trust(path: &Path, seen: Option<&Path>) -> Result<Trust, QuestionError> {
    let bytes = read(path, TRUST_BYTES_MAX)?;
    let trust = Trust::parse(&bytes).map_err(|error| QuestionError::Trust {
        path: path.to_owned(),
        error,
    })?;
    match seen {
        None => Ok(trust),
        Some(seen) => {
            let checkpoint = read(seen, CHECKPOINT_BYTES_MAX)?;
            let bad = |_| QuestionError::Checkpoint(seen.to_owned());
            trust.with_seen_note(&checkpoint).map_err(bad)
        }
    }
}

/// Opens a regular file; a pipe or device, which may never end or never begin, is none.
///
/// # Errors
/// When it is something else, or cannot be opened.
pub fn open(path: &Path) -> io::Result<File> {
    let kind = std::fs::metadata(path)?.file_type();
    if kind.is_file() || kind.is_dir() {
        return File::open(path);
    }
    Err(io::Error::other("it is no regular file; copy what it gives into one"))
}

/// Reads a small file; one byte more than allowed is enough to know that it is too long.
fn read(path: &Path, bytes_max: usize) -> Result<Vec<u8>, QuestionError> {
    let unread = |error| QuestionError::Read {
        path: path.to_owned(),
        error,
    };
    let mut bytes = Vec::new();
    let file = open(path).map_err(unread)?;
    let read = file.take(bytes_max as u64 + 1).read_to_end(&mut bytes);
    read.map(|_| bytes).map_err(unread)
}

/// Progress on a terminal: one line that is written over.
struct Shown {
    on: bool,
    last: u64,
}

impl Shown {
    fn new() -> Self {
        Self {
            on: io::stderr().is_terminal(),
            last: 0,
        }
    }

    fn show(&mut self, progress: &Progress) {
        /// Bytes between two lines.
        const STEP: u64 = 4 * 1024 * 1024;
        if !self.on || progress.bytes < self.last + STEP {
            return;
        }
        self.last = progress.bytes;
        let text = match progress.phase {
            Phase::Papers => "reading".to_owned(),
            Phase::Recordings => format!("extent {} of {}", progress.extents_done, progress.extents),
            Phase::Log => format!("entry {} of {}", progress.entries_done, progress.entries),
        };
        eprint!("\r{text:<NAME_BYTES_MAX$.60}");
    }

    fn clear(&self) {
        if self.last > 0 {
            eprint!("\r{:<NAME_BYTES_MAX$}\r", "");
        }
    }
}

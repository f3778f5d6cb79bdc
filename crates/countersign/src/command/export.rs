//! `countersign export`: a pack with everything that a stranger needs to check some sessions.

use crate::command::verify;
use crate::exit::Failure;
use crate::file;
use crate::gather::{Wanted, gather};
use crate::progress::Bar;
use crate::source::{Source, SourceArgs};
use clap::Args;
use evidence::render::counted;
use model::id::SessionId;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  countersign export ses_01… --out evidence.pack --key bob
  countersign export ses_01… ses_02… --out evidence.pack --data /var/lib/countersign
  countersign export ses_01… --out evidence.pack --identity acme/recording-1.key

--key asks a running server, --data reads the folder of a stopped one, --identity discloses reasons and commands. \
The pack holds the environment's whole log as it is at that moment: give it to people who may read it. \
Check it with `countersign verify evidence.pack --trust trust.txt`, or with countersign-verify.")]
pub(crate) struct ExportArgs {
    /// Sessions of one environment
    #[arg(required = true, value_name = "SES")]
    sessions: Vec<SessionId>,
    /// The pack; a file of that name must not exist
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Disclose reasons, tickets, commands and addresses, opened with this key file (age)
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    #[command(flatten)]
    source: SourceArgs,
}

pub(crate) async fn run(args: ExportArgs) -> Result<(), Failure> {
    let identity = args.identity.as_deref().map(read_identity).transpose()?;
    let source = Source::open(&args.source).await?;
    let unfinished = beside(&args.out);
    if args.out.exists() {
        return Err(
            Failure::refused(format!("`{}` exists already", args.out.display())).next("name another file: --out")
        );
    }
    let out = create(&unfinished)?;
    let wanted = Wanted {
        sessions: &args.sessions,
        identity: identity.as_ref(),
    };
    let mut bar = Bar::new();
    let gathered = gather(&source, &wanted, BufWriter::new(&out), &mut |phase, done, total| {
        bar.at(phase, done, total)
    })
    .await;
    drop(bar);
    let placed = gathered.and_then(|gathered| {
        place(&out, &unfinished, &args.out)?;
        Ok(gathered)
    });
    if placed.is_err() {
        // What is left of a pack that failed is of no use to anybody.
        std::fs::remove_file(&unfinished).unwrap_or_default();
    }
    let (environment, summary) = placed?;
    println!(
        "{}: {} of `{environment}`, {} of recording, {}",
        args.out.display(),
        counted(summary.entries, "entry"),
        counted(summary.extents, "extent"),
        counted(summary.bytes, "byte")
    );
    let (out, beside) = (args.out.display(), args.identity.as_deref());
    match verify::trust_at_hand(beside.or(Some(&args.out))) {
        Some(trust) => eprintln!("next: countersign verify {out} --trust {}", trust.display()),
        None => eprintln!("next: countersign verify {out} --trust FILE  {}", verify::WHO_HAS_IT),
    }
    Ok(())
}

/// A pack is written beside its place and only takes it when it is whole.
fn beside(out: &Path) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".unfinished");
    PathBuf::from(name)
}

fn create(path: &Path) -> Result<File, Failure> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| Failure::unavailable(format!("`{}` cannot be written: {error}", path.display())))
}

fn place(mut out: &File, from: &Path, to: &Path) -> Result<(), Failure> {
    out.flush()
        .and_then(|()| out.sync_all())
        .and_then(|()| std::fs::rename(from, to))
        .map_err(|error| Failure::unavailable(format!("`{}` cannot be written: {error}", to.display())))
}

/// The text of an age key file.
pub(crate) fn read_identity(path: &Path) -> Result<Zeroizing<String>, Failure> {
    file::read_text(path).map(Zeroizing::new)
}

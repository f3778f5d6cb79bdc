//! Telling a session from evidence: `explain` judges it, `timeline` lists it, `lineage` says where it comes from,
//! `record` gives all of it as one JSON object.

use crate::command::access::print_json;
use crate::command::export::read_identity;
use crate::command::verify::{self, TrustArgs, show};
use crate::exit::{Exit, Failure};
use crate::gather::{Wanted, gather};
use crate::paint::Paint;
use crate::progress::Bar;
use crate::source::{Source, SourceArgs};
use clap::Args;
use evidence::explain::ExplainError;
use evidence::lineage::Lineage;
use evidence::record::Record;
use evidence::render;
use evidence::timeline::Timeline;
use evidence::trust::Trust;
use evidence::verify::{Status, Verified};
use model::id::SessionId;
use model::verdict::Outcome;
use std::fs::File;
use std::io::{BufReader, BufWriter, Seek, SeekFrom};
use std::path::PathBuf;

pub(crate) const EXPLAIN: &str = "Examples:
  countersign explain ses_01… --trust acme/trust.txt --key bob
  countersign explain ses_01… --pack evidence.pack --trust trust.txt --json

A verdict is computed from the evidence: every control says pass, fail, unknown, pending or not applicable, why, and \
by which entries. Without --trust nothing can be judged, and every control says unknown.

Exit code 0: nothing failed; 1: a control failed or the evidence is broken; 2: trust not established.";
pub(crate) const TIMELINE: &str = "Example:
  countersign timeline ses_01… --trust acme/trust.txt --key bob \\
      --identity acme/recording-1.key

Each line has its entry's index, its hash and its place in the recording. \
With --identity reasons, tickets and commands are shown; each is checked against its commitment.";
pub(crate) const LINEAGE: &str = "Example:
  countersign lineage ses_01… --pack evidence.pack --trust trust.txt

From the session to its grant, approvals, request, workflow and ticket, each link by hash.";
pub(crate) const RECORD: &str = "Example:
  countersign record ses_01… --pack evidence.pack --trust trust.txt > ses_01….json

One JSON object, with or without --json.";

/// Which session, and where its evidence is.
#[derive(Debug, Args)]
pub(crate) struct TellArgs {
    /// The session
    session: SessionId,
    /// Read this pack instead of asking a server
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    pack: Option<PathBuf>,
    /// Show what this key file (age) opens: reasons, tickets, commands, addresses
    #[arg(long, value_name = "FILE", env = "COUNTERSIGN_IDENTITY", conflicts_with = "pack")]
    identity: Option<PathBuf>,
    /// As JSON, for programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    source: SourceArgs,
}

impl TellArgs {
    /// The evidence, verified. What is broken is shown instead of told.
    async fn read(&self) -> Result<Verified, Failure> {
        let trust = self.trust.read()?;
        let verified = match &self.pack {
            Some(path) => verify::read_pack(path, trust.as_ref())?,
            None => self.gathered(trust.as_ref()).await?,
        };
        if verified.world().is_none() {
            show(&Paint::of_output().page(&render::report(&verified.report)));
            self.ended(&verified)?;
        }
        Ok(verified)
    }

    /// The exit code of what was told.
    fn ended(&self, verified: &Verified) -> Result<(), Failure> {
        let beside = self.identity.as_deref().or(self.pack.as_deref());
        verify::ended(&verified.report.status, &self.trust, beside)
    }

    /// Gathers a pack about the session into a file without a name, and verifies it.
    async fn gathered(&self, trust: Option<&Trust>) -> Result<Verified, Failure> {
        let identity = self.identity.as_deref().map(read_identity).transpose()?;
        let source = Source::open(&self.source).await?;
        let unwritable = |error| Failure::unavailable(format!("no room for the evidence: {error}"));
        let mut file = unnamed().map_err(unwritable)?;
        let mut bar = Bar::new();
        let wanted = Wanted {
            sessions: &[self.session],
            identity: identity.as_ref(),
        };
        let out = BufWriter::new(&file);
        gather(&source, &wanted, out, &mut |phase, done, total| {
            bar.at(phase, done, total)
        })
        .await?;
        file.seek(SeekFrom::Start(0)).map_err(unwritable)?;
        let input = BufReader::with_capacity(1 << 20, file);
        evidence::verify::verify(input, trust, &mut |_| {}).map_err(unwritable)
    }
}

/// How the evidence stands on which it was told.
fn say_evidence(verified: &Verified) {
    let result = format!("\nevidence: {}\n", render::inert(verified.report.result().as_bytes()));
    show(&Paint::of_output().page(&result));
}

/// A file that is gone with its last handle.
fn unnamed() -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let name = format!("countersign-{}-{}", std::process::id(), crate::clock::now_ms());
    let path = std::env::temp_dir().join(name);
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

pub(crate) async fn explain(args: TellArgs) -> Result<(), Failure> {
    let verified = args.read().await?;
    let verdict = verified.explain(args.session).map_err(untold)?;
    if args.json {
        print_json(&verdict)?;
    } else {
        show(&Paint::of_output().page(&render::verdict(&verdict)));
        say_evidence(&verified);
    }
    match (&verified.report.status, verdict.overall) {
        (Status::Trusted | Status::TrustNotEstablished { .. }, Outcome::Fail) => Err(Failure::silent(Exit::Refused)),
        _ => args.ended(&verified),
    }
}

pub(crate) async fn timeline(args: TellArgs) -> Result<(), Failure> {
    let verified = args.read().await?;
    let reading = verified
        .reading()
        .ok_or_else(|| Failure::refused("the evidence cannot be read"))?;
    let timeline = Timeline::of(&reading, args.session).map_err(untold)?;
    if args.json {
        print_json(&timeline)?;
    } else {
        show(&Paint::of_output().page(&render::timeline(&timeline)));
        say_evidence(&verified);
    }
    args.ended(&verified)
}

pub(crate) async fn lineage(args: TellArgs) -> Result<(), Failure> {
    let verified = args.read().await?;
    let reading = verified
        .reading()
        .ok_or_else(|| Failure::refused("the evidence cannot be read"))?;
    let lineage = Lineage::of(&reading, args.session).map_err(untold)?;
    if args.json {
        print_json(&lineage)?;
    } else {
        show(&Paint::of_output().page(&render::lineage(&lineage)));
        say_evidence(&verified);
    }
    if lineage.is_whole() {
        args.ended(&verified)
    } else {
        Err(Failure::silent(Exit::Refused))
    }
}

pub(crate) async fn record(args: TellArgs) -> Result<(), Failure> {
    let verified = args.read().await?;
    let reading = verified
        .reading()
        .ok_or_else(|| Failure::refused("the evidence cannot be read"))?;
    let record = Record::of(&reading, args.session).map_err(untold)?;
    show(&format!("{}\n", record.to_json().map_err(Failure::unavailable)?));
    args.ended(&verified)
}

fn untold(error: ExplainError) -> Failure {
    Failure::refused(error)
}

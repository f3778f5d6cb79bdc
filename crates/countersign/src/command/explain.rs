//! `countersign explain`: a session judged, control by control, from evidence alone.

use crate::command::access::print_json;
use crate::command::export::read_identity;
use crate::command::verify::{self, TrustArgs};
use crate::exit::{Exit, Failure};
use crate::gather::{Wanted, gather};
use crate::paint::Paint;
use crate::progress::Bar;
use crate::source::{Source, SourceArgs};
use clap::Args;
use evidence::trust::Trust;
use evidence::verify::{Status, Verified};
use model::id::SessionId;
use model::verdict::{Outcome, Verdict};
use std::io::{BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::PathBuf;
use zeroize::Zeroizing;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  countersign explain ses_01… --trust acme/trust.txt --key bob             # from the running server
  countersign explain ses_01… --pack evidence.pack --trust trust.txt --json

A verdict is computed from the evidence: every control says pass, fail, unknown, pending or not applicable, why, and by
which entries. Without --trust it is judged by what the log says of itself, and says so.
Exit code 0: nothing failed; 1: a control failed or the evidence is broken; 2: trust not established.")]
pub(crate) struct ExplainArgs {
    /// The session
    session: SessionId,
    /// Read this pack instead of asking a server
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    pack: Option<PathBuf>,
    /// As JSON, for programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    source: SourceArgs,
}

pub(crate) async fn run(args: ExplainArgs) -> Result<(), Failure> {
    let trust = args.trust.read()?;
    let verified = match &args.pack {
        Some(path) => verify::read_pack(path, trust.as_ref())?,
        None => from_source(&args.source, args.session, (trust.as_ref(), None)).await?,
    };
    let verdict = verified.explain(args.session);
    let verdict = match (verdict, &verified.report.status) {
        (Ok(verdict), _) => verdict,
        (Err(_), Status::Tampered { .. } | Status::NewerFormat { .. }) => {
            std::io::stdout()
                .write_all(verify::page(&verified.report).as_bytes())
                .unwrap_or_default();
            return verify::ended(&verified.report.status);
        }
        (Err(error), _) => return Err(Failure::refused(error)),
    };
    if args.json {
        print_json(&verdict)?;
    } else {
        std::io::stdout()
            .write_all(page(&verdict, &verified).as_bytes())
            .unwrap_or_default();
    }
    match (&verified.report.status, verdict.overall) {
        (Status::Tampered { .. } | Status::NewerFormat { .. }, _) => verify::ended(&verified.report.status),
        (_, Outcome::Fail) => Err(Failure::silent(Exit::Refused)),
        (status, _) => verify::ended(status),
    }
}

/// Gathers a pack about one session into a file without a name, and verifies it.
pub(crate) async fn from_source(
    args: &SourceArgs,
    session: SessionId,
    (trust, identity): (Option<&Trust>, Option<&PathBuf>),
) -> Result<Verified, Failure> {
    let identity: Option<Zeroizing<String>> = identity.map(|path| read_identity(path)).transpose()?;
    let source = Source::open(args).await?;
    let unwritable = |error| Failure::unavailable(format!("no room for the evidence: {error}"));
    let mut file = unnamed().map_err(unwritable)?;
    let mut bar = Bar::new();
    let wanted = Wanted {
        sessions: &[session],
        identity: identity.as_ref(),
    };
    gather(&source, &wanted, BufWriter::new(&file), &mut |phase, done, total| {
        bar.at(phase, done, total)
    })
    .await?;
    file.seek(SeekFrom::Start(0)).map_err(unwritable)?;
    evidence::verify::verify(BufReader::with_capacity(1 << 20, file), trust, &mut |_| {}).map_err(unwritable)
}

/// A file that is gone with its last handle.
fn unnamed() -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    let name = format!("countersign-{}-{}", std::process::id(), crate::clock::now_ms());
    let path = std::env::temp_dir().join(name);
    let file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

fn page(verdict: &Verdict, verified: &Verified) -> String {
    let paint = Paint::of_output();
    let colour = |outcome: Outcome, text: String| match outcome {
        Outcome::Pass => paint.good(text),
        Outcome::Fail => paint.bad(text),
        Outcome::Unknown | Outcome::Pending => paint.doubt(text),
        Outcome::NotApplicable => paint.dim(text),
    };
    let mut text = format!("{}\n", paint.bold(verdict.session));
    for (label, outcome) in [
        ("overall", verdict.overall),
        ("integrity", verdict.integrity),
        ("completeness", verdict.completeness),
    ] {
        text.push_str(&format!("  {label:<13} {}\n", colour(outcome, outcome.to_string())));
    }
    let yes = |is: bool| if is { "yes" } else { "no" };
    text.push_str(&format!(
        "  approved {}, monitored {}, attributable {}; authorised {}, bounded {}, ended in time {}\n\n",
        yes(verdict.approved),
        yes(verdict.monitored),
        yes(verdict.attributable),
        yes(verdict.authorised),
        yes(verdict.bounded),
        yes(verdict.expired)
    ));
    for result in &verdict.controls {
        let word = colour(result.outcome, format!("{:<8}", result.outcome.to_string()));
        text.push_str(&format!("{word} {} {}\n", result.control, result.control.title()));
        let entries: Vec<String> = result.evidence.iter().map(|(index, _)| index.to_string()).collect();
        let shown = if entries.is_empty() {
            String::new()
        } else {
            format!(" [entries {}]", entries.join(", "))
        };
        text.push_str(&format!("         {}{}\n", result.because, paint.dim(shown)));
        if result.outcome == Outcome::Fail {
            text.push_str(&format!("         answers for it: {}\n", result.accountable));
        }
    }
    for remark in &verdict.remarks {
        text.push_str(&format!("\n{} {remark}", paint.doubt("note")));
    }
    text.push_str(&format!("\n\nevidence: {}\n", verified.report.status));
    text
}

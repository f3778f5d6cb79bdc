//! `countersign checkpoint`: keeps the newest head of a log, so that evidence of later days can be held against it
//! (`verify --seen`). Without such a memory nobody can tell whether the end of a log was cut off.

use crate::command::held;
use crate::command::verify::TrustArgs;
use crate::exit::Failure;
use crate::{config, file, source};
use clap::Args;
use evidence::render::counted;
use evidence::trust::Trust;
use ledger::SignedCheckpoint;
use ledger::policy::{Evaluation, Quorum};
use model::name::EnvironmentName;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  countersign checkpoint acme --trust trust.txt --out acme.checkpoint
  countersign checkpoint --pack evidence.pack --trust trust.txt --out acme.checkpoint
  countersign verify later.pack --trust trust.txt --seen acme.checkpoint

Asks the server's published log, which needs no sign-in, or takes it from a pack. \
A file that exists is never overwritten: first show with `verify --seen` that the log continues it, then keep a newer \
one under another name.")]
pub(crate) struct CheckpointArgs {
    /// The environment whose log it is
    #[arg(required_unless_present = "pack", conflicts_with = "pack")]
    environment: Option<EnvironmentName>,
    /// Take it from this pack instead of asking the log
    #[arg(long, value_name = "FILE")]
    pack: Option<PathBuf>,
    /// Where to keep it
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Where the server's log is published
    #[arg(long, value_name = "URL", env = "COUNTERSIGN_LOG_SERVER", default_value = source::LOG_DEFAULT)]
    log: String,
    #[command(flatten)]
    trust: TrustArgs,
}

pub(crate) async fn run(args: CheckpointArgs) -> Result<(), Failure> {
    let trust = args.trust.read()?;
    let note = match (&args.pack, &args.environment) {
        (Some(pack), _) => held::checkpoint(pack, &args.trust)?,
        (None, Some(environment)) => source::published(&config::checked_url(&args.log)?, environment).await?,
        (None, None) => return Err(Failure::usage("name an environment, or a pack with --pack")),
    };
    let checkpoint = SignedCheckpoint::parse(&note)
        .map_err(|error| Failure::unavailable(format!("what the log published is no checkpoint: {error}")))?;
    let by = match &trust {
        Some(trust) => believed(trust, &checkpoint)?,
        None => "signatures not checked, for want of --trust".to_owned(),
    };
    if let Some(seen) = trust.as_ref().and_then(Trust::seen)
        && args.pack.is_none()
    {
        continues(seen, &checkpoint)?;
    }
    file::create_public(&args.out, &note)?;
    let head = checkpoint.checkpoint();
    let (out, entries) = (args.out.display(), counted(head.head().size, "entry"));
    println!("{out}: {entries} of `{}`; {by}", head.origin());
    eprintln!("next time: countersign verify PACK --trust FILE --seen {out}");
    Ok(())
}

/// Who vouches for it, as the reader's trust file has it.
fn believed(trust: &Trust, checkpoint: &SignedCheckpoint) -> Result<String, Failure> {
    let Evaluation { quorum, cosigned, .. } = trust
        .policy()
        .evaluate(checkpoint)
        .map_err(|error| Failure::refused(format!("the checkpoint is not to be believed: {error}")))?;
    let names: Vec<&str> = cosigned.iter().map(|one| one.witness.as_str()).collect();
    match quorum {
        Quorum::Unmet => Err(Failure::refused(
            "the checkpoint is not cosigned as the trust file asks; nothing was kept",
        )
        .next("does the witness run? try again in a moment")),
        _ if names.is_empty() => Ok("signed by the log alone".to_owned()),
        _ => Ok(format!("signed by the log, cosigned by {}", names.join(", "))),
    }
}

/// Two heads alone show only some of what a pack shows: that it did not shrink, nor change without growing.
fn continues(seen: &SignedCheckpoint, newest: &SignedCheckpoint) -> Result<(), Failure> {
    let (seen, newest) = (seen.checkpoint(), newest.checkpoint());
    let (before, now) = (seen.head(), newest.head());
    if seen.origin() != newest.origin() {
        return Err(Failure::usage(format!(
            "the checkpoint that you have seen is of `{}`, not of `{}`",
            seen.origin(),
            newest.origin()
        )));
    }
    if now.size < before.size || (now.size == before.size && now.root != before.root) {
        let (size, known) = (counted(now.size, "entry"), counted(before.size, "entry"));
        return Err(Failure::refused(format!(
            "the log shows {size} now, and another history than the {known} that you have seen"
        ))
        .next("keep both; ask the environment's owner what their witness has seen"));
    }
    Ok(())
}

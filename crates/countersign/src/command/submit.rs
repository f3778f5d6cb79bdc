//! `countersign submit`: hands signed trust bodies to a server. What is not validly signed has no effect there.

use crate::client;
use crate::config::{Person, PersonArgs};
use crate::exit::Failure;
use crate::trust::{self, TrustBody};
use clap::Args;
use std::path::PathBuf;

pub(crate) const HELP: &str = "Examples:
  countersign submit acme/acme.trust.jsonl
  countersign submit acme/*.trust.jsonl --server http://127.0.0.1:7878

The genesis of an environment goes first, whatever the order of the files. What the \
server has already is passed over.";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct SubmitArgs {
    /// Files of signed trust bodies
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    person: PersonArgs,
}

pub(crate) fn run(args: SubmitArgs) -> Result<(), Failure> {
    let mut bodies = Vec::new();
    for path in &args.files {
        bodies.extend(trust::read(path)?);
    }
    // Stable: within a rank the order of signing stays.
    bodies.sort_by_key(|body| match body {
        TrustBody::Genesis(_) => 0,
        TrustBody::Engagement(_) => 1,
        _ => 2,
    });
    client::submit_bodies(&Person::read(&args.person)?.server, bodies)
}

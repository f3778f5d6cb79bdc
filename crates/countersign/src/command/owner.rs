//! `countersign owner`: what the owner of an environment signs, on its own side. Private keys never leave its folder.

mod init;
mod workflow;

use crate::command::people::{self, DisableArgs, EnrolArgs, SigningArgs, Speaker};
use crate::exit::Failure;
use crate::trust::{self, EnvironmentCard, TrustBody};
use crate::{agent, clock, file, words};
use clap::Subcommand;
use model::statement::Resource;
use std::path::{Path, PathBuf};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make the owner's keys and sign the environment into being
    #[command(after_help = init::HELP)]
    Init(init::InitArgs),
    /// Enrol one of the owner's people
    #[command(after_help = "Examples:
  countersign owner enrol olga --role approve --key olga.pub --dir acme
  countersign owner enrol bob --role own,approve --key \"ssh-ed25519 AAAA…\" --dir acme")]
    Enrol(EnrolArgs),
    /// End one of the owner's identities
    #[command(after_help = "Example:
  countersign owner disable olga --dir acme")]
    Disable(DisableArgs),
    /// Sign a resource that `countersign resource add` described
    #[command(after_help = "Example:
  countersign resource add web1 --host 10.0.0.5 --account root --host-key scan \\
      --environment acme/acme.public.json > setup.txt
  countersign owner resource web1.resource.json --dir acme")]
    Resource {
        /// The description, made by `countersign resource add`
        description: PathBuf,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        signing: SigningArgs,
    },
    /// Sign a workflow: a purpose, its owner, who may ask, who approves, how long
    #[command(after_help = workflow::HELP)]
    Workflow(workflow::WorkflowArgs),
}

pub(crate) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Init(args) => init::run(args),
        Command::Enrol(args) => people::enrol(&Owner::of(&args.signing.dir)?.speaker(), args),
        Command::Disable(args) => people::disable(&Owner::of(&args.signing.dir)?.speaker(), args),
        Command::Resource {
            description,
            yes,
            signing,
        } => resource(&description, yes, &signing),
        Command::Workflow(args) => workflow::run(args),
    }
}

/// An owner's folder, read.
struct Owner {
    card: EnvironmentCard,
}

impl Owner {
    fn of(folder: &Path) -> Result<Self, Failure> {
        Ok(Self {
            card: trust::card_in(folder)?,
        })
    }

    fn speaker(&self) -> Speaker {
        Speaker {
            environment: self.card.environment.clone(),
            origin: self.card.origin.clone(),
            organisation: self.card.owner.clone(),
            threshold: self.card.owner_threshold,
        }
    }
}

fn resource(description: &Path, yes: bool, signing: &SigningArgs) -> Result<(), Failure> {
    let speaker = Owner::of(&signing.dir)?.speaker();
    let mut statement: Resource = file::read_json(description, "the description of a resource")?;
    if statement.environment != speaker.environment {
        return Err(Failure::refused(format!(
            "`{}` describes a resource of `{}`, not of `{}`",
            description.display(),
            statement.environment,
            speaker.environment
        )));
    }
    eprint!("{}", words::resource(&statement));
    crate::ask::confirm("Sign this as the owner?", yes)?;
    statement.signed_ms = clock::now_ms();
    let what = format!("resource-{}", statement.name);
    let signers = signing.roots(speaker.threshold)?;
    let body = TrustBody::Resource(agent::signed(&signers, &speaker.origin, statement)?);
    signing.keep(&speaker, &what, body)
}

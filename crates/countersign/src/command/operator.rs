//! `countersign operator`: what the operator organisation signs, on its own side.

use crate::command::people::{self, DisableArgs, EnrolArgs, Speaker};
use crate::exit::Failure;
use crate::trust::{EnvironmentCard, OperatorCard};
use crate::{file, roots};
use clap::{Args, Subcommand};
use evidence::render::counted;
use model::name::OrganisationName;
use std::path::{Path, PathBuf};

const CARD: &str = "operator.public.json";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make the organisation's root key and recording key
    #[command(after_help = "Example:
  countersign operator init --organisation \"Northwind MSP\" --dir northwind

Give operator.public.json to the owner, who names it in `countersign owner init`. \
Keep the folder off the server.")]
    Init(InitArgs),
    /// Enrol one of the operator's people in an environment
    #[command(after_help = "Example:
  countersign operator enrol alice --role request --key alice.pub \\
      --environment acme/acme.public.json --dir northwind --submit http://127.0.0.1:7878")]
    Enrol {
        #[command(flatten)]
        environment: InEnvironment,
        #[command(flatten)]
        args: EnrolArgs,
    },
    /// End one of the operator's identities in an environment
    #[command(after_help = "Example:
  countersign operator disable alice --environment acme/acme.public.json --dir northwind")]
    Disable {
        #[command(flatten)]
        environment: InEnvironment,
        #[command(flatten)]
        args: DisableArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Full name of the operator
    #[arg(long, value_name = "NAME")]
    organisation: OrganisationName,
    /// Folder for its keys; made if it is not there
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Use this key (file, agent or token) as root instead of making one; repeat for several
    #[arg(long = "root", value_name = "FILE")]
    roots: Vec<PathBuf>,
    /// How many roots must sign
    #[arg(long, value_name = "N", default_value_t = 1)]
    threshold: u8,
}

#[derive(Debug, Args)]
pub(crate) struct InEnvironment {
    /// Public card of the environment, as made by `owner init`
    #[arg(long, value_name = "FILE")]
    environment: PathBuf,
}

pub(crate) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Init(args) => init(&args),
        Command::Enrol { environment, args } => people::enrol(&environment.speaker(&args.signing.dir)?, args),
        Command::Disable { environment, args } => people::disable(&environment.speaker(&args.signing.dir)?, args),
    }
}

impl InEnvironment {
    fn speaker(&self, folder: &Path) -> Result<Speaker, Failure> {
        let card: EnvironmentCard = file::read_json(&self.environment, "the public card of an environment")?;
        let own: OperatorCard = file::read_json(&folder.join(CARD), "an operator's public card")?;
        if own.organisation != card.operator {
            return Err(Failure::refused(format!(
                "`{}` engages {}, not {}",
                card.environment, card.operator, own.organisation
            ))
            .next("ask the environment's owner for an engagement"));
        }
        Ok(Speaker {
            environment: card.environment,
            origin: card.origin,
            organisation: own.organisation,
            threshold: own.threshold,
        })
    }
}

fn init(args: &InitArgs) -> Result<(), Failure> {
    file::private_folder(&args.dir)?;
    let keys = if args.roots.is_empty() {
        vec![roots::make_root(
            &args.dir,
            1,
            &format!("root of {}", args.organisation),
        )?]
    } else {
        let taken = args.roots.iter().enumerate();
        taken
            .map(|(at, path)| roots::take_root(&args.dir, at + 1, path))
            .collect::<Result<_, _>>()?
    };
    if usize::from(args.threshold) > keys.len() || args.threshold == 0 {
        return Err(Failure::usage(format!(
            "a threshold of {} does not fit {}",
            args.threshold,
            counted(keys.len(), "root")
        )));
    }
    let recipient = roots::make_recipient(&args.dir, 1, &format!("opens recordings for {}", args.organisation))?;
    let card = OperatorCard {
        organisation: args.organisation.clone(),
        roots: keys.iter().map(|key| key.public().clone()).collect(),
        threshold: args.threshold,
        recipients: vec![recipient],
    };
    let text = serde_json::to_string_pretty(&card).map_err(Failure::refused)?;
    file::create_public(&args.dir.join(CARD), format!("{text}\n").as_bytes())?;
    let dir = args.dir.display();
    println!(
        "{} has its root in {dir}/root-1 (keep it off the server; a passphrase: ssh-keygen -p -f {dir}/root-1).",
        args.organisation
    );
    println!("Public card, for owners: {dir}/{CARD}");
    println!("next: start the server (countersign serve), then give the owner this card and an offer");
    println!("      countersign environment offer ENVIRONMENT > offer.json");
    Ok(())
}

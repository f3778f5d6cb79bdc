//! `countersign environment`: what a server offers to a new environment's owner.

use crate::client;
use crate::config::{Person, PersonArgs};
use crate::exit::Failure;
use clap::Subcommand;
use model::name::EnvironmentName;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print the keys that the server made for a new environment, for `owner init`
    #[command(after_help = "Example:
  countersign environment offer acme > offer.json

Asking needs no sign-in: an offer is public, and only a genesis that the owner's roots signed founds an \
environment.")]
    Offer {
        /// Name of the environment
        name: EnvironmentName,
        #[command(flatten)]
        person: PersonArgs,
    },
}

pub(crate) async fn run(command: Command) -> Result<(), Failure> {
    let Command::Offer { name, person } = command;
    let offer = client::offer(&Person::read(&person)?.server, &name).await?;
    println!("{}", serde_json::to_string_pretty(&offer).map_err(Failure::refused)?);
    eprintln!(
        "next: the owner runs: countersign owner init --offer FILE …\n      its witness:    countersign witness add-log \"{}\"",
        offer.log_key
    );
    Ok(())
}

//! `countersign resource`: describing a target for the owner to sign, and setting the target up.

use crate::exit::Failure;
use crate::trust::EnvironmentCard;
use crate::{agent, clock, file, words};
use clap::{Args, Subcommand, ValueEnum};
use model::name::{AccountName, ResourceName};
use model::signature::Key;
use model::statement::Resource;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command as Process;

mod setup;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Describe a target, and print what to set up on it
    #[command(after_help = "Example:
  countersign resource add web1 --host 10.0.0.5 --account root --host-key scan \\
      --environment acme/acme.public.json

Writes web1.resource.json for the owner to sign (`countersign owner resource web1.resource.json`), and prints the
set-up of the target. A scan asks the network which keys the host has: compare the fingerprints with the host's own
(`for f in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen -l -f $f; done`) before the owner signs.")]
    Add(AddArgs),
}

#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// Name in the environment, such as `web1`
    name: ResourceName,
    /// Host name or address, as the gateway reaches it
    #[arg(long)]
    host: String,
    #[arg(long, default_value_t = 22)]
    port: u16,
    /// Account that may be asked for; repeat for several
    #[arg(long = "account", value_name = "NAME", required = true, value_delimiter = ',')]
    accounts: Vec<AccountName>,
    /// The host's public key, as text or file; or `scan`; repeat for several
    #[arg(long = "host-key", value_name = "KEY|FILE|scan", required = true)]
    host_keys: Vec<String>,
    /// Address from which the target sees the gateway; log-ins from elsewhere are refused by the target; repeat it
    #[arg(long = "source", value_name = "ADDRESS")]
    sources: Vec<IpAddr>,
    /// Public card of the environment, as made by `owner init`
    #[arg(long, value_name = "FILE")]
    environment: PathBuf,
    /// Where the description goes [default: NAME.resource.json]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print only this form of the set-up
    #[arg(long, value_enum, default_value_t = Form::All)]
    print: Form,
}

/// Forms of the target's set-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// Every form, with remarks
    All,
    /// Files to place by hand
    Files,
    /// Tasks for ansible
    Ansible,
    /// User data for cloud-init
    CloudInit,
}

pub(crate) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Add(args) => add(&args),
    }
}

fn add(args: &AddArgs) -> Result<(), Failure> {
    let card: EnvironmentCard = file::read_json(&args.environment, "the public card of an environment")?;
    args.accounts.iter().try_for_each(plain)?;
    let statement = Resource {
        environment: card.environment.clone(),
        name: args.name.clone(),
        host: args.host.clone(),
        port: args.port,
        host_keys: host_keys(args)?,
        accounts: args.accounts.clone(),
        source_addresses: args.sources.iter().map(ToString::to_string).collect(),
        signed_ms: clock::now_ms(),
    };
    let default = PathBuf::from(format!("{}.resource.json", args.name));
    let out = args.out.as_ref().unwrap_or(&default);
    let text = serde_json::to_string_pretty(&statement).map_err(Failure::refused)?;
    file::replace(out, format!("{text}\n").as_bytes())?;
    eprint!("{}", words::resource(&statement));
    print!("{}", setup::print(&statement, &card.user_ca, args.print));
    eprintln!(
        "next: the owner signs it: countersign owner resource {} --dir DIR",
        out.display()
    );
    Ok(())
}

/// An account's name becomes a file's name on the target and a word in YAML.
fn plain(account: &AccountName) -> Result<(), Failure> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-@+$\\".contains(&b);
    if account.as_str().bytes().all(plain) && !account.as_str().starts_with('.') {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "account `{account}` cannot be set up by these snippets"
    )))
}

fn host_keys(args: &AddArgs) -> Result<Vec<Key>, Failure> {
    let mut keys = Vec::new();
    for text in &args.host_keys {
        match text.as_str() {
            "scan" => keys.extend(scan(&args.host, args.port)?),
            _ => keys.push(agent::key_or_file(text)?),
        }
    }
    keys.sort();
    keys.dedup();
    Ok(keys)
}

/// Asks the host for its keys, as `ssh-keyscan` does. What comes back is a claim of the network.
fn scan(host: &str, port: u16) -> Result<Vec<Key>, Failure> {
    if host.starts_with('-') {
        return Err(Failure::usage(format!("`{host}` is not a host")));
    }
    let output = Process::new("ssh-keyscan")
        .args(["-T", "5", "-p", &port.to_string(), host])
        .output()
        .map_err(|error| Failure::unavailable(format!("ssh-keyscan cannot be run: {error}")))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let keys: Vec<Key> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(' ')?.1.parse().ok())
        .collect();
    if keys.is_empty() {
        return Err(Failure::unavailable(format!("`{host}` port {port} showed no host key"))
            .next("is sshd running there, and reachable from here? otherwise give --host-key FILE"));
    }
    Ok(keys)
}

//! `countersign resource`: describing a target for the owner to sign, setting the target up, and checking it.

use crate::exit::{Exit, Failure};
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
    /// Try whether a target is set up rightly, in a session of its own
    #[command(after_help = "Example:
  countersign request root@web1.acme --reason \"check the set-up\" --for 10m
  countersign resource check root@web1.acme

Logs in by `ssh`, whose configuration `countersign ssh-config` prints. The gateway then tries
certificates that the target must refuse, and reads facts about it; each try is an action on
record. Each line says ok, FAILED or unknown, why, and what to do next. Without this program:
  ssh -s root+web1.acme@GATEWAY countersign-check

Exit status: 0 all is proven; 1 something failed, or the session did not begin; 69 something could
not be known.")]
    Check(CheckArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// `ACCOUNT@RESOURCE.ENVIRONMENT`; you need a grant for it
    target: String,
    /// Configuration file for `ssh` [default: ssh's own]
    #[arg(long, value_name = "FILE")]
    ssh_config: Option<PathBuf>,
    /// For programs
    #[arg(long)]
    json: bool,
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
        Command::Check(args) => check(&args),
    }
}

/// The report is the gateway's, on standard output; its status is passed on.
fn check(args: &CheckArgs) -> Result<(), Failure> {
    if args.target.starts_with('-') || !args.target.contains('@') {
        return Err(Failure::usage(format!(
            "`{}` is not ACCOUNT@RESOURCE.ENVIRONMENT, such as `root@web1.acme`",
            args.target
        )));
    }
    let mut ssh = Process::new("ssh");
    if let Some(file) = &args.ssh_config {
        ssh.arg("-F").arg(file);
    }
    let subsystem = if args.json {
        "countersign-check --json"
    } else {
        "countersign-check"
    };
    // A connection of its own: the certificate of a shared one may have run out.
    ssh.args([
        "-n",
        "-T",
        "-o",
        "ControlPath=none",
        "-s",
        "--",
        &args.target,
        subsystem,
    ]);
    let status = ssh
        .status()
        .map_err(|error| Failure::unavailable(format!("ssh cannot be run: {error}")))?;
    match status.code() {
        Some(0) => Ok(()),
        Some(1) => Err(Failure::silent(Exit::Refused)),
        Some(69) => Err(Failure::silent(Exit::Unavailable)),
        Some(GATEWAY_ENDED) => Err(
            Failure::refused("no report came: the session did not begin, or was ended").next(format!(
                "the gateway's line above says why; where it is a grant for `exec` that is missing: countersign request {}",
                args.target
            )),
        ),
        _ => Err(Failure::unavailable("ssh did not reach the gateway")
            .next("does `ssh` know it? `countersign ssh-config` prints what it needs; --ssh-config names the file")),
    }
}

/// The exit status of what the gateway itself ends.
const GATEWAY_ENDED: i32 = 254;

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
    let account = args.accounts.first().map_or("ACCOUNT", AccountName::as_str);
    eprintln!(
        "then: with a grant, prove the set-up{}: countersign resource check {account}@{}.{}",
        if args.sources.is_empty() {
            " and learn what to name with --source"
        } else {
            ""
        },
        args.name,
        card.environment
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

//! `countersign ssh-config`: what a stock OpenSSH client needs to reach an environment's resources by their names.
//!
//! No `HostName` for resources: rewriting the name would break the authority's line in known_hosts. The known_hosts
//! file is the environment's own, so an old key for the same name elsewhere cannot raise a false alarm.

use crate::exit::Failure;
use crate::trust::EnvironmentCard;
use crate::{agent, file};
use clap::Args;
use gateway::ssh::ask::ALIAS_USER;
use std::path::PathBuf;

pub(crate) const HELP: &str = "Example:
  countersign ssh-config --environment acme.public.json --gateway gw.example:2222 \\
      --gateway-key gateway_host_key.pub >> ~/.ssh/config
  ssh root@web1.acme

The block goes before any `Host *`. The known_hosts file that it names is written too. \
The gateway itself answers as `ssh countersign-acme help`.";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct SshConfigArgs {
    /// Public card of the environment
    #[arg(long, value_name = "FILE")]
    environment: PathBuf,
    /// Where the gateway listens
    #[arg(long, value_name = "HOST:PORT")]
    gateway: String,
    /// The gateway's own host key, as text or file; `countersign serve` prints it
    #[arg(long, value_name = "KEY|FILE")]
    gateway_key: String,
    /// Your key, as in `IdentityFile`
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The environment's own known_hosts file [default: ~/.ssh/countersign_NAME.known_hosts]
    #[arg(long, value_name = "FILE")]
    known_hosts: Option<PathBuf>,
}

pub(crate) fn run(args: SshConfigArgs) -> Result<(), Failure> {
    let card: EnvironmentCard = file::read_json(&args.environment, "the public card of an environment")?;
    let gateway_key = agent::key_or_file(&args.gateway_key)?;
    let (host, port) = parse_address(&args.gateway)?;
    let name = &card.environment;
    let known = match args.known_hosts {
        Some(path) => path,
        None => crate::config::home()?.join(format!(".ssh/countersign_{name}.known_hosts")),
    };
    let lines = format!(
        "@cert-authority *.{name} {}\n{} {gateway_key}\n",
        card.gateway_host_ca,
        alias(name.as_str())
    );
    file::replace(&known, lines.as_bytes())?;
    let identity = args.key.map_or_else(String::new, |path| {
        format!(
            "    IdentityFile {}\n    IdentitiesOnly yes\n",
            quoted(&path.to_string_lossy())
        )
    });
    let known = quoted(&known.to_string_lossy());
    print!(
        "# Countersign: resources of `{name}`, by way of the gateway.\n\
         Host {alias}\n    HostName {host}\n    Port {port}\n    User {ALIAS_USER}\n    HostKeyAlias {alias}\n    \
         UserKnownHostsFile {known}\n    StrictHostKeyChecking yes\n    ControlPath none\n{identity}\n\
         Host *.{name}\n    ProxyJump {alias}\n    UserKnownHostsFile {known}\n    StrictHostKeyChecking yes\n    \
         HostKeyAlgorithms ssh-ed25519-cert-v01@openssh.com\n    UpdateHostKeys no\n{identity}",
        alias = alias(name.as_str()),
    );
    Ok(())
}

/// The name by which an environment's people call its gateway.
pub(crate) fn alias(environment: &str) -> String {
    format!("countersign-{environment}")
}

fn parse_address(text: &str) -> Result<(String, u16), Failure> {
    let wrong = || Failure::usage(format!("`{text}` is not HOST:PORT, such as `gw.example:2222`"));
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse().map_err(|_| wrong())?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let plain = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:".contains(&b));
    if plain {
        Ok((host.to_owned(), port))
    } else {
        Err(wrong())
    }
}

/// A word of ssh_config.
fn quoted(text: &str) -> String {
    if text.contains(' ') {
        format!("\"{text}\"")
    } else {
        text.to_owned()
    }
}

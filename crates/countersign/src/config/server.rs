//! What a server is started with: flags beat `server.toml` in the data directory, which beats the defaults.

use super::journal::RawJournal;
use super::read_toml;
use crate::exit::Failure;
use journal::JournalConfig;
use ledger::VerifierKey;
use ledger::key::KeyKind;
use model::name::NodeName;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

const SSH_DEFAULT: &str = "127.0.0.1:2222";
const API_DEFAULT: &str = "127.0.0.1:7878";
const LOG_DEFAULT: &str = "127.0.0.1:7880";
const PUBLIC_DEFAULT: &str = "gateway.localhost";
const NODE_DEFAULT: &str = "gw1";

/// Flags of `countersign serve`.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct ServeArgs {
    /// Data directory; made if it is not there
    #[arg(long, value_name = "DIR", default_value = "countersign-data")]
    pub(crate) data: PathBuf,
    /// Where SSH clients connect [default: 127.0.0.1:2222]
    #[arg(long, value_name = "ADDRESS")]
    ssh: Option<String>,
    /// Where the API listens [default: 127.0.0.1:7878]
    #[arg(long, value_name = "ADDRESS")]
    api: Option<String>,
    /// What clients call the API where it is not its address: behind a TLS proxy, or forwarded to another port;
    /// repeat for several
    #[arg(long = "api-origin", value_name = "URL")]
    api_origins: Vec<String>,
    /// Where the logs' public side is served: checkpoints and hash tiles [default: 127.0.0.1:7880]
    #[arg(long, value_name = "ADDRESS")]
    log: Option<String>,
    /// Name under which this gateway is known, part of the origin of every log it makes; with `:PORT` where people
    /// connect to another port than that of --ssh [default: gateway.localhost]
    #[arg(long, value_name = "NAME[:PORT]")]
    public: Option<String>,
    /// Name of this node in entries [default: gw1]
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// A witness that may cosign, as URL or URL#VKEY; repeat for several
    #[arg(long = "witness", value_name = "URL")]
    witnesses: Vec<String>,
}

/// `server.toml`, as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawServer {
    ssh: Option<String>,
    api: Option<String>,
    #[serde(default)]
    api_origin: Vec<String>,
    log: Option<String>,
    public: Option<String>,
    node: Option<String>,
    #[serde(default)]
    witness: Vec<String>,
    #[serde(default)]
    journal: RawJournal,
}

/// Checked.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) data: PathBuf,
    pub(crate) ssh: SocketAddr,
    pub(crate) api: SocketAddr,
    pub(crate) api_origins: Vec<String>,
    pub(crate) log: SocketAddr,
    pub(crate) public: String,
    public_port: Option<u16>,
    pub(crate) node: NodeName,
    pub(crate) witnesses: Vec<WitnessPlace>,
    pub(crate) journal: JournalConfig,
}

/// Where a witness is, and its key if that was said.
#[derive(Debug, Clone)]
pub(crate) struct WitnessPlace {
    pub(crate) url: String,
    pub(crate) key: Option<VerifierKey>,
}

impl Server {
    pub(crate) fn read(args: ServeArgs) -> Result<Self, Failure> {
        let path = args.data.join("server.toml");
        let raw = read_toml(&path)?.unwrap_or_default();
        Self::checked(raw, args, &path)
    }

    fn checked(raw: RawServer, args: ServeArgs, path: &Path) -> Result<Self, Failure> {
        let said = |flag: Option<String>, key: &'static str, raw: Option<String>, default: &str| Said {
            place: if flag.is_some() {
                format!("--{key}")
            } else {
                format!("`{key}` in `{}`", path.display())
            },
            text: flag.or(raw).unwrap_or_else(|| default.to_owned()),
        };
        let witnesses = if args.witnesses.is_empty() {
            raw.witness
        } else {
            args.witnesses
        };
        let origins = if args.api_origins.is_empty() {
            raw.api_origin
        } else {
            args.api_origins
        };
        let (public, public_port) = said(args.public, "public", raw.public, PUBLIC_DEFAULT).host_name()?;
        Ok(Self {
            ssh: said(args.ssh, "ssh", raw.ssh, SSH_DEFAULT).address()?,
            api: said(args.api, "api", raw.api, API_DEFAULT).address()?,
            api_origins: origins
                .iter()
                .map(|text| super::checked_origin(text))
                .collect::<Result<_, _>>()?,
            log: said(args.log, "log", raw.log, LOG_DEFAULT).address()?,
            public,
            public_port,
            node: said(args.node, "node", raw.node, NODE_DEFAULT).parse()?,
            witnesses: witnesses
                .iter()
                .map(|text| witness(text, path))
                .collect::<Result<_, _>>()?,
            journal: raw.journal.checked(&args.data, path)?,
            data: args.data,
        })
    }
}

impl Server {
    /// Where people reach the gateway, as `ssh` takes it.
    pub(crate) fn ssh_address(&self, listening: SocketAddr) -> String {
        match self.public_port.unwrap_or(listening.port()) {
            22 => self.public.clone(),
            port => format!("-p {port} {}", self.public),
        }
    }
}

pub(super) fn fuzz_one(text: &str) {
    let path = Path::new("server.toml");
    drop(super::parse_toml(text, path).and_then(|raw| Server::checked(raw, ServeArgs::default(), path)));
}

/// A value with the place where it was written.
struct Said {
    place: String,
    text: String,
}

impl Said {
    fn parse<T: FromStr>(&self) -> Result<T, Failure>
    where
        T::Err: std::fmt::Display,
    {
        self.text
            .parse()
            .map_err(|error| Failure::usage(format!("{}: {error}", self.place)))
    }

    fn address(&self) -> Result<SocketAddr, Failure> {
        self.parse().map_err(|_| {
            Failure::usage(format!(
                "{}: `{}` is not an address to listen on, such as `{SSH_DEFAULT}` or `0.0.0.0:2222`",
                self.place, self.text
            ))
        })
    }

    /// A host name, and the port behind it.
    fn host_name(self) -> Result<(String, Option<u16>), Failure> {
        let (name, port) = match self.text.split_once(':') {
            Some((name, port)) => (name, Some(port.parse::<u16>())),
            None => (self.text.as_str(), None),
        };
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-';
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        let fits = (1..=200).contains(&name.len())
            && name.bytes().all(plain)
            && edge(name.chars().next())
            && edge(name.chars().next_back());
        match (fits, port.transpose()) {
            (true, Ok(port)) => Ok((name.to_owned(), port)),
            _ => Err(Failure::usage(format!(
                "{}: `{}` is not a host name in lower case, such as `gw.example` or `gw.example:22`",
                self.place, self.text
            ))),
        }
    }
}

fn witness(text: &str, path: &Path) -> Result<WitnessPlace, Failure> {
    let (url, key) = match text.split_once('#') {
        Some((url, key)) => (url, Some(key)),
        None => (text, None),
    };
    let wrong = |why: String| Failure::usage(format!("witness `{text}` (--witness or `{}`): {why}", path.display()));
    let key: Option<VerifierKey> = key
        .map(|key| key.parse().map_err(|error| wrong(format!("{error}"))))
        .transpose()?;
    if key.as_ref().is_some_and(|key| key.kind() != KeyKind::Cosignature) {
        return Err(wrong("that is the key of a log, not of a witness".into()));
    }
    let url = super::checked_url(url).map_err(|error| wrong(error.to_string()))?;
    Ok(WitnessPlace { url, key })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, args: ServeArgs) -> Result<Server, Failure> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("server.toml"), text).unwrap();
        Server::read(ServeArgs {
            data: folder.path().to_owned(),
            ..args
        })
    }

    #[test]
    fn flags_beat_the_file_which_beats_the_defaults() {
        let args = ServeArgs {
            ssh: Some("127.0.0.1:1".into()),
            ..ServeArgs::default()
        };
        let server = read("ssh = \"127.0.0.1:2\"\napi = \"127.0.0.1:3\"\n", args).unwrap();
        assert_eq!(
            (server.ssh.port(), server.api.port(), server.node.as_str()),
            (1, 3, "gw1")
        );
    }

    #[test]
    fn people_are_told_a_name_and_the_port_that_they_use() {
        for (text, told) in [
            (
                "ssh = \"127.0.0.1:2222\"\npublic = \"gw.example\"\n",
                "-p 2222 gw.example",
            ),
            ("ssh = \"127.0.0.1:2222\"\npublic = \"gw.example:22\"\n", "gw.example"),
            (
                "ssh = \"127.0.0.1:22\"\npublic = \"gw.example:2022\"\n",
                "-p 2022 gw.example",
            ),
        ] {
            let server = read(text, ServeArgs::default()).unwrap();
            assert_eq!(
                (server.ssh_address(server.ssh).as_str(), server.public.as_str()),
                (told, "gw.example")
            );
        }
    }

    #[test]
    fn a_mistake_names_its_place() {
        for (text, said) in [
            ("ssh = \"localhost\"\n", "`ssh` in `"),
            ("public = \"Gw_Example\"\n", "`Gw_Example` is not a host name"),
            ("public = \"gw.example:ssh\"\n", "`gw.example:ssh` is not a host name"),
            ("node = \"GW\"\n", "`GW` is not a name of a node"),
            ("witness = [\"127.0.0.1:1\"]\n", "witness `127.0.0.1:1`"),
            ("witness = [\"http://h#x\"]\n", "not a key in note form"),
            ("sssh = \"x\"\n", "line 1 (`sssh = \"x\"`): unknown field"),
            ("[journal]\nsegment_mib = 0\n", "`segment_mib` of [journal]"),
        ] {
            let error = read(text, ServeArgs::default()).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}

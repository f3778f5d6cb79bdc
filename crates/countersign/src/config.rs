//! Configuration files, read once: raw text becomes a checked value or an error that names line and key.
//!
//! A person's settings are in `~/.config/countersign/config.toml`; a flag beats an environment variable beats the file.

mod journal;
mod server;

pub(crate) use server::{ServeArgs, Server, WitnessPlace};

use crate::agent::{self, SigningKey};
use crate::exit::Failure;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::io;
use std::path::{Path, PathBuf};

/// Any text as both files: read and checked, or refused with its place.
pub(crate) fn fuzz_one(text: &str) {
    let path = Path::new("config.toml");
    drop(parse_toml::<RawPerson>(text, path).map(|raw| raw.server.map(|server| checked_url(&server))));
    server::fuzz_one(text);
}

/// A person's settings, as written. All keys are optional.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPerson {
    server: Option<String>,
    key: Option<PathBuf>,
}

/// Where the server is, and who asks.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct PersonArgs {
    /// The server's API
    #[arg(long, value_name = "URL", env = "COUNTERSIGN_SERVER")]
    pub(crate) server: Option<String>,
    /// Your SSH key: private key file, or public key file with the private half in the agent
    #[arg(long, value_name = "FILE", env = "COUNTERSIGN_KEY")]
    pub(crate) key: Option<PathBuf>,
}

/// A person's settings, checked.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    /// Base of the API, without a slash at its end.
    pub(crate) server: String,
    key: Option<PathBuf>,
}

/// Where the API listens unless told otherwise.
pub(crate) const API_DEFAULT: &str = "http://127.0.0.1:7878";

impl Person {
    pub(crate) fn read(args: &PersonArgs) -> Result<Self, Failure> {
        let path = person_path()?;
        let raw: RawPerson = read_toml(&path)?.unwrap_or_default();
        let server = args
            .server
            .clone()
            .or(raw.server)
            .unwrap_or_else(|| API_DEFAULT.to_owned());
        Ok(Self {
            server: checked_url(&server)?,
            key: args.key.clone().or(raw.key.map(|key| expand(&key))),
        })
    }

    /// The key that signs for this person.
    pub(crate) fn key(&self) -> Result<SigningKey, Failure> {
        let named = self.key.clone();
        let path = match named {
            Some(path) => path,
            None => agent::usual_key(&home()?).ok_or_else(|| {
                Failure::usage("no key is named, and none is in ~/.ssh")
                    .next("name your enrolled key: --key FILE, COUNTERSIGN_KEY, or `key` in ~/.config/countersign/config.toml")
            })?,
        };
        SigningKey::at(&path)
    }
}

/// Checks the base address of an API.
pub(crate) fn checked_url(text: &str) -> Result<String, Failure> {
    let wrong = |why: &str| {
        Failure::usage(format!("`{text}` is not the address of a server: {why}"))
            .next(format!("write it as `{API_DEFAULT}`"))
    };
    let url: reqwest::Url = text.parse().map_err(|error| wrong(&format!("{error}")))?;
    match (url.scheme(), url.host_str()) {
        ("http" | "https", Some(_)) => Ok(text.trim_end_matches('/').to_owned()),
        _ => Err(wrong("it must begin with http:// or https://")),
    }
}

/// A URL that is an origin and nothing else: what signs in to it, signs just that.
pub(crate) fn checked_origin(text: &str) -> Result<String, Failure> {
    let url = checked_url(text)?;
    let place = url.split_once("://").map_or("", |(_, place)| place);
    match place.contains(['/', '?', '#', '@']) {
        true => Err(Failure::usage(format!("`{text}` is more than an origin"))
            .next(format!("write it as `{API_DEFAULT}`, without a path"))),
        false => Ok(url),
    }
}

fn person_path() -> Result<PathBuf, Failure> {
    let base = std::env::var_os("XDG_CONFIG_HOME")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from);
    let base = match base {
        Some(base) => base,
        None => home()?.join(".config"),
    };
    Ok(base.join("countersign/config.toml"))
}

/// The home folder.
pub(crate) fn home() -> Result<PathBuf, Failure> {
    std::env::var_os("HOME")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
        .ok_or_else(|| Failure::unavailable("HOME is not set"))
}

fn expand(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), home()) {
        (Ok(rest), Ok(home)) => home.join(rest),
        _ => path.to_owned(),
    }
}

/// Reads a TOML file into its raw shape; none when there is no file.
pub(crate) fn read_toml<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Failure> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(Failure::unavailable(format!(
                "`{}` cannot be read: {error}",
                path.display()
            )));
        }
    };
    parse_toml(&text, path).map(Some)
}

/// The raw shape in the text of `path`; an error names line and key.
fn parse_toml<T: DeserializeOwned>(text: &str, path: &Path) -> Result<T, Failure> {
    toml::from_str(text).map_err(|error| {
        let place = error.span().map_or_else(String::new, |span| {
            let before = text.get(..span.start).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let shown = text.lines().nth(line - 1).unwrap_or_default().trim();
            format!(" line {line} (`{shown}`)")
        });
        Failure::usage(format!("`{}`{place}: {}", path.display(), error.message()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_written_configuration_names_line_and_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        for (text, said) in [
            (
                "server = \"http://x\"\nkee = \"a\"\n",
                "line 2 (`kee = \"a\"`): unknown field `kee`",
            ),
            ("server = \"http://x\"\nkey =\n", "line 2 (`key =`)"),
            ("server = 7\n", "line 1 (`server = 7`): invalid type"),
            ("server = \"http", "line 1"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = read_toml::<RawPerson>(&path).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        assert!(read_toml::<RawPerson>(&folder.path().join("none")).unwrap().is_none());
    }

    #[test]
    fn an_address_is_an_address() {
        assert_eq!(checked_url("http://127.0.0.1:7878/").unwrap(), "http://127.0.0.1:7878");
        for bad in ["127.0.0.1:7878", "gw.example", "ftp://x", ""] {
            assert!(checked_url(bad).is_err(), "{bad}");
        }
        assert_eq!(
            checked_origin("https://gw.example:8443/").unwrap(),
            "https://gw.example:8443"
        );
        for more in [
            "https://gw.example/api",
            "https://gw.example?x",
            "https://me@gw.example",
        ] {
            assert!(checked_origin(more).is_err(), "{more}");
        }
    }
}

//! `countersign witness`: the owner's own process that cosigns a log's heads. It needs no trust in the operator.

use crate::exit::Failure;
use crate::stop::{self, Stop};
use crate::{clock, file};
use clap::{Args, Subcommand};
use keeper::witness::{self, CreateError, Limits, Witness};
use ledger::KeyName;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) const HELP: &str = "Examples:
  countersign witness --data witness                       # makes the folder, then serves
  countersign witness key --data witness                   # for `owner init --witness`
  countersign witness add-log \"LOG-VKEY\" --data witness    # whom to cosign for

A running witness notices a new log. Run it on a machine of the owner's. \
A witness that lost its folder is retired with its key: there is no way back.";

const PUBLIC: &str = "vkey";

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_help = HELP)]
pub(crate) struct WitnessArgs {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Debug, Args)]
struct ServeArgs {
    #[command(flatten)]
    folder: FolderArg,
    /// Address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7879")]
    listen: SocketAddr,
    /// Name of a new witness's key
    #[arg(long, value_name = "NAME", default_value = "countersign-witness", value_parser = name)]
    name: KeyName,
}

#[derive(Debug, Args)]
struct FolderArg {
    /// Folder with the witness's key and state
    #[arg(long = "data", value_name = "DIR", default_value = "witness")]
    data: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the folder and the key, without serving
    #[command(after_help = "Example:
  countersign witness init --data witness --name witness.acme.example")]
    Init {
        #[command(flatten)]
        folder: FolderArg,
        /// Name of the key
        #[arg(long, value_name = "NAME", default_value = "countersign-witness", value_parser = name)]
        name: KeyName,
    },
    /// Print the public key
    #[command(after_help = "Example:
  countersign owner init --witness \"$(countersign witness key --data witness)\" …")]
    Key {
        #[command(flatten)]
        folder: FolderArg,
    },
    /// Cosign for this log from now on
    #[command(after_help = "Example:
  countersign witness add-log \"acme.gw.example+b99d5a87+ATl2…\" --data witness

The key stands in the operator's offer (`log_key`) and in acme.public.json.")]
    AddLog {
        /// The log's verifier key, from the environment's card or offer
        vkey: String,
        #[command(flatten)]
        folder: FolderArg,
    },
}

fn name(text: &str) -> Result<KeyName, String> {
    KeyName::new(text).map_err(|error| error.to_string())
}

pub(crate) fn run(args: WitnessArgs) -> Result<(), Failure> {
    file::keep_private();
    match args.command {
        Some(Command::Init { folder, name }) => {
            create(&folder.data, name)?;
            println!("{}", public_key(&folder.data)?);
            Ok(())
        }
        Some(Command::Key { folder }) => {
            println!("{}", public_key(&folder.data)?);
            Ok(())
        }
        Some(Command::AddLog { vkey, folder }) => {
            let key = witness::add_log(&folder.data, vkey.trim()).map_err(Failure::refused)?;
            println!("cosigns for {} from now on", key.name());
            Ok(())
        }
        None => stop::block_on(serve(args.serve)),
    }
}

fn create(folder: &Path, name: KeyName) -> Result<(), Failure> {
    let key = witness::generate_key(name).map_err(Failure::unavailable)?;
    witness::create(folder, &key).map_err(|error| match error {
        CreateError::NotEmpty(_) => {
            Failure::refused(&error).next("a witness starts in an empty folder; name another with --data")
        }
        CreateError::Io(..) => Failure::unavailable(&error),
    })?;
    file::tighten(folder)?;
    file::create_public(&folder.join(PUBLIC), format!("{}\n", key.verifier()).as_bytes())
}

fn public_key(folder: &Path) -> Result<String, Failure> {
    let text = file::read_text(&folder.join(PUBLIC))
        .map_err(|error| error.next("make a witness first: countersign witness init --data DIR"))?;
    Ok(text.trim().to_owned())
}

async fn serve(args: ServeArgs) -> Result<(), Failure> {
    stop::diagnostics();
    let folder = &args.folder.data;
    let is_new = !folder.exists() || std::fs::read_dir(folder).is_ok_and(|mut found| found.next().is_none());
    if is_new {
        create(folder, args.name)?;
    }
    file::tighten(folder)?;
    let witness = Witness::open(folder, Arc::new(clock::now_s)).map_err(Failure::refused)?;
    let mut stop = Stop::listen()?;
    let listener = tokio::net::TcpListener::bind(args.listen)
        .await
        .map_err(|error| Failure::unavailable(format!("cannot listen on `{}`: {error}", args.listen)))?;
    let at = listener.local_addr().map_err(Failure::unavailable)?;
    println!("witness  {}", witness.verifier());
    println!("serving  http://{at}");
    if witness.latest().is_empty() {
        println!(
            "next: tell it whose log to cosign: countersign witness add-log LOG-VKEY --data {}",
            folder.display()
        );
    }
    witness::serve(listener, Arc::new(witness), Limits::default(), async move {
        stop.told().await
    })
    .await
    .map_err(Failure::unavailable)
}

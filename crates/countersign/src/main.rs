//! The `countersign` binary: the command line. What each command does is in `command/`, what the server is made of in
//! `serve`.

mod agent;
mod ask;
mod client;
mod clock;
mod command;
mod config;
mod exit;
mod file;
mod fresh;
mod paint;
mod player;
mod roots;
mod stop;
mod trust;
mod words;

use clap::{CommandFactory, Parser, Subcommand};
use exit::Failure;
use std::process::ExitCode;

/// Nothing privileged happens on one signature: access gateway and evidence ledger for privileged sessions.
#[derive(Debug, Parser)]
#[command(name = "countersign", version, after_help = exit::CODES, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the owner's witness
    Witness(command::witness::WitnessArgs),
    /// Sign as the operator organisation
    #[command(subcommand)]
    Operator(command::operator::Command),
    /// Sign as the owner of an environment
    #[command(subcommand)]
    Owner(command::owner::Command),
    /// Post signed trust files to a server
    Submit(command::submit::SubmitArgs),
    /// Describe a target and set it up
    #[command(subcommand)]
    Resource(command::resource::Command),
    /// Print what OpenSSH needs to reach an environment's resources by name
    SshConfig(command::ssh_config::SshConfigArgs),
    /// Print completions for a shell
    #[command(after_help = "Example:\n  countersign completions bash > /etc/bash_completion.d/countersign")]
    Completions {
        /// `bash`, `zsh`, `fish`, `elvish` or `powershell`
        shell: clap_complete::Shell,
    },
}

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => match run(cli) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => failure.report(),
        },
        Err(error) => {
            let asked = !error.use_stderr();
            // A pipe that was closed on the help text is not worth a word.
            error.print().unwrap_or_default();
            ExitCode::from(if asked { 0 } else { exit::Exit::Usage as u8 })
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Witness(args) => command::witness::run(args),
        Command::Operator(command) => command::operator::run(command),
        Command::Owner(command) => command::owner::run(command),
        Command::Submit(args) => command::submit::run(args),
        Command::Resource(command) => command::resource::run(command),
        Command::SshConfig(args) => command::ssh_config::run(args),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "countersign", &mut std::io::stdout());
            Ok(())
        }
    }
}

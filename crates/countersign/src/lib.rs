//! The `countersign` binary: the command line. What each command does is in `command/`, what the server is made of in
//! `serve`. A library only so that what it reads from disk and network can be fuzzed; nothing else uses it.

mod agent;
mod ask;
mod client;
mod clock;
mod command;
mod config;
mod exit;
mod file;
mod fresh;
#[doc(hidden)]
pub mod fuzz;
mod gather;
mod paint;
mod player;
mod progress;
mod roots;
mod serve;
mod shown;
mod source;
mod stop;
mod trust;
mod words;

use clap::{CommandFactory, Parser, Subcommand};
use exit::Failure;
use std::process::ExitCode;
use stop::block_on;

const HELP: &str = "Examples:
  countersign ls                                                   # what may I ask for
  countersign request root@web1.acme --reason \"security patches\"   # ask
  countersign approve req_01…                                      # say yes
  countersign explain ses_01… --trust trust.txt                    # judge
  countersign help request                                         # more of one";

/// Nothing privileged happens on one signature: access gateway and evidence ledger for privileged sessions.
#[derive(Debug, Parser)]
#[command(name = "countersign", version, after_help = format!("{HELP}\n\n{}", exit::CODES), max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server: gateway, API and log
    #[command(after_help = serve::HELP)]
    Serve(config::ServeArgs),
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
    /// Keys for a new environment
    #[command(subcommand)]
    Environment(command::environment::Command),
    /// What you may reach or ask for
    #[command(after_help = command::access::LS)]
    Ls(command::access::LookArgs),
    /// Who you are here
    #[command(after_help = command::access::WHOAMI)]
    Whoami(command::access::LookArgs),
    /// Ask for access
    Request(command::access::RequestArgs),
    /// Requests that you may see
    #[command(after_help = command::access::REQUESTS)]
    Requests(command::access::LookArgs),
    /// Approve a request: shows it in plain words, then signs
    #[command(after_help = command::decide::APPROVE)]
    Approve(command::decide::DecideArgs),
    /// Deny a request
    #[command(after_help = command::decide::DENY)]
    Deny(command::decide::DecideArgs),
    /// Take a grant back; live sessions under it end
    Revoke(command::decide::RevokeArgs),
    /// End a live session
    Kill(command::decide::KillArgs),
    /// Sessions that you may see
    Sessions(command::session::SessionsArgs),
    /// A session with its entries, or a request
    Show(command::session::ShowArgs),
    /// Play a recorded session
    Play(command::play::PlayArgs),
    /// Judge a session, control by control
    #[command(after_help = command::tell::EXPLAIN)]
    Explain(command::tell::TellArgs),
    /// A session as one ordered list, with proofs
    #[command(after_help = command::tell::TIMELINE)]
    Timeline(command::tell::TellArgs),
    /// Where a session comes from: grant, approvals, request, workflow
    #[command(after_help = command::tell::LINEAGE)]
    Lineage(command::tell::TellArgs),
    /// All that the evidence says of a session, as one JSON object
    #[command(after_help = command::tell::RECORD)]
    Record(command::tell::TellArgs),
    /// Write an evidence pack
    Export(command::export::ExportArgs),
    /// Keep the newest head of a log, for `verify --seen`
    Checkpoint(command::checkpoint::CheckpointArgs),
    /// Check an evidence pack, without network
    #[command(after_help = command::verify::HELP)]
    Verify(verify::Question),
    /// Make a stopped server's projections again from its log, and check the log
    Rebuild(command::rebuild::RebuildArgs),
    /// Print completions for a shell
    #[command(after_help = "Example:\n  countersign completions bash > /etc/bash_completion.d/countersign")]
    Completions {
        /// `bash`, `zsh`, `fish`, `elvish` or `powershell`
        shell: clap_complete::Shell,
    },
}

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
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
        Command::Serve(args) => serve::run(args),
        Command::Witness(args) => command::witness::run(args),
        Command::Operator(command) => command::operator::run(command),
        Command::Owner(command) => command::owner::run(command),
        Command::Submit(args) => command::submit::run(args),
        Command::Resource(command) => command::resource::run(command),
        Command::SshConfig(args) => command::ssh_config::run(args),
        Command::Environment(command) => block_on(command::environment::run(command)),
        Command::Ls(args) => block_on(command::access::ls(args)),
        Command::Whoami(args) => block_on(command::access::whoami(args)),
        Command::Request(args) => block_on(command::access::request(args)),
        Command::Requests(args) => block_on(command::access::requests(args)),
        Command::Approve(args) => block_on(command::decide::approve(args)),
        Command::Deny(args) => block_on(command::decide::deny(args)),
        Command::Revoke(args) => block_on(command::decide::revoke(args)),
        Command::Kill(args) => block_on(command::decide::kill(args)),
        Command::Sessions(args) => block_on(command::session::sessions(args)),
        Command::Show(args) => block_on(command::session::show(args)),
        Command::Play(args) => block_on(command::play::run(args)),
        Command::Explain(args) => block_on(command::tell::explain(args)),
        Command::Timeline(args) => block_on(command::tell::timeline(args)),
        Command::Lineage(args) => block_on(command::tell::lineage(args)),
        Command::Record(args) => block_on(command::tell::record(args)),
        Command::Export(args) => block_on(command::export::run(args)),
        Command::Checkpoint(args) => block_on(command::checkpoint::run(args)),
        Command::Verify(question) => command::verify::run(&question),
        Command::Rebuild(args) => block_on(command::rebuild::run(args)),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "countersign", &mut std::io::stdout());
            Ok(())
        }
    }
}

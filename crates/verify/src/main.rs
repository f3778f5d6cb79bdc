//! `countersign-verify PACK --trust FILE`: the small offline verifier. All of it is in the library beside this file.

use clap::Parser;
use std::io;
use std::process::ExitCode;
use verify::{EXIT_USAGE, Question, answer};

/// Verifies an evidence pack offline, against what you believe, and judges its sessions.
///
/// Exit codes: 0 intact and trusted, 1 tampered with, 2 trust not established, 3 written by a newer format, 64 usage,
/// 69 a file cannot be read.
#[derive(Debug, Parser)]
#[command(name = "countersign-verify", version)]
struct Arguments {
    #[command(flatten)]
    question: Question,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let help = !error.use_stderr();
            // Nothing is left to tell it to when the terminal is gone.
            error.print().unwrap_or_default();
            return ExitCode::from(if help { 0 } else { EXIT_USAGE });
        }
    };
    match answer(&arguments.question, &mut io::stdout().lock()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("countersign-verify: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

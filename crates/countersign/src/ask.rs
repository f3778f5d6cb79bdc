//! Questions to the person at the terminal. Without a terminal nothing is assumed: `--yes` must be said.

use crate::exit::Failure;
use std::io::{self, BufRead, IsTerminal, Write};

/// Fails where nobody could answer, for commands that must know before they begin.
pub(crate) fn can_confirm(yes: bool) -> Result<(), Failure> {
    if yes || io::stdin().is_terminal() {
        return Ok(());
    }
    Err(Failure::usage("nobody is there to confirm what is signed")
        .next("run it on a terminal, or say --yes if you know what you sign"))
}

/// Goes on only after a `y`, or with `yes`.
pub(crate) fn confirm(question: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    can_confirm(yes)?;
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    io::stderr()
        .flush()
        .and_then(|()| io::stdin().lock().read_line(&mut answer))
        .map_err(|error| Failure::unavailable(format!("no answer could be read: {error}")))?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::refused("not confirmed; nothing was signed or sent")),
    }
}

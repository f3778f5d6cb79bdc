//! Colour, on terminals only and never where `NO_COLOR` is set (no-color.org).

use std::fmt::Display;
use std::io::IsTerminal;

/// Colours, or leaves as it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    /// For standard output.
    pub(crate) fn of_output() -> Self {
        Self::when(std::io::stdout().is_terminal())
    }

    /// For standard error.
    pub(crate) fn of_errors() -> Self {
        Self::when(std::io::stderr().is_terminal())
    }

    fn when(terminal: bool) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self {
            on: terminal && !refused && !dumb,
        }
    }

    fn wrap(self, code: &str, text: impl Display) -> String {
        if self.on {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_string()
        }
    }

    /// Whether anything is coloured.
    pub(crate) fn is_on(self) -> bool {
        self.on
    }

    /// A heading.
    pub(crate) fn bold(self, text: impl Display) -> String {
        self.wrap("1", text)
    }

    /// What matters less.
    pub(crate) fn dim(self, text: impl Display) -> String {
        self.wrap("2", text)
    }

    /// It holds.
    pub(crate) fn good(self, text: impl Display) -> String {
        self.wrap("32", text)
    }

    /// It does not.
    pub(crate) fn bad(self, text: impl Display) -> String {
        self.wrap("1;31", text)
    }

    /// Not known, or to be noticed.
    pub(crate) fn doubt(self, text: impl Display) -> String {
        self.wrap("33", text)
    }

    /// Colours the words of outcomes where they stand first on a line, and the line that says the result.
    pub(crate) fn outcomes(self, page: &str) -> String {
        if !self.on {
            return page.to_owned();
        }
        page.split_inclusive('\n').map(|line| self.outcome(line)).collect()
    }

    fn outcome(self, line: &str) -> String {
        let indent = line.len() - line.trim_start().len();
        let (blank, rest) = line.split_at_checked(indent).unwrap_or(("", line));
        let word = rest.split([' ', '\n']).next().unwrap_or_default();
        let tail = rest.strip_prefix(word).unwrap_or_default();
        let painted = match word {
            "ok" | "PASS" => self.good(word),
            "FAILED" | "FAIL" => self.bad(word),
            "note" | "untrusted" | "newer" | "UNKNOWN" | "PENDING" => self.doubt(word),
            "N/A" => self.dim(word),
            "result:" | "session" => self.bold(word),
            _ => return line.to_owned(),
        };
        format!("{blank}{painted}{tail}")
    }
}

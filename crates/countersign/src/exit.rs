//! How a command fails: what is wrong, what to do next, and the exit code that programs rely on.
//!
//! INVARIANT (stable codes): 0 done, 1 refused or proven wrong, 2 trust not established, 3 written by a newer format,
//! 64 wrong usage, 69 something that is needed is not there or does not answer.

use std::fmt;
use std::process::ExitCode;

/// What the codes mean, for the help.
pub(crate) const CODES: &str = "Exit codes:
  0   done; everything that was checked holds
  1   refused, or a check failed
  2   consistent in itself, but trust is not established: say whom you believe (--trust)
  3   written by a newer format; use a newer version of this program
  64  the command line or a configuration file is wrong
  69  a file, a server or a program that is needed is not there or does not answer";

/// Which code a failure ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// A rule, a person or a check said no.
    Refused = 1,
    /// Nobody that the reader believes vouches for it.
    TrustNotEstablished = 2,
    /// Not to be read by this version.
    Newer = 3,
    /// The caller's mistake.
    Usage = 64,
    /// Not there, or not answering.
    Unavailable = 69,
}

/// Why a command did not do its work.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    what: String,
    next: Option<String>,
    absent: bool,
    rule: Option<String>,
}

impl Failure {
    /// A failure with its code.
    pub(crate) fn new(exit: Exit, what: impl fmt::Display) -> Self {
        Self {
            exit,
            what: what.to_string(),
            next: None,
            absent: false,
            rule: None,
        }
    }

    /// Names the server's rule that said no.
    pub(crate) fn under(mut self, rule: String) -> Self {
        self.rule = Some(rule);
        self
    }

    pub(crate) fn is_under(&self, rule: &str) -> bool {
        self.rule.as_deref() == Some(rule)
    }

    /// A rule, a person or a check said no.
    pub(crate) fn refused(what: impl fmt::Display) -> Self {
        Self::new(Exit::Refused, what)
    }

    /// The caller's mistake.
    pub(crate) fn usage(what: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, what)
    }

    /// Not there, or not answering.
    pub(crate) fn unavailable(what: impl fmt::Display) -> Self {
        Self::new(Exit::Unavailable, what)
    }

    /// What was asked for does not exist, or is not the caller's to see.
    pub(crate) fn absent(what: impl fmt::Display) -> Self {
        Self {
            absent: true,
            ..Self::new(Exit::Refused, what)
        }
    }

    pub(crate) fn is_absent(&self) -> bool {
        self.absent
    }

    pub(crate) fn is_unavailable(&self) -> bool {
        self.exit == Exit::Unavailable
    }

    /// Adds what to do next.
    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// Says first what it is about.
    pub(crate) fn about(mut self, what: &str) -> Self {
        self.what = format!("{what}: {}", self.what);
        self
    }

    /// Ends with a code and nothing more to say: the output has said it.
    pub(crate) fn silent(exit: Exit) -> Self {
        Self::new(exit, "")
    }

    /// Tells standard error, and gives the code.
    pub(crate) fn report(&self) -> ExitCode {
        let paint = crate::paint::Paint::of_errors();
        if !self.what.is_empty() {
            eprintln!("{} {}", paint.bad("error:"), self.what);
        }
        if let Some(next) = &self.next {
            eprintln!(" {} {next}", paint.dim("next:"));
        }
        ExitCode::from(self.exit as u8)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

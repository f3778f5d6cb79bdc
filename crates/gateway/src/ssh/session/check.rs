//! The check of a target: what is asked of it, how its answers are read, and what is said about them.
//!
//! Not here: the log-ins and the channel (`relay/check.rs`). What a target prints is a stranger's text: it is read up to
//! a bound, and only printable ASCII of it comes out again.
//!
//! - [`facts`]: the one script that is run on the target, and its output as values
//! - [`findings`]: all that was found out
//! - `knocks`: what is said of the log-ins
//! - [`line`]: one line of what is said
//! - [`report`]: each thing that is to be proven, with `ok`, `FAILED` or `unknown`

pub mod facts;
pub mod findings;
mod knocks;
pub mod line;
pub mod report;

pub use facts::{Facts, Heard};
pub use findings::{Clock, Findings, Knock, Knocked, Right};
pub use report::Report;

/// The subsystem that asks for a check, as the gateway answers it.
pub const SUBSYSTEM: &str = "countersign-check";

/// How the report is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Lines for a person.
    Text,
    /// For a program.
    Json,
}

impl Form {
    /// Reads a subsystem's name; nothing where it is another subsystem.
    #[must_use]
    pub fn of(subsystem: &str) -> Option<Self> {
        match subsystem.strip_prefix(SUBSYSTEM)? {
            "" => Some(Self::Text),
            " --json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// A certificate by which something is found out, and in what it differs from the session's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// Its principal is of a resource that cannot exist.
    OtherHost,
    /// It was valid before now.
    Expired,
    /// It is for log-ins from an address that nobody has.
    OtherSource,
    /// It has always been valid, from any address, and lets a target tell its time and our address, nothing else.
    Earlier,
    /// The same, but valid as long as the session's own and a day more.
    Later,
}

impl Wrong {
    /// Those that a rightly set-up target refuses, in the order in which they are tried.
    pub const REFUSED: [Self; 3] = [Self::OtherHost, Self::Expired, Self::OtherSource];
    /// Those that find out why the session's own was refused, in the order in which they are tried.
    pub const TELLING: [Self; 2] = [Self::Earlier, Self::Later];

    /// In the log, as the action's command.
    #[must_use]
    pub const fn command(self) -> &'static str {
        match self {
            Self::OtherHost => "countersign probe: log in with a certificate for another host",
            Self::Expired => "countersign probe: log in with an expired certificate",
            Self::OtherSource => "countersign probe: log in with a certificate for another source address",
            Self::Earlier => {
                "countersign probe: ask for time and source address, with a certificate for any time before now"
            }
            Self::Later => "countersign probe: ask for time and source address, with a certificate for a day from now",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subsystem_has_two_forms_and_no_others() {
        assert_eq!(Form::of("countersign-check"), Some(Form::Text));
        assert_eq!(Form::of("countersign-check --json"), Some(Form::Json));
        for other in ["", "sftp", "countersign-checks", "countersign-check --all"] {
            assert_eq!(Form::of(other), None, "{other}");
        }
    }
}

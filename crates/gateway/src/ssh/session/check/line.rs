//! One line of a report: `ok`, `FAILED` or `unknown`, why, and what to do next; for people and for programs.

/// How a line came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Proven.
    Ok,
    /// Proven wrong.
    Failed,
    /// Neither.
    Unknown,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What it is about, for programs.
    pub check: &'static str,
    /// How it came out.
    pub state: State,
    /// Why.
    pub because: String,
    /// What to do; empty where nothing is to be done.
    pub next: String,
}

impl State {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "FAILED",
            Self::Unknown => "unknown",
        }
    }
}

impl Line {
    pub(super) fn text(&self) -> String {
        let (state, name) = (self.state.word(), self.check.replace('_', " "));
        let next = match self.next.as_str() {
            "" => String::new(),
            next => format!("{:27}next: {next}\n", ""),
        };
        format!("{state:8} {name:17} {}\n{next}", self.because)
    }

    pub(super) fn json(&self) -> String {
        format!(
            "{{\"because\":{},\"check\":{},\"next\":{},\"state\":{}}}",
            quoted(&self.because),
            quoted(self.check),
            quoted(&self.next),
            quoted(&self.state.word().to_lowercase()),
        )
    }
}

/// A JSON string. No control characters come here (`facts`), but none would pass either.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars().filter(|c| !c.is_control()) {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

const fn line(check: &'static str, state: State, because: String, next: String) -> Line {
    Line {
        check,
        state,
        because,
        next,
    }
}

pub(super) const fn ok(check: &'static str, because: String) -> Line {
    line(check, State::Ok, because, String::new())
}

pub(super) const fn failed(check: &'static str, because: String, next: String) -> Line {
    line(check, State::Failed, because, next)
}

pub(super) const fn unknown(check: &'static str, because: String, next: String) -> Line {
    line(check, State::Unknown, because, next)
}

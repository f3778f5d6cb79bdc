//! A channel request as one value: from the client's message, in words for the recording, to the target.

use bytes::Bytes;
use recording::Resize;
use russh::{ChannelMsg, Pty, Sig};

/// The longest command, subsystem or value that the recording's remark repeats; the whole is in the entry.
const WORDS_MAX: usize = 16 * 1024;

/// A request of a client on a channel.
#[derive(Debug, Clone)]
pub(super) enum Request {
    /// A terminal.
    Pty {
        term: String,
        size: Size,
        modes: Vec<(Pty, u32)>,
    },
    Env {
        name: String,
        value: String,
    },
    Shell,
    Exec(Vec<u8>),
    Subsystem(String),
    Resize(Size),
    Signal(Sig),
    /// Any other, as it came.
    Named {
        name: String,
        data: Bytes,
    },
}

/// A terminal's size in characters and pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) columns: u32,
    pub(super) rows: u32,
    pub(super) width: u32,
    pub(super) height: u32,
}

impl Size {
    /// As the recording keeps it.
    pub(super) fn recorded(self) -> Resize {
        let cells = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
        Resize {
            columns: cells(self.columns),
            rows: cells(self.rows),
        }
    }
}

/// A request with what the recording says about it first.
#[derive(Debug)]
pub(super) struct Described {
    pub(super) request: Request,
    words: String,
}

impl AsRef<[u8]> for Described {
    fn as_ref(&self) -> &[u8] {
        self.words.as_bytes()
    }
}

impl Request {
    /// The request in a message, and whether it wants an answer; nothing where the message is none.
    pub(super) fn read(msg: ChannelMsg) -> Option<(Self, bool)> {
        Some(match msg {
            ChannelMsg::RequestPty {
                want_reply,
                term,
                col_width,
                row_height,
                pix_width,
                pix_height,
                terminal_modes,
            } => {
                let size = Size {
                    columns: col_width,
                    rows: row_height,
                    width: pix_width,
                    height: pix_height,
                };
                (
                    Self::Pty {
                        term,
                        size,
                        modes: terminal_modes,
                    },
                    want_reply,
                )
            }
            ChannelMsg::WindowChange {
                col_width,
                row_height,
                pix_width,
                pix_height,
            } => {
                let size = Size {
                    columns: col_width,
                    rows: row_height,
                    width: pix_width,
                    height: pix_height,
                };
                (Self::Resize(size), false)
            }
            ChannelMsg::SetEnv {
                want_reply,
                variable_name,
                variable_value,
            } => (
                Self::Env {
                    name: variable_name,
                    value: variable_value,
                },
                want_reply,
            ),
            ChannelMsg::RequestShell { want_reply } => (Self::Shell, want_reply),
            ChannelMsg::Exec { want_reply, command } => (Self::Exec(command), want_reply),
            ChannelMsg::RequestSubsystem { want_reply, name } => (Self::Subsystem(name), want_reply),
            ChannelMsg::Signal { signal } => (Self::Signal(signal), false),
            ChannelMsg::AgentForward { want_reply } => (Self::named("auth-agent-req@openssh.com"), want_reply),
            ChannelMsg::RequestX11 { want_reply, .. } => (Self::named("x11-req"), want_reply),
            ChannelMsg::Request { name, want_reply, data } => (Self::Named { name, data }, want_reply),
            _ => return None,
        })
    }

    fn named(name: &str) -> Self {
        Self::Named {
            name: name.to_owned(),
            data: Bytes::new(),
        }
    }

    /// Its name on the wire.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Pty { .. } => "pty-req",
            Self::Env { .. } => "env",
            Self::Shell => "shell",
            Self::Exec(_) => "exec",
            Self::Subsystem(_) => "subsystem",
            Self::Resize(_) => "window-change",
            Self::Signal(_) => "signal",
            Self::Named { name, .. } => name,
        }
    }

    /// The subsystem's name, where it asks for one.
    pub(super) fn subsystem(&self) -> Option<&str> {
        if let Self::Subsystem(name) = self {
            Some(name)
        } else {
            None
        }
    }

    /// What an action's entry repeats.
    pub(super) fn command(&self) -> Option<Vec<u8>> {
        match self {
            Self::Exec(command) => Some(command.clone()),
            Self::Subsystem(name) => Some(name.clone().into_bytes()),
            _ => None,
        }
    }

    /// With its words.
    pub(super) fn described(self) -> Described {
        let words = match &self {
            Self::Pty { term, size, .. } => format!("pty-req {term} {}x{}", size.columns, size.rows),
            Self::Env { name, value } => format!("env {name}={value}"),
            Self::Exec(command) => format!("exec {}", String::from_utf8_lossy(command)),
            Self::Subsystem(name) => format!("subsystem {name}"),
            Self::Signal(signal) => format!("signal {}", signal_name(signal)),
            other => other.name().to_owned(),
        };
        Described {
            request: self,
            words: words.chars().take(WORDS_MAX).collect(),
        }
    }
}

/// A signal in SSH's spelling, without `SIG`.
pub(super) fn signal_name(signal: &Sig) -> String {
    match signal {
        Sig::Custom(name) => name.clone(),
        named => format!("{named:?}"),
    }
}

/// A signal by SSH's spelling.
pub(super) fn signal_of(name: &str) -> Sig {
    let known = [
        Sig::ABRT,
        Sig::ALRM,
        Sig::FPE,
        Sig::HUP,
        Sig::ILL,
        Sig::INT,
        Sig::KILL,
        Sig::PIPE,
        Sig::QUIT,
        Sig::SEGV,
        Sig::TERM,
        Sig::USR1,
    ];
    known
        .into_iter()
        .find(|signal| signal_name(signal) == name)
        .unwrap_or_else(|| Sig::Custom(name.to_owned()))
}

//! What becomes of each channel type, channel request and global request of RFC 4254 (and RFC 4335) and of OpenSSH's
//! PROTOCOL: passed on, answered by the gateway, or refused. The relay asks this table; whatever is not in it is refused.

/// What a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `SSH_MSG_CHANNEL_OPEN`.
    Channel,
    /// `SSH_MSG_CHANNEL_REQUEST`.
    ChannelRequest,
    /// `SSH_MSG_GLOBAL_REQUEST`.
    GlobalRequest,
}

/// Which side sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The person's client.
    Client,
    /// The target.
    Target,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// Passed on to the other side, recorded first, and the other side's answer passed back.
    Forward,
    /// Answered here; the other side does not see it.
    Answer,
    /// Refused here; the other side does not see it.
    Refuse,
}

/// One row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// What it is about.
    pub kind: Kind,
    /// Who sends it.
    pub from: Side,
    /// Its name on the wire.
    pub name: &'static str,
    /// What becomes of it.
    pub disposition: Disposition,
    /// How, or why.
    pub note: &'static str,
}

const fn row(kind: Kind, from: Side, name: &'static str, disposition: Disposition, note: &'static str) -> Row {
    Row {
        kind,
        from,
        name,
        disposition,
        note,
    }
}

use Disposition::{Answer, Forward, Refuse};
use Kind::{Channel, ChannelRequest, GlobalRequest};
use Side::{Client, Target};

/// The table, in the order in which it is printed.
#[rustfmt::skip]
pub const TABLE: &[Row] = &[
    row(Channel, Client, "session", Forward, "accepted at once; the target's is opened when it is reached. Without a target: the gateway's own words"),
    row(Channel, Client, "direct-tcpip", Forward, "an action `forward`, or `tunnel_local` for the target's loopback. Without a target: to the name of a resource and port 22, the gateway itself answers (`-J`)"),
    row(Channel, Client, "direct-streamlocal@openssh.com", Refuse, "no grant covers sockets of the target"),
    row(Channel, Client, "forwarded-tcpip", Refuse, "only a server may open it"),
    row(Channel, Client, "forwarded-streamlocal@openssh.com", Refuse, "only a server may open it"),
    row(Channel, Client, "x11", Refuse, "only a server may open it"),
    row(Channel, Client, "auth-agent@openssh.com", Refuse, "only a server may open it"),
    row(Channel, Client, "tun@openssh.com", Refuse, "a network tunnel cannot be bounded"),
    row(Channel, Target, "session", Refuse, "a target opens no channels"),
    row(Channel, Target, "direct-tcpip", Refuse, "a target opens no channels"),
    row(Channel, Target, "forwarded-tcpip", Refuse, "remote forwarding is never asked for"),
    row(Channel, Target, "forwarded-streamlocal@openssh.com", Refuse, "remote forwarding is never asked for"),
    row(Channel, Target, "x11", Refuse, "X11 forwarding is never asked for"),
    row(Channel, Target, "auth-agent@openssh.com", Refuse, "agent forwarding is never asked for"),
    row(Channel, Target, "tun@openssh.com", Refuse, "a target opens no channels"),
    row(ChannelRequest, Client, "pty-req", Forward, "terminal modes included"),
    row(ChannelRequest, Client, "env", Forward, "the target's AcceptEnv decides"),
    row(ChannelRequest, Client, "shell", Forward, "an action `shell`"),
    row(ChannelRequest, Client, "exec", Forward, "an action `exec`"),
    row(ChannelRequest, Client, "subsystem", Forward, "`sftp` is an action `sftp`. `countersign-check` is answered by the gateway: it tries the target, each try an action `exec`, and reports. Any other is refused"),
    row(ChannelRequest, Client, "window-change", Forward, "recorded as a new size"),
    row(ChannelRequest, Client, "signal", Forward, ""),
    row(ChannelRequest, Client, "break", Forward, "RFC 4335"),
    row(ChannelRequest, Client, "eow@openssh.com", Forward, ""),
    row(ChannelRequest, Client, "x11-req", Refuse, "X11 gives the target the person's display"),
    row(ChannelRequest, Client, "auth-agent-req@openssh.com", Refuse, "a forwarded agent signs for whoever is root on the target"),
    row(ChannelRequest, Client, "exit-status", Refuse, "only a server may send it"),
    row(ChannelRequest, Client, "exit-signal", Refuse, "only a server may send it"),
    row(ChannelRequest, Client, "xon-xoff", Refuse, "only a server may send it"),
    row(ChannelRequest, Target, "exit-status", Forward, "sent with the end of data, after all data"),
    row(ChannelRequest, Target, "exit-signal", Forward, "sent with the end of data, after all data"),
    row(ChannelRequest, Target, "xon-xoff", Forward, ""),
    row(ChannelRequest, Target, "eow@openssh.com", Forward, ""),
    row(ChannelRequest, Target, "keepalive@openssh.com", Answer, "success; it proves that the gateway lives"),
    row(GlobalRequest, Client, "tcpip-forward", Refuse, "remote forwarding lets others act in the session"),
    row(GlobalRequest, Client, "cancel-tcpip-forward", Refuse, "there is nothing to cancel"),
    row(GlobalRequest, Client, "streamlocal-forward@openssh.com", Refuse, "remote forwarding lets others act in the session"),
    row(GlobalRequest, Client, "cancel-streamlocal-forward@openssh.com", Refuse, "there is nothing to cancel"),
    row(GlobalRequest, Client, "no-more-sessions@openssh.com", Answer, "honoured here: later session channels are refused"),
    row(GlobalRequest, Client, "hostkeys-prove-00@openssh.com", Refuse, "the gateway's host keys are vouched for by certificate"),
    row(GlobalRequest, Client, "keepalive@openssh.com", Answer, "failure, as OpenSSH answers it"),
    row(GlobalRequest, Target, "hostkeys-00@openssh.com", Answer, "not passed on, and not followed: pins are signed by the owner"),
    row(GlobalRequest, Target, "keepalive@openssh.com", Answer, "success"),
];

/// What becomes of it. Not in the table: refused.
#[must_use]
pub fn of(kind: Kind, from: Side, name: &str) -> Disposition {
    TABLE
        .iter()
        .find(|row| row.kind == kind && row.from == from && row.name == name)
        .map_or(Refuse, |row| row.disposition)
}

/// The table as it stands in the guide.
#[must_use]
pub fn markdown() -> String {
    let mut out = String::new();
    for (kind, title) in [
        (Channel, "Channel types"),
        (ChannelRequest, "Channel requests"),
        (GlobalRequest, "Global requests"),
    ] {
        // Writing to a String does not fail.
        out.push_str(&format!(
            "## {title}\n\n| name | from | what becomes of it | how, or why |\n|---|---|---|---|\n"
        ));
        for row in TABLE.iter().filter(|row| row.kind == kind) {
            let from = match row.from {
                Client => "client",
                Target => "target",
            };
            let what = match row.disposition {
                Forward => "forwarded",
                Answer => "answered",
                Refuse => "refused",
            };
            out.push_str(&format!("| `{}` | {from} | {what} | {} |\n", row.name, row.note));
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_row_stands_twice() {
        for (at, row) in TABLE.iter().enumerate() {
            let twin = TABLE
                .iter()
                .skip(at + 1)
                .find(|r| (r.kind, r.from, r.name) == (row.kind, row.from, row.name));
            assert_eq!(twin, None);
        }
    }

    #[test]
    fn what_is_not_in_the_table_is_refused() {
        assert_eq!(of(Channel, Client, "new@example.com"), Refuse);
        assert_eq!(of(ChannelRequest, Target, "exec"), Refuse);
        assert_eq!(of(ChannelRequest, Client, "exec"), Forward);
    }

    /// Nothing that a target starts reaches the client but news about what the client started.
    #[test]
    fn targets_start_nothing() {
        assert!(
            TABLE
                .iter()
                .all(|row| row.from == Client || row.kind != Channel || row.disposition == Refuse)
        );
        assert!(
            TABLE
                .iter()
                .all(|row| row.kind != GlobalRequest || row.disposition != Forward)
        );
    }

    #[test]
    fn the_guide_holds_this_table() {
        let guide = include_str!("../../../../../docs/guides/ssh-protocol.md");
        assert!(
            guide.ends_with(&markdown()),
            "docs/guides/ssh-protocol.md does not end with:\n{}",
            markdown()
        );
    }
}

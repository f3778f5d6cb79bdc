//! The facts of a target: the one script that is run there, which changes nothing, and its output as values.
//!
//! INVARIANT (a stranger's text): at most [`KEPT_BYTES_MAX`] are kept, a line is cut, and every byte that is not
//! printable ASCII is a `?` from here on.

use model::id::SessionId;

/// What is kept of the output.
pub const KEPT_BYTES_MAX: usize = 64 * 1024;
/// Output beyond this ends the script.
pub const HEARD_BYTES_MAX: u64 = 1024 * 1024;
/// The longest line; what is longer is cut.
const LINE_BYTES_MAX: usize = 300;
/// The most of a kind that is kept.
const LIST_MAX: usize = 100;

/// The command that is run on the target, for any shell that knows single quotes. Only the session's id, letters and
/// digits, stands in it.
#[must_use]
pub fn command(session: SessionId) -> String {
    let script = include_str!("facts.sh").replace("@SESSION@", &session.to_string());
    format!("exec /bin/sh -c '{script}'")
}

/// Output of the script as it comes.
#[derive(Debug, Default)]
pub struct Heard {
    kept: Vec<u8>,
    total: u64,
}

impl Heard {
    /// Takes a piece. False: it is too much, the script is to be ended.
    pub fn hear(&mut self, piece: &[u8]) -> bool {
        self.total = self.total.saturating_add(piece.len() as u64);
        let room = KEPT_BYTES_MAX.saturating_sub(self.kept.len()).min(piece.len());
        self.kept.extend_from_slice(piece.get(..room).unwrap_or_default());
        self.total <= HEARD_BYTES_MAX
    }

    /// The values in it.
    #[must_use]
    pub fn read(&self) -> Facts {
        Facts::read(&self.kept)
    }
}

/// Whether a log names the session's log-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// It does.
    Found,
    /// It names log-ins, and not this one.
    Missing,
    /// The account may not read it.
    Unread,
}

/// What the target said about itself. Nothing in it is proven; it is what the account was told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its clock, Unix seconds.
    pub time_s: Option<u64>,
    /// From where it sees the gateway.
    pub from: Option<String>,
    /// sshd's `LogLevel`.
    pub level: Option<String>,
    /// Whether sshd's configuration could be read.
    pub config: bool,
    /// Logs, by name.
    pub logs: Vec<(Named, String)>,
    /// Principals that sshd takes for this account.
    pub principals: Vec<String>,
    /// The command that gives sshd further keys.
    pub keys_from: Option<String>,
    /// Files with keys: how many, whose, where.
    pub keys: Vec<(u64, String, String)>,
    /// Places that may hold keys and may not be read.
    pub hidden: Vec<String>,
    /// What sudo says of its version; empty where it says nothing.
    pub sudo: Option<String>,
    /// Whether it was said that there is no sudo.
    pub no_sudo: bool,
    /// Whether the script came to its end.
    pub whole: bool,
}

impl Facts {
    /// Reads whatever comes. What does not belong is left out.
    #[must_use]
    pub fn read(output: &[u8]) -> Self {
        let mut facts = Self::default();
        // A line before the first of ours is the account's own: a profile may print.
        let lines = output.split(|byte| *byte == b'\n').map(plain);
        for line in lines.skip_while(|line| line != "countersign-check 1").skip(1) {
            if facts.whole {
                break;
            }
            let (key, value) = line.split_once(' ').unwrap_or((&line, ""));
            facts.take(key, value.trim());
        }
        facts
    }

    fn take(&mut self, key: &str, value: &str) {
        let text = || Some(value.to_owned());
        match key {
            "time" => self.time_s = value.parse().ok(),
            "from" => self.from = text(),
            "level" => self.level = text(),
            "config" => self.config = value == "read",
            "log" => push(&mut self.logs, log(value)),
            "principal" => push(&mut self.principals, value.split_whitespace().last().map(str::to_owned)),
            "keys-from" => self.keys_from = text(),
            "keys" => push(&mut self.keys, keys(value)),
            "hidden" => push(
                &mut self.hidden,
                value.split_once(' ').map(|(_, place)| place.to_owned()),
            ),
            "sudo" => self.sudo = text(),
            "no-sudo" => self.no_sudo = true,
            "end" => self.whole = true,
            _ => {}
        }
    }
}

fn push<T: PartialEq>(list: &mut Vec<T>, one: Option<T>) {
    if let Some(one) = one
        && list.len() < LIST_MAX
        && !list.contains(&one)
    {
        list.push(one);
    }
}

fn log(value: &str) -> Option<(Named, String)> {
    let (named, place) = value.split_once(' ')?;
    let named = match named {
        "found" => Named::Found,
        "missing" => Named::Missing,
        "unread" => Named::Unread,
        _ => return None,
    };
    Some((named, place.to_owned()))
}

fn keys(value: &str) -> Option<(u64, String, String)> {
    let mut parts = value.splitn(3, ' ');
    let count = parts.next()?.parse().ok()?;
    Some((count, parts.next()?.to_owned(), parts.next()?.to_owned()))
}

/// A line that is safe to show: printable ASCII alone, and not long.
fn plain(line: &[u8]) -> String {
    let shown = |byte: &u8| match byte {
        b' '..=b'~' => char::from(*byte),
        _ => '?',
    };
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line.iter().take(LINE_BYTES_MAX).map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> SessionId {
        SessionId::new(1_700_000_000_000, [7; 10])
    }

    #[test]
    fn the_script_is_small_and_holds_nothing_that_a_shell_could_misread() {
        let command = command(session());
        assert!(command.len() <= 4096, "{}", command.len());
        assert!(command.contains(&format!("id={}\n", session())));
        assert_eq!(
            command.matches('\'').count(),
            2,
            "one pair of quotes, whatever is in between"
        );
        assert!(!command.contains("@SESSION@") && command.is_ascii());
    }

    #[test]
    fn what_the_script_says_is_read() {
        let said = b"welcome to web1\ncountersign-check 1\ntime 1700000000\nfrom 10.0.0.9\nlevel INFO\nlog missing a\n\
            log found /var/log/auth.log\nconfig read\nprincipal from=\"10.0.0.0/8\" cs:acme:web1:root\nprincipal \n\
            keys 2 root /root/.ssh/authorized_keys\nkeys 2 root /root/.ssh/authorized_keys\nkeys x root /y\n\
            hidden bob /home/bob/.ssh/authorized_keys\nsudo Sudo version 1.9.13p3\nend\nfrom 10.9.9.9\n";
        let facts = Facts::read(said);
        let wanted = Facts {
            time_s: Some(1_700_000_000),
            from: Some("10.0.0.9".into()),
            level: Some("INFO".into()),
            config: true,
            logs: vec![(Named::Missing, "a".into()), (Named::Found, "/var/log/auth.log".into())],
            principals: vec!["cs:acme:web1:root".into()],
            keys_from: None,
            keys: vec![(2, "root".into(), "/root/.ssh/authorized_keys".into())],
            hidden: vec!["/home/bob/.ssh/authorized_keys".into()],
            sudo: Some("Sudo version 1.9.13p3".into()),
            no_sudo: false,
            whole: true,
        };
        assert_eq!(facts, wanted);
    }

    #[test]
    fn hostile_output_is_bounded_and_comes_out_plain() {
        let mut heard = Heard::default();
        let piece = b"countersign-check 1\nfrom \x1b]0;owned\x07\x00\xff\x9b2J\xe2\x80\xae\r\nkeys 1 a /b\n";
        assert!(heard.hear(piece));
        let facts = heard.read();
        assert_eq!(facts.from.as_deref(), Some("?]0;owned????2J???"));
        let many: Vec<u8> = (0..20_000_u32)
            .flat_map(|n| format!("hidden u /h{n}\n").into_bytes())
            .collect();
        assert!(heard.hear(&many));
        assert!(!heard.hear(&vec![b'A'; 2 << 20]), "megabytes end the script");
        let facts = heard.read();
        assert_eq!((heard.kept.len(), facts.hidden.len()), (KEPT_BYTES_MAX, LIST_MAX));
        assert!(!facts.whole);
        let long = [b"countersign-check 1\nfrom ".as_slice(), &[b'x'; 5000]].concat();
        assert_eq!(Facts::read(&long).from.unwrap().len(), LINE_BYTES_MAX - 5);
        assert_eq!(
            Facts::read(&[0; 10_000]),
            Facts::default(),
            "and what is no answer is none"
        );
    }
}

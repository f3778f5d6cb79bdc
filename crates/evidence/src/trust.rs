//! What a reader believes before reading: logs and witnesses (C2SP `tlog-policy`), and the roots of each environment's
//! owner, got out of band. Never read from a pack. `docs/formats/pack.md` describes the file.

use ledger::SignedCheckpoint;
use ledger::checkpoint::CheckpointError;
use ledger::policy::{Policy, PolicyError};
use model::name::EnvironmentName;
use model::signature::Key;
use model::statement::Genesis;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The longest trust file that is read.
pub const TRUST_BYTES_MAX: usize = 64 * 1024;
/// Owner lines in one trust file.
const OWNERS_MAX: usize = 256;

/// A reader's trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    policy: Policy,
    owners: BTreeMap<EnvironmentName, Vec<Key>>,
    seen: Option<SignedCheckpoint>,
}

/// Why a file is not a trust file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// Longer than [`TRUST_BYTES_MAX`].
    #[error("the trust file is longer than {TRUST_BYTES_MAX} bytes")]
    TooLong,
    /// Not UTF-8.
    #[error("the trust file is not utf-8")]
    NotUtf8,
    /// A program rewrote its line ends.
    #[error(
        "the trust file has carriage returns (CR LF line ends), so it is not as its owner gave it out: remove them"
    )]
    CarriageReturns,
    /// An `owner` line is not of its form.
    #[error("line {0} of the trust file is not `owner ENVIRONMENT OPENSSH-PUBLIC-KEY`")]
    Owner(usize),
    /// More than 256 `owner` lines.
    #[error("the trust file has more than {OWNERS_MAX} owner lines")]
    TooManyOwners,
    /// The other lines are not a policy.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

impl Trust {
    /// Reads a trust file.
    ///
    /// # Errors
    /// When a line is neither an owner line nor one of a policy.
    pub fn parse(bytes: &[u8]) -> Result<Self, TrustError> {
        if bytes.len() > TRUST_BYTES_MAX {
            return Err(TrustError::TooLong);
        }
        let text = str::from_utf8(bytes).map_err(|_| TrustError::NotUtf8)?;
        if text.contains('\r') {
            return Err(TrustError::CarriageReturns);
        }
        let mut owners: BTreeMap<EnvironmentName, Vec<Key>> = BTreeMap::new();
        let mut policy = String::with_capacity(text.len());
        let mut count = 0;
        for (at, line) in text.split_inclusive('\n').enumerate() {
            let Some(rest) = owner_line(line) else {
                policy.push_str(line);
                continue;
            };
            // An empty line in its place, so that faults in the policy keep their line numbers.
            policy.push('\n');
            count += 1;
            if count > OWNERS_MAX {
                return Err(TrustError::TooManyOwners);
            }
            let (environment, key) = owner(rest).ok_or(TrustError::Owner(at + 1))?;
            let keys = owners.entry(environment).or_default();
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        let policy = Policy::parse(policy.as_bytes())?;
        Ok(Self {
            policy,
            owners,
            seen: None,
        })
    }

    /// The trust file that an environment's own genesis suggests: what its owner gives to readers, and by which a holder
    /// of the log reads its own evidence. Whoever takes it from a pack has established nothing.
    #[must_use]
    pub fn file_of(genesis: &Genesis) -> String {
        let mut text = format!("log {}\n", genesis.log_key);
        let names = witness_names(&genesis.witnesses);
        for (name, key) in names.iter().zip(&genesis.witnesses) {
            write_line(&mut text, format_args!("witness {name} {key}"));
        }
        match genesis.gate {
            model::statement::Gate::Witnesses(count) if !names.is_empty() => {
                write_line(&mut text, format_args!("group witnesses {count} {}", names.join(" ")));
                text.push_str("quorum witnesses\n");
            }
            _ => text.push_str("quorum none\n"),
        }
        for root in &genesis.owner_roots {
            write_line(&mut text, format_args!("owner {} {root}", genesis.environment));
        }
        text
    }

    /// Adds the newest checkpoint that the reader has seen before: what a pack of the same log may not fall short of.
    #[must_use]
    pub fn with_seen(mut self, checkpoint: SignedCheckpoint) -> Self {
        self.seen = Some(checkpoint);
        self
    }

    /// As [`Trust::with_seen`], from the checkpoint's bytes.
    ///
    /// # Errors
    /// When the bytes are not a signed checkpoint.
    pub fn with_seen_note(self, note: &[u8]) -> Result<Self, CheckpointError> {
        Ok(self.with_seen(SignedCheckpoint::parse(note)?))
    }

    /// The newest checkpoint that the reader has seen before.
    #[must_use]
    pub fn seen(&self) -> Option<&SignedCheckpoint> {
        self.seen.as_ref()
    }

    /// Logs and witnesses.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The roots of the owner of `environment` that the reader knows.
    #[must_use]
    pub fn owners(&self, environment: &EnvironmentName) -> &[Key] {
        self.owners.get(environment).map(Vec::as_slice).unwrap_or_default()
    }
}

/// The name in each witness's own key; numbered where two are alike, and where a policy's word would be one.
fn witness_names(keys: &[String]) -> Vec<String> {
    let mut names: Vec<String> = vec![];
    for key in keys {
        let own = key.split('+').next().unwrap_or_default();
        let taken = |name: &str| matches!(name, "" | "none" | "witnesses") || names.iter().any(|known| known == name);
        let name = match taken(own) {
            false => own.to_owned(),
            true => format!("{own}-{}", names.len() + 1),
        };
        names.push(name);
    }
    names
}

fn write_line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    writeln!(text, "{line}").unwrap_or_default();
}

/// What follows the word `owner`, if the line begins with it.
fn owner_line(line: &str) -> Option<&str> {
    let blank = |c: char| c == ' ' || c == '\t';
    let (word, rest) = line.trim_start_matches(blank).split_once(blank)?;
    (word == "owner").then_some(rest)
}

fn owner(rest: &str) -> Option<(EnvironmentName, Key)> {
    let line = rest.strip_suffix('\n')?;
    let blank = |c: char| c == ' ' || c == '\t';
    if line.chars().any(|c| c.is_control() && c != '\t') {
        return None;
    }
    let (environment, key) = line.trim_matches(blank).split_once(blank)?;
    Some((environment.parse().ok()?, key.trim_matches(blank).parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::{KeyName, NoteKey, WitnessKey};
    use model::fixture::{LogTerms, World, public, seed};
    use model::statement::Gate;

    fn file() -> String {
        let log = NoteKey::from_seed(KeyName::new("acme.gateway.example").unwrap(), &[3; 32]);
        let witness = WitnessKey::from_seed(KeyName::new("w.example").unwrap(), &[7; 32]);
        format!(
            "# ours\nlog {}\nwitness w1 {}\nquorum w1\nowner acme {} root of Acme\n\towner  acme\t{}\n",
            log.verifier(),
            witness.verifier(),
            public(seed::OWNER_ROOT),
            public(seed::OWNER_ROOT_2)
        )
    }

    #[test]
    fn owners_and_policy_are_read_from_one_file() {
        let trust = Trust::parse(file().as_bytes()).unwrap();
        let acme = "acme".parse().unwrap();
        assert_eq!(
            trust.owners(&acme),
            [public(seed::OWNER_ROOT), public(seed::OWNER_ROOT_2)]
        );
        assert!(trust.owners(&"other".parse().unwrap()).is_empty());
        assert_eq!(trust.policy().witnesses().len(), 1);
    }

    #[test]
    fn a_bad_line_is_named() {
        let line = |text: &str| Trust::parse(text.as_bytes()).unwrap_err().to_string();
        for bad in [
            "owner acme\n",
            "owner Acme ssh-ed25519 AAAA\n",
            "owner acme ssh-ed25519 AAAA\n",
        ] {
            assert!(
                line(&format!("quorum none\n{bad}")).starts_with("line 2 of the trust file"),
                "{bad}"
            );
        }
        let unfinished = file();
        assert!(line(unfinished.trim_end()).starts_with("line 6 of the trust file"));
        assert_eq!(
            line(&format!("{}quorum none\n", file())),
            "line 7 of the trust policy: there is a quorum line already"
        );
        assert!(line("owner acme x\n").contains("line 1"));
        assert!(line(&file().replace('\n', "\r\n")).contains("carriage returns"));
    }

    #[test]
    fn a_genesis_suggests_a_file_that_reads_back() {
        let log = NoteKey::from_seed(KeyName::new("acme.gateway.example").unwrap(), &[3; 32]);
        let witness = WitnessKey::from_seed(KeyName::new("w.example").unwrap(), &[7; 32]);
        for gate in [Gate::None, Gate::Witnesses(1)] {
            let world = World::blank(LogTerms {
                log_key: log.verifier().to_string(),
                witnesses: vec![witness.verifier().to_string()],
                gate,
                ..LogTerms::default()
            });
            let trust = Trust::parse(Trust::file_of(&world.genesis()).as_bytes()).unwrap();
            assert_eq!(trust.policy().asks_for_none(), gate == Gate::None);
            assert_eq!(trust.owners(&"acme".parse().unwrap()).len(), 2);
        }
    }

    #[test]
    fn witnesses_are_called_by_the_names_in_their_keys() {
        let keys = ["w.acme.example+1+A", "none+2+B", "w.acme.example+3+C"].map(str::to_owned);
        assert_eq!(witness_names(&keys), ["w.acme.example", "none-2", "w.acme.example-3"]);
    }
}

//! Trust policies of C2SP `tlog-policy`: which logs and witnesses the reader believes, and what quorum it asks for.
//!
//! A policy is written by hand, so blanks and comments are free; all else is exact. One restriction beyond the
//! specification: the file is UTF-8. Evaluation takes a checkpoint and says which log signed, which witnesses cosigned
//! and when, and whether the quorum is met. `quorum none` is an explicit choice that the answer carries.
//!
//! INVARIANT (members come first): a member index points at a witness or at a group before the one that lists it, so
//! evaluation ends; no name is a member twice, so each witness counts in one way only.

use std::collections::{BTreeMap, BTreeSet};

use crate::checkpoint::SignedCheckpoint;
use crate::decimal;
use crate::key::{KeyError, KeyKind, KeyName, VerifierKey};
use crate::note::VerifyError;

/// The longest policy that is read.
pub const POLICY_BYTES_MAX: usize = 64 * 1024;
/// The most logs, witnesses and groups, each.
pub const LINES_MAX: usize = 128;

/// A parsed policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    logs: Vec<PolicyLog>,
    witnesses: Vec<PolicyWitness>,
    groups: Vec<Group>,
    quorum: Option<Member>,
}

/// A log that is believed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyLog {
    /// Its key; the key's name is the log's origin.
    pub key: VerifierKey,
    /// Where it is served, if the policy says so.
    pub url: Option<String>,
}

/// A witness that is believed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyWitness {
    /// Its name within the policy.
    pub name: String,
    /// Its cosignature key.
    pub key: VerifierKey,
    /// Its submission prefix, if the policy says so.
    pub url: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Group {
    threshold: usize,
    members: Vec<Member>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Member {
    Witness(usize),
    Group(usize),
}

/// What a checkpoint is worth under a policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Evaluation {
    /// The log that signed, by its key's name.
    pub origin: KeyName,
    /// The policy's witnesses that cosigned, in the policy's order.
    pub cosigned: Vec<Cosigned>,
    /// Whether the quorum is met.
    pub quorum: Quorum,
}

/// One cosignature by a witness of the policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cosigned {
    /// The witness's name within the policy.
    pub witness: String,
    /// The name of its key.
    pub key_name: KeyName,
    /// When it saw the checkpoint, in seconds since the Unix epoch.
    pub time: u64,
}

/// Whether the witnesses that the policy asks for cosigned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Quorum {
    /// The policy asks for no witness (`quorum none`).
    NoneAsked,
    /// Enough witnesses cosigned; by this time (seconds since the Unix epoch) enough of them had.
    Met {
        /// The earliest time by which the cosignatures made a quorum.
        by: u64,
    },
    /// Not enough witnesses cosigned.
    Unmet,
}

/// Why a checkpoint is refused before its witnesses are counted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EvaluateError {
    /// No believed log signed it.
    #[error("no log of the trust policy signed the checkpoint of `{0}`")]
    NotByALog(KeyName),
    /// A believed key's signature line is bad or ambiguous.
    #[error(transparent)]
    Signature(#[from] VerifyError),
}

/// Why text is not a policy; says in which line.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PolicyError {
    /// Longer than [`POLICY_BYTES_MAX`].
    #[error("the trust policy is longer than {POLICY_BYTES_MAX} bytes")]
    TooLong,
    /// Not UTF-8.
    #[error("the trust policy is not utf-8")]
    NotUtf8,
    /// There is no quorum line.
    #[error("the trust policy has no quorum line")]
    NoQuorum,
    /// The line is not one of the specification.
    #[error("line {line} of the trust policy: {fault}")]
    Line {
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        fault: LineFault,
    },
}

/// What is wrong with a line of a policy.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LineFault {
    /// It does not end in a newline: the file may be cut off.
    #[error("it does not end in a newline")]
    Unfinished,
    /// It holds a control character other than tab.
    #[error("it holds a control character")]
    ControlCharacter,
    /// It starts with another word than log, witness, group or quorum, or has too few or too many items.
    #[error("it is not `log KEY [URL]`, `witness NAME KEY [URL]`, `group NAME any|all|N NAME...` or `quorum NAME`")]
    Form,
    /// A key is not a vkey of the type that a log or witness has.
    #[error("its key is not usable: {0}")]
    Key(KeyError),
    /// The key appears twice.
    #[error("its key is listed twice")]
    DuplicateKey,
    /// The name is taken, or is `none`.
    #[error("the name `{0}` is taken")]
    NameTaken(String),
    /// The name is not defined on an earlier line.
    #[error("`{0}` is not defined before")]
    Undefined(String),
    /// The name is already a member of a group.
    #[error("`{0}` is a member twice")]
    MemberTwice(String),
    /// The threshold is not a number from 1 to the number of members.
    #[error("the threshold `{0}` does not fit the number of members")]
    Threshold(String),
    /// There is a quorum line already.
    #[error("there is a quorum line already")]
    SecondQuorum,
    /// More than [`LINES_MAX`] of its kind.
    #[error("there are more than {LINES_MAX} of its kind")]
    TooMany,
}

impl Policy {
    /// Reads a policy file.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        if bytes.len() > POLICY_BYTES_MAX {
            return Err(PolicyError::TooLong);
        }
        let text = str::from_utf8(bytes).map_err(|_| PolicyError::NotUtf8)?;
        let mut reader = Reader::default();
        for (number, line) in text.split_inclusive('\n').enumerate() {
            reader.line(line).map_err(|fault| PolicyError::Line {
                line: number + 1,
                fault,
            })?;
        }
        let quorum = reader.quorum.ok_or(PolicyError::NoQuorum)?;
        Ok(Self {
            logs: reader.logs,
            witnesses: reader.witnesses,
            groups: reader.groups,
            quorum,
        })
    }

    /// The logs that are believed; may be empty where the log is known otherwise.
    pub fn logs(&self) -> &[PolicyLog] {
        &self.logs
    }

    /// The witnesses that are believed, whether or not the quorum needs them.
    pub fn witnesses(&self) -> &[PolicyWitness] {
        &self.witnesses
    }

    /// Whether the policy asks for no witness (`quorum none`).
    pub const fn asks_for_none(&self) -> bool {
        self.quorum.is_none()
    }

    /// Evaluates a checkpoint that one of the policy's logs must have signed.
    pub fn evaluate(&self, signed: &SignedCheckpoint) -> Result<Evaluation, EvaluateError> {
        for log in &self.logs {
            if signed.is_signed_by(&log.key)? {
                return self.count(signed);
            }
        }
        Err(EvaluateError::NotByALog(signed.checkpoint().origin().clone()))
    }

    /// Evaluates a checkpoint that this log, known from elsewhere, must have signed; the policy's logs do not matter.
    pub fn evaluate_for(&self, log: &VerifierKey, signed: &SignedCheckpoint) -> Result<Evaluation, EvaluateError> {
        if signed.is_signed_by(log)? {
            self.count(signed)
        } else {
            Err(EvaluateError::NotByALog(signed.checkpoint().origin().clone()))
        }
    }

    fn count(&self, signed: &SignedCheckpoint) -> Result<Evaluation, EvaluateError> {
        let times: Result<Vec<Option<u64>>, VerifyError> = self
            .witnesses
            .iter()
            .map(|witness| signed.cosigned_at(&witness.key))
            .collect();
        let times = times?;
        let cosigned = self.witnesses.iter().zip(&times).filter_map(|(witness, time)| {
            Some(Cosigned {
                witness: witness.name.clone(),
                key_name: witness.key.name().clone(),
                time: (*time)?,
            })
        });
        Ok(Evaluation {
            origin: signed.checkpoint().origin().clone(),
            cosigned: cosigned.collect(),
            quorum: self.quorum_of(&times),
        })
    }

    /// `times` has one place per witness.
    fn quorum_of(&self, times: &[Option<u64>]) -> Quorum {
        let Some(quorum) = self.quorum else {
            return Quorum::NoneAsked;
        };
        let mut candidates: Vec<u64> = times.iter().flatten().copied().collect();
        candidates.sort_unstable();
        let met = |by: &u64| {
            self.holds(quorum, &|index| {
                times.get(index).copied().flatten().is_some_and(|time| time <= *by)
            })
        };
        candidates
            .into_iter()
            .find(met)
            .map_or(Quorum::Unmet, |by| Quorum::Met { by })
    }

    fn holds(&self, quorum: Member, cosigned: &impl Fn(usize) -> bool) -> bool {
        // INVARIANT (members come first): one pass over the groups decides them all.
        let mut decided: Vec<bool> = Vec::with_capacity(self.groups.len());
        let holds = |member: &Member, decided: &[bool]| match *member {
            Member::Witness(index) => cosigned(index),
            Member::Group(index) => decided.get(index).copied().unwrap_or(false),
        };
        for group in &self.groups {
            let count = group.members.iter().filter(|member| holds(member, &decided)).count();
            decided.push(count >= group.threshold);
        }
        holds(&quorum, &decided)
    }
}

#[derive(Default)]
struct Reader {
    logs: Vec<PolicyLog>,
    witnesses: Vec<PolicyWitness>,
    groups: Vec<Group>,
    names: BTreeMap<String, Member>,
    listed: BTreeSet<String>,
    quorum: Option<Option<Member>>,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), LineFault> {
        let line = line.strip_suffix('\n').ok_or(LineFault::Unfinished)?;
        if line.bytes().any(|byte| (byte < b' ' && byte != b'\t') || byte == 0x7f) {
            return Err(LineFault::ControlCharacter);
        }
        let items: Vec<&str> = line.split([' ', '\t']).filter(|item| !item.is_empty()).collect();
        match items.as_slice() {
            [] => Ok(()),
            [first, ..] if first.starts_with('#') => Ok(()),
            ["log", key] => self.log(key, None),
            ["log", key, url] => self.log(key, Some(url)),
            ["witness", name, key] => self.witness(name, key, None),
            ["witness", name, key, url] => self.witness(name, key, Some(url)),
            ["group", name, threshold, members @ ..] if !members.is_empty() => self.group(name, threshold, members),
            ["quorum", name] => self.quorum(name),
            _ => Err(LineFault::Form),
        }
    }

    fn log(&mut self, key: &str, url: Option<&str>) -> Result<(), LineFault> {
        let key = read_key(key, KeyKind::Note)?;
        if self.logs.iter().any(|log| log.key.public() == key.public()) {
            return Err(LineFault::DuplicateKey);
        }
        push(
            &mut self.logs,
            PolicyLog {
                key,
                url: url.map(Into::into),
            },
        )
    }

    fn witness(&mut self, name: &str, key: &str, url: Option<&str>) -> Result<(), LineFault> {
        let key = read_key(key, KeyKind::Cosignature)?;
        if self
            .witnesses
            .iter()
            .any(|witness| witness.key.public() == key.public())
        {
            return Err(LineFault::DuplicateKey);
        }
        self.define(name, Member::Witness(self.witnesses.len()))?;
        push(
            &mut self.witnesses,
            PolicyWitness {
                name: name.into(),
                key,
                url: url.map(Into::into),
            },
        )
    }

    fn group(&mut self, name: &str, threshold: &str, members: &[&str]) -> Result<(), LineFault> {
        let threshold = read_threshold(threshold, members.len())?;
        let members: Result<Vec<Member>, LineFault> = members.iter().map(|member| self.member(member)).collect();
        let members = members?;
        self.define(name, Member::Group(self.groups.len()))?;
        push(&mut self.groups, Group { threshold, members })
    }

    /// INVARIANT (members come first)
    fn member(&mut self, name: &str) -> Result<Member, LineFault> {
        let member = *self.names.get(name).ok_or_else(|| LineFault::Undefined(name.into()))?;
        if !self.listed.insert(name.into()) {
            return Err(LineFault::MemberTwice(name.into()));
        }
        Ok(member)
    }

    fn quorum(&mut self, name: &str) -> Result<(), LineFault> {
        if self.quorum.is_some() {
            return Err(LineFault::SecondQuorum);
        }
        let quorum = match name {
            "none" => None,
            name => Some(*self.names.get(name).ok_or_else(|| LineFault::Undefined(name.into()))?),
        };
        self.quorum = Some(quorum);
        Ok(())
    }

    fn define(&mut self, name: &str, member: Member) -> Result<(), LineFault> {
        if name == "none" || self.names.contains_key(name) {
            return Err(LineFault::NameTaken(name.into()));
        }
        self.names.insert(name.into(), member);
        Ok(())
    }
}

fn push<T>(list: &mut Vec<T>, item: T) -> Result<(), LineFault> {
    if list.len() >= LINES_MAX {
        return Err(LineFault::TooMany);
    }
    list.push(item);
    Ok(())
}

fn read_key(text: &str, kind: KeyKind) -> Result<VerifierKey, LineFault> {
    let key: VerifierKey = text.parse().map_err(LineFault::Key)?;
    if key.kind() == kind {
        Ok(key)
    } else {
        Err(LineFault::Key(KeyError::Kind(key.kind().byte())))
    }
}

fn read_threshold(text: &str, members: usize) -> Result<usize, LineFault> {
    let threshold = match text {
        "any" => Some(1),
        "all" => Some(members),
        number => decimal::parse(number).and_then(|number| usize::try_from(number).ok()),
    };
    let fits = threshold.filter(|threshold| (1..=members).contains(threshold));
    fits.ok_or_else(|| LineFault::Threshold(text.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consistency::Head;
    use crate::{Checkpoint, Hash, NoteKey, WitnessKey};

    fn log(seed: u8) -> NoteKey {
        NoteKey::from_seed(KeyName::new(format!("log.example/{seed}")).unwrap(), &[seed; 32])
    }

    fn witness(seed: u8) -> WitnessKey {
        WitnessKey::from_seed(KeyName::new(format!("witness.example/{seed}")).unwrap(), &[seed; 32])
    }

    fn signed(by: u8, cosigned: &[(u8, u64)]) -> SignedCheckpoint {
        let key = log(by);
        let head = Head {
            size: 0,
            root: Hash::EMPTY_ROOT,
        };
        let mut signed = Checkpoint::new(key.verifier().name().clone(), head).sign(&key).unwrap();
        for (seed, time) in cosigned {
            signed
                .add(witness(*seed).cosign(signed.checkpoint(), *time).unwrap())
                .unwrap();
        }
        signed
    }

    /// The example of the specification, with keys.
    fn example() -> String {
        let w = |seed| witness(seed).verifier().to_string();
        format!(
            "# who is believed\nlog {}\n\nwitness X1 {}\nwitness\tX2 {}  https://w.example/x2 \n  witness X3 {}\n\
             group X-witnesses 2 X1 X2 X3\n\nwitness Y1 {}\nwitness Y2 {}\nwitness Y3 {}\n\
             group Y-witnesses any Y1 Y2 Y3\n\ngroup X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n",
            log(1).verifier(),
            w(11),
            w(12),
            w(13),
            w(21),
            w(22),
            w(23),
        )
    }

    #[test]
    fn the_example_of_the_specification() {
        let policy = Policy::parse(example().as_bytes()).unwrap();
        assert_eq!(
            (policy.logs().len(), policy.witnesses().len(), policy.asks_for_none()),
            (1, 6, false)
        );
        assert_eq!(policy.witnesses()[1].url.as_deref(), Some("https://w.example/x2"));
        let quorum = |cosigned: &[(u8, u64)]| policy.evaluate(&signed(1, cosigned)).unwrap().quorum;
        assert_eq!(quorum(&[]), Quorum::Unmet);
        assert_eq!(quorum(&[(11, 5), (12, 9)]), Quorum::Unmet);
        assert_eq!(quorum(&[(11, 5), (21, 7), (22, 8), (23, 9)]), Quorum::Unmet);
        assert_eq!(quorum(&[(11, 5), (12, 9), (21, 7)]), Quorum::Met { by: 9 });
        assert_eq!(
            quorum(&[(11, 5), (12, 9), (13, 6), (23, 7), (21, 70)]),
            Quorum::Met { by: 7 }
        );
        assert_eq!(
            quorum(&[(11, 5), (99, 9), (21, 7)]),
            Quorum::Unmet,
            "an unknown witness does not count"
        );
    }

    #[test]
    fn evaluation_names_who_cosigned_and_when() {
        let policy = Policy::parse(example().as_bytes()).unwrap();
        let evaluation = policy.evaluate(&signed(1, &[(22, 7), (11, 5)])).unwrap();
        let names: Vec<_> = evaluation
            .cosigned
            .iter()
            .map(|one| (one.witness.as_str(), one.key_name.as_str(), one.time))
            .collect();
        assert_eq!(
            names,
            [("X1", "witness.example/11", 5), ("Y2", "witness.example/22", 7)]
        );
        assert_eq!(evaluation.origin.as_str(), "log.example/1");
    }

    #[test]
    fn a_checkpoint_that_no_believed_log_signed_is_refused() {
        let policy = Policy::parse(example().as_bytes()).unwrap();
        let all = [(11, 5), (12, 5), (21, 5)];
        assert!(matches!(
            policy.evaluate(&signed(2, &all)),
            Err(EvaluateError::NotByALog(_))
        ));
        // The right origin, signed by nobody that is believed: only the witnesses' lines are left.
        let mut stripped = signed(1, &all);
        stripped.retain(&[witness(11).verifier().clone(), witness(12).verifier().clone()]);
        assert!(matches!(policy.evaluate(&stripped), Err(EvaluateError::NotByALog(_))));
        assert!(policy.evaluate_for(log(2).verifier(), &signed(2, &all)).is_ok());
        assert!(matches!(
            policy.evaluate_for(log(2).verifier(), &signed(1, &all)),
            Err(EvaluateError::NotByALog(_))
        ));
    }

    #[test]
    fn a_bad_signature_of_a_believed_witness_refuses() {
        let policy = Policy::parse(example().as_bytes()).unwrap();
        // Three good cosignatures of another head, under this one's text.
        let lines = signed(2, &[(11, 5), (12, 9), (21, 7)]).note().signatures()[1..]
            .iter()
            .map(ToString::to_string)
            .collect::<String>();
        let broken = format!("{}{lines}", signed(1, &[]));
        let broken = SignedCheckpoint::parse(broken.as_bytes()).unwrap();
        assert!(matches!(
            policy.evaluate(&broken),
            Err(EvaluateError::Signature(VerifyError::BadSignature(_)))
        ));
    }

    #[test]
    fn none_is_explicit() {
        let policy = Policy::parse(format!("log {}\nquorum none\n", log(1).verifier()).as_bytes()).unwrap();
        assert!(policy.asks_for_none());
        assert_eq!(policy.evaluate(&signed(1, &[])).unwrap().quorum, Quorum::NoneAsked);
        assert_eq!(Policy::parse(b"quorum none\n").unwrap().logs().len(), 0);
    }

    /// Two witnesses, on lines 1 and 2.
    fn two() -> String {
        format!(
            "witness a {}\nwitness b {}\n",
            witness(1).verifier(),
            witness(2).verifier()
        )
    }

    fn assert_faults(cases: impl IntoIterator<Item = (String, usize, LineFault)>) {
        for (text, line, fault) in cases {
            assert_eq!(
                Policy::parse(text.as_bytes()),
                Err(PolicyError::Line { line, fault }),
                "{text}"
            );
        }
    }

    #[test]
    fn faults_of_form_and_keys_are_named_with_their_line() {
        let (l, w) = (log(1).verifier().to_string(), witness(1).verifier().to_string());
        let other = KeyName::new("other").unwrap();
        let renamed = VerifierKey::new(other, KeyKind::Cosignature, witness(1).verifier().public()).unwrap();
        assert_faults([
            ("quorum none".into(), 1, LineFault::Unfinished),
            ("quorum none\r\n".into(), 1, LineFault::ControlCharacter),
            ("\n\nmonitor x\n".into(), 3, LineFault::Form),
            (format!("log {l} url more\n"), 1, LineFault::Form),
            (format!("{}group g any\n", two()), 3, LineFault::Form),
            ("quorum\n".into(), 1, LineFault::Form),
            (format!("log {w}\n"), 1, LineFault::Key(KeyError::Kind(4))),
            (format!("witness a {l}\n"), 1, LineFault::Key(KeyError::Kind(1))),
            ("log x\n".into(), 1, LineFault::Key(KeyError::Malformed)),
            (format!("log {l}\nlog {l}\n"), 2, LineFault::DuplicateKey),
            (
                format!("witness a {w}\nwitness b {renamed}\n"),
                2,
                LineFault::DuplicateKey,
            ),
        ]);
    }

    #[test]
    fn faults_of_names_and_groups_are_named_with_their_line() {
        let (w, v) = (witness(1).verifier().to_string(), witness(2).verifier().to_string());
        let after = |line: &str| format!("{}{line}\n", two());
        assert_faults([
            (
                format!("witness a {w}\nwitness a {v}\n"),
                2,
                LineFault::NameTaken("a".into()),
            ),
            (format!("witness none {w}\n"), 1, LineFault::NameTaken("none".into())),
            (after("group a any b"), 3, LineFault::NameTaken("a".into())),
            (after("group g any c"), 3, LineFault::Undefined("c".into())),
            (after("group g any g"), 3, LineFault::Undefined("g".into())),
            (after("group g any none"), 3, LineFault::Undefined("none".into())),
            (format!("quorum a\n{}", two()), 1, LineFault::Undefined("a".into())),
            (after("group g 2 a a"), 3, LineFault::MemberTwice("a".into())),
            (
                after("group g any a\ngroup h any a b"),
                4,
                LineFault::MemberTwice("a".into()),
            ),
            (after("group g 0 a b"), 3, LineFault::Threshold("0".into())),
            (after("group g 3 a b"), 3, LineFault::Threshold("3".into())),
            (after("group g some a b"), 3, LineFault::Threshold("some".into())),
            ("quorum none\nquorum none\n".into(), 2, LineFault::SecondQuorum),
        ]);
    }

    #[test]
    fn a_file_that_is_no_policy_is_refused() {
        assert_eq!(Policy::parse(two().as_bytes()), Err(PolicyError::NoQuorum));
        assert_eq!(Policy::parse(b""), Err(PolicyError::NoQuorum));
        assert_eq!(Policy::parse(b"# \xff\nquorum none\n"), Err(PolicyError::NotUtf8));
        assert_eq!(
            Policy::parse(&vec![b'\n'; POLICY_BYTES_MAX + 1]),
            Err(PolicyError::TooLong)
        );
    }

    #[test]
    fn many_lines_are_read_and_too_many_refused() {
        let lines = |count: usize| -> String {
            let key = |n: usize| {
                let mut seed = [0; 32];
                seed[..8].copy_from_slice(&n.to_be_bytes());
                WitnessKey::from_seed(KeyName::new("w").unwrap(), &seed)
                    .verifier()
                    .to_string()
            };
            (0..count)
                .map(|n| format!("witness w{n} {}\n", key(n)))
                .collect::<String>()
                + "quorum none\n"
        };
        assert_eq!(
            Policy::parse(lines(LINES_MAX).as_bytes()).unwrap().witnesses().len(),
            LINES_MAX
        );
        let error = Policy::parse(lines(LINES_MAX + 1).as_bytes()).unwrap_err();
        assert_eq!(
            error,
            PolicyError::Line {
                line: LINES_MAX + 1,
                fault: LineFault::TooMany
            }
        );
    }
}

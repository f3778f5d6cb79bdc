//! Checkpoints of C2SP `tlog-checkpoint`: a note whose text is a log's origin, size and root.
//!
//! Extension lines are refused: nothing but the tree is signed. The origin is held to the rule for key names, and the
//! log's key bears the origin as its name.

use std::fmt;

use crate::consistency::Head;
use crate::decimal;
use crate::hash::Hash;
use crate::key::{KeyName, NoteKey, VerifierKey};
use crate::note::{Note, NoteError, NoteSignature, VerifyError};

/// What a log states about its tree. Printed, it is the note's text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    origin: KeyName,
    head: Head,
}

/// A note whose text is a checkpoint. Well-formed, not trusted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: Note,
}

/// Why bytes are not a checkpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Not a note.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The first line is not an origin.
    #[error("the checkpoint's origin is malformed")]
    Origin,
    /// The second line is not a size from 0 to 2^63 − 1 in its one form.
    #[error("the checkpoint's size is malformed")]
    Size,
    /// The third line is not a hash, or the tree is empty and its root is not that of the empty tree.
    #[error("the checkpoint's root is malformed")]
    Root,
    /// There are lines after the third.
    #[error("the checkpoint has extension lines")]
    Extension,
}

/// Why a key cannot sign a checkpoint.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SignError {
    /// The key belongs to another log.
    #[error("the key of `{key}` cannot sign for the log `{origin}`")]
    Origin {
        /// Name of the key.
        key: KeyName,
        /// Origin of the checkpoint.
        origin: KeyName,
    },
    /// The note cannot be made.
    #[error(transparent)]
    Note(#[from] NoteError),
}

impl Checkpoint {
    /// Statement of the log `origin` about its tree.
    pub const fn new(origin: KeyName, head: Head) -> Self {
        Self { origin, head }
    }

    /// Reads the text of a note.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.split('\n');
        let mut next = || lines.next().unwrap_or_default();
        let origin = KeyName::new(next()).map_err(|_| CheckpointError::Origin)?;
        let size = decimal::parse(next()).ok_or(CheckpointError::Size)?;
        let root = Hash::from_base64(next()).ok_or(CheckpointError::Root)?;
        if (size == 0) && (root != Hash::EMPTY_ROOT) {
            return Err(CheckpointError::Root);
        }
        if lines.next() != Some("") || lines.next().is_some() {
            return Err(CheckpointError::Extension);
        }
        Ok(Self {
            origin,
            head: Head { size, root },
        })
    }

    /// The log.
    pub const fn origin(&self) -> &KeyName {
        &self.origin
    }

    /// Size and root of the tree.
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// The checkpoint as a note signed by the log's key.
    pub fn sign(self, key: &NoteKey) -> Result<SignedCheckpoint, SignError> {
        if key.verifier().name() != &self.origin {
            return Err(SignError::Origin {
                key: key.verifier().name().clone(),
                origin: self.origin,
            });
        }
        let mut note = Note::unsigned(self.to_string())?;
        note.sign(key)?;
        Ok(SignedCheckpoint { checkpoint: self, note })
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.head.size, self.head.root)
    }
}

impl SignedCheckpoint {
    /// Reads a signed checkpoint.
    pub fn parse(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let note = Note::parse(bytes)?;
        Ok(Self {
            checkpoint: Checkpoint::parse(note.text())?,
            note,
        })
    }

    /// What the note says.
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note.
    pub const fn note(&self) -> &Note {
        &self.note
    }

    /// Whether the log that the checkpoint names signed it with this key.
    pub fn is_signed_by(&self, log: &VerifierKey) -> Result<bool, VerifyError> {
        let own = log.name() == self.checkpoint.origin();
        Ok(own && self.note.verify(log)?.is_some())
    }

    /// When this witness saw the checkpoint, in seconds since the Unix epoch; `None` when it did not cosign.
    pub fn cosigned_at(&self, witness: &VerifierKey) -> Result<Option<u64>, VerifyError> {
        Ok(self.note.verify(witness)?.and_then(|verified| verified.time))
    }

    /// Adds a cosignature in place of an earlier one by the same key.
    pub fn add(&mut self, signature: NoteSignature) -> Result<(), NoteError> {
        self.note.add(signature)
    }

    /// Drops the lines of all other keys.
    pub fn retain(&mut self, keys: &[VerifierKey]) {
        self.note.retain(keys);
    }
}

/// The note's bytes.
impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification.
    const TEXT: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

    #[test]
    fn golden_text() {
        let checkpoint = Checkpoint::parse(TEXT).unwrap();
        assert_eq!(checkpoint.origin().as_str(), "example.com/behind-the-sofa");
        assert_eq!(checkpoint.head().size, 20_852_163);
        assert_eq!(checkpoint.to_string(), TEXT);
    }

    #[test]
    fn other_texts_are_refused() {
        let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
        for (text, error) in [
            (String::new(), CheckpointError::Origin),
            (format!("\n1\n{root}\n"), CheckpointError::Origin),
            (format!("my log\n1\n{root}\n"), CheckpointError::Origin),
            (format!("log\n01\n{root}\n"), CheckpointError::Size),
            (format!("log\n-1\n{root}\n"), CheckpointError::Size),
            (format!("log\n9223372036854775808\n{root}\n"), CheckpointError::Size),
            (format!("log\n\n{root}\n"), CheckpointError::Size),
            ("log\n1\n\n".into(), CheckpointError::Root),
            (
                "log\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=\n".into(),
                CheckpointError::Root,
            ),
            (format!("log\n0\n{root}\n"), CheckpointError::Root),
            (format!("log\n1\n{root}"), CheckpointError::Extension),
            (format!("log\n1\n{root}\nextension\n"), CheckpointError::Extension),
            (format!("log\n1\n{root}\n\n"), CheckpointError::Extension),
        ] {
            assert_eq!(Checkpoint::parse(&text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn a_key_signs_only_for_its_own_log() {
        let key = NoteKey::from_seed(KeyName::new("log.example/acme").unwrap(), &[3; 32]);
        let head = Head {
            size: 0,
            root: Hash::EMPTY_ROOT,
        };
        let signed = Checkpoint::new(key.verifier().name().clone(), head).sign(&key).unwrap();
        assert_eq!(signed.is_signed_by(key.verifier()), Ok(true));
        assert_eq!(SignedCheckpoint::parse(signed.to_string().as_bytes()).unwrap(), signed);
        let other = Checkpoint::new(KeyName::new("log.example/other").unwrap(), head);
        assert!(matches!(other.sign(&key), Err(SignError::Origin { .. })));
        // The same signature under a text that names another log is not that log's.
        let mut note = Note::unsigned("log.example/other\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n").unwrap();
        note.sign(&key).unwrap();
        let foreign = SignedCheckpoint::parse(note.to_string().as_bytes()).unwrap();
        assert_eq!(foreign.is_signed_by(key.verifier()), Ok(false));
    }
}

//! Signed notes of C2SP `signed-note`: text, a blank line, one signature line per key.
//!
//! A [`Note`] is well-formed, not trusted: [`Note::verify`] says what one known key signed. Lines of unknown keys are kept
//! and ignored; their number and size are bounded by the note's.

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64, Encoding};

use crate::cosignature;
use crate::key::{KeyId, KeyKind, KeyName, NoteKey, VerifierKey};

/// The longest note that is read. 16 post-quantum signatures of 5 kB fit.
pub const NOTE_BYTES_MAX: usize = 128 * 1024;
/// The most signature lines that are read.
pub const SIGNATURES_MAX: usize = 64;

/// A well-formed note; at least one signature line once it is parsed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

/// One signature line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NoteSignature {
    name: KeyName,
    id: KeyId,
    bytes: Vec<u8>,
}

/// What a known key signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verified {
    /// For a cosignature, the time at which the witness saw the checkpoint, in seconds since the Unix epoch.
    pub time: Option<u64>,
}

/// Why bytes are not a note.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoteError {
    /// Longer than [`NOTE_BYTES_MAX`].
    #[error("the note is longer than {NOTE_BYTES_MAX} bytes")]
    TooLong,
    /// More than [`SIGNATURES_MAX`] signature lines.
    #[error("the note has more than {SIGNATURES_MAX} signatures")]
    TooManySignatures,
    /// Not UTF-8.
    #[error("the note is not utf-8")]
    NotUtf8,
    /// A control character other than newline.
    #[error("the note holds a control character")]
    ControlCharacter,
    /// The text does not end in a newline.
    #[error("the note's text does not end in a newline")]
    UnfinishedText,
    /// No blank line with signature lines after it.
    #[error("the note has no signatures")]
    NoSignatures,
    /// A signature line is not `— name base64`.
    #[error("signature line {0} is malformed")]
    SignatureLine(usize),
}

/// Why a note is refused although its form is right.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum VerifyError {
    /// The line of a known key does not verify.
    #[error("the signature of `{0}` does not verify")]
    BadSignature(KeyName),
    /// A known key has several lines, so what it signed is ambiguous.
    #[error("`{0}` has several signatures on one note")]
    Repeated(KeyName),
}

impl Note {
    /// A note to be signed. The text ends in a newline.
    pub fn unsigned(text: impl Into<String>) -> Result<Self, NoteError> {
        let text = text.into();
        check_characters(&text)?;
        if !text.ends_with('\n') {
            return Err(NoteError::UnfinishedText);
        }
        Ok(Self {
            text,
            signatures: Vec::new(),
        })
    }

    /// Reads a signed note.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > NOTE_BYTES_MAX {
            return Err(NoteError::TooLong);
        }
        let note = str::from_utf8(bytes).map_err(|_| NoteError::NotUtf8)?;
        check_characters(note)?;
        let (text, lines) = note.rsplit_once("\n\n").ok_or(NoteError::NoSignatures)?;
        let signatures = NoteSignature::parse_lines(lines)?;
        Ok(Self {
            text: format!("{text}\n"),
            signatures,
        })
    }

    /// The signed text, with its final newline.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signature lines in their order, known keys or not.
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Adds the signature of a log's key in place of an earlier one by the same key.
    pub fn sign(&mut self, key: &NoteKey) -> Result<(), NoteError> {
        let signature = key.sign(self.text.as_bytes());
        self.add(NoteSignature::new(key.verifier(), signature.to_vec()))
    }

    /// Adds a signature line in place of an earlier one by the same key.
    pub fn add(&mut self, signature: NoteSignature) -> Result<(), NoteError> {
        let same = |held: &NoteSignature| held.name == signature.name && held.id == signature.id;
        self.signatures.retain(|held| !same(held));
        if self.signatures.len() >= SIGNATURES_MAX {
            return Err(NoteError::TooManySignatures);
        }
        self.signatures.push(signature);
        Ok(())
    }

    /// Drops every line whose key is not among these: a note to be kept carries no unknown signatures.
    pub fn retain(&mut self, keys: &[VerifierKey]) {
        self.signatures.retain(|line| keys.iter().any(|key| line.is_by(key)));
    }

    /// What `key` signed: `None` when it has no line here. A line of it that does not verify refuses the note.
    pub fn verify(&self, key: &VerifierKey) -> Result<Option<Verified>, VerifyError> {
        let mut lines = self.signatures.iter().filter(|line| line.is_by(key));
        let Some(line) = lines.next() else { return Ok(None) };
        if lines.next().is_some() {
            return Err(VerifyError::Repeated(key.name().clone()));
        }
        let verified = match key.kind() {
            KeyKind::Note => verify_text(&self.text, key, &line.bytes),
            KeyKind::Cosignature => cosignature::verify(&self.text, key, &line.bytes),
        };
        verified
            .map(Some)
            .ok_or_else(|| VerifyError::BadSignature(key.name().clone()))
    }
}

fn verify_text(text: &str, key: &VerifierKey, signature: &[u8]) -> Option<Verified> {
    let signature = signature.try_into().ok()?;
    key.accepts(text.as_bytes(), signature)
        .then_some(Verified { time: None })
}

fn check_characters(text: &str) -> Result<(), NoteError> {
    if text.len() > NOTE_BYTES_MAX {
        return Err(NoteError::TooLong);
    }
    if text.bytes().any(|byte| byte < b' ' && byte != b'\n') {
        return Err(NoteError::ControlCharacter);
    }
    Ok(())
}

impl NoteSignature {
    pub(crate) fn new(key: &VerifierKey, bytes: Vec<u8>) -> Self {
        Self {
            name: key.name().clone(),
            id: key.id(),
            bytes,
        }
    }

    /// Reads one or more signature lines, each with its newline, as a witness answers them.
    pub fn parse_lines(lines: &str) -> Result<Vec<Self>, NoteError> {
        if lines.len() > NOTE_BYTES_MAX {
            return Err(NoteError::TooLong);
        }
        let mut signatures = Vec::new();
        for (number, line) in lines.split_inclusive('\n').enumerate() {
            if number >= SIGNATURES_MAX {
                return Err(NoteError::TooManySignatures);
            }
            signatures.push(Self::parse_line(line).ok_or(NoteError::SignatureLine(number + 1))?);
        }
        if signatures.is_empty() {
            Err(NoteError::NoSignatures)
        } else {
            Ok(signatures)
        }
    }

    fn parse_line(line: &str) -> Option<Self> {
        let (name, encoded) = line.strip_suffix('\n')?.strip_prefix("— ")?.split_once(' ')?;
        let mut decoded = Base64::decode_vec(encoded).ok()?;
        let id = KeyId::from_bytes(*decoded.first_chunk()?);
        let bytes = decoded.split_off(4);
        let name = KeyName::new(name).ok()?;
        (!bytes.is_empty()).then_some(Self { name, id, bytes })
    }

    /// Name of the key that is said to have signed.
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// Id of the key that is said to have signed.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// Whether the line claims to be by this key: both name and id fit.
    pub fn is_by(&self, key: &VerifierKey) -> bool {
        self.name == *key.name() && self.id == key.id()
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signed = [&self.id.to_bytes(), self.bytes.as_slice()].concat();
        writeln!(f, "— {} {}", self.name, Base64::encode_string(&signed))
    }
}

/// The note as bytes that [`Note::parse`] reads (once it is signed).
impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| signature.fmt(f))
    }
}

impl FromStr for Note {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        Self::parse(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example that Go's `golang.org/x/mod/sumdb/note` documents.
    const SKEY: &str = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    const TEXT: &str =
        "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    const LINE: &str =
        "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    fn key() -> NoteKey {
        NoteKey::parse(SKEY).ok().unwrap()
    }

    #[test]
    fn golden_note() {
        let mut note = Note::unsigned(TEXT).unwrap();
        note.sign(&key()).unwrap();
        assert_eq!(note.to_string(), format!("{TEXT}\n{LINE}"));
        let parsed: Note = note.to_string().parse().unwrap();
        assert_eq!(parsed, note);
        assert_eq!(parsed.verify(key().verifier()), Ok(Some(Verified { time: None })));
    }

    #[test]
    fn unknown_signatures_are_ignored_and_known_bad_ones_refuse() {
        let key = key();
        let other = NoteKey::from_seed(KeyName::new("PeterNeumann").unwrap(), &[1; 32]);
        let mut note = Note::unsigned("text\n").unwrap();
        note.sign(&other).unwrap();
        assert_eq!(note.verify(key.verifier()), Ok(None), "same name, other id");
        note.sign(&key).unwrap();
        assert_eq!(note.signatures().len(), 2);
        assert!(note.verify(key.verifier()).unwrap().is_some());
        let changed: Note = note.to_string().replace("text", "test").parse().unwrap();
        assert_eq!(
            changed.verify(key.verifier()),
            Err(VerifyError::BadSignature(key.verifier().name().clone()))
        );
        let line = note.signatures()[1].to_string();
        let doubled: Note = format!("{note}{line}").parse().unwrap();
        assert_eq!(
            doubled.verify(key.verifier()),
            Err(VerifyError::Repeated(key.verifier().name().clone()))
        );
        note.retain(&[key.verifier().clone()]);
        assert_eq!(note.to_string(), format!("text\n\n{line}"));
    }

    #[test]
    fn text_with_blank_lines_splits_at_the_last() {
        let mut note = Note::unsigned(format!("a\n\n{LINE}\n\nb\n\n")).unwrap();
        note.sign(&key()).unwrap();
        let parsed: Note = note.to_string().parse().unwrap();
        assert_eq!((parsed.text(), parsed.signatures().len()), (note.text(), 1));
    }

    #[test]
    fn bounds() {
        let line = |n: usize| format!("— key{n} AAAAAAA=\n");
        let lines = |count: usize| (0..count).map(line).collect::<String>();
        assert_eq!(
            Note::parse(format!("t\n\n{}", lines(SIGNATURES_MAX)).as_bytes())
                .unwrap()
                .signatures()
                .len(),
            SIGNATURES_MAX
        );
        assert_eq!(
            Note::parse(format!("t\n\n{}", lines(SIGNATURES_MAX + 1)).as_bytes()),
            Err(NoteError::TooManySignatures)
        );
        // 16 signatures of 5 kB, and 100 kB in all, are within what every verifier must read.
        let large = format!("— key {}\n", Base64::encode_string(&[9; 5004]));
        let note = format!("{}\n\n{}", "t".repeat(1000), large.repeat(16));
        assert!(note.len() > 100_000);
        assert_eq!(Note::parse(note.as_bytes()).unwrap().signatures().len(), 16);
        let huge = format!("{}\n\n{LINE}", "t".repeat(NOTE_BYTES_MAX));
        assert_eq!(Note::parse(huge.as_bytes()), Err(NoteError::TooLong));
    }

    #[test]
    fn malformed_notes_are_refused() {
        for (note, error) in [
            ("", NoteError::NoSignatures),
            ("text\n", NoteError::NoSignatures),
            ("text\n\n", NoteError::NoSignatures),
            ("text\n\n\n", NoteError::NoSignatures),
            ("text\n— key AAAAAAA=\n", NoteError::NoSignatures),
            ("text\n\n— key AAAAAAA=", NoteError::SignatureLine(1)),
            ("text\n\n— key AAAAAA==\n", NoteError::SignatureLine(1)),
            ("text\n\n— key AAAAAAB=\n", NoteError::SignatureLine(1)),
            ("text\n\n— key AAAAAAA\n", NoteError::SignatureLine(1)),
            ("text\n\n— key AAAAAAA= \n", NoteError::SignatureLine(1)),
            ("text\n\n— key  AAAAAAA=\n", NoteError::SignatureLine(1)),
            ("text\n\n—  AAAAAAA=\n", NoteError::SignatureLine(1)),
            ("text\n\n— k+y AAAAAAA=\n", NoteError::SignatureLine(1)),
            ("text\n\n- key AAAAAAA=\n", NoteError::SignatureLine(1)),
            ("text\n\n— key AAAAAAA=\n— key\n", NoteError::SignatureLine(2)),
            ("text\r\n\n— key AAAAAAA=\n", NoteError::ControlCharacter),
            ("te\0xt\n\n— key AAAAAAA=\n", NoteError::ControlCharacter),
        ] {
            assert_eq!(Note::parse(note.as_bytes()), Err(error), "{note:?}");
        }
        assert_eq!(
            Note::parse(b"\xff\n\n\xe2\x80\x94 key AAAAAAA=\n"),
            Err(NoteError::NotUtf8)
        );
        assert_eq!(Note::unsigned("text"), Err(NoteError::UnfinishedText));
        assert_eq!(Note::unsigned("te\txt\n"), Err(NoteError::ControlCharacter));
    }
}

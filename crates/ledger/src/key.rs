//! Keys of C2SP `signed-note`: names, ids, the text of public keys (vkey) and of private keys (skey).
//!
//! Two types of signature exist here: 0x01, Ed25519 over a note's text (logs), and 0x04, timestamped cosignatures
//! (witnesses). Private keys are one Rust type each, so a witness key cannot sign a note nor a log key cosign. They are
//! wiped when dropped and have no `Debug`.
//!
//! INVARIANT (one point, one key): a public key is a canonically encoded Ed25519 point that is not of small order, and
//! signatures are checked strictly, so no second encoding of key or signature passes.

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64, Encoding};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// The longest text of a key that is read.
pub const KEY_BYTES_MAX: usize = 1024;
/// A type byte and an Ed25519 key or seed, in Base 64.
const MATERIAL_LEN: usize = 44;
const PRIVATE: &str = "PRIVATE+KEY+";

/// Name of a key: not empty, no Unicode white space, no plus sign, no control character. A log's is its origin.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct KeyName(String);

/// The first four bytes of SHA-256(name ‖ newline ‖ type ‖ public key): tells keys apart, vouches for nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct KeyId([u8; 4]);

/// What a key signs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum KeyKind {
    /// 0x01: the text of a note.
    Note,
    /// 0x04: a checkpoint with the time at which it was seen (`cosignature/v1`).
    Cosignature,
}

/// A public key with its name, printed and parsed as a vkey.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct VerifierKey {
    name: KeyName,
    id: KeyId,
    kind: KeyKind,
    key: VerifyingKey,
}

/// The private key of a log: signs the text of notes.
pub struct NoteKey(Private);

/// The private key of a witness: cosigns checkpoints, nothing else.
pub struct WitnessKey(Private);

struct Private {
    public: VerifierKey,
    key: SigningKey,
}

/// Why text is not a key name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is not a key name: it must not be empty nor hold white space, control characters or a plus sign")]
pub struct BadName(String);

/// Why text is not a key. Never shows the text, which may be a private key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyError {
    /// Not `name+id+material`, or a part of it is malformed.
    #[error("not a key in note form")]
    Malformed,
    /// The id is not that of this name and key.
    #[error("the key's id does not fit its name and public key")]
    Id,
    /// The signature type is not supported, or not the one that this use needs.
    #[error("signature type 0x{0:02x} is not supported here")]
    Kind(u8),
    /// The bytes are not an acceptable Ed25519 public key.
    #[error("the public key is not a canonical ed25519 point of large order")]
    Point,
}

impl KeyName {
    /// Checks a name.
    pub fn new(name: impl Into<String>) -> Result<Self, BadName> {
        let name = name.into();
        let refused = |c: char| c.is_whitespace() || c == '+' || c < ' ';
        if name.is_empty() || name.chars().any(refused) {
            return Err(BadName(name.chars().take(80).flat_map(char::escape_debug).collect()));
        }
        Ok(Self(name))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl KeyId {
    /// Reads the four big-endian bytes that stand before a signature.
    pub const fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(bytes)
    }

    /// The four big-endian bytes.
    pub const fn to_bytes(self) -> [u8; 4] {
        self.0
    }

    fn of(name: &KeyName, material: &[u8; 33]) -> Self {
        let digest = Sha256::new_with_prefix(name.as_str())
            .chain_update(b"\n")
            .chain_update(material)
            .finalize();
        let [a, b, c, d, ..]: [u8; 32] = digest.into();
        Self([a, b, c, d])
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl KeyKind {
    pub(crate) const fn byte(self) -> u8 {
        match self {
            Self::Note => 0x01,
            Self::Cosignature => 0x04,
        }
    }

    const fn from_byte(byte: u8) -> Result<Self, KeyError> {
        match byte {
            0x01 => Ok(Self::Note),
            0x04 => Ok(Self::Cosignature),
            other => Err(KeyError::Kind(other)),
        }
    }
}

impl VerifierKey {
    /// A key from its parts.
    pub fn new(name: KeyName, kind: KeyKind, public: &[u8; 32]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(public).map_err(|_| KeyError::Point)?;
        // INVARIANT (one point, one key)
        if key.is_weak() || key.to_edwards().compress().as_bytes() != public {
            return Err(KeyError::Point);
        }
        Ok(Self::from_point(name, kind, key))
    }

    fn from_point(name: KeyName, kind: KeyKind, key: VerifyingKey) -> Self {
        let id = KeyId::of(&name, &material(kind, key.as_bytes()));
        Self { name, id, kind, key }
    }

    /// The key's name; a log's is its origin.
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// The key's id.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// What the key signs.
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The 32 bytes of the Ed25519 public key.
    pub fn public(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// INVARIANT (one point, one key)
    pub(crate) fn accepts(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.key
            .verify_strict(message, &Signature::from_bytes(signature))
            .is_ok()
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; MATERIAL_LEN];
        let material = material(self.kind, self.key.as_bytes());
        write!(
            f,
            "{}+{}+{}",
            self.name,
            self.id,
            Base64::encode(&material, &mut text).map_err(|_| fmt::Error)?
        )
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let parts = Parts::read(text)?;
        let key = Self::new(parts.name, KeyKind::from_byte(parts.kind)?, &parts.bytes)?;
        if key.id.to_string() == parts.id {
            Ok(key)
        } else {
            Err(KeyError::Id)
        }
    }
}

impl Private {
    fn from_seed(name: KeyName, kind: KeyKind, seed: &[u8; 32]) -> Self {
        let key = SigningKey::from_bytes(seed);
        Self {
            public: VerifierKey::from_point(name, kind, key.verifying_key()),
            key,
        }
    }

    fn parse(text: &str, kind: KeyKind) -> Result<Self, KeyError> {
        let parts = Parts::read(text.strip_prefix(PRIVATE).ok_or(KeyError::Malformed)?)?;
        if parts.kind != kind.byte() {
            return Err(KeyError::Kind(parts.kind));
        }
        let private = Self::from_seed(parts.name, kind, &parts.bytes);
        if private.public.id.to_string() == parts.id {
            Ok(private)
        } else {
            Err(KeyError::Id)
        }
    }

    fn to_text(&self) -> Zeroizing<String> {
        let material = Zeroizing::new(material(self.public.kind, self.key.as_bytes()));
        let mut encoded = Zeroizing::new([0; MATERIAL_LEN]);
        // Encoding 33 bytes into 44 cannot fail; room for the whole text avoids a copy left behind by growing.
        let encoded = Base64::encode(material.as_slice(), encoded.as_mut_slice()).unwrap_or_default();
        let VerifierKey { name, id, .. } = &self.public;
        let mut text = Zeroizing::new(String::with_capacity(
            PRIVATE.len() + name.as_str().len() + 10 + MATERIAL_LEN,
        ));
        for part in [PRIVATE, name.as_str(), "+", &id.to_string(), "+", encoded] {
            text.push_str(part);
        }
        text
    }
}

impl NoteKey {
    /// A key from its name and 32 random bytes.
    pub fn from_seed(name: KeyName, seed: &[u8; 32]) -> Self {
        Self(Private::from_seed(name, KeyKind::Note, seed))
    }

    /// Reads the private text form.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        Private::parse(text, KeyKind::Note).map(Self)
    }

    /// The private text form.
    pub fn to_text(&self) -> Zeroizing<String> {
        self.0.to_text()
    }

    /// The public half.
    pub const fn verifier(&self) -> &VerifierKey {
        &self.0.public
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.key.sign(message).to_bytes()
    }
}

impl WitnessKey {
    /// A key from its name and 32 random bytes, which serve no other key.
    pub fn from_seed(name: KeyName, seed: &[u8; 32]) -> Self {
        Self(Private::from_seed(name, KeyKind::Cosignature, seed))
    }

    /// Reads the private text form.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        Private::parse(text, KeyKind::Cosignature).map(Self)
    }

    /// The private text form.
    pub fn to_text(&self) -> Zeroizing<String> {
        self.0.to_text()
    }

    /// The public half.
    pub const fn verifier(&self) -> &VerifierKey {
        &self.0.public
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.key.sign(message).to_bytes()
    }
}

/// `name+id+material` taken apart; the material may be secret.
struct Parts<'a> {
    name: KeyName,
    id: &'a str,
    kind: u8,
    bytes: Zeroizing<[u8; 32]>,
}

impl<'a> Parts<'a> {
    fn read(text: &'a str) -> Result<Self, KeyError> {
        if text.len() > KEY_BYTES_MAX {
            return Err(KeyError::Malformed);
        }
        let (name, rest) = text.split_once('+').ok_or(KeyError::Malformed)?;
        let (id, encoded) = rest.split_once('+').ok_or(KeyError::Malformed)?;
        let name = KeyName::new(name).map_err(|_| KeyError::Malformed)?;
        // Longer material belongs to types with larger keys; its first byte still names the type.
        let mut decoded = Zeroizing::new([0; KEY_BYTES_MAX]);
        let decoded = Base64::decode(encoded, decoded.as_mut_slice()).map_err(|_| KeyError::Malformed)?;
        let (kind, key) = decoded.split_first().ok_or(KeyError::Malformed)?;
        KeyKind::from_byte(*kind)?;
        let bytes = Zeroizing::new(*<&[u8; 32]>::try_from(key).map_err(|_| KeyError::Malformed)?);
        Ok(Self {
            name,
            id,
            kind: *kind,
            bytes,
        })
    }
}

fn material(kind: KeyKind, key: &[u8; 32]) -> [u8; 33] {
    let mut material = [kind.byte(); 33];
    let (_, rest) = material.split_at_mut(1);
    rest.copy_from_slice(key);
    material
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pair that Go's `golang.org/x/mod/sumdb/note` documents.
    const SKEY: &str = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    const VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

    #[test]
    fn golden_texts() {
        let private = NoteKey::parse(SKEY).ok().unwrap();
        assert_eq!(private.verifier().to_string(), VKEY);
        assert_eq!(private.to_text().as_str(), SKEY);
        assert_eq!(&VKEY.parse::<VerifierKey>().unwrap(), private.verifier());
        let witness = WitnessKey::from_seed(KeyName::new("witness.example/w1").unwrap(), &[7; 32]);
        assert_eq!(
            witness.verifier().to_string(),
            "witness.example/w1+aa4a09d1+BOpKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs"
        );
        assert_eq!(
            WitnessKey::parse(&witness.to_text()).ok().unwrap().verifier(),
            witness.verifier()
        );
    }

    #[test]
    fn a_key_of_one_kind_is_not_one_of_the_other() {
        assert_eq!(WitnessKey::parse(SKEY).err(), Some(KeyError::Kind(1)));
        let witness = WitnessKey::from_seed(KeyName::new("w").unwrap(), &[7; 32]);
        assert_eq!(NoteKey::parse(&witness.to_text()).err(), Some(KeyError::Kind(4)));
    }

    #[test]
    fn other_texts_are_refused() {
        let cases = [
            (
                "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
                KeyError::Id,
            ),
            (
                "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
                KeyError::Id,
            ),
            (
                "Peterneumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
                KeyError::Id,
            ),
            (
                "PeterNeumann+c74f20a3+BhpC2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
                KeyError::Kind(6),
            ),
            (
                "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10",
                KeyError::Malformed,
            ),
            (
                "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
                KeyError::Malformed,
            ),
            (
                "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
                KeyError::Malformed,
            ),
            ("PeterNeumann+c74f20a3", KeyError::Malformed),
            ("PeterNeumann+c74f20a3+", KeyError::Malformed),
            ("", KeyError::Malformed),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<VerifierKey>(), Err(error), "{text}");
        }
        assert_eq!(format!("{VKEY}\n").parse::<VerifierKey>(), Err(KeyError::Malformed));
        assert_eq!(
            format!("{}{VKEY}", "a".repeat(1024)).parse::<VerifierKey>(),
            Err(KeyError::Malformed)
        );
        assert_eq!(NoteKey::parse(VKEY).err(), Some(KeyError::Malformed));
    }

    #[test]
    fn weak_and_non_canonical_points_are_refused() {
        let name = KeyName::new("log").unwrap();
        let mut identity = [0; 32];
        identity[0] = 1;
        // y = p + 1, a second encoding of the identity; y = p + 3, a second encoding of a point of large order.
        let mut above_one = [0xff; 32];
        above_one[0] = 0xee;
        above_one[31] = 0x7f;
        let mut above_three = above_one;
        above_three[0] = 0xf0;
        for point in [identity, [0; 32], above_one, above_three] {
            assert_eq!(
                VerifierKey::new(name.clone(), KeyKind::Note, &point),
                Err(KeyError::Point),
                "{point:x?}"
            );
        }
    }

    #[test]
    fn names() {
        for name in ["log.example/acme", "é", "a—b", "x\u{7f}"] {
            assert_eq!(KeyName::new(name).unwrap().as_str(), name);
        }
        for name in [
            "",
            "a b",
            "a+b",
            "a\tb",
            "a\nb",
            "a\u{a0}b",
            "a\u{85}b",
            "a\u{2003}b",
            "a\u{0}b",
            "a\u{1b}b",
        ] {
            assert!(KeyName::new(name).is_err(), "{name:?}");
        }
    }
}

//! What people's keys sign, and how that is checked by anyone who holds the public key.
//!
//! A [`Signed`] statement carries SSHSIG signatures over its canonical bytes, its own domain and the log's origin, so a
//! signature made for one log or one kind of statement is worth nothing for another. A [`LogIn`] is the user
//! authentication that a stock SSH client made: the exact signed bytes and the signature.

use crate::bytes::Blob;
use crate::json;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use ssh_key::public::{EcdsaPublicKey, KeyData, RsaPublicKey};
use ssh_key::{Algorithm, HashAlg, PublicKey, SshSig};
use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Sizes of an RSA key, bits.
const RSA_BITS: RangeInclusive<usize> = 2048..=8192;
/// Signatures accepted on one statement.
pub const SIGNATURES_MAX: usize = 8;

/// What a signature is for; part of what SSHSIG signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Namespace {
    /// Roots: genesis, engagements, enrolments, resources, workflows.
    Trust,
    /// A request for access.
    Request,
    /// Consent to a request.
    Approve,
    /// Refusal of a request.
    Deny,
    /// Withdrawal of a grant, or the order to end a session.
    Revoke,
    /// Proof of possession to the API; never stored as evidence.
    SignIn,
}

impl Namespace {
    /// The text that SSHSIG signs, as `ssh-keygen -n` takes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trust => "trust@countersign",
            Self::Request => "request@countersign",
            Self::Approve => "approve@countersign",
            Self::Deny => "deny@countersign",
            Self::Revoke => "revoke@countersign",
            Self::SignIn => "sign-in@countersign",
        }
    }
}

/// Why a key or signature was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    /// The text is not an OpenSSH public key of a kind that we verify.
    #[error("not an OpenSSH public key")]
    Key,
    /// A key of a kind, curve or spelling that nobody's may be.
    #[error("a key of type `{0}` is not accepted; use Ed25519, ECDSA on P-256 or P-384, RSA, or a security key")]
    Kind(String),
    /// An RSA key that is too short to hold, or longer than anybody verifies.
    #[error("an RSA key of `{0}` bits is not accepted; use 2,048 to 8,192 bits, or Ed25519")]
    RsaBits(usize),
    /// Signed with RSA over SHA-1.
    #[error("RSA with SHA-1 is not accepted; sign with SHA-256 or SHA-512")]
    Sha1,
    /// The bytes are not a signature.
    #[error("not an SSH signature")]
    Malformed,
    /// No signature at all, or more than [`SIGNATURES_MAX`].
    #[error("expected 1 to {SIGNATURES_MAX} signatures")]
    Count,
    /// The signature does not fit the key, the namespace or the bytes.
    #[error("signature does not verify under {0}")]
    Mismatch(String),
    /// A log-in proof whose signed bytes do not say what they must.
    #[error("log-in proof: {0}")]
    LogIn(&'static str),
    /// The statement could not be written canonically.
    #[error(transparent)]
    Json(#[from] json::JsonError),
}

/// An OpenSSH public key in its one spelling: algorithm and base64, no comment.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl Key {
    /// Normalises a parsed key.
    ///
    /// # Errors
    /// When it is not of a kind and size that a key may have.
    pub fn new(key: &PublicKey) -> Result<Self, BadSignature> {
        check_kind(key.key_data())?;
        let bare = PublicKey::new(key.key_data().clone(), "");
        Ok(Self(
            bare.to_openssh().map_err(|_| BadSignature::Key)?.trim().to_owned(),
        ))
    }

    /// The text, as in an `authorized_keys` line.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The parsed key.
    ///
    /// # Errors
    /// Never for a value made by this type; the text was parsed when it was made.
    pub fn parsed(&self) -> Result<PublicKey, BadSignature> {
        PublicKey::from_openssh(&self.0).map_err(|_| BadSignature::Key)
    }

    /// `SHA256:…`, as `ssh-keygen -l` prints it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.parsed()
            .map(|key| key.fingerprint(HashAlg::Sha256).to_string())
            .unwrap_or_default()
    }
}

/// INVARIANT (kinds of keys): what a key may be is listed here. What the library verifies depends on the features that
/// it is built with, and other parts of a program may switch on more of them.
fn check_kind(key: &KeyData) -> Result<(), BadSignature> {
    let named = match key {
        KeyData::Ed25519(_) | KeyData::SkEd25519(_) => true,
        // A compressed point would be a second spelling of one key.
        KeyData::Ecdsa(EcdsaPublicKey::NistP256(point)) => !point.is_compressed(),
        KeyData::Ecdsa(EcdsaPublicKey::NistP384(point)) => !point.is_compressed(),
        KeyData::SkEcdsaSha2NistP256(key) => !key.ec_point().is_compressed(),
        KeyData::Rsa(key) => return check_rsa(key),
        _ => false,
    };
    if named {
        Ok(())
    } else {
        Err(BadSignature::Kind(key.algorithm().to_string()))
    }
}

fn check_rsa(key: &RsaPublicKey) -> Result<(), BadSignature> {
    let modulus = key.n().as_positive_bytes().unwrap_or_default();
    let unused = modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
    let bits = modulus.len() * 8 - unused;
    if RSA_BITS.contains(&bits) {
        Ok(())
    } else {
        Err(BadSignature::RsaBits(bits))
    }
}

/// Like the kinds of keys: whether SHA-1 verifies depends on features of the library.
fn check_hash(signature: &ssh_key::Signature) -> Result<(), BadSignature> {
    match signature.algorithm() {
        Algorithm::Rsa { hash: None } => Err(BadSignature::Sha1),
        _ => Ok(()),
    }
}

impl FromStr for Key {
    type Err = BadSignature;
    fn from_str(text: &str) -> Result<Self, BadSignature> {
        if text.len() > 4096 {
            return Err(BadSignature::Key);
        }
        Self::new(&PublicKey::from_openssh(text).map_err(|_| BadSignature::Key)?)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fingerprint())
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = json::Text::deserialize(deserializer)?.0;
        let key: Self = text.parse().map_err(D::Error::custom)?;
        if key.0 == text {
            Ok(key)
        } else {
            Err(D::Error::custom("public key is not in its one spelling (no comment)"))
        }
    }
}

/// Something that people sign: a kind with its own domain and namespace.
pub trait Statement: Serialize + DeserializeOwned {
    /// Says what the bytes are; no two kinds share it.
    const DOMAIN: &'static str;
    /// The SSHSIG namespace.
    const NAMESPACE: Namespace;
}

/// The exact bytes that a signer of `statement` signs for the log `origin`.
///
/// # Errors
/// When the statement cannot be written canonically.
pub fn signed_bytes<T: Statement>(origin: &str, statement: &T) -> Result<Vec<u8>, BadSignature> {
    #[derive(Serialize)]
    struct Framed<'a, T> {
        domain: &'a str,
        origin: &'a str,
        statement: &'a T,
    }
    Ok(json::to_vec(&Framed {
        domain: T::DOMAIN,
        origin,
        statement,
    })?)
}

/// One SSHSIG, as its binary blob. Its base64 between the PEM lines is what `ssh-keygen -Y sign` writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Signature(pub Blob);

impl Signature {
    /// Reads the armoured form that `ssh-keygen -Y sign` writes.
    ///
    /// # Errors
    /// When the text is not an SSH signature.
    pub fn from_pem(pem: &str) -> Result<Self, BadSignature> {
        let sig = SshSig::from_pem(pem).map_err(|_| BadSignature::Malformed)?;
        Self::new(&sig)
    }

    /// Wraps a parsed signature.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(sig: &SshSig) -> Result<Self, BadSignature> {
        let mut bytes = Vec::new();
        ssh_key::encoding::Encode::encode(sig, &mut bytes).map_err(|_| BadSignature::Malformed)?;
        Ok(Self(Blob(bytes)))
    }

    /// The armoured form, for `ssh-keygen -Y verify`.
    ///
    /// # Errors
    /// When the blob is not a signature.
    pub fn to_pem(&self) -> Result<String, BadSignature> {
        self.parsed()?
            .to_pem(ssh_key::LineEnding::LF)
            .map_err(|_| BadSignature::Malformed)
    }

    fn parsed(&self) -> Result<SshSig, BadSignature> {
        let mut rest = self.0.0.as_slice();
        let sig = ssh_key::encoding::Decode::decode(&mut rest).map_err(|_| BadSignature::Malformed)?;
        if rest.is_empty() {
            Ok(sig)
        } else {
            Err(BadSignature::Malformed)
        }
    }

    /// Checks the signature over `message` and gives the key that made it.
    ///
    /// # Errors
    /// When it is not a signature, or does not verify.
    pub fn verify(&self, namespace: Namespace, message: &[u8]) -> Result<Key, BadSignature> {
        let sig = self.parsed()?;
        let key = PublicKey::new(sig.public_key().clone(), "");
        let name = Key::new(&key)?;
        check_hash(sig.signature())?;
        key.verify(namespace.as_str(), message, &sig)
            .map_err(|_| BadSignature::Mismatch(name.fingerprint()))?;
        Ok(name)
    }
}

/// A statement with the signatures over it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed<T> {
    /// What was signed.
    pub statement: T,
    /// Who signed it; the keys are inside.
    pub signatures: Vec<Signature>,
}

impl<T: Statement> Signed<T> {
    /// The keys that signed this statement for `origin`. Every signature present must verify.
    ///
    /// # Errors
    /// When there is none, too many, or one that does not verify.
    pub fn signers(&self, origin: &str) -> Result<BTreeSet<Key>, BadSignature> {
        if self.signatures.is_empty() || self.signatures.len() > SIGNATURES_MAX {
            return Err(BadSignature::Count);
        }
        let message = signed_bytes(origin, &self.statement)?;
        self.signatures
            .iter()
            .map(|sig| sig.verify(T::NAMESPACE, &message))
            .collect()
    }
}

/// A verified SSH user authentication (RFC 4252 §7): proof that a key logged in to one connection of our gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogIn {
    /// Session identifier and authentication request, exactly as the client signed them.
    pub signed: Blob,
    /// The client's signature in SSH wire form (algorithm, blob).
    pub signature: Blob,
}

/// What a verified [`LogIn`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogInFacts {
    /// The key that logged in.
    pub key: Key,
    /// The SSH user name it asked for.
    pub user: String,
    /// The connection's session identifier.
    pub session_identifier: Vec<u8>,
}

impl LogIn {
    /// Checks the signature and reads what was signed.
    ///
    /// # Errors
    /// When the bytes are not a `publickey` authentication request, or the signature does not verify.
    pub fn verify(&self) -> Result<LogInFacts, BadSignature> {
        let mut rest = self.signed.0.as_slice();
        let session_identifier = string(&mut rest)?.to_vec();
        let [50, tail @ ..] = rest else {
            return Err(BadSignature::LogIn("not a user authentication request"));
        };
        rest = tail;
        let user = std::str::from_utf8(string(&mut rest)?)
            .map_err(|_| BadSignature::LogIn("user name is not UTF-8"))?
            .to_owned();
        if string(&mut rest)? != b"ssh-connection" || string(&mut rest)? != b"publickey" {
            return Err(BadSignature::LogIn(
                "not public-key authentication to the connection service",
            ));
        }
        let [1, tail @ ..] = rest else {
            return Err(BadSignature::LogIn("the request carries no signature"));
        };
        rest = tail;
        let _algorithm = string(&mut rest)?;
        let key = PublicKey::from_bytes(string(&mut rest)?).map_err(|_| BadSignature::Key)?;
        if !rest.is_empty() {
            return Err(BadSignature::LogIn("bytes after the key"));
        }
        let signature =
            ssh_key::Signature::try_from(self.signature.0.as_slice()).map_err(|_| BadSignature::Malformed)?;
        let name = Key::new(&key)?;
        check_hash(&signature)?;
        signature::Verifier::verify(key.key_data(), &self.signed.0, &signature)
            .map_err(|_| BadSignature::Mismatch(name.fingerprint()))?;
        Ok(LogInFacts {
            key: name,
            user,
            session_identifier,
        })
    }
}

fn string<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], BadSignature> {
    let short = BadSignature::LogIn("signed bytes end early");
    let Some((length, tail)) = rest.split_first_chunk::<4>() else {
        return Err(short);
    };
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    let Some((head, tail)) = tail.split_at_checked(length) else {
        return Err(short);
    };
    *rest = tail;
    Ok(head)
}

//! Signing with a person's or an organisation's SSH key, always by `ssh-keygen -Y sign`: that covers key files, keys
//! with a passphrase, agents and FIDO tokens alike, and this program never holds a private key that it did not make.
//!
//! The message goes in by standard input; nothing secret is ever on a command line.

use crate::exit::Failure;
use crate::file;
use model::signature::{Key, Namespace, Signature, Signed, Statement, signed_bytes};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A key that can sign: a private key file, or a public key file whose private half is in the agent or on a token.
#[derive(Debug, Clone)]
pub(crate) struct SigningKey {
    path: PathBuf,
    public: Key,
}

impl SigningKey {
    /// Finds the key at `path`, and its public half beside or inside it.
    pub(crate) fn at(path: &Path) -> Result<Self, Failure> {
        Ok(Self {
            path: path.to_owned(),
            public: public_half(path)?,
        })
    }

    /// The public half.
    pub(crate) fn public(&self) -> &Key {
        &self.public
    }

    /// Signs `message` for one purpose.
    pub(crate) fn sign(&self, namespace: Namespace, message: &[u8]) -> Result<Signature, Failure> {
        let pem = self.run(namespace, message)?;
        let signature = Signature::from_pem(&pem)
            .map_err(|error| Failure::unavailable(format!("ssh-keygen gave no signature: {error}")))?;
        // A wrong key in the agent shows here, not at the server.
        let signer = signature.verify(namespace, message).map_err(|error| {
            Failure::unavailable(format!("ssh-keygen gave a signature that does not hold: {error}"))
        })?;
        if signer == self.public {
            Ok(signature)
        } else {
            Err(Failure::unavailable(format!(
                "ssh-keygen signed with {}, not with {}",
                signer.fingerprint(),
                self.public.fingerprint()
            )))
        }
    }

    fn run(&self, namespace: Namespace, message: &[u8]) -> Result<String, Failure> {
        let missing = |error: std::io::Error| {
            Failure::unavailable(format!("ssh-keygen cannot be run: {error}"))
                .next("install the OpenSSH client (Debian: apt-get install openssh-client)")
        };
        let mut child = Command::new("ssh-keygen")
            .args(["-Y", "sign", "-q", "-n", namespace.as_str(), "-f"])
            .arg(&self.path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(missing)?;
        let sent = match child.stdin.take() {
            Some(mut stdin) => stdin.write_all(message),
            None => Ok(()),
        };
        let output = child.wait_with_output().map_err(missing)?;
        if !output.status.success() || sent.is_err() {
            return Err(
                Failure::refused(format!("ssh-keygen did not sign with `{}`", self.path.display()))
                    .next("unlock the key (ssh-add FILE), plug in the token, or name another key with --key"),
            );
        }
        String::from_utf8(output.stdout).map_err(|_| Failure::unavailable("ssh-keygen gave no signature"))
    }
}

/// Signs one statement for a log with each of `keys`.
pub(crate) fn signed<T: Statement>(keys: &[SigningKey], origin: &str, statement: T) -> Result<Signed<T>, Failure> {
    let message = signed_bytes(origin, &statement).map_err(Failure::refused)?;
    let signatures: Result<Vec<_>, Failure> = keys.iter().map(|key| key.sign(T::NAMESPACE, &message)).collect();
    Ok(Signed {
        signatures: signatures?,
        statement,
    })
}

/// The public half of the key at `path`: the file itself, the `.pub` beside it, or the part of an OpenSSH private key
/// that needs no passphrase.
pub(crate) fn public_half(path: &Path) -> Result<Key, Failure> {
    let text = file::read_text(path)?;
    if let Ok(key) = text.trim().parse() {
        return Ok(key);
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".pub");
    if let Some(key) = file::read_text(Path::new(&beside))
        .ok()
        .and_then(|text| text.trim().parse().ok())
    {
        return Ok(key);
    }
    let private = ssh_key::PrivateKey::from_openssh(&text)
        .ok()
        .and_then(|private| Key::new(private.public_key()).ok());
    private.ok_or_else(|| {
        Failure::refused(format!(
            "`{}` is not an OpenSSH key of a kind that can sign",
            path.display()
        ))
        .next("Ed25519, ECDSA (P-256, P-384) and RSA keys can; make one with ssh-keygen -t ed25519")
    })
}

/// Reads a key from its text, or from the file of that name.
pub(crate) fn key_or_file(text: &str) -> Result<Key, Failure> {
    match text.parse() {
        Ok(key) => Ok(key),
        Err(_) => public_half(Path::new(text)),
    }
}

/// Whoever holds the private half of the key that a person uses every day, if there is one in the usual place.
pub(crate) fn usual_key(home: &Path) -> Option<PathBuf> {
    ["id_ed25519", "id_ecdsa", "id_rsa"]
        .iter()
        .map(|name| home.join(".ssh").join(name))
        .find(|path| path.is_file())
}

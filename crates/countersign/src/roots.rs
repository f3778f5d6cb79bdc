//! Root keys and recording keys of an organisation, in a folder of its own, made and kept on its own side.
//!
//! `root-1`, `root-1.pub`, … sign; `recording-1.key` (age) opens recordings. Files are written once, mode 0600.

use crate::agent::{self, SigningKey};
use crate::exit::Failure;
use crate::{file, fresh};
use model::signature::Key;
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{LineEnding, PrivateKey};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Makes root key `number` in `folder`.
pub(crate) fn make_root(folder: &Path, number: usize, comment: &str) -> Result<SigningKey, Failure> {
    let path = folder.join(format!("root-{number}"));
    make_key(&path, comment)?;
    SigningKey::at(&path)
}

/// Makes an Ed25519 key at `path`, and its public half beside it.
pub(crate) fn make_key(path: &Path, comment: &str) -> Result<(), Failure> {
    let seed = Zeroizing::new(fresh::bytes::<32>()?);
    let unusable = |error: ssh_key::Error| Failure::unavailable(format!("a key could not be made: {error}"));
    let pair = KeypairData::Ed25519(Ed25519Keypair::from_seed(&seed));
    let private = PrivateKey::new(pair, comment).map_err(unusable)?;
    let text = private.to_openssh(LineEnding::LF).map_err(unusable)?;
    file::create_private(path, text.as_bytes())?;
    let public = private.public_key().to_openssh().map_err(unusable)?;
    file::create_public(&path.with_extension("pub"), format!("{public}\n").as_bytes())
}

/// Takes a key that exists already (a token, a key in the agent) as root `number`.
pub(crate) fn take_root(folder: &Path, number: usize, key: &Path) -> Result<SigningKey, Failure> {
    let signing = SigningKey::at(key)?;
    let line = format!("{}\n", signing.public());
    file::create_public(&public_path(folder, number), line.as_bytes())?;
    Ok(signing)
}

fn public_path(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("root-{number}.pub"))
}

/// The roots that sign: those named, or the first `threshold` of the folder.
pub(crate) fn signing_roots(folder: &Path, named: &[PathBuf], threshold: u8) -> Result<Vec<SigningKey>, Failure> {
    if !named.is_empty() {
        return named.iter().map(|path| SigningKey::at(path)).collect();
    }
    let here = |number: usize| {
        let private = folder.join(format!("root-{number}"));
        let path = if private.exists() {
            private
        } else {
            public_path(folder, number)
        };
        SigningKey::at(&path).map_err(|error| error.next("name the organisation's root keys with --root-key"))
    };
    (1..=usize::from(threshold)).map(here).collect()
}

/// Makes recording key `number` and gives its public recipient.
pub(crate) fn make_recipient(folder: &Path, number: usize, note: &str) -> Result<String, Failure> {
    let (secret, recipient) = store::fresh_identity();
    let text = Zeroizing::new(format!("# {note}\n# public key: {recipient}\n{}\n", *secret));
    file::create_private(&folder.join(format!("recording-{number}.key")), text.as_bytes())?;
    Ok(recipient)
}

/// Checks that a text is a recipient, so that nothing is ever wrapped to a misspelling.
pub(crate) fn parse_recipient(text: &str) -> Result<String, String> {
    // Wrapping something to it is the one check that counts.
    match store::seal_to(&[text.to_owned()], b"") {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("`{text}` is not an age recipient (age1…): {error}")),
    }
}

/// Keys given as text or as files.
pub(crate) fn keys(texts: &[String]) -> Result<Vec<Key>, Failure> {
    texts.iter().map(|text| agent::key_or_file(text)).collect()
}

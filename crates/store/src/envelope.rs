//! Encrypting to people's `age` keys: openings to the owner's recipients, session keys to owner and operator. Who gets
//! what is the caller's decision.

use age::secrecy::ExposeSecret;
use age::x25519::{Identity, Recipient};
use std::io::{Read, Write};
use zeroize::Zeroizing;

/// Recipients of one envelope, at most.
pub const RECIPIENTS_MAX: usize = 20;
/// The longest text that is encrypted or opened, in bytes.
const TEXT_LENGTH_MAX: u64 = 1024 * 1024;

/// Why nothing was sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Not `age1…`.
    #[error("`{0}` is not an age recipient")]
    Recipient(String),
    /// None, or more than [`RECIPIENTS_MAX`].
    #[error("an envelope has 1 to {RECIPIENTS_MAX} recipients")]
    Count,
    /// No line `AGE-SECRET-KEY-…`.
    #[error("there is no age identity in this text")]
    Identity,
    /// Sealed to others, changed, or no age file.
    #[error("cannot be opened with this identity")]
    NotOpened,
    /// Longer than 1 MiB.
    #[error("the text is longer than 1 MiB")]
    TooLong,
    /// Encryption failed.
    #[error("encryption failed")]
    Cipher,
}

/// Encrypts `plaintext` so that each of `recipients` (`age1…`) can open it; the binary form of age.
///
/// # Errors
/// See [`EnvelopeError`].
pub fn seal_to(recipients: &[String], plaintext: &[u8]) -> Result<Vec<u8>, EnvelopeError> {
    if recipients.is_empty() || recipients.len() > RECIPIENTS_MAX {
        return Err(EnvelopeError::Count);
    }
    if plaintext.len() as u64 > TEXT_LENGTH_MAX {
        return Err(EnvelopeError::TooLong);
    }
    let parse = |text: &String| {
        text.parse::<Recipient>()
            .map_err(|_| EnvelopeError::Recipient(text.chars().take(80).collect()))
    };
    let keys = recipients.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    let encryptor = age::Encryptor::with_recipients(keys.iter().map(|key| key as &dyn age::Recipient))
        .map_err(|_| EnvelopeError::Cipher)?;
    let mut sealed = Vec::with_capacity(plaintext.len() + 512);
    let mut writer = encryptor.wrap_output(&mut sealed).map_err(|_| EnvelopeError::Cipher)?;
    writer.write_all(plaintext).map_err(|_| EnvelopeError::Cipher)?;
    writer.finish().map_err(|_| EnvelopeError::Cipher)?;
    Ok(sealed)
}

/// Opens what [`seal_to`] wrote, with the identities in the text of a key file (`AGE-SECRET-KEY-…`; other lines are
/// passed over).
///
/// # Errors
/// See [`EnvelopeError`].
pub fn open_with(identity_file: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, EnvelopeError> {
    let identities: Vec<Identity> = identity_file
        .lines()
        .filter_map(|line| line.trim().parse().ok())
        .collect();
    if identities.is_empty() {
        return Err(EnvelopeError::Identity);
    }
    let decryptor = age::Decryptor::new_buffered(sealed).map_err(|_| EnvelopeError::NotOpened)?;
    let reader = decryptor
        .decrypt(identities.iter().map(|identity| identity as &dyn age::Identity))
        .map_err(|_| EnvelopeError::NotOpened)?;
    let mut text = Zeroizing::new(Vec::with_capacity(sealed.len()));
    reader
        .take(TEXT_LENGTH_MAX + 1)
        .read_to_end(&mut text)
        .map_err(|_| EnvelopeError::NotOpened)?;
    if text.len() as u64 > TEXT_LENGTH_MAX {
        return Err(EnvelopeError::TooLong);
    }
    Ok(text)
}

/// A new identity: the text of its key file, and its recipient.
#[must_use]
pub fn fresh_identity() -> (Zeroizing<String>, String) {
    let identity = Identity::generate();
    let secret = identity.to_string();
    (
        Zeroizing::new(secret.expose_secret().to_owned()),
        identity.to_public().to_string(),
    )
}

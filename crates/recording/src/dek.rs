//! A session's data key and the commitment that the log holds for it.
//!
//! Not here: who wraps the key and for whom, and the ciphers (see `seal`).
//!
//! INVARIANT (key-silence): a key is never printed: no `Debug`, no `Display`, no `Clone`, zeroed on drop.

use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

const COMMITMENT_DOMAIN: &[u8] = b"countersign/recording/v1 dek commitment\n";

/// SHA-256 over a domain string and the data key: says which key, and nothing about it.
pub type Commitment = [u8; 32];

/// The key under which one session's frames are sealed, through the sub-keys derived from it.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Dek([u8; 32]);

impl Dek {
    /// Takes over 32 random bytes. The caller's copy is the caller's to erase.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The commitment that the session's opening carries.
    #[must_use]
    pub fn commitment(&self) -> Commitment {
        Sha256::new()
            .chain_update(COMMITMENT_DOMAIN)
            .chain_update(self.0)
            .finalize()
            .into()
    }

    /// The key's bytes, for wrapping it to its recipients.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

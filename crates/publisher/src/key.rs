//! The keys with which logs are signed: made once, kept in the store's vault, never outside it.

use ledger::{KeyName, NoteKey, VerifierKey};
use model::name::EnvironmentName;
use store::{Store, VaultError};
use zeroize::Zeroizing;

/// Why there is no log key.
#[derive(Debug, thiserror::Error)]
pub enum LogKeyError {
    /// The vault does not give it.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The origin cannot name a key.
    #[error("`{0}` cannot be a log's origin")]
    Origin(String),
    /// The vault holds something else under this name.
    #[error("the vault's log key of `{0}` cannot be read")]
    Damaged(EnvironmentName),
    /// No randomness.
    #[error("no randomness for a new key")]
    Random,
}

/// The name under which the vault keeps an environment's log key.
fn name(environment: &EnvironmentName) -> String {
    format!("log/{environment}")
}

/// The environment's log key, made with `origin` as its name if it does not exist yet; gives its public half.
///
/// # Errors
/// See [`LogKeyError`].
pub async fn log_key(store: &Store, environment: &EnvironmentName, origin: &str) -> Result<VerifierKey, LogKeyError> {
    let key_name = KeyName::new(origin).map_err(|_| LogKeyError::Origin(origin.to_owned()))?;
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut()).map_err(|_| LogKeyError::Random)?;
    let fresh = NoteKey::from_seed(key_name, &seed).to_text();
    store
        .vault()
        .open_or_seal(&name(environment), || Zeroizing::new(fresh.as_bytes().to_vec()))
        .await?;
    Ok(find(store, environment).await?.verifier().clone())
}

/// The environment's log key, which must exist.
pub(crate) async fn find(store: &Store, environment: &EnvironmentName) -> Result<NoteKey, LogKeyError> {
    let secret = store.vault().open(&name(environment)).await?;
    let text = std::str::from_utf8(&secret).map_err(|_| LogKeyError::Damaged(environment.clone()))?;
    NoteKey::parse(text).map_err(|_| LogKeyError::Damaged(environment.clone()))
}

//! Sealed secrets: the log key, host keys, certificate authorities. Each is encrypted with AES-256-GCM under a master
//! key that is not in the database, with its name as associated data, so that one cannot stand in for another.
//!
//! Secrets are never logged, never in an error, and leave memory when they are dropped.

use crate::open::{MasterKey, Store, sync_directory};
use crate::sql::DatabaseError;
use crate::writer::Job;
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use sqlx::{Row, SqliteConnection};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const FILE: &str = "master.key";
const DOMAIN: &[u8] = b"countersign/vault/v1\0";
/// The name under which a known text is sealed, to recognise the right key. No secret can have it.
const CHECK: &str = ".check";
const NAME_LENGTH_MAX: usize = 128;

/// Why a secret was not sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The file of the master key cannot be used.
    #[error("master key `{path}`: {because}")]
    KeyFile {
        /// The path.
        path: String,
        /// Why.
        because: String,
    },
    /// Another key sealed what is in the database.
    #[error("the master key is not the one that sealed this store's secrets")]
    WrongKey,
    /// Names have 1 to 128 printable characters and begin with a letter or digit.
    #[error("`{0}` is not a name of a secret")]
    Name(String),
    /// Secrets are not replaced.
    #[error("a secret `{0}` exists")]
    Exists(String),
    /// There is none.
    #[error("there is no secret `{0}`")]
    Missing(String),
    /// The sealed bytes were changed.
    #[error("the sealed secret `{0}` is damaged")]
    Damaged(String),
    /// The system gave no randomness, or the cipher refused.
    #[error("no secret could be made: {0}")]
    Cipher(&'static str),
    /// The database failed. A secret that was being sealed may be stored.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// The sealed secrets of a store.
#[derive(Clone)]
pub struct Vault {
    store: Store,
}

impl Store {
    /// The sealed secrets.
    #[must_use]
    pub fn vault(&self) -> Vault {
        Vault { store: self.clone() }
    }
}

impl Vault {
    /// Seals `secret` under a name that is not taken.
    ///
    /// # Errors
    /// See [`VaultError`].
    pub async fn seal(&self, name: &str, secret: &[u8]) -> Result<(), VaultError> {
        check_name(name)?;
        let sealed = self.store.shared.keys.seal(name, secret)?;
        let asked = self
            .store
            .shared
            .writer
            .ask(|answer| Job::Secret(name.to_owned(), sealed, answer))
            .await;
        match asked {
            Some(Ok(true)) => Ok(()),
            Some(Ok(false)) => Err(VaultError::Exists(name.to_owned())),
            Some(Err(error)) => Err(error.into()),
            None => Err(DatabaseError::closed().into()),
        }
    }

    /// Opens a secret.
    ///
    /// # Errors
    /// See [`VaultError`].
    pub async fn open(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        check_name(name)?;
        let row = sqlx::query("SELECT sealed FROM side_secret WHERE name = ?")
            .bind(name)
            .fetch_optional(&self.store.shared.readers)
            .await
            .map_err(DatabaseError::from)?;
        let row = row.ok_or_else(|| VaultError::Missing(name.to_owned()))?;
        let sealed: Vec<u8> = row.try_get(0).map_err(DatabaseError::from)?;
        self.store
            .shared
            .keys
            .open(name, sealed)
            .ok_or_else(|| VaultError::Damaged(name.to_owned()))
    }

    /// Opens a secret, or seals what `make` gives and returns that. What is returned is durable.
    ///
    /// # Errors
    /// See [`VaultError`].
    pub async fn open_or_seal(
        &self,
        name: &str,
        make: impl FnOnce() -> Zeroizing<Vec<u8>>,
    ) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        match self.open(name).await {
            Err(VaultError::Missing(_)) => {}
            other => return other,
        }
        let secret = make();
        match self.seal(name, &secret).await {
            Ok(()) => Ok(secret),
            // Somebody was quicker: theirs counts.
            Err(VaultError::Exists(_)) => self.open(name).await,
            Err(error) => Err(error),
        }
    }
}

fn check_name(name: &str) -> Result<(), VaultError> {
    let begins = name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    let plain = name.len() <= NAME_LENGTH_MAX && name.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    if begins && plain {
        Ok(())
    } else {
        Err(VaultError::Name(name.chars().take(NAME_LENGTH_MAX).collect()))
    }
}

/// Whether the name was free.
pub(crate) async fn put(db: &mut SqliteConnection, name: &str, sealed: Vec<u8>) -> Result<bool, DatabaseError> {
    let done = sqlx::query("INSERT INTO side_secret (name, sealed) VALUES (?, ?) ON CONFLICT (name) DO NOTHING")
        .bind(name)
        .bind(sealed)
        .execute(db)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// The master key, ready for use.
pub(crate) struct Keys(RandomizedNonceKey);

impl Keys {
    fn new(key: &[u8; 32]) -> Result<Self, VaultError> {
        RandomizedNonceKey::new(&AES_256_GCM, key)
            .map(Self)
            .map_err(|_| VaultError::Cipher("the master key was refused"))
    }

    /// Nonce, then ciphertext and tag.
    fn seal(&self, name: &str, secret: &[u8]) -> Result<Vec<u8>, VaultError> {
        let mut text = Vec::with_capacity(secret.len() + 32);
        text.extend_from_slice(secret);
        let nonce = self
            .0
            .seal_in_place_append_tag(Aad::from(associated(name)), &mut text)
            .map_err(|_| VaultError::Cipher("encryption failed"))?;
        Ok([nonce.as_ref().as_slice(), &text].concat())
    }

    fn open(&self, name: &str, sealed: Vec<u8>) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut text = Zeroizing::new(text.to_vec());
        let length = self
            .0
            .open_in_place(Nonce::from(nonce), Aad::from(associated(name)), &mut text)
            .ok()?
            .len();
        text.truncate(length);
        Some(text)
    }
}

fn associated(name: &str) -> Vec<u8> {
    [DOMAIN, name.as_bytes()].concat()
}

/// Finds or makes the master key, and checks that it is the right one.
pub(crate) async fn unlock(db: &mut SqliteConnection, directory: &Path, source: MasterKey) -> Result<Keys, VaultError> {
    let row = sqlx::query("SELECT sealed FROM side_secret WHERE name = ?")
        .bind(CHECK)
        .fetch_optional(&mut *db)
        .await
        .map_err(DatabaseError::from)?;
    let check: Option<Vec<u8>> = row.map(|row| row.try_get(0)).transpose().map_err(DatabaseError::from)?;
    let key = match source {
        MasterKey::Given(key) => key,
        MasterKey::File(path) => key_in(&path, check.is_none())?,
        MasterKey::InDirectory => key_in(&directory.join(FILE), check.is_none())?,
    };
    let keys = Keys::new(&key)?;
    match check {
        Some(sealed) => {
            keys.open(CHECK, sealed).ok_or(VaultError::WrongKey)?;
        }
        None => {
            let sealed = keys.seal(CHECK, DOMAIN)?;
            put(db, CHECK, sealed).await?;
        }
    }
    Ok(keys)
}

fn key_in(path: &Path, may_make: bool) -> Result<Zeroizing<[u8; 32]>, VaultError> {
    let refuse = |because: String| VaultError::KeyFile {
        path: path.display().to_string(),
        because,
    };
    match File::open(path) {
        Ok(file) => read_key(file).map_err(refuse),
        Err(error) if error.kind() == io::ErrorKind::NotFound && may_make => {
            make_key(path).map_err(|error| refuse(error.to_string()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(refuse(
            "it is missing, and secrets were sealed under it; put it back from your backup".into(),
        )),
        Err(error) => Err(refuse(error.to_string())),
    }
}

fn read_key(file: File) -> Result<Zeroizing<[u8; 32]>, String> {
    let mode = file.metadata().map_err(|e| e.to_string())?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(format!(
            "others may read it (mode {:o}); run `chmod 600` on it",
            mode & 0o777
        ));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(128).read_to_string(&mut text).map_err(|e| e.to_string())?;
    let key = model::bytes::Digest::from_hex(text.trim_end());
    key.map(|key| Zeroizing::new(key.0))
        .ok_or_else(|| "expected 64 lower-case hex digits".into())
}

/// Whole or not at all: written beside, synced, then renamed.
fn make_key(path: &Path) -> Result<Zeroizing<[u8; 32]>, io::Error> {
    let mut key = Zeroizing::new([0; 32]);
    getrandom::fill(key.as_mut_slice()).map_err(io::Error::other)?;
    let text = Zeroizing::new(model::bytes::Digest(*key).to_string());
    let beside = beside(path);
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    sync_directory(path.parent().unwrap_or(Path::new("."))).map_err(io::Error::other)?;
    Ok(key)
}

fn beside(path: &Path) -> PathBuf {
    path.with_extension("new")
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N], VaultError> {
    let mut out = [0; N];
    getrandom::fill(&mut out).map_err(|_| VaultError::Cipher("the system gave no randomness"))?;
    Ok(out)
}

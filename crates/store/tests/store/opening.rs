//! Opening a data directory: one server, one format, one key.

use crate::world::{Site, acme, config, directory};
use model::fixture::START_MS;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use store::faults::Faults;
use store::{MasterKey, OpenError, Store, StoreConfig};
use tempfile::TempDir;

fn fresh() -> (TempDir, impl Fn(&TempDir) -> StoreConfig) {
    let clock = Arc::new(AtomicU64::new(START_MS));
    (directory(), move |directory: &TempDir| {
        config(directory, &clock, &Faults::default(), 1)
    })
}

async fn refused(config: StoreConfig) -> String {
    match Store::open(config).await {
        Ok(_) => panic!("it was opened"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn a_second_server_is_refused() {
    let mut site = Site::founded().await;
    let second = site.config();
    let error = refused(second).await;
    assert!(
        error.contains(&format!("in use by process {}", std::process::id())),
        "{error}"
    );
    // It goes on for the first, and the second may come once that is gone.
    site.requested().await;
    site.store.close().await;
    let next = Store::open(site.config()).await.unwrap();
    assert_eq!(next.environments().await.unwrap(), [acme()]);
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let mut site = Site::founded().await;
    let (_, body, _) = site.world.request(model::fixture::seed::ALICE);
    site.store.close().await;
    let error = site.try_record(body).await.unwrap_err();
    assert_eq!(error.to_string(), "not stored: the store is closed");
    site.store.close().await;
}

#[tokio::test]
async fn a_file_of_another_program_is_refused() {
    let (directory, config) = fresh();
    let path = directory.path().join("store.db");
    make(&path, &["CREATE TABLE notes (text TEXT)"]).await;
    let error = refused(config(&directory)).await;
    assert!(error.contains("another program"), "{error}");
    fs::write(&path, b"this is no database at all, only some text of a length").unwrap();
    assert!(matches!(
        Store::open(config(&directory)).await,
        Err(OpenError::Database(_) | OpenError::Unusable { .. })
    ));
}

#[tokio::test]
async fn a_half_made_or_newer_database_is_refused() {
    for (sql, says) in [
        ("DROP TABLE side_blob", "it is half made: `side_blob` is missing"),
        (
            "DROP TRIGGER log_entry_no_delete",
            "it is half made: `log_entry_no_delete` is missing",
        ),
        (
            "PRAGMA user_version = 3",
            "it has schema version 3, and this program reads version 2",
        ),
    ] {
        let (directory, config) = fresh();
        Store::open(config(&directory)).await.unwrap().close().await;
        make(&directory.path().join("store.db"), &[sql]).await;
        let error = refused(config(&directory)).await;
        assert!(error.contains(says), "{sql}: {error}");
    }
}

async fn make(path: &std::path::Path, statements: &[&'static str]) {
    use sqlx::{ConnectOptions, Connection};
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true);
    let mut db = options.connect().await.unwrap();
    for sql in statements {
        sqlx::query(*sql).execute(&mut db).await.unwrap();
    }
    db.close().await.unwrap();
}

#[tokio::test]
async fn an_empty_file_is_a_beginning() {
    let (directory, config) = fresh();
    fs::write(directory.path().join("store.db"), b"").unwrap();
    let store = Store::open(config(&directory)).await.unwrap();
    assert!(store.environments().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_master_key_is_private_and_must_be_the_right_one() {
    let (directory, config) = fresh();
    Store::open(config(&directory)).await.unwrap().close().await;
    let key = directory.path().join("master.key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&key).unwrap();

    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(refused(config(&directory)).await.contains("chmod 600"));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&key, "half").unwrap();
    let error = refused(config(&directory)).await;
    assert!(
        error.contains("64 lower-case hex digits") && !error.contains("half"),
        "{error}"
    );
    fs::write(&key, "00".repeat(32)).unwrap();
    assert!(refused(config(&directory)).await.contains("not the one that sealed"));
    fs::remove_file(&key).unwrap();
    assert!(refused(config(&directory)).await.contains("put it back"));
    fs::write(&key, text).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    Store::open(config(&directory)).await.unwrap();
}

#[tokio::test]
async fn the_master_key_can_be_elsewhere() {
    let (directory, config) = fresh();
    let other = TempDir::new().unwrap();
    let mut first = config(&directory);
    first.master_key = MasterKey::File(other.path().join("key"));
    let store = Store::open(first).await.unwrap();
    store.vault().seal("log key", b"secret").await.unwrap();
    store.close().await;
    assert!(!directory.path().join("master.key").exists());
    let mut second = config(&directory);
    let text = fs::read_to_string(other.path().join("key")).unwrap();
    let key = model::bytes::Digest::from_hex(text.trim()).unwrap().0;
    second.master_key = MasterKey::Given(key.into());
    let store = Store::open(second).await.unwrap();
    assert_eq!(&**store.vault().open("log key").await.unwrap(), b"secret");
}

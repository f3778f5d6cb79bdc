//! The tables, and how a data directory is recognised.
//!
//! What is lost with a table: `log_` tables are the evidence itself, everything after the last cosigned checkpoint that
//! a keeper does not hold; `view_` tables nothing, `rebuild` makes them again; each `side_` table says it below.

use crate::sql::DatabaseError;
use sqlx::{Row, SqliteConnection};
use std::collections::BTreeSet;

/// Written into the file's header: `csgn`.
const APPLICATION_ID: i64 = 0x6373_676e;
/// Raised with every change of a table.
const VERSION: i64 = 2;

/// One statement each; the names of tables and triggers are checked at every start.
const TABLES: &[(&str, &str)] = &[
    (
        "log_environment",
        "CREATE TABLE log_environment (
            log INTEGER PRIMARY KEY,
            name TEXT NOT NULL UNIQUE,
            origin TEXT NOT NULL UNIQUE
        ) STRICT",
    ),
    (
        // `cursor` orders the commits of all logs, for `changes`. `hash` is SHA-256 of `bytes`.
        "log_entry",
        "CREATE TABLE log_entry (
            cursor INTEGER PRIMARY KEY,
            log INTEGER NOT NULL,
            idx INTEGER NOT NULL,
            id BLOB NOT NULL UNIQUE,
            boot BLOB NOT NULL,
            writer_seq INTEGER NOT NULL,
            time_ms INTEGER NOT NULL,
            kind TEXT NOT NULL,
            session BLOB,
            hash BLOB NOT NULL,
            bytes BLOB NOT NULL,
            UNIQUE (log, idx),
            UNIQUE (log, boot, writer_seq)
        ) STRICT",
    ),
    (
        // `parent` and `status` are what lists are filtered by.
        "view_entity",
        "CREATE TABLE view_entity (
            log INTEGER NOT NULL,
            kind TEXT NOT NULL,
            id TEXT NOT NULL,
            version INTEGER NOT NULL,
            touched INTEGER NOT NULL,
            parent TEXT NOT NULL,
            status TEXT NOT NULL,
            state BLOB NOT NULL,
            UNIQUE (log, kind, id)
        ) STRICT",
    ),
    (
        // Which entities an entry changed; one line `kind id` each.
        "view_change",
        "CREATE TABLE view_change (
            log INTEGER NOT NULL,
            idx INTEGER NOT NULL,
            keys TEXT NOT NULL,
            PRIMARY KEY (log, idx)
        ) STRICT, WITHOUT ROWID",
    ),
    (
        // Encrypted openings and wrapped keys. Lost with it: reasons, commands and addresses cannot be shown, and
        // recordings of which nobody else holds the wraps cannot be opened. No proof breaks. Erased rows keep their digest.
        "side_blob",
        "CREATE TABLE side_blob (
            log INTEGER NOT NULL,
            idx INTEGER NOT NULL,
            position INTEGER NOT NULL,
            kind TEXT NOT NULL,
            sha256 BLOB NOT NULL,
            size INTEGER NOT NULL,
            bytes BLOB,
            erased_ms INTEGER,
            UNIQUE (log, idx, position)
        ) STRICT",
    ),
    (
        // The newest head that was signed, or is about to be. Lost with it: what keeps this server from signing a fork
        // of its own log; witnesses still refuse one.
        "side_signed_head",
        "CREATE TABLE side_signed_head (
            log INTEGER PRIMARY KEY,
            size INTEGER NOT NULL,
            root BLOB NOT NULL,
            time_ms INTEGER NOT NULL
        ) STRICT",
    ),
    (
        // The first cosigned head over each opening, approval and end, and the newest. Lost with it: when their time was
        // vouched for. A later head stands in and proves less: openings look as if they had not awaited their gate.
        "side_cosigned",
        "CREATE TABLE side_cosigned (
            log INTEGER NOT NULL,
            size INTEGER NOT NULL,
            note TEXT NOT NULL,
            PRIMARY KEY (log, size)
        ) STRICT, WITHOUT ROWID",
    ),
    (
        // Keys, sealed under the master key. Lost with it: the log key and the certificate authorities; environments
        // must be told new ones.
        "side_secret",
        "CREATE TABLE side_secret (
            name TEXT PRIMARY KEY,
            sealed BLOB NOT NULL
        ) STRICT, WITHOUT ROWID",
    ),
    (
        // The store's own id, and a counter that is written to prove that writing works. Nothing is lost with it.
        "side_store",
        "CREATE TABLE side_store (
            one INTEGER PRIMARY KEY CHECK (one = 1),
            id BLOB NOT NULL,
            fence INTEGER NOT NULL
        ) STRICT",
    ),
];

const INDEXES: &[&str] = &[
    "CREATE INDEX log_entry_session ON log_entry (session, log, idx) WHERE session IS NOT NULL",
    "CREATE INDEX view_entity_status ON view_entity (log, kind, status, id)",
    "CREATE INDEX view_entity_parent ON view_entity (log, kind, parent, id)",
    "CREATE INDEX side_blob_digest ON side_blob (sha256, log)",
];

/// INVARIANT (append-only): `log_` rows are never changed and never deleted, also not by REPLACE, which fires delete
/// triggers because the writer's connection turns `recursive_triggers` on.
const GUARDED: &[&str] = &["log_entry", "log_environment"];

/// Why a file is not a database of this version.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SchemaError {
    #[error("it belongs to another program (application id {0:#x})")]
    Foreign(i64),
    #[error("it has schema version {0}, and this program reads version {VERSION}")]
    Version(i64),
    #[error("it is half made: `{0}` is missing")]
    HalfMade(String),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// Makes the tables in an empty database, or checks that they are all there.
pub(crate) async fn prepare(db: &mut SqliteConnection, id: [u8; 16]) -> Result<(), SchemaError> {
    let present = names(db).await?;
    if present.is_empty() {
        return Ok(create(db, id).await?);
    }
    let application = pragma(db, "PRAGMA application_id").await?;
    if application != APPLICATION_ID {
        return Err(SchemaError::Foreign(application));
    }
    let version = pragma(db, "PRAGMA user_version").await?;
    if version != VERSION {
        return Err(SchemaError::Version(version));
    }
    match wanted().into_iter().find(|name| !present.contains(name)) {
        Some(missing) => Err(SchemaError::HalfMade(missing)),
        None => Ok(()),
    }
}

/// All in one transaction, so that a crash leaves either nothing or everything.
async fn create(db: &mut SqliteConnection, id: [u8; 16]) -> Result<(), DatabaseError> {
    run(db, "BEGIN IMMEDIATE").await?;
    for (_, table) in TABLES {
        run(db, table).await?;
    }
    for index in INDEXES {
        run(db, index).await?;
    }
    for table in GUARDED {
        for change in ["update", "delete"] {
            let name = trigger(table, change);
            let sql = format!(
                "CREATE TRIGGER {name} BEFORE {change} ON {table} BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            );
            run_text(db, sql).await?;
        }
    }
    sqlx::query("INSERT INTO side_store (one, id, fence) VALUES (1, ?, 0)")
        .bind(id.to_vec())
        .execute(&mut *db)
        .await?;
    run_text(db, format!("PRAGMA application_id = {APPLICATION_ID}")).await?;
    run_text(db, format!("PRAGMA user_version = {VERSION}")).await?;
    run(db, "COMMIT").await
}

fn trigger(table: &str, change: &str) -> String {
    format!("{table}_no_{change}")
}

fn wanted() -> Vec<String> {
    let tables = TABLES.iter().map(|(name, _)| (*name).to_owned());
    let triggers = GUARDED
        .iter()
        .flat_map(|table| ["update", "delete"].map(|change| trigger(table, change)));
    tables.chain(triggers).collect()
}

async fn names(db: &mut SqliteConnection) -> Result<BTreeSet<String>, DatabaseError> {
    let rows = sqlx::query("SELECT name FROM sqlite_schema").fetch_all(db).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

async fn pragma(db: &mut SqliteConnection, sql: &'static str) -> Result<i64, DatabaseError> {
    Ok(sqlx::query(sql).fetch_one(db).await?.try_get(0)?)
}

async fn run(db: &mut SqliteConnection, sql: &'static str) -> Result<(), DatabaseError> {
    sqlx::query(sql).persistent(false).execute(db).await?;
    Ok(())
}

async fn run_text(db: &mut SqliteConnection, sql: String) -> Result<(), DatabaseError> {
    // Built from the constants above only.
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .persistent(false)
        .execute(db)
        .await?;
    Ok(())
}

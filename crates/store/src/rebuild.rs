//! Making the projections again from the entries, by the functions that a commit uses.

use crate::cache::Cache;
use crate::follow::{Overlay, Sources, Touched};
use crate::open::Store;
use crate::project::project;
use crate::sql::{DatabaseError, number, signed};
use crate::writer::Job;
use aws_lc_rs::digest::{Context, SHA256};
use model::apply::{Refused, Snapshot};
use model::bytes::Digest;
use model::entity::EntityKey;
use model::entry::Placed;
use model::name::EnvironmentName;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

/// Entries that are read and projected at once.
const STRETCH: i64 = 256;

/// What a rebuild went through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// Entries read.
    pub entries: u64,
    /// Entries that cannot follow the state before them. An honest store wrote none; they have no effect.
    pub refused: Vec<(u64, Refused)>,
}

impl Store {
    /// Drops the projections of a log and makes them again, in one transaction. Commits wait.
    ///
    /// # Errors
    /// When the database fails, or holds bytes that are no entry; then everything is as before.
    pub async fn rebuild(&self, environment: &EnvironmentName) -> Result<Rebuilt, DatabaseError> {
        let asked = self
            .shared
            .writer
            .ask(|answer| Job::Rebuild(environment.clone(), answer))
            .await;
        asked.unwrap_or_else(|| Err(DatabaseError::closed()))
    }

    /// SHA-256 over all projections, in the order of environment, kind, id and index. Equal on every backend, and before
    /// and after [`Store::rebuild`].
    ///
    /// # Errors
    /// When the database fails.
    pub async fn canonical_digest(&self) -> Result<Digest, DatabaseError> {
        let mut transaction = self.shared.readers.begin().await?;
        let mut hash = Context::new(&SHA256);
        let logs = sqlx::query("SELECT log, name FROM log_environment ORDER BY name")
            .fetch_all(&mut *transaction)
            .await?;
        for row in logs {
            let log: i64 = row.try_get(0)?;
            part(&mut hash, row.try_get::<&str, _>(1)?.as_bytes());
            entities(&mut transaction, log, &mut hash).await?;
            changes(&mut transaction, log, &mut hash).await?;
        }
        let mut out = [0; 32];
        out.copy_from_slice(hash.finish().as_ref());
        Ok(Digest(out))
    }
}

async fn entities(db: &mut SqliteConnection, log: i64, hash: &mut Context) -> Result<(), DatabaseError> {
    let mut last = (String::new(), String::new());
    loop {
        let rows = sqlx::query(
            "SELECT kind, id, version, touched, parent, status, state FROM view_entity
             WHERE log = ? AND (kind, id) > (?, ?) ORDER BY kind, id LIMIT 1000",
        )
        .bind(log)
        .bind(&last.0)
        .bind(&last.1)
        .fetch_all(&mut *db)
        .await?;
        let Some(end) = rows.last() else { return Ok(()) };
        last = (end.try_get(0)?, end.try_get(1)?);
        for row in &rows {
            for text in [0, 1, 4, 5] {
                part(hash, row.try_get::<&str, _>(text)?.as_bytes());
            }
            for count in [2, 3] {
                part(hash, &number(row, count)?.to_be_bytes());
            }
            part(hash, row.try_get(6)?);
        }
    }
}

async fn changes(db: &mut SqliteConnection, log: i64, hash: &mut Context) -> Result<(), DatabaseError> {
    let mut next = 0;
    loop {
        let rows = sqlx::query("SELECT idx, keys FROM view_change WHERE log = ? AND idx >= ? ORDER BY idx LIMIT 1000")
            .bind(log)
            .bind(next)
            .fetch_all(&mut *db)
            .await?;
        let Some(end) = rows.last() else { return Ok(()) };
        next = end.try_get::<i64, _>(0)? + 1;
        for row in &rows {
            part(hash, &number(row, 0)?.to_be_bytes());
            part(hash, row.try_get::<&str, _>(1)?.as_bytes());
        }
    }
}

/// With its length before it, so that no two rows run together.
fn part(hash: &mut Context, bytes: &[u8]) {
    hash.update(&(bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}

/// Inside the writer's transaction.
pub(crate) async fn rebuild(
    db: &mut SqliteConnection,
    environment: &EnvironmentName,
) -> Result<Rebuilt, DatabaseError> {
    let mut rebuilt = Rebuilt {
        entries: 0,
        refused: vec![],
    };
    let found = sqlx::query("SELECT log FROM log_environment WHERE name = ?")
        .bind(environment.as_str())
        .fetch_optional(&mut *db)
        .await?;
    let Some(found) = found else { return Ok(rebuilt) };
    let log: i64 = found.try_get(0)?;
    for sql in [
        "DELETE FROM view_entity WHERE log = ?",
        "DELETE FROM view_change WHERE log = ?",
    ] {
        sqlx::query(sql).bind(log).execute(&mut *db).await?;
    }
    let mut cache = Cache::default();
    loop {
        let rows = sqlx::query("SELECT idx, bytes FROM log_entry WHERE log = ? AND idx >= ? ORDER BY idx LIMIT ? + 0")
            .bind(log)
            .bind(signed(rebuilt.entries)?)
            .bind(STRETCH)
            .fetch_all(&mut *db)
            .await?;
        if rows.is_empty() {
            return Ok(rebuilt);
        }
        stretch(db, &mut cache, log, &rows, &mut rebuilt).await?;
    }
}

async fn stretch(
    db: &mut SqliteConnection,
    cache: &mut Cache,
    log: i64,
    rows: &[SqliteRow],
    rebuilt: &mut Rebuilt,
) -> Result<(), DatabaseError> {
    let mut overlay = Overlay::new();
    let mut entries: Vec<(u64, Vec<EntityKey>)> = vec![];
    for row in rows {
        let index = number(row, 0)?;
        if index != rebuilt.entries {
            return Err(DatabaseError::content(format!("entry {} is missing", rebuilt.entries)));
        }
        let placed = Placed::parse(index, row.try_get(1)?)
            .map_err(|error| DatabaseError::content(format!("entry {index}: {error}")))?;
        let mut before = Snapshot::partial();
        let mut sources = Sources {
            db,
            cache,
            log,
            overlay: &overlay,
        };
        let touched = match sources.follow(&mut before, &placed).await? {
            Ok(touched) => touched,
            Err(refused) => {
                rebuilt.refused.push((index, refused));
                vec![]
            }
        };
        for key in &touched {
            if let Ok(Some(value)) = before.versioned(key) {
                let value = value.clone();
                overlay.insert(key.clone(), Touched { value, index });
            }
        }
        entries.push((index, touched));
        rebuilt.entries += 1;
    }
    let touched = entries.iter().map(|(index, keys)| (*index, keys.as_slice()));
    project(db, log, touched, &overlay).await?;
    for (key, touched) in overlay {
        cache.put(log, key, touched.value);
    }
    Ok(())
}

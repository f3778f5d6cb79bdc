//! Blobs beside entries: encrypted openings and wrapped keys. They can be erased; the entry keeps their digest, and the
//! row says when.

use crate::open::Store;
use crate::place::Row as Placed;
use crate::sql::{Bulk, DatabaseError, Query, digest, number, signed};
use crate::writer::Job;
use model::bytes::Digest;
use model::entry::BlobKind;
use model::id::EntryId;
use model::name::EnvironmentName;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

/// A blob as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBlob {
    /// Index of its entry.
    pub index: u64,
    /// What it holds.
    pub kind: BlobKind,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
    /// Their number.
    pub size: u64,
    /// The bytes; absent once erased.
    pub bytes: Option<Vec<u8>>,
    /// When it was erased, Unix milliseconds.
    pub erased_ms: Option<u64>,
}

const COLUMNS: &str = "SELECT idx, kind, sha256, size, bytes, erased_ms FROM side_blob";

impl Store {
    /// The blob with this digest.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn blob(
        &self,
        environment: &EnvironmentName,
        sha256: Digest,
    ) -> Result<Option<StoredBlob>, DatabaseError> {
        let sql = format!(
            "{COLUMNS} WHERE log = (SELECT log FROM log_environment WHERE name = ?) AND sha256 = ? ORDER BY idx LIMIT 1"
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(environment.as_str())
            .bind(sha256.0.to_vec())
            .fetch_optional(&self.shared.readers)
            .await?;
        row.as_ref().map(stored).transpose()
    }

    /// The blobs of an entry, in the order in which it names them.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn blobs_of(&self, environment: &EnvironmentName, id: EntryId) -> Result<Vec<StoredBlob>, DatabaseError> {
        let sql = format!(
            "{COLUMNS} WHERE (log, idx) IN (SELECT log, idx FROM log_entry
                WHERE id = ? AND log = (SELECT log FROM log_environment WHERE name = ?)) ORDER BY position"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(id.to_bytes().to_vec())
            .bind(environment.as_str())
            .fetch_all(&self.shared.readers)
            .await?;
        rows.iter().map(stored).collect()
    }

    /// Erases the bytes of a blob wherever they stand in this log, and says in how many places. Digest, size and the
    /// time of the erasure stay; no proof breaks.
    ///
    /// # Errors
    /// When the database fails; the bytes may then still be there.
    pub async fn delete_blob(&self, environment: &EnvironmentName, sha256: Digest) -> Result<u64, DatabaseError> {
        let asked = self
            .shared
            .writer
            .ask(|answer| Job::Erase(environment.clone(), sha256, answer))
            .await;
        asked.unwrap_or_else(|| Err(DatabaseError::closed()))
    }
}

pub(crate) async fn erase(
    db: &mut SqliteConnection,
    environment: &EnvironmentName,
    sha256: Digest,
    now_ms: u64,
) -> Result<u64, DatabaseError> {
    let done = sqlx::query(
        "UPDATE side_blob SET bytes = NULL, erased_ms = ?
         WHERE sha256 = ? AND bytes IS NOT NULL AND log = (SELECT log FROM log_environment WHERE name = ?)",
    )
    .bind(signed(now_ms)?)
    .bind(sha256.0.to_vec())
    .bind(environment.as_str())
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

const BLOBS: Bulk = Bulk {
    into: "INSERT INTO side_blob (log, idx, position, kind, sha256, size, bytes)",
    columns: 7,
    tail: "",
};

struct Columns {
    log: i64,
    index: i64,
    position: i64,
    kind: &'static str,
    sha256: Digest,
    size: i64,
    bytes: Vec<u8>,
}

/// Takes the blobs out of `rows` and writes them.
pub(crate) async fn insert(db: &mut SqliteConnection, log: i64, rows: &mut [Placed]) -> Result<(), DatabaseError> {
    let mut columns = vec![];
    for row in rows {
        for (position, (blob, bytes)) in std::mem::take(&mut row.blobs).into_iter().enumerate() {
            columns.push(Columns {
                log,
                index: signed(row.index)?,
                position: signed(position as u64)?,
                kind: word(blob.kind),
                sha256: blob.sha256,
                size: signed(blob.size)?,
                bytes,
            });
        }
    }
    BLOBS.insert(db, columns, Columns::bind).await
}

impl Columns {
    fn bind(query: Query<'_>, row: Self) -> Query<'_> {
        query
            .bind(row.log)
            .bind(row.index)
            .bind(row.position)
            .bind(row.kind)
            .bind(row.sha256.0.to_vec())
            .bind(row.size)
            .bind(row.bytes)
    }
}

fn word(kind: BlobKind) -> &'static str {
    match kind {
        BlobKind::Openings => "openings",
        BlobKind::Wraps => "wraps",
    }
}

fn stored(row: &SqliteRow) -> Result<StoredBlob, DatabaseError> {
    let kind = match row.try_get::<&str, _>(1)? {
        "openings" => BlobKind::Openings,
        "wraps" => BlobKind::Wraps,
        other => return Err(DatabaseError::content(format!("`{other}` is no kind of blob"))),
    };
    let erased: Option<i64> = row.try_get(5)?;
    Ok(StoredBlob {
        index: number(row, 0)?,
        kind,
        sha256: digest(row, 2)?,
        size: number(row, 3)?,
        bytes: row.try_get(4)?,
        erased_ms: erased.and_then(|ms| u64::try_from(ms).ok()),
    })
}

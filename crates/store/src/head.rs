//! The newest head that was signed, or is about to be. It is durable before a signature over it may leave.
//!
//! INVARIANT (one history): a log's signed size never falls, and one size has one root.

use crate::open::Store;
use crate::sql::{DatabaseError, array, number, signed};
use crate::writer::Job;
use ledger::hash::Hash;
use model::name::EnvironmentName;
use sqlx::{Row, SqliteConnection};

/// A log's size and root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedHead {
    /// Entries.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Hash,
}

/// Why a head may not be signed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HeadError {
    /// There is no such log.
    #[error("there is no environment `{0}`")]
    NoLog(EnvironmentName),
    /// Entries that are not there.
    #[error("size {wanted} is beyond the log's {size} entries")]
    Beyond {
        /// What was to be signed.
        wanted: u64,
        /// What there is.
        size: u64,
    },
    /// A smaller size than was signed before.
    #[error("size {wanted} was to be signed after {signed}")]
    Behind {
        /// What was to be signed.
        wanted: u64,
        /// What was signed.
        signed: u64,
    },
    /// Another root for a size that was signed: a fork.
    #[error("another root was signed for size {0}")]
    Fork(u64),
    /// The database failed. The head may be stored; it may be put again, and must not be signed before that succeeds.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl Store {
    /// The newest head that was put.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn signed_head(&self, environment: &EnvironmentName) -> Result<Option<SignedHead>, DatabaseError> {
        let row = sqlx::query(
            "SELECT size, root FROM side_signed_head
             WHERE log = (SELECT log FROM log_environment WHERE name = ?)",
        )
        .bind(environment.as_str())
        .fetch_optional(&self.shared.readers)
        .await?;
        row.map(|row| head(&row)).transpose()
    }

    /// Puts a head before it is signed; when this returns, it is durable. Putting the same head again is allowed.
    ///
    /// # Errors
    /// See [`HeadError`]; then the head must not be signed.
    pub async fn put_signed_head(&self, environment: &EnvironmentName, head: SignedHead) -> Result<(), HeadError> {
        let asked = self
            .shared
            .writer
            .ask(|answer| Job::SignedHead(environment.clone(), head, answer))
            .await;
        asked.unwrap_or_else(|| Err(DatabaseError::closed().into()))
    }
}

/// Writes the head, or says why not.
pub(crate) async fn put(
    db: &mut SqliteConnection,
    environment: &EnvironmentName,
    wanted: SignedHead,
    now_ms: u64,
) -> Result<Result<(), HeadError>, DatabaseError> {
    let found = sqlx::query(
        "SELECT log, (SELECT COALESCE(MAX(idx) + 1, 0) FROM log_entry e WHERE e.log = v.log)
         FROM log_environment v WHERE name = ?",
    )
    .bind(environment.as_str())
    .fetch_optional(&mut *db)
    .await?;
    let Some(found) = found else {
        return Ok(Err(HeadError::NoLog(environment.clone())));
    };
    let (log, size): (i64, u64) = (found.try_get(0)?, number(&found, 1)?);
    let before = sqlx::query("SELECT size, root FROM side_signed_head WHERE log = ?")
        .bind(log)
        .fetch_optional(&mut *db)
        .await?;
    let before = before.map(|row| head(&row)).transpose()?;
    if let Err(refused) = check(wanted, before, size) {
        return Ok(Err(refused));
    }
    sqlx::query(
        "INSERT INTO side_signed_head (log, size, root, time_ms) VALUES (?, ?, ?, ?)
         ON CONFLICT (log) DO UPDATE SET size = excluded.size, root = excluded.root, time_ms = excluded.time_ms",
    )
    .bind(log)
    .bind(signed(wanted.size)?)
    .bind(wanted.root.as_bytes().to_vec())
    .bind(signed(now_ms)?)
    .execute(db)
    .await?;
    Ok(Ok(()))
}

/// INVARIANT (one history)
fn check(wanted: SignedHead, before: Option<SignedHead>, size: u64) -> Result<(), HeadError> {
    if wanted.size > size {
        return Err(HeadError::Beyond {
            wanted: wanted.size,
            size,
        });
    }
    match before {
        Some(before) if wanted.size < before.size => Err(HeadError::Behind {
            wanted: wanted.size,
            signed: before.size,
        }),
        Some(before) if wanted.size == before.size && wanted.root != before.root => Err(HeadError::Fork(wanted.size)),
        _ => Ok(()),
    }
}

fn head(row: &sqlx::sqlite::SqliteRow) -> Result<SignedHead, DatabaseError> {
    Ok(SignedHead {
        size: number(row, 0)?,
        root: Hash::from_bytes(array(row, 1)?),
    })
}

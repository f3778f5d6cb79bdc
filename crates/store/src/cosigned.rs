//! Cosigned heads that are kept: what the time of openings, approvals and ends is proven with.
//!
//! Which heads are worth keeping, and whether they are heads of these entries, is for those who bring them. The first
//! that was kept of a size stays: its time is the earliest.

use crate::open::Store;
use crate::sql::{DatabaseError, signed};
use crate::writer::Job;
use model::name::EnvironmentName;
use sqlx::{Row, SqliteConnection};

/// A head that is to be kept.
pub(crate) struct Kept {
    size: u64,
    note: String,
    instead_of: Option<u64>,
}

impl Store {
    /// Keeps a cosigned head over the log's first `size` entries, and no longer the one over `instead_of`; when this
    /// returns, it is durable. Where one of that size is kept already, that one stays.
    ///
    /// # Errors
    /// When the database fails, or has no such log. The head may be kept then; it may be given again.
    pub async fn keep_cosigned(
        &self,
        environment: &EnvironmentName,
        size: u64,
        note: String,
        instead_of: Option<u64>,
    ) -> Result<(), DatabaseError> {
        let asked = self
            .shared
            .writer
            .ask(|answer| Job::Cosigned(environment.clone(), Kept { size, note, instead_of }, answer))
            .await;
        asked.unwrap_or_else(|| Err(DatabaseError::closed()))
    }

    /// The first kept head over the entry at `index`, or the newest where none is named.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn cosigned_over(
        &self,
        environment: &EnvironmentName,
        index: Option<u64>,
    ) -> Result<Option<String>, DatabaseError> {
        let query = match index {
            Some(index) => sqlx::query(
                "SELECT note FROM side_cosigned
                 WHERE log = (SELECT log FROM log_environment WHERE name = ?) AND size > ? ORDER BY size LIMIT 1",
            )
            .bind(environment.as_str())
            .bind(i64::try_from(index).unwrap_or(i64::MAX)),
            None => sqlx::query(
                "SELECT note FROM side_cosigned
                 WHERE log = (SELECT log FROM log_environment WHERE name = ?) ORDER BY size DESC LIMIT 1",
            )
            .bind(environment.as_str()),
        };
        let row = query.fetch_optional(&self.shared.readers).await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }
}

/// Writes the head, unless one of its size is there. A log that does not exist has no number, which the table refuses.
pub(crate) async fn keep(
    db: &mut SqliteConnection,
    environment: &EnvironmentName,
    kept: Kept,
) -> Result<(), DatabaseError> {
    if let Some(size) = kept.instead_of {
        sqlx::query(
            "DELETE FROM side_cosigned WHERE log = (SELECT log FROM log_environment WHERE name = ?) AND size = ?",
        )
        .bind(environment.as_str())
        .bind(signed(size)?)
        .execute(&mut *db)
        .await?;
    }
    sqlx::query(
        "INSERT INTO side_cosigned (log, size, note) VALUES ((SELECT log FROM log_environment WHERE name = ?), ?, ?)
         ON CONFLICT (log, size) DO NOTHING",
    )
    .bind(environment.as_str())
    .bind(signed(kept.size)?)
    .bind(kept.note)
    .execute(db)
    .await?;
    Ok(())
}

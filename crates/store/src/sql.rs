//! What every query needs: one opaque error, checked numbers, and inserts of many rows at once.
//!
//! A limit is written `LIMIT ? + 0`: SQLite plans a bare `LIMIT ?` for the number that is bound, and so plans it again each
//! time that one is.

use model::bytes::Digest;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, Row, Sqlite, SqliteConnection};
use std::sync::Arc;

pub(crate) type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

/// The database did not do what it was asked, or held what it must not hold.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct DatabaseError(Arc<Cause>);

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error("database: {0}")]
    Sql(#[from] sqlx::Error),
    #[error("database: {0}")]
    Content(String),
    #[error("the store is closed")]
    Closed,
    #[cfg(feature = "faults")]
    #[error("database: failure injected at {0:?}")]
    Injected(crate::faults::Point),
}

impl DatabaseError {
    /// A row that this program cannot have written.
    pub(crate) fn content(what: impl Into<String>) -> Self {
        Self(Arc::new(Cause::Content(what.into())))
    }

    pub(crate) fn closed() -> Self {
        Self(Arc::new(Cause::Closed))
    }

    #[cfg(feature = "faults")]
    pub(crate) fn injected(point: crate::faults::Point) -> Self {
        Self(Arc::new(Cause::Injected(point)))
    }
}

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        Self(Arc::new(Cause::Sql(error)))
    }
}

/// SQLite's integers are signed; nothing here counts beyond them.
pub(crate) fn signed(n: u64) -> Result<i64, DatabaseError> {
    i64::try_from(n).map_err(|_| DatabaseError::content(format!("{n} is too large for a column")))
}

pub(crate) fn number(row: &SqliteRow, column: usize) -> Result<u64, DatabaseError> {
    let n: i64 = row.try_get(column)?;
    u64::try_from(n).map_err(|_| DatabaseError::content(format!("{n} stands where a count belongs")))
}

pub(crate) fn array<const N: usize>(row: &SqliteRow, column: usize) -> Result<[u8; N], DatabaseError> {
    let bytes: &[u8] = row.try_get(column)?;
    <[u8; N]>::try_from(bytes).map_err(|_| DatabaseError::content(format!("a value of {} bytes, not {N}", bytes.len())))
}

pub(crate) fn digest(row: &SqliteRow, column: usize) -> Result<Digest, DatabaseError> {
    Ok(Digest(array(row, column)?))
}

/// Rows in one statement, at most. Smaller batches are cut into powers of two, so that few statements are prepared.
const ROWS_MAX: usize = 64;

/// An insert of many rows: what stands before and after the values, and how many columns a row has.
pub(crate) struct Bulk {
    pub(crate) into: &'static str,
    pub(crate) columns: usize,
    pub(crate) tail: &'static str,
}

impl Bulk {
    pub(crate) async fn insert<T>(
        &self,
        db: &mut SqliteConnection,
        rows: Vec<T>,
        bind: for<'q> fn(Query<'q>, T) -> Query<'q>,
    ) -> Result<(), DatabaseError> {
        let mut left = rows.len();
        let mut rows = rows.into_iter();
        while left > 0 {
            let count = power_of_two_below(left);
            left -= count;
            let query = sqlx::query(AssertSqlSafe(self.text(count)));
            rows.by_ref().take(count).fold(query, bind).execute(&mut *db).await?;
        }
        Ok(())
    }

    fn text(&self, rows: usize) -> String {
        let row = format!("({})", vec!["?"; self.columns].join(","));
        format!(
            "{} VALUES {} {}",
            self.into,
            vec![row.as_str(); rows].join(","),
            self.tail
        )
    }
}

fn power_of_two_below(n: usize) -> usize {
    let largest = 1usize << n.max(1).ilog2();
    largest.min(ROWS_MAX)
}

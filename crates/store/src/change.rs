//! What has been committed since: a cursor over the commits of all logs, and a hint that there is something new.

use crate::open::Store;
use crate::project::parse_lines;
use crate::sql::{DatabaseError, number, signed};
use model::entity::EntityKey;
use model::name::EnvironmentName;
use sqlx::Row;
use tokio::sync::watch;

/// Changes in one answer, at most.
const PAGE_MAX: i64 = 1000;

/// One committed entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its place among the commits of all logs; never falls.
    pub cursor: u64,
    /// Whose log it is in.
    pub environment: EnvironmentName,
    /// Its index there.
    pub index: u64,
    /// Its type, as in the entry.
    pub kind: String,
    /// The entities that it changed.
    pub keys: Vec<EntityKey>,
}

impl Store {
    /// Entries committed after `cursor`, oldest first, at most 1,000; 0 is before all. Ask again with the last one's
    /// cursor until the answer is empty.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn changes_since(&self, cursor: u64) -> Result<Vec<Change>, DatabaseError> {
        let rows = sqlx::query(
            "SELECT e.cursor, v.name, e.idx, e.kind, c.keys
             FROM log_entry e JOIN log_environment v ON v.log = e.log
             LEFT JOIN view_change c ON c.log = e.log AND c.idx = e.idx
             WHERE e.cursor > ? ORDER BY e.cursor LIMIT ? + 0",
        )
        .bind(signed(cursor)?)
        .bind(PAGE_MAX)
        .fetch_all(&self.shared.readers)
        .await?;
        rows.iter()
            .map(|row| {
                let keys: Option<&str> = row.try_get(4)?;
                Ok(Change {
                    cursor: number(row, 0)?,
                    environment: crate::read::name(row.try_get(1)?)?,
                    index: number(row, 2)?,
                    kind: row.try_get(3)?,
                    keys: parse_lines(keys.unwrap_or_default())?,
                })
            })
            .collect()
    }

    /// The cursor of the latest commit, told after each. A hint: a change can be missed here, and never in
    /// [`Store::changes_since`].
    #[must_use]
    pub fn committed(&self) -> watch::Receiver<u64> {
        self.shared.committed.clone()
    }
}

//! Reading entries and state. Readers never wait for the writer. A log that does not exist reads as an empty one.

use crate::commit::Receipt;
use crate::follow::{stored, versioned};
use crate::image::{Image, LOADS_MAX};
use crate::open::Store;
use crate::project::entity_key;
use crate::sql::{DatabaseError, array, digest, number, signed};
use model::apply::{Refused, Snapshot, Versioned};
use model::entity::{EntityKey, EntityKind};
use model::id::{EntryId, SessionId};
use model::name::EnvironmentName;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row, SqliteConnection};
use std::ops::Range;
use std::sync::Arc;

/// Rows in one answer, at most.
const PAGE_MAX: u32 = 1000;
/// The newest commit that a reader sees.
const CURSOR: &str = "SELECT COALESCE(MAX(cursor), 0) FROM log_entry";

/// Why nothing was gathered.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GatherError {
    /// The state says no.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// Which entities a list holds. The default is all, the first 1,000, ordered by id.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only those that belong to this: a session to its grant, a grant and a request to the requester, an identity to
    /// its organisation, a key to its identity, a proof to its session.
    pub parent: Option<String>,
    /// Only those that stand there: a session `open`, `ended`, `lost`; a request `pending`, `denied`, `granted`; a grant
    /// `live`, `revoked` (whether its window has ended is the reader's question); an identity `live`, `ended`.
    pub status: Option<&'static str>,
    /// Only those behind this id in the list's order; for paging.
    pub after: Option<String>,
    /// Newest first, for ids that sort by time.
    pub descending: bool,
    /// At most so many; never more than 1,000.
    pub limit: Option<u32>,
}

impl Store {
    /// The environments that have a log, by name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn environments(&self) -> Result<Vec<EnvironmentName>, DatabaseError> {
        if let Some(known) = self.shared.image.environments() {
            return Ok(known);
        }
        let rows = sqlx::query(AssertSqlSafe(format!(
            "SELECT name, ({CURSOR}) FROM log_environment ORDER BY name"
        )))
        .fetch_all(&self.shared.readers)
        .await?;
        let names = rows.iter().map(|row| name(row.try_get(0)?));
        let names: Vec<EnvironmentName> = names.collect::<Result<_, _>>()?;
        if let Some(row) = rows.first() {
            self.shared.image.learn_environments(number(row, 1)?, &names);
        }
        Ok(names)
    }

    /// Number of entries in a log.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn size(&self, environment: &EnvironmentName) -> Result<u64, DatabaseError> {
        if let Some(known) = self.shared.image.size(environment) {
            return Ok(known);
        }
        let row = sqlx::query(AssertSqlSafe(format!(
            "SELECT COALESCE(MAX(idx) + 1, 0), ({CURSOR}) FROM log_entry
             WHERE log = (SELECT log FROM log_environment WHERE name = ?)"
        )))
        .bind(environment.as_str())
        .fetch_one(&self.shared.readers)
        .await?;
        let size = number(&row, 0)?;
        self.shared.image.learn_size(number(&row, 1)?, environment, size);
        Ok(size)
    }

    /// What the state says of `keys`, all at one moment.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn snapshot(
        &self,
        environment: &EnvironmentName,
        keys: impl IntoIterator<Item = EntityKey>,
    ) -> Result<Snapshot, DatabaseError> {
        let mut view = self.view(environment).await?;
        let mut snapshot = Snapshot::partial();
        for key in keys {
            view.load(&mut snapshot, key).await?;
        }
        Ok(snapshot)
    }

    /// Asks `question` of the state, loading what it names with [`Refused::NotLoaded`] and asking again, all at one
    /// moment. The question is asked several times and must have no effect.
    ///
    /// # Errors
    /// The question's own refusal, or the database's failure.
    pub async fn gather<R>(
        &self,
        environment: &EnvironmentName,
        question: impl Fn(&Snapshot) -> Result<R, Refused>,
    ) -> Result<R, GatherError> {
        if let Some(answer) = self.shared.image.gather(environment, &question) {
            return Ok(answer?);
        }
        let mut view = self.view(environment).await?;
        let mut snapshot = Snapshot::partial();
        for _ in 0..LOADS_MAX {
            match question(&snapshot) {
                Ok(answer) => return Ok(answer),
                Err(Refused::NotLoaded(key)) => view.load(&mut snapshot, key).await?,
                Err(refused) => return Err(refused.into()),
            }
        }
        Err(DatabaseError::content("a question looks at too many entities").into())
    }

    async fn view(&self, environment: &EnvironmentName) -> Result<View, DatabaseError> {
        let mut transaction = self.shared.readers.begin().await?;
        let row = sqlx::query(AssertSqlSafe(format!(
            "SELECT (SELECT log FROM log_environment WHERE name = ?), ({CURSOR})"
        )))
        .bind(environment.as_str())
        .fetch_one(&mut *transaction)
        .await?;
        let (log, at) = (row.try_get(0)?, number(&row, 1)?);
        let image = self.shared.image.clone();
        if let Some(log) = log {
            image.learn_log(at, environment, log);
        }
        Ok(View {
            transaction,
            image,
            at,
            log,
        })
    }

    /// Entities of one kind with their state.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(
        &self,
        environment: &EnvironmentName,
        kind: EntityKind,
        filter: &Filter,
    ) -> Result<Vec<(EntityKey, Arc<Versioned>)>, DatabaseError> {
        let mut query = sqlx::query(AssertSqlSafe(filter.text()))
            .bind(environment.as_str())
            .bind(kind.as_str());
        let values = [filter.parent.as_deref(), filter.status, filter.after.as_deref()];
        for value in values.into_iter().flatten() {
            query = query.bind(value);
        }
        let limit = filter.limit.unwrap_or(PAGE_MAX).min(PAGE_MAX);
        let rows = query.bind(limit).fetch_all(&self.shared.readers).await?;
        rows.iter()
            .map(|row| {
                let key = entity_key(kind, row.try_get(0)?)?;
                let value = versioned(number(row, 1)?, row.try_get(2)?, &key)?;
                Ok((key, value))
            })
            .collect()
    }

    /// Entries of a range, with their indexes, in order; at most `limit` and 1,000.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn entries(
        &self,
        environment: &EnvironmentName,
        range: Range<u64>,
        limit: u32,
    ) -> Result<Vec<(u64, Vec<u8>)>, DatabaseError> {
        let rows = sqlx::query(
            "SELECT idx, bytes FROM log_entry WHERE log = (SELECT log FROM log_environment WHERE name = ?)
             AND idx >= ? AND idx < ? ORDER BY idx LIMIT ? + 0",
        )
        .bind(environment.as_str())
        .bind(signed(range.start)?)
        .bind(signed(range.end.min(i64::MAX.unsigned_abs()))?)
        .bind(limit.min(PAGE_MAX))
        .fetch_all(&self.shared.readers)
        .await?;
        rows.iter().map(indexed).collect()
    }

    /// An entry by its id, with its index.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn entry(
        &self,
        environment: &EnvironmentName,
        id: EntryId,
    ) -> Result<Option<(u64, Vec<u8>)>, DatabaseError> {
        let row = sqlx::query(
            "SELECT idx, bytes FROM log_entry
             WHERE id = ? AND log = (SELECT log FROM log_environment WHERE name = ?)",
        )
        .bind(id.to_bytes().to_vec())
        .bind(environment.as_str())
        .fetch_optional(&self.shared.readers)
        .await?;
        row.as_ref().map(indexed).transpose()
    }

    /// Entries of a session from `from` (an index) on, with their indexes, in order; at most 1,000.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn session_entries(
        &self,
        environment: &EnvironmentName,
        session: SessionId,
        from: u64,
    ) -> Result<Vec<(u64, Vec<u8>)>, DatabaseError> {
        let rows = sqlx::query(
            "SELECT idx, bytes FROM log_entry
             WHERE session = ? AND log = (SELECT log FROM log_environment WHERE name = ?) AND idx >= ?
             ORDER BY idx LIMIT ? + 0",
        )
        .bind(session.to_bytes().to_vec())
        .bind(environment.as_str())
        .bind(signed(from)?)
        .bind(PAGE_MAX)
        .fetch_all(&self.shared.readers)
        .await?;
        rows.iter().map(indexed).collect()
    }
}

/// One moment of one log.
struct View {
    transaction: sqlx::Transaction<'static, sqlx::Sqlite>,
    image: Image,
    at: u64,
    log: Option<i64>,
}

impl View {
    async fn load(&mut self, snapshot: &mut Snapshot, key: EntityKey) -> Result<(), DatabaseError> {
        let value = match self.log {
            Some(log) => self.value(log, &key).await?,
            None => None,
        };
        snapshot.load(key, value);
        Ok(())
    }

    async fn value(&mut self, log: i64, key: &EntityKey) -> Result<Option<Arc<Versioned>>, DatabaseError> {
        if let Some(known) = self.image.find(self.at, log, key) {
            return Ok(known);
        }
        let value = stored(&mut self.transaction, log, key).await?;
        self.image.learn(self.at, log, key.clone(), value.clone());
        Ok(value)
    }
}

impl Filter {
    fn text(&self) -> String {
        let mut sql = String::from(
            "SELECT id, version, state FROM view_entity
             WHERE log = (SELECT log FROM log_environment WHERE name = ?) AND kind = ?",
        );
        let (beyond, order) = if self.descending { ("<", "DESC") } else { (">", "ASC") };
        if self.parent.is_some() {
            sql.push_str(" AND parent = ?");
        }
        if self.status.is_some() {
            sql.push_str(" AND status = ?");
        }
        if self.after.is_some() {
            sql.push_str(&format!(" AND id {beyond} ?"));
        }
        sql.push_str(&format!(" ORDER BY id {order} LIMIT ? + 0"));
        sql
    }
}

/// Where an entry stands, if it does.
pub(crate) async fn receipt(
    db: &mut SqliteConnection,
    environment: &EnvironmentName,
    id: EntryId,
) -> Result<Option<Receipt>, DatabaseError> {
    let row = sqlx::query(
        "SELECT idx, id, hash, time_ms FROM log_entry
         WHERE id = ? AND log = (SELECT log FROM log_environment WHERE name = ?)",
    )
    .bind(id.to_bytes().to_vec())
    .bind(environment.as_str())
    .fetch_optional(db)
    .await?;
    let receipt = |row: SqliteRow| {
        Ok(Receipt {
            index: number(&row, 0)?,
            id: EntryId::from_bytes(array(&row, 1)?),
            hash: digest(&row, 2)?,
            time_ms: number(&row, 3)?,
        })
    };
    row.map(receipt).transpose()
}

fn indexed(row: &SqliteRow) -> Result<(u64, Vec<u8>), DatabaseError> {
    Ok((number(row, 0)?, row.try_get(1)?))
}

pub(crate) fn name(text: &str) -> Result<EnvironmentName, DatabaseError> {
    text.parse()
        .map_err(|_| DatabaseError::content(format!("`{text}` names no environment")))
}

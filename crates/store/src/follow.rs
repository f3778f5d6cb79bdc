//! The loop around `model::apply`: what it does not know is loaded, then it is asked again. Commit and rebuild share it.

use crate::cache::Cache;
use crate::sql::{DatabaseError, number};
use model::apply::{Changes, Refused, Snapshot, Versioned, apply};
use model::entity::{Entity, EntityKey};
use model::entry::Placed;
use model::json;
use sqlx::{Row, SqliteConnection};
use std::collections::HashMap;
use std::sync::Arc;

/// Entities that one entry may look at: a progress entry names 64 sessions.
const LOADS_MAX: usize = 1024;

/// An entity as the current transaction leaves it, and the entry that changed it last.
pub(crate) struct Touched {
    pub(crate) value: Arc<Versioned>,
    pub(crate) index: u64,
}

/// What the current transaction has changed in one log.
pub(crate) type Overlay = HashMap<EntityKey, Touched>;

/// Where entities of one log come from: this transaction, the cache, the database.
pub(crate) struct Sources<'a> {
    pub(crate) db: &'a mut SqliteConnection,
    pub(crate) cache: &'a mut Cache,
    pub(crate) log: i64,
    pub(crate) overlay: &'a Overlay,
}

impl Sources<'_> {
    async fn load(&mut self, key: &EntityKey) -> Result<Option<Arc<Versioned>>, DatabaseError> {
        if let Some(touched) = self.overlay.get(key) {
            return Ok(Some(touched.value.clone()));
        }
        if let Some(found) = self.cache.find(self.log, key) {
            return Ok(Some(found));
        }
        let found = stored(self.db, self.log, key).await?;
        if let Some(value) = &found {
            self.cache.put(self.log, key.clone(), value.clone());
        }
        Ok(found)
    }

    /// Makes `key` known to `before`.
    pub(crate) async fn know(&mut self, before: &mut Snapshot, key: &EntityKey) -> Result<(), DatabaseError> {
        if !before.knows(key) {
            let value = self.load(key).await?;
            before.load(key.clone(), value);
        }
        Ok(())
    }

    /// Moves `before` past `placed`, and names what it changed.
    pub(crate) async fn follow(
        &mut self,
        before: &mut Snapshot,
        placed: &Placed,
    ) -> Result<Result<Vec<EntityKey>, Refused>, DatabaseError> {
        for _ in 0..LOADS_MAX {
            match apply(before, placed) {
                Ok(changes) => return Ok(Ok(self.accept(before, changes).await?)),
                Err(Refused::NotLoaded(key)) => self.know(before, &key).await?,
                Err(refused) => return Ok(Err(refused)),
            }
        }
        Err(DatabaseError::content("an entry looks at too many entities"))
    }

    async fn accept(&mut self, before: &mut Snapshot, changes: Changes) -> Result<Vec<EntityKey>, DatabaseError> {
        let keys: Vec<EntityKey> = changes.0.iter().map(|(key, _)| key.clone()).collect();
        // What is replaced without being looked at has a version all the same.
        for key in &keys {
            self.know(before, key).await?;
        }
        before.accept(changes);
        Ok(keys)
    }
}

/// The entity as the database holds it.
pub(crate) async fn stored(
    db: &mut SqliteConnection,
    log: i64,
    key: &EntityKey,
) -> Result<Option<Arc<Versioned>>, DatabaseError> {
    let row = sqlx::query("SELECT version, state FROM view_entity WHERE log = ? AND kind = ? AND id = ?")
        .bind(log)
        .bind(key.kind().as_str())
        .bind(key.id())
        .fetch_optional(db)
        .await?;
    row.map(|row| versioned(number(&row, 0)?, row.try_get(1)?, key))
        .transpose()
}

pub(crate) fn versioned(version: u64, state: &[u8], key: &EntityKey) -> Result<Arc<Versioned>, DatabaseError> {
    let entity: Entity = json::from_slice(state).map_err(|error| {
        DatabaseError::content(format!("the projection of {key} cannot be read ({error}); rebuild it"))
    })?;
    Ok(Arc::new(Versioned { version, entity }))
}

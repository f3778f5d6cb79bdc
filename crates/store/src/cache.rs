//! Entities that were used lately, so that a commit need not read them again. Bounded.
//!
//! Two generations: a hit moves to the young one; when that is full, the old one is dropped and the young grows old.

use model::apply::Versioned;
use model::entity::EntityKey;
use std::collections::HashMap;
use std::sync::Arc;

/// Entities in one generation. With about 1 KiB each, the cache stays below 16 MiB.
const GENERATION_MAX: usize = 8192;

type Generation = HashMap<(i64, EntityKey), Arc<Versioned>>;

#[derive(Default)]
pub(crate) struct Cache {
    young: Generation,
    old: Generation,
}

impl Cache {
    pub(crate) fn find(&mut self, log: i64, key: &EntityKey) -> Option<Arc<Versioned>> {
        let place = (log, key.clone());
        if let Some(found) = self.young.get(&place) {
            return Some(found.clone());
        }
        let found = self.old.remove(&place)?;
        self.put(log, place.1, found.clone());
        Some(found)
    }

    pub(crate) fn put(&mut self, log: i64, key: EntityKey, value: Arc<Versioned>) {
        if self.young.len() >= GENERATION_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert((log, key), value);
    }
}

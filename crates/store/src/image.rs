//! The newest state, as far as somebody asked for it: most questions are answered without the database.
//!
//! INVARIANT (one moment): everything here is as one commit left it, which `at` names. The writer moves it on with the
//! cursor that it tells, before it answers; what was read from the database comes in only if it was read at that commit.
//! After any failure of the writer there is no image until the writer knows again where the log ends.

use crate::place::Growth;
use model::apply::{Refused, Snapshot, Versioned};
use model::entity::EntityKey;
use model::name::EnvironmentName;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Entities that are remembered; one more, and it begins anew. With about 1 KiB each it stays below 8 MiB.
const ENTITIES_MAX: usize = 8192;
/// Entities that one question may look at.
pub(crate) const LOADS_MAX: usize = 1024;

/// Shared by the writer and all readers.
#[derive(Clone, Default)]
pub(crate) struct Image(Arc<Mutex<Newest>>);

#[derive(Default)]
struct Newest {
    at: Option<u64>,
    environments: Option<Vec<EnvironmentName>>,
    logs: HashMap<EnvironmentName, i64>,
    sizes: HashMap<EnvironmentName, u64>,
    /// Also those that do not exist.
    entities: HashMap<(i64, EntityKey), Option<Arc<Versioned>>>,
}

impl Image {
    /// The writer knows that the newest commit is `at`.
    pub(crate) fn begin(&self, at: u64) {
        *self.lock() = Newest {
            at: Some(at),
            ..Newest::default()
        };
    }

    /// The writer does not know what is stored.
    pub(crate) fn forget(&self) {
        *self.lock() = Newest::default();
    }

    /// What was derived may have changed without a commit.
    pub(crate) fn forget_entities(&self) {
        self.lock().entities.clear();
    }

    /// A commit is stored.
    pub(crate) fn advance<'a>(&self, grown: impl Iterator<Item = (&'a EnvironmentName, &'a Growth)>) {
        let newest = &mut *self.lock();
        for (environment, growth) in grown {
            newest.at = newest.at.map(|at| at + growth.rows.len() as u64);
            newest.sizes.insert(environment.clone(), growth.head.size);
            if growth.born.is_some() {
                newest.environments = None;
            }
            for (key, touched) in &growth.overlay {
                newest.keep(growth.head.log, key.clone(), Some(touched.value.clone()));
            }
        }
    }

    /// Every environment that has a log.
    pub(crate) fn environments(&self) -> Option<Vec<EnvironmentName>> {
        self.lock().environments.clone()
    }

    /// The size of a log.
    pub(crate) fn size(&self, environment: &EnvironmentName) -> Option<u64> {
        self.lock().sizes.get(environment).copied()
    }

    /// Answers `question` when everything that it asks for is here.
    pub(crate) fn gather<R>(
        &self,
        environment: &EnvironmentName,
        question: impl Fn(&Snapshot) -> Result<R, Refused>,
    ) -> Option<Result<R, Refused>> {
        let newest = self.lock();
        let log = *newest.logs.get(environment)?;
        let mut snapshot = Snapshot::partial();
        for _ in 0..LOADS_MAX {
            match question(&snapshot) {
                Err(Refused::NotLoaded(key)) => {
                    let place = (log, key);
                    let value = newest.entities.get(&place)?.clone();
                    snapshot.load(place.1, value);
                }
                answer => return Some(answer),
            }
        }
        None
    }

    /// One entity, as the commit `at` left it.
    pub(crate) fn find(&self, at: u64, log: i64, key: &EntityKey) -> Option<Option<Arc<Versioned>>> {
        let newest = self.lock();
        let known = (newest.at == Some(at)).then(|| newest.entities.get(&(log, key.clone())));
        known.flatten().cloned()
    }

    /// What the database said at the commit `at`.
    pub(crate) fn learn(&self, at: u64, log: i64, key: EntityKey, value: Option<Arc<Versioned>>) {
        self.learn_at(at, |newest| newest.keep(log, key, value));
    }

    pub(crate) fn learn_log(&self, at: u64, environment: &EnvironmentName, log: i64) {
        self.learn_at(at, |newest| {
            newest.logs.insert(environment.clone(), log);
        });
    }

    pub(crate) fn learn_size(&self, at: u64, environment: &EnvironmentName, size: u64) {
        self.learn_at(at, |newest| {
            newest.sizes.insert(environment.clone(), size);
        });
    }

    pub(crate) fn learn_environments(&self, at: u64, names: &[EnvironmentName]) {
        self.learn_at(at, |newest| newest.environments = Some(names.to_vec()));
    }

    fn learn_at(&self, at: u64, learn: impl FnOnce(&mut Newest)) {
        let newest = &mut *self.lock();
        if newest.at == Some(at) {
            learn(newest);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Newest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Newest {
    fn keep(&mut self, log: i64, key: EntityKey, value: Option<Arc<Versioned>>) {
        if self.at.is_none() {
            return;
        }
        if self.entities.len() >= ENTITIES_MAX {
            self.entities.clear();
        }
        self.entities.insert((log, key), value);
    }
}

//! The one function that moves state: `next = apply(before, entry)`. Commit, rebuild and the offline verifier share
//! it, so what the store refuses the verifier ignores, and nobody can enrol, approve or open what the rules forbid.
//!
//! An entry that `apply` refuses is never committed by an honest store. Found in a log, it is evidence against the
//! operator and has no effect on the state.

mod access;
mod session;
mod trust;

pub use access::{LIST_MAX, missing_approval};
pub use session::LIVE_MAX;

use crate::body::Body;
use crate::entity::{Entity, EntityKey};
use crate::entry::Placed;
use crate::signature::BadSignature;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why an entry cannot follow the state before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The snapshot does not say whether this entity exists; load it and ask again.
    #[error("{0} is not loaded")]
    NotLoaded(EntityKey),
    /// Something the entry names does not exist.
    #[error("{0} does not exist")]
    Absent(EntityKey),
    /// A rule forbids it.
    #[error("{code}: {because}")]
    Rule {
        /// The rule, as a code.
        code: &'static str,
        /// What is wrong, as a sentence.
        because: String,
    },
    /// A signature or log-in proof does not hold.
    #[error("bad_signature: {0}")]
    Signature(#[from] BadSignature),
    /// A statement that cannot be written canonically.
    #[error(transparent)]
    Json(#[from] crate::json::JsonError),
}

impl Refused {
    /// The rule, as a code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotLoaded(_) => "not_loaded",
            Self::Absent(_) => "absent",
            Self::Rule { code, .. } => code,
            Self::Signature(_) => "bad_signature",
            Self::Json(_) => "not_canonical",
        }
    }
}

pub(crate) fn rule<T>(code: &'static str, because: impl Into<String>) -> Result<T, Refused> {
    Err(Refused::Rule {
        code,
        because: because.into(),
    })
}

pub(crate) fn ensure(holds: bool, code: &'static str, because: &str) -> Result<(), Refused> {
    if holds { Ok(()) } else { rule(code, because) }
}

/// An entity with its version: how many entries have changed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    /// 1 after the first change.
    pub version: u64,
    /// The state.
    pub entity: Entity,
}

/// Part of a log's state: entities that are known to exist, and names that are known not to.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    known: BTreeMap<EntityKey, Option<Arc<Versioned>>>,
    complete: bool,
}

impl Snapshot {
    /// Nothing is known; whoever uses it loads what [`Refused::NotLoaded`] names.
    #[must_use]
    pub fn partial() -> Self {
        Self::default()
    }

    /// The state of an empty log: what is not in it does not exist.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            known: BTreeMap::new(),
            complete: true,
        }
    }

    /// Adds what the store holds under `key`.
    pub fn load(&mut self, key: EntityKey, value: Option<Arc<Versioned>>) {
        self.known.insert(key, value);
    }

    /// Whether `key` is known, to exist or not to.
    #[must_use]
    pub fn knows(&self, key: &EntityKey) -> bool {
        self.complete || self.known.contains_key(key)
    }

    /// The entity with its version, if it exists.
    ///
    /// # Errors
    /// [`Refused::NotLoaded`] when the snapshot does not know.
    pub fn versioned(&self, key: &EntityKey) -> Result<Option<&Arc<Versioned>>, Refused> {
        match self.known.get(key) {
            Some(found) => Ok(found.as_ref()),
            None if self.complete => Ok(None),
            None => Err(Refused::NotLoaded(key.clone())),
        }
    }

    /// The entity, if it exists.
    ///
    /// # Errors
    /// [`Refused::NotLoaded`] when the snapshot does not know.
    pub fn find(&self, key: &EntityKey) -> Result<Option<&Entity>, Refused> {
        Ok(self.versioned(key)?.map(|v| &v.entity))
    }

    /// The version of `key`; 0 when it does not exist.
    ///
    /// # Errors
    /// [`Refused::NotLoaded`] when the snapshot does not know.
    pub fn version(&self, key: &EntityKey) -> Result<u64, Refused> {
        Ok(self.versioned(key)?.map_or(0, |v| v.version))
    }

    /// Takes changes in, each raising its entity's version.
    pub fn accept(&mut self, changes: Changes) {
        for (key, entity) in changes.0 {
            let place = self.known.entry(key).or_default();
            let version = 1 + place.as_ref().map_or(0, |v| v.version);
            let next = Versioned { version, entity };
            match place.as_mut().and_then(Arc::get_mut) {
                Some(known) => *known = next,
                None => *place = Some(Arc::new(next)),
            }
        }
    }

    /// All entities that are known to exist, in the order of their keys.
    pub fn entities(&self) -> impl Iterator<Item = (&EntityKey, &Versioned)> {
        self.known
            .iter()
            .filter_map(|(key, found)| Some((key, found.as_ref()?.as_ref())))
    }
}

macro_rules! lookups {
    ($($name:ident, $variant:ident -> $state:ty;)*) => {
        impl Snapshot {$(
            /// The state under `key`.
            ///
            /// # Errors
            /// When it is not loaded, does not exist or is of another kind.
            pub fn $name(&self, key: &EntityKey) -> Result<&$state, Refused> {
                match self.find(key)? {
                    Some(Entity::$variant(state)) => Ok(state),
                    _ => Err(Refused::Absent(key.clone())),
                }
            }
        )*}
    };
}

lookups! {
    genesis_of, Environment -> crate::statement::Genesis;
    organisation, Organisation -> crate::entity::Organisation;
    identity, Identity -> crate::entity::Identity;
    resource, Resource -> crate::entity::ResourceState;
    workflow, Workflow -> crate::entity::WorkflowState;
    request, Request -> crate::entity::RequestState;
    grant, Grant -> crate::entity::GrantState;
    session, Session -> crate::entity::SessionState;
}

impl Snapshot {
    /// The environment's genesis.
    ///
    /// # Errors
    /// When it is not loaded, or the log is empty.
    pub fn genesis(&self) -> Result<&crate::statement::Genesis, Refused> {
        self.genesis_of(&EntityKey::environment())
    }
}

/// Next states, in the order in which they were made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes(pub Vec<(EntityKey, Entity)>);

/// The next state of every entity that `placed` touches.
///
/// # Errors
/// When the entry cannot follow `before`; then it has no effect.
pub fn apply(before: &Snapshot, placed: &Placed) -> Result<Changes, Refused> {
    let entry = &placed.entry;
    let mut changes = match &entry.body {
        Body::Genesis(signed) => trust::genesis(before, placed, signed)?,
        Body::Engagement(signed) => trust::engagement(before, signed)?,
        Body::Enrolled(signed) => trust::enrolled(before, placed, signed)?,
        Body::Disabled(signed) => trust::disabled(before, placed, signed)?,
        Body::Resource(signed) => trust::resource(before, placed, signed)?,
        Body::Workflow(signed) => trust::workflow(before, placed, signed)?,
        Body::Requested(body) => access::requested(before, placed, body)?,
        Body::Approved(signed) => access::approved(before, placed, signed)?,
        Body::Denied(signed) => access::denied(before, placed, signed)?,
        Body::Granted(body) => access::granted(before, placed, body)?,
        Body::Revoked(signed) => access::revoked(before, placed, signed)?,
        Body::Opened(body) => session::opened(before, placed, body)?,
        Body::Killed(signed) => session::killed(before, placed, signed)?,
        Body::Progress(body) => session::progress(before, body)?,
        Body::Gap(body) => session::gap(before, placed, body)?,
        Body::Ended(body) => session::ended(before, placed, body)?,
        Body::Lost(body) => session::lost(before, placed, body)?,
        Body::Intended(body) => session::intended(before, placed, body)?,
        Body::ActionRefused(_) => session::action_refused(before, placed)?,
        Body::ActionEnded(body) => session::action_ended(before, placed, body)?,
        Body::AttemptRefused(body) => access::attempt_refused(before, body)?,
        Body::RefusalsCounted(_) => before.genesis().map(|_| Changes::default())?,
        Body::NodeStarted(body) => session::node_started(before, placed, body)?,
    };
    session::link(before, placed, &mut changes)?;
    Ok(changes)
}

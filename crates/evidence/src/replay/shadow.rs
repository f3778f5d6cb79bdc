//! The shadow state: what refused entries would have built. It decides nothing; it tells a first cause from what merely
//! rests on it, and lets decisions inside a session that should not exist still be replayed.

use model::apply::{Changes, Refused, Snapshot, Versioned, apply};
use model::body::Body;
use model::entity::{Entity, EntityKey, GrantState, RequestState, SessionState, SessionStatus};
use model::entry::{Placed, SessionLink};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Entities that one rule may ask for before it answers; more than any rule names.
const LOADS_MAX: usize = 512;

/// Entities as refused entries would have left them.
#[derive(Debug, Clone, Default)]
pub(super) struct Shadow {
    made: BTreeMap<EntityKey, Arc<Versioned>>,
}

impl Shadow {
    /// What the rules say of `placed` if the refused entries before it counted; nothing when there are none.
    pub(super) fn retry(&mut self, state: &Snapshot, placed: &Placed) -> Option<Result<(), Refused>> {
        if self.made.is_empty() {
            return None;
        }
        let result = self.ask(state, |both| apply(both, placed));
        Some(result.map(|changes| changes.0.into_iter().for_each(|(key, entity)| self.make(key, entity))))
    }

    /// INVARIANT (never an old copy): once the state moves an entity on, the shadow knows it no more.
    pub(super) fn forget(&mut self, changes: &Changes) {
        if !self.made.is_empty() {
            changes.0.iter().for_each(|(key, _)| drop(self.made.remove(key)));
        }
    }

    /// Asks a rule about state and shadow together; where both know an entity, the shadow's is later.
    pub(super) fn ask<T>(
        &self,
        state: &Snapshot,
        rule: impl Fn(&Snapshot) -> Result<T, Refused>,
    ) -> Result<T, Refused> {
        let mut both = Snapshot::partial();
        for _ in 0..LOADS_MAX {
            match rule(&both) {
                Err(Refused::NotLoaded(key)) => {
                    let known = state.versioned(&key).ok().flatten();
                    let found = self.made.get(&key).or(known).cloned();
                    both.load(key, found);
                }
                answer => return answer,
            }
        }
        rule(&both)
    }

    /// The grant under `key`, if only refused entries made it.
    pub(super) fn grant(&self, key: &EntityKey) -> Option<&GrantState> {
        match &self.made.get(key)?.entity {
            Entity::Grant(grant) => Some(grant),
            _ => None,
        }
    }

    /// The request under `key`, if only refused entries made it.
    pub(super) fn request(&self, key: &EntityKey) -> Option<&RequestState> {
        match &self.made.get(key)?.entity {
            Entity::Request(request) => Some(request),
            _ => None,
        }
    }

    fn make(&mut self, key: EntityKey, entity: Entity) {
        let version = 1 + self.made.get(&key).map_or(0, |known| known.version);
        self.made.insert(key, Arc::new(Versioned { version, entity }));
    }

    /// Builds what a refused entry wanted to build, where nothing of its name exists; moves its session on.
    pub(super) fn pretend(&mut self, state: &Snapshot, placed: &Placed) {
        let session = placed.entry.session.as_ref();
        // As the rules would have made them, by the same functions: only whether they count is in question here.
        let wanted = match &placed.entry.body {
            Body::Requested(body) => {
                let made = RequestState::made(placed, &body.statement);
                Some((
                    EntityKey::request(body.statement.request),
                    Entity::Request(Box::new(made)),
                ))
            }
            Body::Granted(body) => {
                let issued = GrantState::issued(placed, body);
                Some((EntityKey::grant(body.grant), Entity::Grant(Box::new(issued))))
            }
            Body::Opened(body) => session.map(|link| {
                let opened = SessionState::opened(placed, link.id, body);
                (EntityKey::session(link.id), Entity::Session(Box::new(opened)))
            }),
            _ => None,
        };
        if let Some((key, entity)) = wanted {
            if !self.made.contains_key(&key) && !matches!(state.find(&key), Ok(Some(_))) {
                self.make(key, entity);
            }
        } else if let Some(link) = session {
            self.move_on(state, placed, link);
        }
    }

    /// Later entries of the session follow this one, and what it began or ended has begun or ended.
    fn move_on(&mut self, state: &Snapshot, placed: &Placed, link: &SessionLink) {
        let key = EntityKey::session(link.id);
        let known = match self.made.get(&key).map(|known| &known.entity) {
            Some(Entity::Session(session)) => Some(session.as_ref()),
            _ => state.session(&key).ok(),
        };
        let Some(mut session) = known.cloned() else { return };
        (session.seq, session.tip) = (link.seq, placed.hash);
        match &placed.entry.body {
            Body::Intended(body) => drop(session.live.insert(body.action, body.class)),
            Body::ActionEnded(body) => drop(session.live.remove(&body.action)),
            Body::Ended(body) => session.status = SessionStatus::Ended(body.cause),
            Body::Lost(_) => session.status = SessionStatus::Lost,
            _ => {}
        }
        self.make(key, Entity::Session(Box::new(session)));
    }
}

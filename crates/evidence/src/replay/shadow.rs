//! The shadow state: what refused entries would have built. It decides nothing; it tells a first cause from what merely
//! rests on it, and lets decisions inside a session that should not exist still be replayed.

use model::apply::{Changes, Refused, Snapshot, apply};
use model::body::{Body, Granted, Opened, Requested};
use model::entity::{Entity, EntityKey, GrantState, RequestState, RequestStatus, SessionState, SessionStatus};
use model::entry::Placed;
use model::id::SessionId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Entities that one rule may ask for before it answers; more than any rule names.
const LOADS_MAX: usize = 512;

/// Entities that only refused entries made.
#[derive(Debug, Clone, Default)]
pub(super) struct Shadow {
    made: Snapshot,
    any: bool,
}

impl Shadow {
    /// What the rules say of `placed` if the refused entries before it counted; nothing when there are none.
    pub(super) fn retry(&mut self, state: &Snapshot, placed: &Placed) -> Option<Result<(), Refused>> {
        if !self.any {
            return None;
        }
        let result = self.ask(state, |both| apply(both, placed));
        Some(result.map(|changes| self.accept(state, changes)))
    }

    /// INVARIANT (only its own): what the state knows never moves here, so a shadow entity is never an old copy.
    fn accept(&mut self, state: &Snapshot, mut changes: Changes) {
        changes.0.retain(|(key, _)| !matches!(state.find(key), Ok(Some(_))));
        self.made.accept(changes);
    }

    /// Asks a rule about state and shadow together; an entity is known to one of them.
    pub(super) fn ask<T>(
        &self,
        state: &Snapshot,
        rule: impl Fn(&Snapshot) -> Result<T, Refused>,
    ) -> Result<T, Refused> {
        let mut both = Snapshot::partial();
        for _ in 0..LOADS_MAX {
            match rule(&both) {
                Err(Refused::NotLoaded(key)) => {
                    let found = self.known(&key).or_else(|| state.versioned(&key).ok().flatten());
                    both.load(key, found.cloned());
                }
                answer => return answer,
            }
        }
        rule(&both)
    }

    /// The grant under `key`, if only refused entries made it.
    pub(super) fn grant(&self, key: &EntityKey) -> Option<&GrantState> {
        match &self.known(key)?.entity {
            Entity::Grant(grant) => Some(grant),
            _ => None,
        }
    }

    /// The request under `key`, if only refused entries made it.
    pub(super) fn request(&self, key: &EntityKey) -> Option<&RequestState> {
        match &self.known(key)?.entity {
            Entity::Request(request) => Some(request),
            _ => None,
        }
    }

    fn known(&self, key: &EntityKey) -> Option<&Arc<model::apply::Versioned>> {
        self.made.versioned(key).ok().flatten()
    }

    /// Builds what a refused entry wanted to build, where nothing of its name exists.
    pub(super) fn pretend(&mut self, state: &Snapshot, placed: &Placed) {
        let session = placed.entry.session.as_ref().map(|link| link.id);
        let wanted = match &placed.entry.body {
            Body::Requested(body) => request(placed, body),
            Body::Granted(body) => grant(placed, body),
            Body::Opened(body) => match session {
                Some(id) => opened(placed, id, body),
                None => return,
            },
            _ => return,
        };
        let (key, entity) = wanted;
        if self.known(&key).is_none() {
            self.any = true;
            self.accept(state, Changes(vec![(key, entity)]));
        }
    }
}

fn request(placed: &Placed, body: &Requested) -> (EntityKey, Entity) {
    let state = RequestState {
        statement: body.statement.clone(),
        hash: placed.hash,
        made_at: placed.index,
        made_ms: placed.entry.time_ms,
        approvals: vec![],
        status: RequestStatus::Pending,
    };
    (
        EntityKey::request(body.statement.request),
        Entity::Request(Box::new(state)),
    )
}

fn grant(placed: &Placed, body: &Granted) -> (EntityKey, Entity) {
    let state = GrantState {
        granted: body.clone(),
        issued_at: placed.index,
        revoked: None,
    };
    (EntityKey::grant(body.grant), Entity::Grant(Box::new(state)))
}

fn opened(placed: &Placed, session: SessionId, body: &Opened) -> (EntityKey, Entity) {
    let state = SessionState {
        session,
        grant: body.grant,
        identity: body.identity,
        resource: body.resource.clone(),
        account: body.account.clone(),
        node: placed.entry.writer.node.clone(),
        boot: placed.entry.writer.boot,
        opened_at: placed.index,
        opened_ms: placed.entry.time_ms,
        until_ms: body.until_ms,
        level: body.level,
        status: SessionStatus::Open,
        seq: placed.entry.session.as_ref().map_or(0, |link| link.seq),
        tip: placed.hash,
        killed_at: None,
        recorded: None,
        live: BTreeMap::new(),
        actions: 0,
        refused: 0,
        gaps: 0,
        ended_at: None,
        ended_ms: None,
    };
    (EntityKey::session(session), Entity::Session(Box::new(state)))
}

//! The one function that writes `view_` rows. Commit calls it with the entries of a transaction, rebuild with the
//! entries of a stretch of the log; both leave the same rows.

use crate::follow::{Overlay, Touched};
use crate::sql::{Bulk, DatabaseError, Query, signed};
use model::apply::Versioned;
use model::entity::{Entity, EntityKey, EntityKind, RequestStatus, SessionStatus};
use model::json;
use sqlx::SqliteConnection;

const ENTITIES: Bulk = Bulk {
    into: "INSERT INTO view_entity (log, kind, id, version, touched, parent, status, state)",
    columns: 8,
    tail: "ON CONFLICT (log, kind, id) DO UPDATE SET version = excluded.version, touched = excluded.touched, \
           parent = excluded.parent, status = excluded.status, state = excluded.state",
};

const CHANGES: Bulk = Bulk {
    into: "INSERT INTO view_change (log, idx, keys)",
    columns: 3,
    tail: "",
};

/// Writes what `entries` (index, changed entities) leave behind; `overlay` holds each changed entity's last state.
pub(crate) async fn project(
    db: &mut SqliteConnection,
    log: i64,
    entries: impl Iterator<Item = (u64, &[EntityKey])>,
    overlay: &Overlay,
) -> Result<(), DatabaseError> {
    let changes = entries
        .map(|(index, keys)| {
            Ok(ChangeRow {
                log,
                index: signed(index)?,
                keys: lines(keys),
            })
        })
        .collect::<Result<Vec<_>, DatabaseError>>()?;
    CHANGES.insert(db, changes, ChangeRow::bind).await?;
    let entities = overlay
        .iter()
        .map(|(key, touched)| EntityRow::new(log, key, touched))
        .collect::<Result<Vec<_>, DatabaseError>>()?;
    ENTITIES.insert(db, entities, EntityRow::bind).await
}

struct ChangeRow {
    log: i64,
    index: i64,
    keys: String,
}

impl ChangeRow {
    fn bind(query: Query<'_>, row: Self) -> Query<'_> {
        query.bind(row.log).bind(row.index).bind(row.keys)
    }
}

/// One line `kind id` each; ids hold no line break.
fn lines(keys: &[EntityKey]) -> String {
    keys.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Reads what [`lines`] wrote.
pub(crate) fn parse_lines(text: &str) -> Result<Vec<EntityKey>, DatabaseError> {
    let key = |line: &str| {
        let (kind, id) = line.split_once(' ')?;
        EntityKey::parse(kind_of(kind)?, id)
    };
    text.lines()
        .map(|line| key(line).ok_or_else(|| no_entity(line)))
        .collect()
}

/// The key of a row.
pub(crate) fn entity_key(kind: EntityKind, id: &str) -> Result<EntityKey, DatabaseError> {
    EntityKey::parse(kind, id).ok_or_else(|| no_entity(&format!("{} {id}", kind.as_str())))
}

fn no_entity(text: &str) -> DatabaseError {
    DatabaseError::content(format!("`{text}` names no entity"))
}

const KINDS: [EntityKind; 11] = [
    EntityKind::Environment,
    EntityKind::Organisation,
    EntityKind::Identity,
    EntityKind::Key,
    EntityKind::Proof,
    EntityKind::Resource,
    EntityKind::Workflow,
    EntityKind::Request,
    EntityKind::Grant,
    EntityKind::Session,
    EntityKind::Node,
];

fn kind_of(word: &str) -> Option<EntityKind> {
    KINDS.into_iter().find(|kind| kind.as_str() == word)
}

struct EntityRow {
    log: i64,
    kind: &'static str,
    id: String,
    version: i64,
    touched: i64,
    parent: String,
    status: &'static str,
    state: Vec<u8>,
}

impl EntityRow {
    fn new(log: i64, key: &EntityKey, touched: &Touched) -> Result<Self, DatabaseError> {
        let Versioned { version, entity } = touched.value.as_ref();
        let state = json::to_vec(entity).map_err(|error| DatabaseError::content(format!("{key}: {error}")))?;
        Ok(Self {
            log,
            kind: key.kind().as_str(),
            id: key.id(),
            version: signed(*version)?,
            touched: signed(touched.index)?,
            parent: parent(entity),
            status: status(entity),
            state,
        })
    }

    fn bind(query: Query<'_>, row: Self) -> Query<'_> {
        query
            .bind(row.log)
            .bind(row.kind)
            .bind(row.id)
            .bind(row.version)
            .bind(row.touched)
            .bind(row.parent)
            .bind(row.status)
            .bind(row.state)
    }
}

/// What an entity belongs to; empty: to the environment alone.
fn parent(entity: &Entity) -> String {
    match entity {
        Entity::Identity(identity) => identity.enrolment.organisation.to_string(),
        Entity::Key(identity) => identity.to_string(),
        Entity::Proof(session) => session.to_string(),
        Entity::Request(request) => request.statement.requester.to_string(),
        Entity::Grant(grant) => grant.granted.requester.to_string(),
        Entity::Session(session) => session.grant.to_string(),
        Entity::Environment(_)
        | Entity::Organisation(_)
        | Entity::Resource(_)
        | Entity::Workflow(_)
        | Entity::Node(_) => String::new(),
    }
}

/// Where an entity stands, as far as entries say; whether a window has ended is the reader's question.
fn status(entity: &Entity) -> &'static str {
    match entity {
        Entity::Identity(identity) if identity.disabled_at.is_some() => "ended",
        Entity::Request(request) => match request.status {
            RequestStatus::Pending => "pending",
            RequestStatus::Denied => "denied",
            RequestStatus::Granted(_) => "granted",
        },
        Entity::Grant(grant) if grant.revoked.is_some() => "revoked",
        Entity::Session(session) => match session.status {
            SessionStatus::Open => "open",
            SessionStatus::Ended(_) => "ended",
            SessionStatus::Lost => "lost",
        },
        _ => "live",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_back() {
        let id = |prefix: &str| format!("{prefix}_{}", "0".repeat(26));
        let ids = [
            "self".to_owned(),
            "Some Name of an organisation".to_owned(),
            id("idn"),
            "SHA256:a+b/c".to_owned(),
            "0f".repeat(32),
            "web1".to_owned(),
            "patching".to_owned(),
            id("req"),
            id("grt"),
            id("ses"),
            "gw1".to_owned(),
        ];
        let named = KINDS.into_iter().zip(&ids);
        let keys: Vec<EntityKey> = named.map(|(kind, id)| entity_key(kind, id).unwrap()).collect();
        assert_eq!(keys.iter().map(EntityKey::id).collect::<Vec<_>>(), ids);
        assert_eq!(keys.iter().map(EntityKey::kind).collect::<Vec<_>>(), KINDS);
        for none in ["nothing at-all", "session", "session grt_1", "environment other"] {
            assert!(parse_lines(none).is_err(), "{none}");
        }
    }
}

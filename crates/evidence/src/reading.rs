//! Everything that can be told about a session, in one place: the replayed log, what a verification established, and the
//! openings that were disclosed to the reader.

use crate::disclosure;
use crate::grounds::Grounds;
use crate::replay::World;
use model::body::Body;
use model::bytes::Octets;
use model::commitment::Openings;
use model::entity::EntityKey;
use model::entry::Placed;
use model::id::{EntryId, IdentityId};
use model::name::OrganisationName;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a session is told from.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    /// The log.
    pub world: &'a World,
    /// What was established.
    pub grounds: &'a Grounds,
    /// Openings that the reader has; values are shown only where they fit their commitments.
    pub disclosed: &'a BTreeMap<EntryId, Openings>,
}

/// An identity as people know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// Its id.
    pub id: IdentityId,
    /// Its lasting short name; empty when nobody enrolled it.
    pub handle: String,
    /// Its organisation; none when nobody enrolled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<OrganisationName>,
}

impl std::fmt::Display for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.organisation {
            Some(organisation) => write!(f, "{} of {organisation}", self.handle),
            None => write!(f, "{} (not enrolled)", self.id),
        }
    }
}

impl<'a> Reading<'a> {
    /// The value behind the commitment at `path` of an entry.
    #[must_use]
    pub fn value(&self, placed: &Placed, path: &str) -> Option<&'a Octets> {
        disclosure::value(&placed.entry.body, self.disclosed.get(&placed.entry.id), path)
    }

    /// All disclosed values of an entry, with their paths.
    #[must_use]
    pub fn values(&self, placed: &Placed) -> Vec<(&'static str, &'a Octets)> {
        let commitments = disclosure::commitments(&placed.entry.body);
        let opened = commitments
            .into_iter()
            .map(|(path, _)| (path, self.value(placed, path)));
        opened.filter_map(|(path, value)| Some((path, value?))).collect()
    }

    /// The identity as it was last enrolled.
    #[must_use]
    pub fn person(&self, id: IdentityId) -> Person {
        let identity = self.world.state().identity(&EntityKey::identity(id)).ok();
        Person {
            id,
            handle: identity.map(|i| i.enrolment.handle.to_string()).unwrap_or_default(),
            organisation: identity.map(|i| i.enrolment.organisation.clone()),
        }
    }

    /// The entry that first enrolled `id`.
    #[must_use]
    pub fn enrolment(&self, id: IdentityId) -> Option<&'a Placed> {
        let identity = self.world.state().identity(&EntityKey::identity(id)).ok()?;
        self.world.entry(identity.enrolled_at).map(AsRef::as_ref)
    }

    /// Who an entry says did it.
    #[must_use]
    pub fn actor(&self, body: &Body) -> Option<IdentityId> {
        match body {
            Body::Requested(body) => Some(body.statement.requester),
            Body::Approved(signed) => Some(signed.statement.approver),
            Body::Denied(signed) => Some(signed.statement.approver),
            Body::Revoked(signed) => Some(signed.statement.by),
            Body::Killed(signed) => Some(signed.statement.by),
            Body::Opened(body) => Some(body.identity),
            Body::Granted(body) => Some(body.requester),
            _ => None,
        }
    }
}

//! Where a session comes from: identity, grant, request, ticket, approvals, policy. Each link with its entry and hash; a
//! link that is broken says how.

use crate::explain::ExplainError;
use crate::reading::{Person, Reading};
use crate::replay::{AtOpening, World};
use model::body::Body;
use model::bytes::{Digest, Octets};
use model::id::{EntryId, SessionId};
use serde::Serialize;

/// The chain behind one session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lineage {
    /// The session.
    pub session: SessionId,
    /// From the session backwards.
    pub links: Vec<Link>,
}

/// One link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    /// What it links to: `session`, `identity`, `grant`, `request`, `ticket`, `approval`, `policy`.
    pub to: &'static str,
    /// Its id, name or version.
    pub id: String,
    /// Index of its entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
    /// Its entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<EntryId>,
    /// SHA-256 of the entry's bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<Digest>,
    /// What it says, where there is something to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<Octets>,
    /// How it is broken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
}

impl Lineage {
    /// Follows one session back.
    ///
    /// # Errors
    /// When the evidence has no such session.
    pub fn of(reading: &Reading<'_>, session: SessionId) -> Result<Self, ExplainError> {
        let dossier = reading.world.dossier(session).ok_or(ExplainError::NoSession(session))?;
        let links = match dossier.opening.as_deref() {
            Some(at) => links(reading, session, at),
            None => vec![Link::missing("session", session, "was never opened")],
        };
        Ok(Self { session, links })
    }

    /// Whether every link holds.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.links.iter().all(|link| link.broken.is_none())
    }
}

impl Link {
    fn missing(to: &'static str, id: impl ToString, broken: impl Into<String>) -> Self {
        Self {
            to,
            id: id.to_string(),
            index: None,
            entry: None,
            hash: None,
            text: None,
            broken: Some(broken.into()),
        }
    }

    /// A link to the entry at `index`; broken when the rules give it no effect.
    fn entry(world: &World, to: &'static str, id: impl ToString, index: u64) -> Self {
        let Some(placed) = world.entry(index) else {
            return Self::missing(to, id, "its entry is not here");
        };
        Self {
            to,
            id: id.to_string(),
            index: Some(index),
            entry: Some(placed.entry.id),
            hash: Some(placed.hash),
            text: None,
            broken: world
                .refusal(index)
                .map(|finding| format!("has no effect: {}", finding.coded())),
        }
    }

    fn saying(mut self, person: Option<Person>) -> Self {
        self.text = person.map(|person| Octets::new(person.to_string().as_bytes()));
        self
    }

    fn unless(mut self, holds: bool, broken: &str) -> Self {
        if !holds && self.broken.is_none() {
            self.broken = Some(broken.to_owned());
        }
        self
    }
}

fn links(reading: &Reading<'_>, session: SessionId, at: &AtOpening) -> Vec<Link> {
    let world = reading.world;
    let mut links = vec![Link::entry(world, "session", session, at.placed.index)];
    let Some(opened) = at.body() else { return links };
    links.push(match reading.enrolment(opened.identity) {
        Some(placed) => Link::entry(world, "identity", reading.person(opened.identity), placed.index),
        None => Link::missing("identity", opened.identity, "nobody enrolled it under its own root"),
    });
    let Some(grant) = &at.grant else {
        links.push(Link::missing("grant", opened.grant, "was never issued"));
        return links;
    };
    let own = grant.granted.requester == opened.identity;
    let grant_link = Link::entry(world, "grant", opened.grant, grant.issued_at);
    links.push(grant_link.unless(own, "was issued to somebody else"));
    match &at.request {
        Some(request) => {
            let link = Link::entry(world, "request", request.statement.request, request.made_at);
            links.push(link.unless(
                request.statement.scope == grant.granted.scope,
                "asks for something else than was granted",
            ));
            links.push(ticket(reading, request.made_at));
        }
        None => links.push(Link::missing("request", grant.granted.request, "was never made")),
    }
    for entry in &grant.granted.approvals {
        links.push(match world.entry_of(*entry) {
            Some(placed) => Link::entry(world, "approval", entry, placed.index)
                .saying(reading.actor(&placed.entry.body).map(|id| reading.person(id)))
                .unless(placed.index < at.placed.index, "came after the opening"),
            None => Link::missing("approval", entry, "is not in the log"),
        });
    }
    if grant.granted.approvals.is_empty() {
        links.push(Link::missing("approval", "none", "nobody approved"));
    }
    links.push(policy(world, at, grant.granted.scope.policy));
    links
}

fn ticket(reading: &Reading<'_>, request: u64) -> Link {
    let Some(placed) = reading.world.entry(request) else {
        return Link::missing("ticket", "none", "its request is not here");
    };
    let named = matches!(&placed.entry.body, Body::Requested(body) if body.statement.ticket.is_some());
    let mut link = Link::entry(
        reading.world,
        "ticket",
        if named { "committed" } else { "none" },
        request,
    );
    link.text = reading.value(placed, "ticket").cloned();
    link
}

fn policy(world: &World, at: &AtOpening, version: Digest) -> Link {
    let Some(placed) = world.workflow(version) else {
        return Link::missing("policy", version, "is no version that the owner's root signed");
    };
    let in_force = at.workflow.as_ref().is_some_and(|workflow| workflow.hash == version);
    Link::entry(world, "policy", version, placed.index).unless(in_force, "was not in force at the opening")
}

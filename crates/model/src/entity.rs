//! The state that a log's entries build, entity by entity. Only [`crate::apply::apply`] makes a next state.

use crate::body::{EndCause, Granted, Opened, Recorded};
use crate::bytes::Digest;
use crate::entry::Placed;
use crate::id::{ActionId, BootId, EntryId, GrantId, IdentityId, RequestId, SessionId};
use crate::name::{AccountName, NodeName, OrganisationName, ResourceName, WorkflowName};
use crate::signature::Key;
use crate::statement::{ActionClass, Enrolment, Genesis, Request, Resource, Role, Workflow};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Kinds of entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntityKind {
    /// The environment itself; one per log.
    Environment,
    /// An organisation with roots.
    Organisation,
    /// An identity.
    Identity,
    /// A public key and whose it is.
    Key,
    /// A log-in proof that was used.
    Proof,
    /// A resource.
    Resource,
    /// A workflow.
    Workflow,
    /// A request.
    Request,
    /// A grant.
    Grant,
    /// A session.
    Session,
    /// A writing node.
    Node,
}

impl EntityKind {
    /// The word for it, as stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::Organisation => "organisation",
            Self::Identity => "identity",
            Self::Key => "key",
            Self::Proof => "proof",
            Self::Resource => "resource",
            Self::Workflow => "workflow",
            Self::Request => "request",
            Self::Grant => "grant",
            Self::Session => "session",
            Self::Node => "node",
        }
    }
}

/// Names one entity in one log. They sort by kind, then as their ids do when printed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntityKey {
    /// The environment itself.
    Environment,
    /// An organisation.
    Organisation(OrganisationName),
    /// An identity.
    Identity(IdentityId),
    /// A key, by fingerprint.
    Key(String),
    /// A used log-in proof, by the digest of what was signed.
    Proof(Digest),
    /// A resource.
    Resource(ResourceName),
    /// A workflow.
    Workflow(WorkflowName),
    /// A request.
    Request(RequestId),
    /// A grant.
    Grant(GrantId),
    /// A session.
    Session(SessionId),
    /// A writing node.
    Node(NodeName),
}

/// The printed id of the one environment that a log has.
const ENVIRONMENT: &str = "self";

impl EntityKey {
    /// The environment itself.
    #[must_use]
    pub fn environment() -> Self {
        Self::Environment
    }
    /// An organisation.
    #[must_use]
    pub fn organisation(name: &OrganisationName) -> Self {
        Self::Organisation(name.clone())
    }
    /// An identity.
    #[must_use]
    pub fn identity(id: IdentityId) -> Self {
        Self::Identity(id)
    }
    /// A key, by fingerprint.
    #[must_use]
    pub fn key(key: &Key) -> Self {
        Self::Key(key.fingerprint())
    }
    /// A used log-in proof, by the digest of what was signed.
    #[must_use]
    pub fn proof(signed: Digest) -> Self {
        Self::Proof(signed)
    }
    /// A resource.
    #[must_use]
    pub fn resource(name: &ResourceName) -> Self {
        Self::Resource(name.clone())
    }
    /// A workflow.
    #[must_use]
    pub fn workflow(name: &WorkflowName) -> Self {
        Self::Workflow(name.clone())
    }
    /// A request.
    #[must_use]
    pub fn request(id: RequestId) -> Self {
        Self::Request(id)
    }
    /// A grant.
    #[must_use]
    pub fn grant(id: GrantId) -> Self {
        Self::Grant(id)
    }
    /// A session.
    #[must_use]
    pub fn session(id: SessionId) -> Self {
        Self::Session(id)
    }
    /// A writing node.
    #[must_use]
    pub fn node(name: &NodeName) -> Self {
        Self::Node(name.clone())
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> EntityKind {
        match self {
            Self::Environment => EntityKind::Environment,
            Self::Organisation(_) => EntityKind::Organisation,
            Self::Identity(_) => EntityKind::Identity,
            Self::Key(_) => EntityKind::Key,
            Self::Proof(_) => EntityKind::Proof,
            Self::Resource(_) => EntityKind::Resource,
            Self::Workflow(_) => EntityKind::Workflow,
            Self::Request(_) => EntityKind::Request,
            Self::Grant(_) => EntityKind::Grant,
            Self::Session(_) => EntityKind::Session,
            Self::Node(_) => EntityKind::Node,
        }
    }

    /// Its id or name, as printed and stored.
    #[must_use]
    pub fn id(&self) -> String {
        match self {
            Self::Environment => ENVIRONMENT.to_owned(),
            Self::Organisation(name) => name.to_string(),
            Self::Identity(id) => id.to_string(),
            Self::Key(fingerprint) => fingerprint.clone(),
            Self::Proof(signed) => signed.to_string(),
            Self::Resource(name) => name.to_string(),
            Self::Workflow(name) => name.to_string(),
            Self::Request(id) => id.to_string(),
            Self::Grant(id) => id.to_string(),
            Self::Session(id) => id.to_string(),
            Self::Node(name) => name.to_string(),
        }
    }

    /// Reads back what [`EntityKey::id`] printed; nothing when no entity of this kind can be called so.
    #[must_use]
    pub fn parse(kind: EntityKind, id: &str) -> Option<Self> {
        Some(match kind {
            EntityKind::Environment if id == ENVIRONMENT => Self::Environment,
            EntityKind::Environment => return None,
            EntityKind::Organisation => Self::Organisation(id.parse().ok()?),
            EntityKind::Identity => Self::Identity(id.parse().ok()?),
            EntityKind::Key => Self::Key(id.to_owned()),
            EntityKind::Proof => Self::Proof(Digest::from_hex(id)?),
            EntityKind::Resource => Self::Resource(id.parse().ok()?),
            EntityKind::Workflow => Self::Workflow(id.parse().ok()?),
            EntityKind::Request => Self::Request(id.parse().ok()?),
            EntityKind::Grant => Self::Grant(id.parse().ok()?),
            EntityKind::Session => Self::Session(id.parse().ok()?),
            EntityKind::Node => Self::Node(id.parse().ok()?),
        })
    }
}

impl fmt::Display for EntityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind().as_str(), self.id())
    }
}

/// The state of one entity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Entity {
    /// The environment itself.
    Environment(Box<Genesis>),
    /// An organisation.
    Organisation(Box<Organisation>),
    /// An identity.
    Identity(Box<Identity>),
    /// Whose key it is.
    Key(IdentityId),
    /// The session that used a log-in proof.
    Proof(SessionId),
    /// A resource.
    Resource(Box<ResourceState>),
    /// A workflow.
    Workflow(Box<WorkflowState>),
    /// A request.
    Request(Box<RequestState>),
    /// A grant.
    Grant(Box<GrantState>),
    /// A session.
    Session(Box<SessionState>),
    /// A writing node.
    Node(NodeState),
}

/// An organisation and the roots under which its people are enrolled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Organisation {
    /// Its name.
    pub name: OrganisationName,
    /// Its roots.
    pub roots: Vec<Key>,
    /// How many must sign.
    pub threshold: u8,
    /// Whether it owns the environment.
    pub owner: bool,
    /// In force from, Unix milliseconds.
    pub from_ms: u64,
    /// In force until; absent: without end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    /// When the statement in force was signed.
    pub signed_ms: u64,
}

/// An identity as enrolled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The statement in force.
    pub enrolment: Enrolment,
    /// Index of the entry that enrolled it first.
    pub enrolled_at: u64,
    /// Index of the entry that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_at: Option<u64>,
}

impl Identity {
    /// Whether it is in force and has `role`.
    #[must_use]
    pub fn may(&self, role: Role) -> bool {
        self.disabled_at.is_none() && self.enrolment.roles.contains(&role)
    }
}

/// A resource as registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceState {
    /// The statement in force.
    pub statement: Resource,
    /// Its digest.
    pub hash: Digest,
    /// Index of the entry that set it.
    pub set_at: u64,
}

/// A workflow as set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkflowState {
    /// The statement in force.
    pub statement: Workflow,
    /// The policy version.
    pub hash: Digest,
    /// Index of the entry that set it.
    pub set_at: u64,
}

/// Where a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestStatus {
    /// Waiting for approvals.
    Pending,
    /// Refused.
    Denied,
    /// A grant was issued.
    Granted(GrantId),
}

/// One approval on a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalState {
    /// The entry.
    pub entry: EntryId,
    /// Its index.
    pub index: u64,
    /// Who.
    pub approver: IdentityId,
    /// For which organisation.
    pub organisation: OrganisationName,
    /// With which key.
    pub key: Key,
}

/// A request and its approvals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestState {
    /// What was asked.
    pub statement: Request,
    /// SHA-256 of the entry.
    pub hash: Digest,
    /// Its index.
    pub made_at: u64,
    /// When, by the writer's clock.
    pub made_ms: u64,
    /// Approvals so far.
    pub approvals: Vec<ApprovalState>,
    /// Where it stands.
    pub status: RequestStatus,
}

/// A grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantState {
    /// As issued.
    pub granted: Granted,
    /// Index of the entry that issued it.
    pub issued_at: u64,
    /// Withdrawn, by whom and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<RevokedState>,
}

/// A withdrawal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokedState {
    /// Who.
    pub by: IdentityId,
    /// Index of the entry.
    pub index: u64,
    /// Its time, by the writer's clock.
    pub time_ms: u64,
}

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionStatus {
    /// It may be live.
    Open,
    /// It ended.
    Ended(EndCause),
    /// Its gateway died.
    Lost,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionState {
    /// The session.
    pub session: SessionId,
    /// The grant in use.
    pub grant: GrantId,
    /// Who.
    pub identity: IdentityId,
    /// Where.
    pub resource: ResourceName,
    /// As whom.
    pub account: AccountName,
    /// The node that runs it.
    pub node: NodeName,
    /// That node's start.
    pub boot: BootId,
    /// Index of the opening.
    pub opened_at: u64,
    /// Its time, by the writer's clock.
    pub opened_ms: u64,
    /// Latest end.
    pub until_ms: u64,
    /// Evidence level.
    pub level: u8,
    /// Where it stands.
    pub status: SessionStatus,
    /// Sequence of its latest entry.
    pub seq: u64,
    /// SHA-256 of its latest entry.
    pub tip: Digest,
    /// Its end was ordered; index of the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub killed_at: Option<u64>,
    /// What is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Recorded>,
    /// Actions under way.
    pub live: BTreeMap<ActionId, ActionClass>,
    /// Actions begun.
    pub actions: u64,
    /// Actions refused.
    pub refused: u64,
    /// Gaps noted.
    pub gaps: u64,
    /// Index of the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<u64>,
    /// Its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<u64>,
}

impl RequestState {
    /// A request as its entry makes it.
    #[must_use]
    pub fn made(placed: &Placed, statement: &Request) -> Self {
        Self {
            statement: statement.clone(),
            hash: placed.hash,
            made_at: placed.index,
            made_ms: placed.entry.time_ms,
            approvals: vec![],
            status: RequestStatus::Pending,
        }
    }
}

impl GrantState {
    /// A grant as its entry issues it.
    #[must_use]
    pub fn issued(placed: &Placed, granted: &Granted) -> Self {
        Self {
            granted: granted.clone(),
            issued_at: placed.index,
            revoked: None,
        }
    }
}

impl SessionState {
    /// A session as its first entry opens it.
    #[must_use]
    pub fn opened(placed: &Placed, session: SessionId, body: &Opened) -> Self {
        Self {
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
        }
    }

    /// Whether `action` is under way.
    #[must_use]
    pub fn has_live(&self, action: ActionId) -> bool {
        self.live.contains_key(&action)
    }
}

/// A writing node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeState {
    /// Its present start.
    pub boot: BootId,
    /// Index of the entry that announced it.
    pub started_at: u64,
}

//! What roots and people sign. Each statement is a value in canonical JSON; `docs/formats/entry.md` and
//! `docs/formats/approval.md` describe them field by field.

use crate::bytes::Digest;
use crate::commitment::Commitment;
use crate::id::{EntryId, GrantId, IdentityId, RequestId, SessionId};
use crate::json;
use crate::name::{AccountName, EnvironmentName, Handle, OrganisationName, Purpose, ResourceName, WorkflowName};
use crate::signature::{Key, Namespace, Statement};
use crate::verdict::ControlId;
use serde::{Deserialize, Serialize};

macro_rules! statements {
    ($($name:ident, $domain:literal, $namespace:ident;)*) => {$(
        impl Statement for $name {
            const DOMAIN: &'static str = concat!("countersign/", $domain, "/v1");
            const NAMESPACE: Namespace = Namespace::$namespace;
        }
    )*};
}

statements! {
    Genesis, "genesis", Trust;
    Engagement, "engagement", Trust;
    Enrolment, "enrolment", Trust;
    Disablement, "disablement", Trust;
    Resource, "resource", Trust;
    Workflow, "workflow", Trust;
    Request, "request", Request;
    Approval, "approval", Approve;
    Denial, "denial", Deny;
    Revocation, "revocation", Revoke;
    Kill, "kill", Revoke;
}

/// Which cosignatures an opening needs before anything is dialed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Gate {
    /// None. Every verdict prints this.
    None,
    /// At least this many of the environment's witnesses.
    Witnesses(u8),
}

/// Who holds the certificate authority that targets trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Custody {
    /// The operator's vault alone. Every verdict prints this.
    Operator,
}

/// The first entry of an environment's log; signed by its owner's roots, which it names itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// The environment.
    pub environment: EnvironmentName,
    /// Origin of the log, as in its checkpoints.
    pub origin: String,
    /// When the owner signed it, Unix milliseconds.
    pub created_ms: u64,
    /// The owner.
    pub owner: OrganisationName,
    /// The owner's roots; at least two.
    pub owner_roots: Vec<Key>,
    /// How many of them must sign.
    pub owner_threshold: u8,
    /// The log's verifier key (C2SP signed-note vkey).
    pub log_key: String,
    /// Verifier keys of the witnesses that may cosign.
    pub witnesses: Vec<String>,
    /// What an opening needs of them.
    pub gate: Gate,
    /// T: how stale a cosigned head may be while a session runs, in milliseconds.
    pub lag_bound_ms: u64,
    /// Recipients (age) that every session key is wrapped to; at least two of the owner's.
    pub owner_recipients: Vec<String>,
    /// Recipients of the operator, if it may open recordings too.
    pub operator_recipients: Vec<String>,
    /// Signs the gateway's host certificates for this environment's names, and nothing else.
    pub gateway_host_ca: Key,
    /// Signs the certificates that targets accept.
    pub user_ca: Key,
    /// Who holds `user_ca`.
    pub custody: Custody,
}

/// The owner's consent that an operator organisation works in its environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Engagement {
    /// The environment.
    pub environment: EnvironmentName,
    /// The operator.
    pub operator: OrganisationName,
    /// The operator's roots, under which its own people are enrolled.
    pub operator_roots: Vec<Key>,
    /// How many of them must sign.
    pub operator_threshold: u8,
    /// In force from, Unix milliseconds.
    pub from_ms: u64,
    /// In force until.
    pub until_ms: u64,
    /// When it was signed, Unix milliseconds. It replaces only an older statement about the same thing, so that an old
    /// one cannot be put in force again.
    pub signed_ms: u64,
}

/// What kind of actor an identity is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentityKind {
    /// A human being.
    Person,
    /// A service account or pipeline.
    Workload,
    /// An AI agent.
    Agent,
}

/// What an identity may do in this environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Ask for access and use it.
    Request,
    /// Approve or deny for its own organisation.
    Approve,
    /// Own a workflow, or be its backup.
    Own,
}

/// Makes an identity known, signed under the root of its own organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolment {
    /// The environment.
    pub environment: EnvironmentName,
    /// The identity.
    pub identity: IdentityId,
    /// Whose it is.
    pub organisation: OrganisationName,
    /// Its lasting short name; unique in its organisation by the organisation's own care.
    pub handle: Handle,
    /// Person, workload or agent.
    pub kind: IdentityKind,
    /// What it may do.
    pub roles: Vec<Role>,
    /// Its SSH keys. A key belongs to one identity.
    pub keys: Vec<Key>,
    /// When it was signed, Unix milliseconds. It replaces only an older statement about the same thing, so that an old
    /// one cannot be put in force again.
    pub signed_ms: u64,
}

/// Ends an identity, signed under the root of its own organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disablement {
    /// The environment.
    pub environment: EnvironmentName,
    /// The identity that ends.
    pub identity: IdentityId,
}

/// A protected SSH host, signed by the owner. A later one of the same name replaces it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resource {
    /// The environment.
    pub environment: EnvironmentName,
    /// Its name there.
    pub name: ResourceName,
    /// Host name or address, as the gateway reaches it.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The host keys that the target may show.
    pub host_keys: Vec<Key>,
    /// Accounts that may be asked for.
    pub accounts: Vec<AccountName>,
    /// Addresses from which the target sees our connections, for `source-address`; empty: not bound.
    pub source_addresses: Vec<String>,
    /// When it was signed, Unix milliseconds. It replaces only an older statement about the same thing, so that an old
    /// one cannot be put in force again.
    pub signed_ms: u64,
}

/// What is done in a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionClass {
    /// An interactive shell.
    Shell,
    /// One command, scp and rsync included.
    Exec,
    /// The SFTP subsystem.
    Sftp,
    /// A TCP connection from the target to a third host.
    Forward,
    /// A TCP connection to the target's own loopback.
    TunnelLocal,
}

/// How many approvals an organisation must give.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quorum {
    /// Whose approvers.
    pub organisation: OrganisationName,
    /// How many distinct identities.
    pub count: u8,
}

/// A named privileged purpose and the rule under which it is granted, signed by the owner. Its digest is the policy
/// version that approvals and decisions name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workflow {
    /// The environment.
    pub environment: EnvironmentName,
    /// Its name.
    pub name: WorkflowName,
    /// The accountable business owner.
    pub owner: IdentityId,
    /// Who stands in for the owner.
    pub backup: IdentityId,
    /// What it may be used for.
    pub purposes: Vec<Purpose>,
    /// Organisations whose people may ask.
    pub requesters: Vec<OrganisationName>,
    /// Resources that may be asked for.
    pub resources: Vec<ResourceName>,
    /// Accounts that may be asked for.
    pub accounts: Vec<AccountName>,
    /// What may be done.
    pub actions: Vec<ActionClass>,
    /// Approvals that a grant needs; at least one of the owner's organisation.
    pub approvals: Vec<Quorum>,
    /// The longest window, milliseconds.
    pub window_ms_max: u64,
    /// Evidence level, 1 or 2.
    pub level: u8,
    /// Session controls that its grants pin.
    pub controls: Vec<ControlId>,
    /// When it was signed, Unix milliseconds. It replaces only an older statement about the same thing, so that an old
    /// one cannot be put in force again.
    pub signed_ms: u64,
}

impl Workflow {
    /// The policy version: SHA-256 of the canonical statement.
    ///
    /// # Errors
    /// When the statement cannot be written canonically.
    pub fn hash(&self) -> Result<Digest, json::JsonError> {
        Ok(Digest::of(&json::to_vec(self)?))
    }
}

/// What may be done, where, as whom and when: shared word for word by request, approval and grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// The workflow.
    pub workflow: WorkflowName,
    /// Its version.
    pub policy: Digest,
    /// One of the workflow's purposes.
    pub purpose: Purpose,
    /// Explicit resources.
    pub resources: Vec<ResourceName>,
    /// Explicit accounts.
    pub accounts: Vec<AccountName>,
    /// What may be done.
    pub actions: Vec<ActionClass>,
    /// Begin, Unix milliseconds.
    pub from_ms: u64,
    /// End, Unix milliseconds, exclusive.
    pub until_ms: u64,
}

/// Who asks for what, why and how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The request.
    pub request: RequestId,
    /// The entry that carries it; the commitments are bound to it.
    pub entry: EntryId,
    /// Who asks.
    pub requester: IdentityId,
    /// What is asked.
    pub scope: Scope,
    /// Why.
    pub reason: Commitment,
    /// The ticket's text, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<Commitment>,
}

/// Where an approver saw what was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Surface {
    /// The approver's own command line.
    CommandLine,
}

/// Consent to a request, word for word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// The request.
    pub request: RequestId,
    /// SHA-256 of the request's entry, as it stands in the log.
    pub request_hash: Digest,
    /// Who consents.
    pub approver: IdentityId,
    /// Who asked.
    pub requester: IdentityId,
    /// What is consented to: equal to what was asked.
    pub scope: Scope,
    /// Where it was shown and signed.
    pub surface: Surface,
    /// When, by the approver's clock, Unix milliseconds.
    pub at_ms: u64,
}

/// Refusal of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Denial {
    /// The request.
    pub request: RequestId,
    /// SHA-256 of the request's entry.
    pub request_hash: Digest,
    /// Who refuses.
    pub approver: IdentityId,
    /// When, by the approver's clock.
    pub at_ms: u64,
}

/// Withdrawal of a grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// The grant.
    pub grant: GrantId,
    /// Who withdraws it.
    pub by: IdentityId,
    /// When, by the signer's clock.
    pub at_ms: u64,
}

/// The order to end one session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kill {
    /// The session.
    pub session: SessionId,
    /// Who orders it.
    pub by: IdentityId,
    /// When, by the signer's clock.
    pub at_ms: u64,
}

//! The judge: facts in, a [`Permit`] or a [`Refusal`] out. Pure, total, and replayable: whoever holds the log rebuilds
//! the same facts at the same index, finds the same digest, and comes to the same answer.
//!
//! The rules are those of the workflow in force; its hash is the policy version that every decision names.

use crate::apply::{Refused, Snapshot};
use crate::body::Decision;
use crate::bytes::Digest;
use crate::chain::Permit;
use crate::entity::{EntityKey, SessionStatus};
use crate::id::{GrantId, IdentityId, SessionId};
use crate::json;
use crate::name::{AccountName, ResourceName};
use crate::signature::Key;
use crate::statement::{ActionClass, Gate, Role};
use serde::{Deserialize, Serialize};

/// The version of these rules; part of every decision.
pub const RULES: &str = "workflow-v1";

/// Why access was refused: a code for programs, a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {because}")]
pub struct Refusal {
    /// Machine-readable, such as `grant_expired`.
    pub code: &'static str,
    /// What is wrong and what to do next.
    pub because: String,
}

fn refuse<T>(code: &'static str, because: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal {
        code,
        because: because.into(),
    })
}

/// Who wants to do what with which grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Who, by a verified log-in.
    pub identity: IdentityId,
    /// With which key.
    pub key: Key,
    /// Which grant.
    pub grant: GrantId,
    /// Where.
    pub resource: ResourceName,
    /// As whom.
    pub account: AccountName,
}

/// Everything that decides an opening.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenFacts {
    /// The moment judged, Unix milliseconds.
    pub at_ms: u64,
    /// Who.
    pub identity: IdentityId,
    /// The identity is in force and may use access.
    pub identity_may: bool,
    /// The key belongs to the identity.
    pub key_own: bool,
    /// The identity's organisation is engaged at this moment.
    pub engaged: bool,
    /// Which grant.
    pub grant: GrantId,
    /// Whose grant.
    pub grant_of: IdentityId,
    /// It has been withdrawn.
    pub grant_revoked: bool,
    /// Its window's begin.
    pub from_ms: u64,
    /// Its window's end.
    pub until_ms: u64,
    /// Approvals of the environment's owner that it rests on.
    pub owner_approvals: u64,
    /// The policy it was issued under.
    pub policy: Digest,
    /// The policy in force.
    pub policy_in_force: Digest,
    /// Where.
    pub resource: ResourceName,
    /// Digest of the resource's statement.
    pub resource_hash: Digest,
    /// The grant covers the resource.
    pub resource_granted: bool,
    /// As whom.
    pub account: AccountName,
    /// The grant covers the account, and the resource has it.
    pub account_granted: bool,
    /// Cosignatures the opening needs.
    pub gate: Gate,
    /// Evidence level.
    pub level: u8,
}

impl OpenFacts {
    /// Gathers the facts at `at_ms` from a state.
    ///
    /// # Errors
    /// When something is not loaded, or does not exist.
    pub fn gather(state: &Snapshot, wanted: &Wanted, at_ms: u64) -> Result<Self, Refused> {
        let identity = state.identity(&EntityKey::identity(wanted.identity))?;
        let organisation = state.organisation(&EntityKey::organisation(&identity.enrolment.organisation))?;
        let grant = state.grant(&EntityKey::grant(wanted.grant))?;
        let scope = &grant.granted.scope;
        let request = state.request(&EntityKey::request(grant.granted.request))?;
        let owner = &state.genesis()?.owner;
        let resource = state.resource(&EntityKey::resource(&wanted.resource))?;
        let on_resource = resource.statement.accounts.contains(&wanted.account);
        Ok(Self {
            at_ms,
            identity: wanted.identity,
            identity_may: identity.may(Role::Request),
            key_own: identity.enrolment.keys.contains(&wanted.key),
            engaged: organisation.owner
                || (at_ms >= organisation.from_ms && organisation.until_ms.is_none_or(|until| at_ms < until)),
            grant: wanted.grant,
            grant_of: grant.granted.requester,
            grant_revoked: grant.revoked.is_some(),
            from_ms: scope.from_ms,
            until_ms: scope.until_ms,
            owner_approvals: request.approvals.iter().filter(|a| a.organisation == *owner).count() as u64,
            policy: scope.policy,
            policy_in_force: state.workflow(&EntityKey::workflow(&scope.workflow))?.hash,
            resource: wanted.resource.clone(),
            resource_hash: resource.hash,
            resource_granted: scope.resources.contains(&wanted.resource),
            account: wanted.account.clone(),
            account_granted: on_resource && scope.accounts.contains(&wanted.account),
            gate: grant.granted.gate,
            level: grant.granted.level,
        })
    }

    /// The entities on which these facts rest: the basis that a commit checks again.
    ///
    /// # Errors
    /// When something is not loaded, or does not exist.
    pub fn basis(state: &Snapshot, wanted: &Wanted) -> Result<Vec<(EntityKey, u64)>, Refused> {
        let identity = state.identity(&EntityKey::identity(wanted.identity))?;
        let grant = state.grant(&EntityKey::grant(wanted.grant))?;
        let keys = [
            EntityKey::environment(),
            EntityKey::identity(wanted.identity),
            EntityKey::organisation(&identity.enrolment.organisation),
            EntityKey::grant(wanted.grant),
            EntityKey::request(grant.granted.request),
            EntityKey::workflow(&grant.granted.scope.workflow),
            EntityKey::resource(&wanted.resource),
        ];
        keys.into_iter()
            .map(|key| state.version(&key).map(|version| (key, version)))
            .collect()
    }

    fn check(&self) -> Result<(), Refusal> {
        if !self.identity_may {
            return refuse(
                "identity_not_entitled",
                "this identity may not use access; ask your organisation to enrol it with the role `request`",
            );
        }
        if !self.key_own {
            return refuse("not_own_key", "this key is not enrolled for the identity");
        }
        if !self.engaged {
            return refuse(
                "not_engaged",
                "the engagement of your organisation with this environment is not in force",
            );
        }
        if self.grant_of != self.identity {
            return refuse(
                "other_person",
                "this grant was issued to somebody else; a grant is personal",
            );
        }
        if self.grant_revoked {
            return refuse("grant_revoked", "the grant has been revoked; ask again with `request`");
        }
        if self.owner_approvals == 0 {
            return refuse("customer_approval_missing", "the environment's owner has not approved");
        }
        if self.at_ms < self.from_ms {
            return refuse("grant_not_begun", "the grant's window has not begun");
        }
        if self.at_ms >= self.until_ms {
            return refuse(
                "grant_expired",
                "the grant's window has ended; ask again with `request`",
            );
        }
        if self.policy != self.policy_in_force {
            return refuse(
                "policy_changed",
                "the workflow has changed since the grant was issued; ask again with `request`",
            );
        }
        if !self.resource_granted {
            return refuse(
                "resource_not_granted",
                format!(
                    "the grant does not cover resource `{}`; ask for one that does with `request`",
                    self.resource
                ),
            );
        }
        if !self.account_granted {
            return refuse(
                "account_not_granted",
                format!(
                    "the grant does not cover account `{}`; ask for one that does with `request`",
                    self.account
                ),
            );
        }
        Ok(())
    }
}

/// Everything that decides an action inside an open session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionFacts {
    /// The moment judged, Unix milliseconds.
    pub at_ms: u64,
    /// The session.
    pub session: SessionId,
    /// It is open and its end has not been ordered.
    pub session_open: bool,
    /// The identity is in force.
    pub identity_may: bool,
    /// Its grant.
    pub grant: GrantId,
    /// The grant has been withdrawn.
    pub grant_revoked: bool,
    /// The window's begin.
    pub from_ms: u64,
    /// The window's end.
    pub until_ms: u64,
    /// The policy the grant was issued under.
    pub policy: Digest,
    /// The policy in force.
    pub policy_in_force: Digest,
    /// What is wanted.
    pub class: ActionClass,
    /// The grant covers it.
    pub class_granted: bool,
}

impl ActionFacts {
    /// Gathers the facts at `at_ms` from a state.
    ///
    /// # Errors
    /// When something is not loaded, or does not exist.
    pub fn gather(state: &Snapshot, session: SessionId, class: ActionClass, at_ms: u64) -> Result<Self, Refused> {
        let session = state.session(&EntityKey::session(session))?;
        let grant = state.grant(&EntityKey::grant(session.grant))?;
        let scope = &grant.granted.scope;
        Ok(Self {
            at_ms,
            session: session.session,
            session_open: session.status == SessionStatus::Open && session.killed_at.is_none(),
            identity_may: state
                .identity(&EntityKey::identity(session.identity))?
                .may(Role::Request),
            grant: session.grant,
            grant_revoked: grant.revoked.is_some(),
            from_ms: scope.from_ms,
            until_ms: scope.until_ms,
            policy: scope.policy,
            policy_in_force: state.workflow(&EntityKey::workflow(&scope.workflow))?.hash,
            class,
            class_granted: scope.actions.contains(&class),
        })
    }

    /// The entities on which these facts rest. The session itself is left out: its entries follow one another
    /// without conflict, and `apply` checks that it is still open.
    ///
    /// # Errors
    /// When something is not loaded, or does not exist.
    pub fn basis(state: &Snapshot, session: SessionId) -> Result<Vec<(EntityKey, u64)>, Refused> {
        let session = state.session(&EntityKey::session(session))?;
        let grant = state.grant(&EntityKey::grant(session.grant))?;
        let keys = [
            EntityKey::identity(session.identity),
            EntityKey::grant(session.grant),
            EntityKey::workflow(&grant.granted.scope.workflow),
        ];
        keys.into_iter()
            .map(|key| state.version(&key).map(|version| (key, version)))
            .collect()
    }

    fn check(&self) -> Result<(), Refusal> {
        if !self.session_open {
            return refuse("session_over", "the session is over, or its end has been ordered");
        }
        if !self.identity_may {
            return refuse("identity_not_entitled", "this identity may not use access any more");
        }
        if self.grant_revoked {
            return refuse("grant_revoked", "the grant has been revoked");
        }
        if self.at_ms < self.from_ms || self.at_ms >= self.until_ms {
            return refuse("grant_expired", "the grant's window has ended");
        }
        if self.policy != self.policy_in_force {
            return refuse(
                "policy_changed",
                "the workflow has changed since the grant was issued; ask again with `request`",
            );
        }
        if !self.class_granted {
            return refuse(
                "action_not_granted",
                "the grant does not cover this kind of action; ask for one that does with `request --action`",
            );
        }
        Ok(())
    }
}

/// Facts that a judge can decide on.
pub trait Facts: Serialize + Sized {
    /// Whether they allow what is wanted.
    ///
    /// # Errors
    /// The first rule that forbids it.
    fn allow(&self) -> Result<(), Refusal>;
    /// The policy version that decides.
    fn policy(&self) -> Digest;
    /// The moment judged.
    fn at_ms(&self) -> u64;
}

impl Facts for OpenFacts {
    fn allow(&self) -> Result<(), Refusal> {
        self.check()
    }
    fn policy(&self) -> Digest {
        self.policy
    }
    fn at_ms(&self) -> u64 {
        self.at_ms
    }
}

impl Facts for ActionFacts {
    fn allow(&self) -> Result<(), Refusal> {
        self.check()
    }
    fn policy(&self) -> Digest {
        self.policy
    }
    fn at_ms(&self) -> u64 {
        self.at_ms
    }
}

/// The decision on `facts`, as it stands in an entry; the verifier makes it again and compares.
///
/// # Errors
/// The rule that forbids it; or, as code `not_canonical`, facts that cannot be written.
pub fn decide<F: Facts>(facts: &F) -> Result<Decision, Refusal> {
    facts.allow()?;
    let inputs = json::to_vec(facts).map_err(|e| Refusal {
        code: "not_canonical",
        because: e.to_string(),
    })?;
    Ok(Decision {
        policy: facts.policy(),
        inputs: Digest::of(&inputs),
        at_ms: facts.at_ms(),
        rule: RULES.to_owned(),
    })
}

/// Judges an opening. The permit holds the facts and the versions they rest on.
///
/// # Errors
/// The rule that forbids it, or what is not known.
pub fn judge_open(state: &Snapshot, wanted: &Wanted, at_ms: u64) -> Result<Permit<OpenFacts>, JudgeError> {
    let facts = OpenFacts::gather(state, wanted, at_ms)?;
    let decision = decide(&facts)?;
    Ok(Permit::new(facts, decision, OpenFacts::basis(state, wanted)?))
}

/// Judges an action.
///
/// # Errors
/// The rule that forbids it, or what is not known.
pub fn judge_action(
    state: &Snapshot,
    session: SessionId,
    class: ActionClass,
    at_ms: u64,
) -> Result<Permit<ActionFacts>, JudgeError> {
    let facts = ActionFacts::gather(state, session, class, at_ms)?;
    let decision = decide(&facts)?;
    Ok(Permit::new(facts, decision, ActionFacts::basis(state, session)?))
}

/// Why there is no permit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JudgeError {
    /// A rule forbids it.
    #[error(transparent)]
    Refusal(#[from] Refusal),
    /// The state does not say.
    #[error(transparent)]
    State(#[from] Refused),
}

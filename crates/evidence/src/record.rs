//! The evidence record of one session: who approved, what was granted, what was done and what the policy says of each
//! act, with the verdict. One JSON object for programs; [`Record::parse`] refuses one in which any of these is missing.

use crate::explain::{ExplainError, explain};
use crate::reading::{Person, Reading};
use crate::replay::{AtOpening, DecisionCheck, Dossier};
use model::body::{Body, Intended};
use model::bytes::{Digest, Octets};
use model::entry::Placed;
use model::id::{ActionId, EntryId, SessionId};
use model::name::{AccountName, EnvironmentName, Purpose, ResourceName};
use model::statement::{ActionClass, Scope};
use model::verdict::{ControlId, Outcome, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The word that says what the object is.
pub const RECORD_FORMAT: &str = "countersign-record";
/// The version that this crate writes, and the only one that it reads.
pub const RECORD_VERSION: u32 = 1;
/// The longest record that is read.
pub const RECORD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// One session as one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// [`RECORD_FORMAT`].
    pub format: String,
    /// [`RECORD_VERSION`].
    pub v: u32,
    /// The environment.
    pub environment: EnvironmentName,
    /// Its log.
    pub origin: String,
    /// The session.
    pub session: SessionId,
    /// Who used it.
    pub actor: Person,
    /// Where.
    pub resource: ResourceName,
    /// As whom.
    pub account: AccountName,
    /// Who answers for the purpose; none when no workflow was in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Person>,
    /// What for; none when there was no grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Purpose>,
    /// Who approved, with the entries that show it. Empty when nobody did.
    pub approvers: Vec<Approver>,
    /// What was granted.
    pub scope: GrantedScope,
    /// What was done and what was refused, in the log's order.
    pub actions: Vec<Act>,
    /// Evidence that things were done as recorded.
    pub activity_evidence: bool,
    /// Evidence that they were approved and stayed inside what was approved.
    pub control_evidence: bool,
    /// The session judged.
    pub verdict: Verdict,
}

/// One approval that counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approver {
    /// Who.
    pub person: Person,
    /// The entry.
    pub entry: EntryId,
    /// Its index.
    pub index: u64,
    /// Its hash.
    pub hash: Digest,
}

/// What a session was granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum GrantedScope {
    /// This, word for word what was asked and approved.
    Granted(Scope),
    /// Nothing; why.
    Nothing(String),
}

/// One thing done, or asked and refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Act {
    /// Its id.
    pub action: ActionId,
    /// The session that it belongs to.
    pub session: SessionId,
    /// Who did it.
    pub actor: Person,
    /// Where.
    pub resource: ResourceName,
    /// The entry.
    pub entry: EntryId,
    /// Its index.
    pub index: u64,
    /// Its hash.
    pub hash: Digest,
    /// What kind of act; absent for what has none that could be granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<ActionClass>,
    /// The command, where it is disclosed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Octets>,
    /// Microseconds since the session opened; absent for what was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset_us: Option<u64>,
    /// The recording's frame at which it begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<u64>,
    /// How it ended, where that is on record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcomed>,
    /// What the policy says of it.
    pub policy: PolicyVerdict,
}

/// How an act ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcomed {
    /// Exit status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_status: Option<u32>,
    /// Exit signal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_signal: Option<String>,
    /// Bytes to the target.
    pub bytes_in: u64,
    /// Bytes from the target.
    pub bytes_out: u64,
}

/// What the policy, asked again, says of an act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PolicyVerdict {
    /// Allowed, under this version and rule, on these facts.
    Inside {
        /// The policy version.
        policy: Digest,
        /// The rule.
        rule: String,
        /// Digest of the facts.
        inputs: Digest,
    },
    /// Let through although the policy does not allow it, or cannot be asked.
    Outside {
        /// Why, as a code.
        code: String,
    },
    /// Asked and not let through.
    Prevented {
        /// Why, as a code.
        code: String,
    },
}

/// Why bytes are not an evidence record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Longer than [`RECORD_BYTES_MAX`].
    #[error("the record is longer than {RECORD_BYTES_MAX} bytes")]
    TooLong,
    /// Something is missing, unknown or of the wrong kind.
    #[error("not an evidence record: {0}")]
    Shape(String),
    /// A later version wrote it.
    #[error("written by a newer format (record version `{0}`); use a newer version of this program")]
    Newer(u32),
}

impl Record {
    /// Tells one session.
    ///
    /// # Errors
    /// When the evidence has no such session, it was never opened, or the log has no valid genesis.
    pub fn of(reading: &Reading<'_>, session: SessionId) -> Result<Self, ExplainError> {
        let missing = || ExplainError::NoSession(session);
        let verdict = explain(reading.world, reading.grounds, session)?;
        let dossier = reading.world.dossier(session).ok_or_else(missing)?;
        let at = dossier.opening.as_ref().ok_or_else(missing)?;
        let opened = at.body().ok_or_else(missing)?;
        let genesis = reading.world.state().genesis().map_err(|_| ExplainError::NoGenesis)?;
        let passes = |id: ControlId| {
            verdict
                .controls
                .iter()
                .any(|c| c.control == id && c.outcome == Outcome::Pass)
        };
        Ok(Self {
            format: RECORD_FORMAT.to_owned(),
            v: RECORD_VERSION,
            environment: genesis.environment.clone(),
            origin: genesis.origin.clone(),
            session,
            actor: reading.person(opened.identity),
            resource: opened.resource.clone(),
            account: opened.account.clone(),
            owner: at.workflow.as_ref().map(|w| reading.person(w.statement.owner)),
            purpose: at.grant.as_ref().map(|g| g.granted.scope.purpose.clone()),
            approvers: approvers(reading, at),
            scope: scope(reading, at),
            actions: acts(reading, dossier, at),
            activity_evidence: passes(ControlId::Re1),
            control_evidence: verdict.approved && verdict.bounded,
            verdict,
        })
    }

    /// Its JSON.
    ///
    /// # Errors
    /// Never for a record made by this type.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self)
    }

    /// Reads a record and checks that it is whole.
    ///
    /// # Errors
    /// When anything is missing, unknown or out of order.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        #[derive(Deserialize)]
        struct Version {
            format: String,
            v: u32,
        }
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(RecordError::TooLong);
        }
        let shape = |e: serde_json::Error| RecordError::Shape(e.to_string());
        let version: Version = serde_json::from_slice(bytes).map_err(shape)?;
        if version.format != RECORD_FORMAT {
            return Err(RecordError::Shape(format!("format `{RECORD_FORMAT}` is expected")));
        }
        if version.v > RECORD_VERSION {
            return Err(RecordError::Newer(version.v));
        }
        let record: Self = serde_json::from_slice(bytes).map_err(shape)?;
        if record.v != RECORD_VERSION {
            return Err(RecordError::Shape("there is no such version".into()));
        }
        if !record.actions.is_sorted_by(|a, b| a.index < b.index) {
            return Err(RecordError::Shape("actions are out of order".into()));
        }
        let own =
            record.verdict.session == record.session && record.actions.iter().all(|a| a.session == record.session);
        if !own {
            return Err(RecordError::Shape("parts are of another session".into()));
        }
        Ok(record)
    }
}

fn approvers(reading: &Reading<'_>, at: &AtOpening) -> Vec<Approver> {
    let approvals = at.request.as_ref().map(|r| r.approvals.as_slice()).unwrap_or_default();
    let counted = approvals.iter().filter(|a| reading.world.refusal(a.index).is_none());
    let found = counted.filter_map(|approval| Some((approval, reading.world.entry(approval.index)?)));
    found
        .map(|(approval, placed)| Approver {
            person: reading.person(approval.approver),
            entry: approval.entry,
            index: approval.index,
            hash: placed.hash,
        })
        .collect()
}

fn scope(reading: &Reading<'_>, at: &AtOpening) -> GrantedScope {
    match &at.grant {
        None => GrantedScope::Nothing("the grant that it names was never issued".into()),
        Some(grant) => match reading.world.refusal(grant.issued_at) {
            Some(finding) => GrantedScope::Nothing(format!("the grant has no effect: {}", finding.because)),
            None => GrantedScope::Granted(grant.granted.scope.clone()),
        },
    }
}

fn acts(reading: &Reading<'_>, dossier: &Dossier, at: &AtOpening) -> Vec<Act> {
    let Some(opened) = at.body() else { return Vec::new() };
    let mut ends = BTreeMap::new();
    for placed in &dossier.entries {
        if let Body::ActionEnded(ended) = &placed.entry.body {
            let outcome = Outcomed {
                exit_status: ended.exit_status,
                exit_signal: ended.exit_signal.clone(),
                bytes_in: ended.bytes_in,
                bytes_out: ended.bytes_out,
            };
            ends.entry(ended.action).or_insert(outcome);
        }
    }
    let act = |placed: &Placed, action: ActionId, class, policy| Act {
        action,
        session: dossier.session,
        actor: reading.person(opened.identity),
        resource: opened.resource.clone(),
        entry: placed.entry.id,
        index: placed.index,
        hash: placed.hash,
        class,
        command: reading.value(placed, "command").cloned(),
        offset_us: None,
        frame: None,
        outcome: None,
        policy,
    };
    let told = dossier.entries.iter().filter_map(|placed| match &placed.entry.body {
        Body::Intended(intended) => Some(Act {
            offset_us: Some(intended.offset_us),
            frame: Some(intended.frame),
            outcome: ends.get(&intended.action).cloned(),
            ..act(
                placed,
                intended.action,
                Some(intended.class),
                policy(dossier, placed, intended),
            )
        }),
        Body::ActionRefused(refused) => {
            let code = refused.code.clone();
            Some(act(
                placed,
                refused.action,
                refused.class,
                PolicyVerdict::Prevented { code },
            ))
        }
        _ => None,
    });
    told.collect()
}

fn policy(dossier: &Dossier, placed: &Placed, intended: &Intended) -> PolicyVerdict {
    let code = match dossier.decisions.get(&placed.index) {
        Some(DecisionCheck::Same) => {
            return PolicyVerdict::Inside {
                policy: intended.decision.policy,
                rule: intended.decision.rule.clone(),
                inputs: intended.decision.inputs,
            };
        }
        Some(DecisionCheck::Differs(differs)) => differs.code(),
        Some(DecisionCheck::Refused { code, .. } | DecisionCheck::NoFacts { code, .. }) => code,
        None => "not_replayed",
    };
    PolicyVerdict::Outside { code: code.to_owned() }
}

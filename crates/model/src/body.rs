//! The bodies of entries, one type each. Adding a type or a field raises [`crate::GRAMMAR_VERSION`].

use crate::bytes::Digest;
use crate::commitment::Commitment;
use crate::id::{ActionId, BootId, EntryId, GrantId, IdentityId, RequestId, SessionId};
use crate::json::{JsonError, Raw};
use crate::name::{AccountName, ResourceName};
use crate::signature::{Key, LogIn, Signature, Signed};
use crate::statement::{
    ActionClass, Approval, Denial, Disablement, Engagement, Enrolment, Gate, Genesis, Kill, Request, Resource,
    Revocation, Scope, Workflow,
};
use crate::verdict::ControlId;
use serde::{Deserialize, Serialize};

macro_rules! bodies {
    ($($(#[$doc:meta])* $name:ident($body:ty) = $kind:literal;)*) => {
        /// What an entry says.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Body {$(
            $(#[$doc])*
            $name($body),
        )*}

        impl Body {
            /// Every type of entry that this grammar version knows.
            pub const KINDS: &'static [&'static str] = &[$($kind),*];

            /// The entry's type.
            #[must_use]
            pub fn kind(&self) -> &'static str {
                match self {$(Self::$name(_) => $kind,)*}
            }

            pub(crate) fn to_value(&self) -> Result<serde_json::Value, JsonError> {
                match self {$(Self::$name(body) => serde_json::to_value(body),)*}.map_err(|e| JsonError::Shape(e.to_string()))
            }

            pub(crate) fn read(kind: &str, raw: Raw<'_>) -> Option<Result<Self, JsonError>> {
                let shape = |e: JsonError| JsonError::Shape(format!("{kind}: {e}"));
                match kind {
                    $($kind => Some(raw.read().map(Self::$name).map_err(shape)),)*
                    _ => None,
                }
            }
        }
    };
}

bodies! {
    /// The environment is born.
    Genesis(Signed<Genesis>) = "environment.genesis";
    /// The owner lets an operator work here.
    Engagement(Signed<Engagement>) = "engagement.signed";
    /// An identity becomes known.
    Enrolled(Signed<Enrolment>) = "identity.enrolled";
    /// An identity ends.
    Disabled(Signed<Disablement>) = "identity.disabled";
    /// A resource is registered, or replaced.
    Resource(Signed<Resource>) = "resource.registered";
    /// A workflow is set, or replaced.
    Workflow(Signed<Workflow>) = "workflow.set";
    /// Somebody asks.
    Requested(Requested) = "request.made";
    /// An approver consents.
    Approved(Signed<Approval>) = "request.approved";
    /// An approver refuses.
    Denied(Signed<Denial>) = "request.denied";
    /// The rule is met: the permission exists.
    Granted(Granted) = "grant.issued";
    /// The permission is withdrawn.
    Revoked(Signed<Revocation>) = "grant.revoked";
    /// A session may begin; written before anything is dialed.
    Opened(Box<Opened>) = "session.opened";
    /// Somebody entitled orders its end.
    Killed(Signed<Kill>) = "session.killed";
    /// What was recorded and synced so far, for all sessions of one gateway.
    Progress(Progress) = "session.progress";
    /// Frames that may be missing.
    Gap(Gap) = "session.gap";
    /// It is over, and how.
    Ended(Ended) = "session.ended";
    /// Its gateway died under it.
    Lost(Lost) = "session.lost";
    /// Something privileged is about to be done; written before it has an effect.
    Intended(Intended) = "action.intended";
    /// It was asked and not allowed.
    ActionRefused(ActionRefused) = "action.refused";
    /// It is done.
    ActionEnded(ActionEnded) = "action.ended";
    /// An identified caller was refused outside a session.
    AttemptRefused(AttemptRefused) = "attempt.refused";
    /// Unidentified callers were refused, counted per listener and minute.
    RefusalsCounted(RefusalsCounted) = "refusals.counted";
    /// A writing node started.
    NodeStarted(NodeStarted) = "node.started";
}

/// Types reserved for later grammar versions; a reader of this version refuses them as `written by a newer format`.
pub const RESERVED: &[&str] = &[
    "control.checked",
    "context.snapshot",
    "verdict.issued",
    "exception.accepted",
    "custody.transferred",
    "hold.placed",
    "hold.released",
    "evidence.shredded",
    "mandate.signed",
    "review.signed",
    "finding.raised",
    "key.rotated",
];

/// How a requester proved who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RequestProof {
    /// SSHSIG over the request's statement.
    Signature(Signature),
    /// An SSH log-in to the gateway, over which the request was typed.
    LogIn(LogIn),
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requested {
    /// What is asked.
    pub statement: Request,
    /// Proof of who asks.
    pub proof: RequestProof,
}

/// A grant, issued with the approval that met the rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Granted {
    /// The grant.
    pub grant: GrantId,
    /// The request it answers.
    pub request: RequestId,
    /// Who may use it.
    pub requester: IdentityId,
    /// The approvals it rests on.
    pub approvals: Vec<EntryId>,
    /// What it permits: word for word what was asked and approved.
    pub scope: Scope,
    /// Evidence level.
    pub level: u8,
    /// Cosignatures each opening needs.
    pub gate: Gate,
    /// Controls each session is judged against.
    pub controls: Vec<ControlId>,
}

/// The one certificate with which a session logs in to its target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificatePlan {
    /// The session's own key, made in memory and used once.
    pub key: Key,
    /// 16 hex digits; unique in the environment.
    pub serial: String,
    /// `cs:<environment>:<resource>:<account>`.
    pub principal: String,
    /// Unix seconds.
    pub valid_after_s: u64,
    /// Unix seconds.
    pub valid_before_s: u64,
    /// `source-address` restriction; empty: none.
    pub source_addresses: Vec<String>,
}

/// Which rule decided on which facts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// The policy version: the workflow's hash.
    pub policy: Digest,
    /// SHA-256 of the canonical facts that were judged.
    pub inputs: Digest,
    /// The moment that was judged, Unix milliseconds; part of the facts.
    pub at_ms: u64,
    /// The rule that allowed it.
    pub rule: String,
}

/// How time is vouched for at an opening.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum TimeBasis {
    /// The newest cosigned checkpoint, as a signed note.
    Checkpoint(String),
    /// No cosignature could be had; the reason.
    Unwitnessed(String),
}

/// The opening of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opened {
    /// The grant in use.
    pub grant: GrantId,
    /// Who uses it.
    pub identity: IdentityId,
    /// Proof that this identity's key logged in to the gateway.
    pub proof: LogIn,
    /// Where.
    pub resource: ResourceName,
    /// SHA-256 of the resource's statement in force.
    pub resource_hash: Digest,
    /// As whom.
    pub account: AccountName,
    /// The client's address.
    pub client: Commitment,
    /// How it logs in to the target.
    pub certificate: CertificatePlan,
    /// Commitment to the recording's key.
    pub dek: Digest,
    /// SHA-256 of the wrapped key (age), which is kept beside the log.
    pub wraps: Digest,
    /// Evidence level.
    pub level: u8,
    /// When it ends at the latest, Unix milliseconds.
    pub until_ms: u64,
    /// Cosignatures it needs.
    pub gate: Gate,
    /// Controls it is judged against.
    pub controls: Vec<ControlId>,
    /// The decision that allowed it.
    pub decision: Decision,
    /// What vouches for its time.
    pub time: TimeBasis,
}

/// What is recorded and synced of one session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// Frames so far.
    pub frames: u64,
    /// Extents so far.
    pub extents: u64,
    /// Head of the chain over the extents' ciphertext.
    pub chain: Digest,
}

/// One session's line in a progress entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgressLine {
    /// The session.
    pub session: SessionId,
    /// What is recorded.
    pub recorded: Recorded,
}

/// Progress of all sessions of one gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// One line a session, at most [`Progress::LINES_MAX`].
    pub sessions: Vec<ProgressLine>,
}

impl Progress {
    /// Lines in one entry, so that it stays below the entry's size limit.
    pub const LINES_MAX: usize = 64;
}

/// Frames of one session that may be missing or were never taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    /// The session.
    pub session: SessionId,
    /// First frame that is in doubt.
    pub first: u64,
    /// First frame after it that is known again; absent: nothing after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
    /// Why.
    pub cause: GapCause,
}

/// Why frames are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapCause {
    /// No sync covered them: one failed, or the gateway died first. What was written may not be on disk.
    SyncFailed,
    /// A write failed; nothing was forwarded after it.
    WriteFailed,
    /// No space; nothing was forwarded after it.
    NoSpace,
    /// Syncs took too long; nothing was forwarded meanwhile.
    SyncSlow,
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndCause {
    /// The client closed it.
    ClientClosed,
    /// The target closed it.
    TargetClosed,
    /// The target could not be reached, or did not show a pinned key.
    TargetRefused,
    /// The window ended.
    Expired,
    /// The grant was withdrawn.
    Revoked,
    /// Its end was ordered.
    Killed,
    /// The journal could not record any more.
    RecorderStopped,
    /// The log could not be written, published or cosigned in time.
    LedgerStopped,
    /// The gateway shut down.
    Shutdown,
}

/// The end of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ended {
    /// Why.
    pub cause: EndCause,
    /// When it had to end, Unix milliseconds: the window's end, or the revocation's or kill's entry time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_ms: Option<u64>,
    /// Milliseconds from due to the last byte that could pass, by the monotonic clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_ms: Option<u64>,
    /// The whole recording.
    pub recorded: Recorded,
    /// Bytes that went to the target.
    pub bytes_in: u64,
    /// Bytes that came from the target.
    pub bytes_out: u64,
    /// Bytes journaled in both directions; equal to the sum of the two when everything was recorded first.
    pub bytes_journaled: u64,
    /// The longest time between a frame of this session being written, from when on its bytes may be forwarded, and the
    /// end of the sync that covered it, milliseconds. Frames that no sync covered are in a gap instead.
    pub sync_gap_ms_max: u64,
    /// Channels opened.
    pub channels_opened: u64,
    /// Channels closed.
    pub channels_closed: u64,
    /// The host key that the target showed; absent if it was never reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_key: Option<Key>,
}

/// A session whose gateway died.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lost {
    /// The last time it is known to have lived, Unix milliseconds.
    pub seen_ms: u64,
    /// What the journal holds of it.
    pub recorded: Recorded,
}

/// An action that is about to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intended {
    /// The action.
    pub action: ActionId,
    /// What it is.
    pub class: ActionClass,
    /// The channel it is done in, from 0 in order of opening.
    pub channel: u32,
    /// The command, subsystem or destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Commitment>,
    /// Whether a terminal was asked for.
    pub pty: bool,
    /// The recording's next frame when it was decided.
    pub frame: u64,
    /// Microseconds since the session opened.
    pub offset_us: u64,
    /// The decision that allowed it.
    pub decision: Decision,
}

/// An action that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionRefused {
    /// The action.
    pub action: ActionId,
    /// What it would have been; absent when it has no class that could be granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<ActionClass>,
    /// The channel or request type, as the protocol names it.
    pub wanted: String,
    /// The command, subsystem or destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Commitment>,
    /// Why, as a code.
    pub code: String,
}

/// How an action ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionEnded {
    /// The action.
    pub action: ActionId,
    /// Exit status, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_status: Option<u32>,
    /// Exit signal, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_signal: Option<String>,
    /// Bytes to the target.
    pub bytes_in: u64,
    /// Bytes from the target.
    pub bytes_out: u64,
    /// The recording's next frame at its end.
    pub frame: u64,
}

/// An identified caller that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttemptRefused {
    /// Who.
    pub identity: IdentityId,
    /// What was tried: `sign_in`, `open`, `request`, `approve`, `deny`, `revoke`, `kill`, `read`.
    pub operation: String,
    /// What it was tried on, as the caller wrote it.
    pub object: Commitment,
    /// Why, as a code.
    pub code: String,
}

/// Refused callers of one listener that nobody identified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefusalsCounted {
    /// `ssh` or `api`.
    pub listener: String,
    /// Begin of the counted time, Unix milliseconds.
    pub from_ms: u64,
    /// End of the counted time.
    pub until_ms: u64,
    /// How many for each reason, ordered by reason.
    pub counts: Vec<RefusalCount>,
}

/// How many callers were refused for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefusalCount {
    /// The reason, as a code.
    pub code: String,
    /// How many.
    pub count: u64,
}

/// The start of a writing node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeStarted {
    /// This start.
    pub boot: BootId,
    /// The version of the software.
    pub software: String,
}

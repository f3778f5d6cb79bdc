//! The values that stand between a judgement and an effect. Each can be made in one place only, and using it consumes
//! it: `Permit` here, by the judge; `Step` here, from a permit or from a record that needs none; `Committed` in `store`;
//! `Cleared` in `publisher`; `Journaled` in `journal`.

use crate::body::{ActionEnded, ActionRefused, Body, CertificatePlan, Decision, Intended, Opened, TimeBasis};
use crate::bytes::Digest;
use crate::commitment::Commitment;
use crate::entity::EntityKey;
use crate::entry::BlobKind;
use crate::id::{ActionId, EntryId, SessionId};
use crate::judge::{ActionFacts, OpenFacts};
use crate::signature::LogIn;
use crate::statement::{ActionClass, Gate, Resource};
use crate::verdict::ControlId;

/// The judge's yes: single use, not to be made by hand.
#[derive(Debug)]
#[must_use = "a permit has no effect until a step is made from it"]
pub struct Permit<F> {
    facts: F,
    decision: Decision,
    basis: Vec<(EntityKey, u64)>,
}

impl<F> Permit<F> {
    pub(crate) fn new(facts: F, decision: Decision, basis: Vec<(EntityKey, u64)>) -> Self {
        Self { facts, decision, basis }
    }

    /// What was judged.
    pub fn facts(&self) -> &F {
        &self.facts
    }
}

/// A blob that is stored with its entry, in the same commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// What it holds.
    pub kind: BlobKind,
    /// Ciphertext.
    pub bytes: Vec<u8>,
}

/// An entry before the commit gives it its time, its writer's sequence and its place in session and log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Its id; never used again, also not after a failed commit.
    pub id: EntryId,
    /// The session it belongs to.
    pub session: Option<SessionId>,
    /// What it says.
    pub body: Body,
    /// Blobs beside it.
    pub attachments: Vec<Attachment>,
}

impl Draft {
    /// A draft without session or blobs.
    #[must_use]
    pub fn new(id: EntryId, body: Body) -> Self {
        Self {
            id,
            session: None,
            body,
            attachments: vec![],
        }
    }

    /// Puts it into a session.
    #[must_use]
    pub fn in_session(mut self, session: SessionId) -> Self {
        self.session = Some(session);
        self
    }

    /// Adds a blob.
    #[must_use]
    pub fn with(mut self, kind: BlobKind, bytes: Vec<u8>) -> Self {
        self.attachments.push(Attachment { kind, bytes });
        self
    }
}

/// Entries that belong together with the versions they rest on. The store takes all of them or none.
#[derive(Debug)]
#[must_use = "a step has no effect until it is committed"]
pub struct Step<T> {
    drafts: Vec<Draft>,
    basis: Vec<(EntityKey, u64)>,
    outcome: T,
}

/// Why a step was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// Openings and actions come from a permit only.
    #[error("an entry of type `{0}` needs a permit")]
    NeedsPermit(&'static str),
    /// 1 to [`Step::DRAFTS_MAX`] entries make a step.
    #[error("a step has 1 to {} entries", Step::<()>::DRAFTS_MAX)]
    Size,
}

impl<T> Step<T> {
    /// Entries in one step.
    pub const DRAFTS_MAX: usize = 16;

    /// Takes the step apart, to commit it. Only a store can turn the outcome into something committed.
    #[must_use]
    pub fn into_parts(self) -> (Vec<Draft>, Vec<(EntityKey, u64)>, T) {
        (self.drafts, self.basis, self.outcome)
    }

    /// The entries.
    #[must_use]
    pub fn drafts(&self) -> &[Draft] {
        &self.drafts
    }
}

impl Step<()> {
    /// A step of entries that need no permit: what they say is checked by `apply` alone.
    ///
    /// # Errors
    /// When one of them needs a permit, or there are none or too many.
    pub fn record(drafts: Vec<Draft>) -> Result<Self, StepError> {
        Self::record_on(drafts, vec![])
    }

    /// As [`Step::record`], on a basis that the commit checks.
    ///
    /// # Errors
    /// As [`Step::record`].
    pub fn record_on(drafts: Vec<Draft>, basis: Vec<(EntityKey, u64)>) -> Result<Self, StepError> {
        if drafts.is_empty() || drafts.len() > Self::DRAFTS_MAX {
            return Err(StepError::Size);
        }
        match drafts
            .iter()
            .find(|d| matches!(d.body, Body::Opened(_) | Body::Intended(_)))
        {
            Some(draft) => Err(StepError::NeedsPermit(draft.body.kind())),
            None => Ok(Self {
                drafts,
                basis,
                outcome: (),
            }),
        }
    }
}

/// What an opening adds to the facts that were judged.
#[derive(Debug)]
pub struct Opening {
    /// The session's id.
    pub session: SessionId,
    /// The entry's id.
    pub entry: EntryId,
    /// Proof of the log-in.
    pub proof: LogIn,
    /// The client's address.
    pub client: Commitment,
    /// The openings of the commitments, encrypted.
    pub openings: Vec<u8>,
    /// How it logs in to the target.
    pub certificate: CertificatePlan,
    /// Commitment to the recording's key.
    pub dek: Digest,
    /// The wrapped key (age).
    pub wraps: Vec<u8>,
    /// Controls that the grant pins.
    pub controls: Vec<ControlId>,
    /// What vouches for its time.
    pub time: TimeBasis,
    /// The resource's statement, as judged.
    pub resource: Resource,
}

/// A session that may be dialed once it is committed and cleared. Not Clone: one opening, one dial.
#[derive(Debug)]
pub struct Session {
    /// The session.
    pub id: SessionId,
    /// What was judged.
    pub facts: OpenFacts,
    /// Where to dial, and which host keys to accept.
    pub resource: Resource,
    /// How to log in there.
    pub certificate: CertificatePlan,
    /// Cosignatures needed first.
    pub gate: Gate,
}

impl Permit<OpenFacts> {
    /// Makes the step that opens a session.
    pub fn open(self, opening: Opening) -> Step<Session> {
        let Self { facts, decision, basis } = self;
        let body = Opened {
            grant: facts.grant,
            identity: facts.identity,
            proof: opening.proof,
            resource: facts.resource.clone(),
            resource_hash: facts.resource_hash,
            account: facts.account.clone(),
            client: opening.client,
            certificate: opening.certificate.clone(),
            dek: opening.dek,
            wraps: Digest::of(&opening.wraps),
            level: facts.level,
            until_ms: facts.until_ms,
            gate: facts.gate,
            controls: opening.controls,
            decision,
            time: opening.time,
        };
        let draft = Draft::new(opening.entry, Body::Opened(Box::new(body)))
            .in_session(opening.session)
            .with(BlobKind::Openings, opening.openings)
            .with(BlobKind::Wraps, opening.wraps);
        let gate = facts.gate;
        let outcome = Session {
            id: opening.session,
            facts,
            resource: opening.resource,
            certificate: opening.certificate,
            gate,
        };
        Step {
            drafts: vec![draft],
            basis,
            outcome,
        }
    }
}

/// What an action's intent adds to the facts that were judged.
#[derive(Debug)]
pub struct Intent {
    /// The action.
    pub action: ActionId,
    /// The entry's id.
    pub entry: EntryId,
    /// Channel number in the session.
    pub channel: u32,
    /// The command, subsystem or destination, and the openings that show it, encrypted.
    pub command: Option<(Commitment, Vec<u8>)>,
    /// Whether a terminal was asked for.
    pub pty: bool,
    /// The recording's next frame.
    pub frame: u64,
    /// Microseconds since the session opened.
    pub offset_us: u64,
}

/// An action that may take effect once it is committed. Not Clone.
#[derive(Debug)]
pub struct Action {
    /// The action.
    pub id: ActionId,
    /// Its session.
    pub session: SessionId,
    /// What it is.
    pub class: ActionClass,
}

impl Permit<ActionFacts> {
    /// Makes the step that puts the action's intent on record.
    pub fn intend(self, intent: Intent) -> Step<Action> {
        let Self { facts, decision, basis } = self;
        let (command, openings) = intent.command.unzip();
        let body = Intended {
            action: intent.action,
            class: facts.class,
            channel: intent.channel,
            command,
            pty: intent.pty,
            frame: intent.frame,
            offset_us: intent.offset_us,
            decision,
        };
        let mut draft = Draft::new(intent.entry, Body::Intended(body)).in_session(facts.session);
        if let Some(bytes) = openings {
            draft = draft.with(BlobKind::Openings, bytes);
        }
        let outcome = Action {
            id: intent.action,
            session: facts.session,
            class: facts.class,
        };
        Step {
            drafts: vec![draft],
            basis,
            outcome,
        }
    }
}

impl Action {
    /// The draft that ends this action.
    #[must_use]
    pub fn ended(&self, entry: EntryId, body: ActionEnded) -> Draft {
        Draft::new(entry, Body::ActionEnded(body)).in_session(self.session)
    }
}

/// The draft that records a refused action.
#[must_use]
pub fn refused_action(entry: EntryId, session: SessionId, body: ActionRefused) -> Draft {
    Draft::new(entry, Body::ActionRefused(body)).in_session(session)
}

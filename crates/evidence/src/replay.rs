//! A log replayed: what its entries build, which of them the rules refuse, and what judging a session needs to know of
//! the moment at which each thing was decided.
//!
//! It holds entries, not proofs: whether the bytes are the log's is for [`crate::verify`].
//!
//! INVARIANT (no effect): an entry that [`model::apply`] refuses changes nothing in [`World::state`]. It is kept as a
//! [`Finding`], and in a shadow state, where later entries that rest on it can be told apart from first causes.

mod decision;
mod dossier;
mod shadow;

pub use decision::{DecisionCheck, Differs};
pub use dossier::{AtOpening, Dossier};

use model::apply::{Refused, Snapshot, apply};
use model::body::Body;
use model::bytes::Digest;
use model::entry::{EntryError, Placed};
use model::id::{BootId, EntryId, IdentityId, SessionId};
use model::name::NodeName;
use model::signature::Key;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// An entry that has no effect, or breaks the log's own order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Where it stands.
    pub index: u64,
    /// The entry, if its bytes are one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<EntryId>,
    /// Its type, as far as it could be read.
    pub kind: &'static str,
    /// The session it claims to belong to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// The rule that refuses it, as a code.
    pub code: &'static str,
    /// The same as a sentence.
    pub because: String,
    /// It is refused only because an earlier entry is.
    pub follows: bool,
}

impl Finding {
    /// The sentence with its code before it; many sentences bring it already.
    #[must_use]
    pub fn coded(&self) -> String {
        let brings = self
            .because
            .strip_prefix(self.code)
            .is_some_and(|rest| rest.starts_with(':'));
        match brings {
            true => self.because.clone(),
            false => format!("{}: {}", self.code, self.because),
        }
    }
}

/// The log holds something that a later version of the software wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry {index}: written by a newer format ({what}); use a newer version of this program")]
pub struct Newer {
    /// Where.
    pub index: u64,
    /// What.
    pub what: String,
}

/// Which sessions are followed in detail; the others only have their effects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Select {
    /// All of them.
    All,
    /// These.
    Sessions(BTreeSet<SessionId>),
}

impl Select {
    fn takes(&self, session: SessionId) -> bool {
        match self {
            Self::All => true,
            Self::Sessions(set) => set.contains(&session),
        }
    }
}

/// A replayed log.
#[derive(Debug, Clone)]
pub struct World {
    select: Select,
    state: Snapshot,
    shadow: shadow::Shadow,
    size: u64,
    last_ms: u64,
    findings: BTreeMap<u64, Vec<Finding>>,
    kept: BTreeMap<u64, Arc<Placed>>,
    places: BTreeMap<EntryId, u64>,
    workflows: BTreeMap<Digest, u64>,
    writers: BTreeMap<(NodeName, BootId), u64>,
    serials: BTreeMap<String, u64>,
    serials_twice: Vec<(u64, u64)>,
    holders: BTreeMap<Key, BTreeMap<IdentityId, u64>>,
    operator_keys: BTreeSet<Key>,
    dossiers: BTreeMap<SessionId, Dossier>,
    progress: BTreeMap<u64, (EntryId, Digest, u64)>,
}

impl World {
    /// The world before the first entry.
    #[must_use]
    pub fn new(select: Select) -> Self {
        Self {
            select,
            state: Snapshot::empty(),
            shadow: shadow::Shadow::default(),
            size: 0,
            last_ms: 0,
            findings: BTreeMap::new(),
            kept: BTreeMap::new(),
            places: BTreeMap::new(),
            workflows: BTreeMap::new(),
            writers: BTreeMap::new(),
            serials: BTreeMap::new(),
            serials_twice: Vec::new(),
            holders: BTreeMap::new(),
            operator_keys: BTreeSet::new(),
            dossiers: BTreeMap::new(),
            progress: BTreeMap::new(),
        }
    }

    /// Replays a whole log.
    ///
    /// # Errors
    /// When an entry was written by a newer format.
    pub fn replay<'a>(select: Select, entries: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, Newer> {
        let mut world = Self::new(select);
        entries.into_iter().try_for_each(|bytes| world.push(bytes))?;
        Ok(world)
    }

    /// Takes the next entry in. One that the rules refuse becomes a finding.
    ///
    /// # Errors
    /// When the entry was written by a newer format; nothing can be said of what follows it.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Newer> {
        self.put(Placed::parse(self.size, bytes))
    }

    /// As [`World::push`], of an entry that was read before, by [`Placed::parse`] at its place.
    pub(crate) fn put(&mut self, read: Result<Placed, EntryError>) -> Result<(), Newer> {
        let index = self.size;
        self.size += 1;
        match read {
            Ok(placed) => self.take(placed),
            Err(EntryError::Newer(what)) => return Err(Newer { index, what }),
            Err(error) => self.find(Finding {
                index,
                entry: None,
                kind: "no entry",
                session: None,
                code: "not_an_entry",
                because: error.to_string(),
                follows: false,
            }),
        }
        Ok(())
    }

    fn take(&mut self, placed: Placed) {
        self.check_writer(&placed);
        self.note_serial(&placed);
        self.note_progress(&placed);
        self.last_ms = self.last_ms.max(placed.entry.time_ms);
        if self.keeps(&placed) {
            let placed = Arc::new(placed);
            self.open_dossier(&placed);
            self.follow(&placed);
            self.keep(placed);
        } else {
            self.follow(&placed);
        }
    }

    fn follow(&mut self, placed: &Placed) {
        match apply(&self.state, placed) {
            Ok(changes) => {
                self.shadow.forget(&changes);
                self.state.accept(changes);
                self.note_trust(placed, true);
            }
            Err(refused) => self.refuse(placed, refused),
        }
    }

    fn refuse(&mut self, placed: &Placed, refused: Refused) {
        let shared = refused.code() == "key_shared";
        let (refused, follows) = match self.shadow.retry(&self.state, placed) {
            None => (refused, false),
            Some(Ok(())) => (refused, true),
            Some(Err(own)) => (own, false),
        };
        if !follows {
            self.shadow.pretend(&self.state, placed);
        }
        if shared {
            self.note_trust(placed, false);
        }
        let finding = finding(placed, refused.code(), refused.to_string(), follows);
        self.find(finding);
    }

    fn find(&mut self, finding: Finding) {
        self.findings.entry(finding.index).or_default().push(finding);
    }

    /// INVARIANT (writer sequence): the entries that one start of one node wrote are numbered from 0 without holes.
    fn check_writer(&mut self, placed: &Placed) {
        let writer = &placed.entry.writer;
        let expected = self.writers.entry((writer.node.clone(), writer.boot)).or_default();
        let found = writer.seq;
        let wanted = *expected;
        *expected = found.saturating_add(1);
        if found != wanted {
            let because = format!("node `{}` wrote {found} where {wanted} belongs", writer.node);
            self.find(finding(placed, "writer_sequence", because, false));
        }
    }

    /// INVARIANT (one serial, one session)
    fn note_serial(&mut self, placed: &Placed) {
        if let Body::Opened(opened) = &placed.entry.body {
            let first = *self
                .serials
                .entry(opened.certificate.serial.clone())
                .or_insert(placed.index);
            if first != placed.index {
                self.serials_twice.push((first, placed.index));
            }
        }
    }

    /// Which identity holds which key by word of its own root, and which keys are the operator's.
    fn note_trust(&mut self, placed: &Placed, accepted: bool) {
        match &placed.entry.body {
            Body::Enrolled(signed) => {
                for key in &signed.statement.keys {
                    let holders = self.holders.entry(key.clone()).or_default();
                    holders.entry(signed.statement.identity).or_insert(placed.index);
                }
            }
            Body::Genesis(signed) if accepted => {
                let genesis = &signed.statement;
                self.operator_keys
                    .extend([genesis.user_ca.clone(), genesis.gateway_host_ca.clone()]);
            }
            Body::Engagement(signed) if accepted => {
                self.operator_keys
                    .extend(signed.statement.operator_roots.iter().cloned());
            }
            Body::Workflow(signed) if accepted => {
                if let Ok(hash) = signed.statement.hash() {
                    self.workflows.entry(hash).or_insert(placed.index);
                }
            }
            _ => {}
        }
    }

    fn note_progress(&mut self, placed: &Placed) {
        if let Body::Progress(progress) = &placed.entry.body {
            for line in &progress.sessions {
                if self.select.takes(line.session) {
                    let dossier = self.dossier_mut(line.session);
                    dossier.progress.push((placed.index, line.recorded.clone()));
                    let entry = (placed.entry.id, placed.hash, placed.entry.time_ms);
                    self.progress.insert(placed.index, entry);
                }
            }
        }
    }

    fn open_dossier(&mut self, placed: &Arc<Placed>) {
        let Some(link) = &placed.entry.session else { return };
        if !self.select.takes(link.id) {
            return;
        }
        match &placed.entry.body {
            Body::Opened(opened) if self.dossiers.get(&link.id).is_none_or(|d| d.opening.is_none()) => {
                let opening = AtOpening::gather(self, placed, opened);
                self.dossier_mut(link.id).opening = Some(Box::new(opening));
            }
            Body::Intended(intended) => {
                let check = decision::check_action(self, link.id, intended, placed.entry.time_ms);
                self.dossier_mut(link.id).decisions.insert(placed.index, check);
            }
            _ => {}
        }
        self.dossier_mut(link.id).entries.push(placed.clone());
    }

    fn dossier_mut(&mut self, session: SessionId) -> &mut Dossier {
        self.dossiers.entry(session).or_insert_with(|| Dossier::new(session))
    }

    /// Trust, requests and grants are kept whole, and the entries of sessions that are followed.
    fn keeps(&self, placed: &Placed) -> bool {
        match &placed.entry.body {
            Body::Progress(_)
            | Body::AttemptRefused(_)
            | Body::RefusalsCounted(_)
            | Body::NodeStarted(_)
            | Body::Gap(_)
            | Body::Ended(_)
            | Body::Lost(_)
            | Body::Intended(_)
            | Body::ActionRefused(_)
            | Body::ActionEnded(_) => placed
                .entry
                .session
                .as_ref()
                .is_some_and(|link| self.select.takes(link.id)),
            _ => true,
        }
    }

    fn keep(&mut self, placed: Arc<Placed>) {
        self.places.entry(placed.entry.id).or_insert(placed.index);
        self.kept.insert(placed.index, placed);
    }
}

fn finding(placed: &Placed, code: &'static str, because: String, follows: bool) -> Finding {
    Finding {
        index: placed.index,
        entry: Some(placed.entry.id),
        kind: placed.entry.body.kind(),
        session: placed.entry.session.as_ref().map(|link| link.id),
        code,
        because,
        follows,
    }
}

/// What a replayed world can be asked.
impl World {
    /// The state after the last entry.
    #[must_use]
    pub fn state(&self) -> &Snapshot {
        &self.state
    }

    /// Number of entries.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The latest time that any writer wrote, Unix milliseconds.
    #[must_use]
    pub fn last_ms(&self) -> u64 {
        self.last_ms
    }

    /// All findings, by index.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.values().flatten()
    }

    /// Why the rules refuse the entry at `index`; nothing when it had its effect.
    #[must_use]
    pub fn refusal(&self, index: u64) -> Option<&Finding> {
        let found = self.findings.get(&index)?;
        found.iter().find(|finding| finding.code != "writer_sequence")
    }

    /// The entry at `index`, if it was kept: trust, requests and grants always, a session's entries when it is followed.
    #[must_use]
    pub fn entry(&self, index: u64) -> Option<&Arc<Placed>> {
        self.kept.get(&index)
    }

    /// The kept entry with this id.
    #[must_use]
    pub fn entry_of(&self, id: EntryId) -> Option<&Arc<Placed>> {
        self.kept.get(self.places.get(&id)?)
    }

    /// All kept entries, in order.
    pub fn entries(&self) -> impl Iterator<Item = &Arc<Placed>> {
        self.kept.values()
    }

    /// The entry that set the policy version `hash`, if the owner's root signed it.
    #[must_use]
    pub fn workflow(&self, hash: Digest) -> Option<&Arc<Placed>> {
        self.kept.get(self.workflows.get(&hash)?)
    }

    /// Id, hash and time of a progress entry that speaks of a session that is followed.
    #[must_use]
    pub fn progress_entry(&self, index: u64) -> Option<(EntryId, Digest, u64)> {
        self.progress.get(&index).copied()
    }

    /// What is known of a session that is followed.
    #[must_use]
    pub fn dossier(&self, session: SessionId) -> Option<&Dossier> {
        self.dossiers.get(&session)
    }

    /// All sessions that are followed and found, by id.
    pub fn sessions(&self) -> impl Iterator<Item = &Dossier> {
        self.dossiers.values()
    }

    /// Openings that use the certificate serial of an earlier one: (earlier, later).
    #[must_use]
    pub fn serials_twice(&self) -> &[(u64, u64)] {
        &self.serials_twice
    }

    /// Whether a key is one that the log shows to be the operator's own: its roots, or an authority in its vault.
    #[must_use]
    pub fn is_operator_key(&self, key: &Key) -> bool {
        self.operator_keys.contains(key)
    }

    /// Entries by which two identities are said to hold one key: they are one person.
    #[must_use]
    pub fn one_person(&self, a: IdentityId, b: IdentityId) -> Option<(u64, u64)> {
        let both = self.holders.values().find_map(|h| h.get(&a).zip(h.get(&b)));
        both.filter(|_| a != b).map(|(first, second)| (*first, *second))
    }
}

//! What every use case works with: the store, the terms of this server, and what is remembered while it runs.
//!
//! Everything that lasts is in the store. What is lost with a process: counts of strangers since the last minute, which
//! sessions are live here, and which certificates were signed; none of these outlives the sessions it is about.

use crate::certificate::Signed;
use crate::failure::Failure;
use crate::stranger::{Repeats, Strangers};
use crate::trust::Offered;
use crate::watch::Live;
use model::apply::{Refused, Snapshot};
use model::bytes::Digest;
use model::chain::{Draft, Step};
use model::entity::{Entity, EntityKind, GrantState, RequestState, ResourceState, SessionState, WorkflowState};
use model::entry::Entry;
use model::id::{EntryId, IdentityId, SessionId};
use model::name::EnvironmentName;
use model::statement::Genesis;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use store::{CommitError, Committed, Filter, GatherError, Receipt, Store, StoredBlob};

/// Entities in one page of a list.
const PAGE: u32 = 1000;
/// Pages that one question reads.
const PAGES_MAX: usize = 10;
/// How often a commit of unknown outcome is looked up.
const SETTLE_MAX: usize = 3;

type LogKey = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;

/// Makes the log key of an environment with this origin, or finds the one that was made, and gives its verifier key.
/// The publisher signs with these keys, so whoever wires the two together hands this in.
#[derive(Clone)]
pub struct LogKeys(Arc<dyn Fn(EnvironmentName, String) -> LogKey + Send + Sync>);

impl LogKeys {
    /// Log keys that `offer` makes or finds.
    pub fn new<F>(offer: impl Fn(EnvironmentName, String) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<String, String>> + Send + 'static,
    {
        Self(Arc::new(move |environment, origin| {
            Box::pin(offer(environment, origin))
        }))
    }
}

/// What this server says of itself.
#[derive(Clone)]
pub struct Terms {
    /// The last part of every log's origin: `gateway.example` makes `acme.gateway.example`.
    pub origin: String,
    /// The logs' keys.
    pub log_keys: LogKeys,
}

/// The use cases' common ground. One for each store; shared.
pub struct Desk {
    store: Store,
    terms: Terms,
    pub(crate) live: Live,
    pub(crate) signed: Signed,
    pub(crate) offered: Offered,
    pub(crate) strangers: Strangers,
    pub(crate) repeats: Repeats,
    /// A log has one genesis for ever, so what was read once holds.
    genesis: Mutex<HashMap<EnvironmentName, Arc<Genesis>>>,
}

impl Desk {
    /// A desk over `store`.
    #[must_use]
    pub fn new(store: Store, terms: Terms) -> Arc<Self> {
        Arc::new(Self {
            store,
            terms,
            live: Live::default(),
            signed: Signed::default(),
            offered: Offered::default(),
            strangers: Strangers::default(),
            repeats: Repeats::default(),
            genesis: Mutex::default(),
        })
    }

    /// The store beneath.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The time by which everything here is judged, Unix milliseconds; it never runs back.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.store.now_ms()
    }

    /// The environments that exist.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn environments(&self) -> Result<Vec<EnvironmentName>, Failure> {
        self.store.environments().await.map_err(unavailable)
    }

    pub(crate) fn origin_of(&self, environment: &EnvironmentName) -> String {
        format!("{environment}.{}", self.terms.origin)
    }

    pub(crate) async fn log_key(&self, environment: &EnvironmentName, origin: &str) -> Result<String, Failure> {
        (self.terms.log_keys.0)(environment.clone(), origin.to_owned())
            .await
            .map_err(unavailable)
    }

    pub(crate) fn fresh<const N: usize>(&self) -> Result<[u8; N], Failure> {
        let mut bytes = [0; N];
        getrandom::fill(&mut bytes).map_err(unavailable)?;
        Ok(bytes)
    }

    pub(crate) fn entry_id(&self) -> Result<EntryId, Failure> {
        Ok(EntryId::new(self.now_ms(), self.fresh()?))
    }
}

pub(crate) fn unavailable(error: impl std::fmt::Display) -> Failure {
    Failure::Unavailable(error.to_string())
}

/// Reading.
impl Desk {
    pub(crate) async fn gather<R>(
        &self,
        environment: &EnvironmentName,
        question: impl Fn(&Snapshot) -> Result<R, Refused>,
    ) -> Result<R, Failure> {
        self.store
            .gather(environment, question)
            .await
            .map_err(|error| match error {
                GatherError::Refused(refused) => refused.into(),
                GatherError::Database(error) => unavailable(error),
            })
    }

    /// The environment's genesis, which must exist.
    pub(crate) async fn genesis(&self, environment: &EnvironmentName) -> Result<Arc<Genesis>, Failure> {
        let known = || self.genesis.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known().get(environment) {
            return Ok(found.clone());
        }
        let found = Arc::new(self.gather(environment, |state| state.genesis().cloned()).await?);
        known().insert(environment.clone(), found.clone());
        Ok(found)
    }

    /// The newest entities of `listing`, at most as many as it takes.
    pub(crate) async fn list<S: State>(
        &self,
        environment: &EnvironmentName,
        listing: Listing,
        wanted: impl Fn(&S) -> bool,
    ) -> Result<Vec<S>, Failure> {
        let mut found = vec![];
        let mut filter = Filter {
            parent: listing.parent,
            status: listing.status,
            descending: true,
            limit: Some(PAGE),
            after: None,
        };
        for _ in 0..PAGES_MAX {
            let page = self
                .store
                .list(environment, S::KIND, &filter)
                .await
                .map_err(unavailable)?;
            let last = page.len() < PAGE as usize;
            filter.after = page.last().map(|(key, _)| key.id());
            let states = page.iter().filter_map(|(_, value)| S::of(&value.entity));
            found.extend(states.filter(|state| wanted(state)).cloned());
            if last || found.len() >= listing.most {
                break;
            }
        }
        found.truncate(listing.most);
        Ok(found)
    }

    /// The bytes of the entry at `index`, which must exist.
    pub(crate) async fn entry(&self, environment: &EnvironmentName, index: u64) -> Result<Vec<u8>, Failure> {
        let found = self.entries(environment, index, 1).await?.into_iter().next();
        found
            .map(|(_, bytes)| bytes)
            .ok_or_else(|| unavailable(format!("entry {index} cannot be read")))
    }

    /// As [`Desk::entry`], parsed.
    pub(crate) async fn parsed(&self, environment: &EnvironmentName, index: u64) -> Result<Entry, Failure> {
        Entry::parse(&self.entry(environment, index).await?).map_err(unavailable)
    }

    pub(crate) async fn entries(
        &self,
        environment: &EnvironmentName,
        from: u64,
        count: u32,
    ) -> Result<Vec<(u64, Vec<u8>)>, Failure> {
        let range = from..from.saturating_add(u64::from(count));
        self.store.entries(environment, range, count).await.map_err(unavailable)
    }

    pub(crate) async fn session_entries(
        &self,
        environment: &EnvironmentName,
        session: SessionId,
        from: u64,
    ) -> Result<Vec<(u64, Vec<u8>)>, Failure> {
        self.store
            .session_entries(environment, session, from)
            .await
            .map_err(unavailable)
    }

    pub(crate) async fn blob(
        &self,
        environment: &EnvironmentName,
        digest: Digest,
    ) -> Result<Option<StoredBlob>, Failure> {
        self.store.blob(environment, digest).await.map_err(unavailable)
    }
}

/// Which entities a list holds.
pub(crate) struct Listing {
    parent: Option<String>,
    status: Option<&'static str>,
    most: usize,
}

impl Listing {
    pub(crate) const ALL: Self = Self {
        parent: None,
        status: None,
        most: usize::MAX,
    };

    /// What one identity asked for or was granted.
    pub(crate) fn of(identity: IdentityId) -> Self {
        Self {
            parent: Some(identity.to_string()),
            ..Self::ALL
        }
    }

    pub(crate) fn in_status(self, status: &'static str) -> Self {
        Self {
            status: Some(status),
            ..self
        }
    }

    pub(crate) fn at_most(self, most: usize) -> Self {
        Self { most, ..self }
    }
}

/// The state of one kind of entity.
pub(crate) trait State: Clone {
    const KIND: EntityKind;
    fn of(entity: &Entity) -> Option<&Self>;
}

macro_rules! states {
    ($($state:ty = $kind:ident;)*) => {$(
        impl State for $state {
            const KIND: EntityKind = EntityKind::$kind;
            fn of(entity: &Entity) -> Option<&Self> {
                match entity {
                    Entity::$kind(state) => Some(state),
                    _ => None,
                }
            }
        }
    )*};
}

states! {
    ResourceState = Resource;
    WorkflowState = Workflow;
    RequestState = Request;
    GrantState = Grant;
    SessionState = Session;
}

/// Writing.
impl Desk {
    pub(crate) async fn commit<T: Send + 'static>(
        &self,
        environment: &EnvironmentName,
        step: Step<T>,
    ) -> Result<Committed<T>, CommitError> {
        self.store.commit(environment, step).await
    }

    /// Commits entries that rest on nothing but the log's own rules.
    pub(crate) async fn record(
        &self,
        environment: &EnvironmentName,
        drafts: Vec<Draft>,
    ) -> Result<Vec<Receipt>, Failure> {
        let step = Step::record(drafts).map_err(unavailable)?;
        match self.commit(environment, step).await {
            Ok(committed) => Ok(committed.into_entries()),
            Err(CommitError::Unknown(ids)) => self.settle(environment, ids).await,
            Err(error) => Err(failure(error)),
        }
    }

    /// As [`Desk::record`], of one entry.
    pub(crate) async fn record_one(&self, environment: &EnvironmentName, draft: Draft) -> Result<Receipt, Failure> {
        let receipts = self.record(environment, vec![draft]).await?;
        receipts
            .into_iter()
            .next()
            .ok_or_else(|| unavailable("the store gave no receipt"))
    }

    /// Looks up what became of a step whose commit went unanswered: all of it is stored, or nothing.
    async fn settle(&self, environment: &EnvironmentName, ids: Vec<EntryId>) -> Result<Vec<Receipt>, Failure> {
        let mut receipts = vec![];
        for id in &ids {
            match self.look_up(environment, *id).await? {
                Some(receipt) => receipts.push(receipt),
                None => return Err(unavailable("the entry was not stored")),
            }
        }
        Ok(receipts)
    }

    async fn look_up(&self, environment: &EnvironmentName, id: EntryId) -> Result<Option<Receipt>, Failure> {
        for _ in 0..SETTLE_MAX {
            if let Ok(settled) = self.store.settle(environment, id).await {
                return Ok(settled);
            }
        }
        Err(Failure::Unknown(id))
    }
}

/// What a commit's error means to a caller. An opening or an action of unknown outcome is not looked up here: its permit
/// is gone, so it never takes effect. Whoever asked ends what is stored (`open::settle`, `session::settle_intent`), at the
/// latest the next start.
pub(crate) fn failure(error: CommitError) -> Failure {
    match error {
        CommitError::NotStored(why) => unavailable(why),
        CommitError::Conflict(key) => unavailable(format!("{key} has changed meanwhile")),
        CommitError::Refused(refused) => refused.into(),
        CommitError::Unknown(ids) => ids
            .first()
            .map_or_else(|| unavailable("nothing is known"), |id| Failure::Unknown(*id)),
    }
}

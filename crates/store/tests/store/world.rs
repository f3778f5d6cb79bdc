//! The fixture's world, written through a real store.

use model::apply::Snapshot;
use model::body::Body;
use model::chain::{Draft, Session, Step};
use model::entity::{EntityKey, EntityKind};
use model::fixture::{START_MS, World, name, seed};
use model::id::{BootId, EntryId, GrantId, RequestId, SessionId};
use model::judge::judge_open;
use model::name::EnvironmentName;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use store::faults::Faults;
use store::{Clock, CommitError, Committed, Filter, Receipt, Store, StoreConfig};
use tempfile::TempDir;

const KINDS: [EntityKind; 11] = [
    EntityKind::Environment,
    EntityKind::Organisation,
    EntityKind::Identity,
    EntityKind::Key,
    EntityKind::Proof,
    EntityKind::Resource,
    EntityKind::Workflow,
    EntityKind::Request,
    EntityKind::Grant,
    EntityKind::Session,
    EntityKind::Node,
];

/// A store in a directory of its own, and the world that writes to it.
pub(crate) struct Site {
    pub(crate) directory: TempDir,
    pub(crate) store: Store,
    pub(crate) world: World,
    pub(crate) clock: Arc<AtomicU64>,
    pub(crate) faults: Faults,
    boots: u8,
}

pub(crate) fn acme() -> EnvironmentName {
    name("acme")
}

/// Memory, where there is some: these tests are not about disks.
pub(crate) fn directory() -> TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

impl Site {
    /// An empty store.
    pub(crate) async fn empty() -> Self {
        let (clock, faults) = (Arc::new(AtomicU64::new(START_MS)), Faults::default());
        let directory = directory();
        let store = Store::open(config(&directory, &clock, &faults, 1)).await.unwrap();
        Self {
            directory,
            store,
            world: World::blank(model::fixture::LogTerms::default()),
            clock,
            faults,
            boots: 1,
        }
    }

    /// A store with the world's founding entries.
    pub(crate) async fn founded() -> Self {
        let mut site = Self::empty().await;
        let bodies = site.world.founding().into_iter();
        for body in bodies.filter(|body| !matches!(body, Body::NodeStarted(_))) {
            site.record(body).await;
        }
        site
    }

    /// The configuration of the next start.
    pub(crate) fn config(&mut self) -> StoreConfig {
        self.boots += 1;
        config(&self.directory, &self.clock, &self.faults, self.boots)
    }

    pub(crate) async fn reopen(&mut self) {
        self.store.close().await;
        self.store = Store::open(self.config()).await.unwrap();
    }

    pub(crate) fn advance(&mut self, ms: u64) {
        self.world.now_ms = self.clock.fetch_add(ms, Ordering::SeqCst) + ms;
    }

    /// Takes the store's state over, so that the world builds on it.
    pub(crate) async fn refresh(&mut self) {
        let mut state = Snapshot::empty();
        for kind in KINDS {
            let found = self.store.list(&acme(), kind, &Filter::default()).await.unwrap();
            found.into_iter().for_each(|(key, value)| state.load(key, Some(value)));
        }
        self.world.state = state;
    }

    pub(crate) fn draft(&mut self, body: Body) -> Draft {
        let id = match &body {
            Body::Requested(requested) => requested.statement.entry,
            _ => self.world.entry_id(),
        };
        Draft::new(id, body)
    }

    pub(crate) async fn try_record(&mut self, body: Body) -> Result<Committed<()>, CommitError> {
        let draft = self.draft(body);
        self.store.commit(&acme(), Step::record(vec![draft]).unwrap()).await
    }

    /// Commits a body that must be accepted.
    pub(crate) async fn record(&mut self, body: Body) -> Receipt {
        let committed = self.try_record(body).await.unwrap();
        self.refresh().await;
        committed.into_entries()[0]
    }

    /// A request of Alice.
    pub(crate) async fn requested(&mut self) -> RequestId {
        let (_, body, _) = self.world.request(seed::ALICE);
        let Body::Requested(requested) = &body else {
            unreachable!()
        };
        let request = requested.statement.request;
        self.record(body).await;
        request
    }

    /// The approval of `approver` and the grant that follows from it, as one step on the state that the world knows.
    pub(crate) fn approval(&mut self, approver: u8, request: RequestId) -> (GrantId, Step<()>) {
        let approval = self.world.approval(approver, request);
        let approval = self.draft(approval);
        let Body::Granted(mut granted) = self.world.grant(request) else {
            unreachable!()
        };
        granted.approvals.push(approval.id);
        let id = granted.grant;
        let grant = self.draft(Body::Granted(granted));
        let key = EntityKey::request(request);
        let version = self.world.state.version(&key).unwrap();
        (
            id,
            Step::record_on(vec![approval, grant], vec![(key, version)]).unwrap(),
        )
    }

    pub(crate) async fn granted(&mut self) -> GrantId {
        let request = self.requested().await;
        let (grant, step) = self.approval(seed::OLGA, request);
        let _receipts = self.store.commit(&acme(), step).await.unwrap().into_entries();
        self.refresh().await;
        grant
    }

    /// What the judge makes of an opening now, as a step.
    pub(crate) fn opening(
        &mut self,
        grant: GrantId,
    ) -> Result<(SessionId, EntryId, Step<Session>), model::judge::JudgeError> {
        let wanted = self.world.wanted(grant);
        let terms = self.world.opening();
        let (session, entry) = (terms.session, terms.entry);
        let permit = judge_open(&self.world.state, &wanted, self.store.now_ms())?;
        Ok((session, entry, permit.open(terms)))
    }

    pub(crate) async fn opened(&mut self, grant: GrantId) -> SessionId {
        let (session, _, step) = self.opening(grant).unwrap();
        let committed = self.store.commit(&acme(), step).await.unwrap();
        assert_eq!(committed.session().id, session);
        self.refresh().await;
        session
    }

    /// The types of all entries, in order.
    pub(crate) async fn kinds(&self) -> Vec<&'static str> {
        let mut kinds = vec![];
        for (index, bytes) in self.log().await {
            let placed = model::entry::Placed::parse(index, &bytes).unwrap();
            assert_eq!(placed.index, kinds.len() as u64, "the log has a hole");
            kinds.push(placed.entry.body.kind());
        }
        kinds
    }

    pub(crate) async fn log(&self) -> Vec<(u64, Vec<u8>)> {
        let mut all: Vec<(u64, Vec<u8>)> = vec![];
        loop {
            let from = all.len() as u64;
            let page = self.store.entries(&acme(), from..u64::MAX, 500).await.unwrap();
            if page.is_empty() {
                return all;
            }
            all.extend(page);
        }
    }
}

pub(crate) fn config(directory: &TempDir, clock: &Arc<AtomicU64>, faults: &Faults, boot: u8) -> StoreConfig {
    let clock = clock.clone();
    let mut config = StoreConfig::new(
        directory.path(),
        name("gw1"),
        BootId::new(START_MS, [boot; 10]),
        Clock::new(move || clock.load(Ordering::SeqCst)),
    );
    config.faults = faults.clone();
    config
}

//! A log in a store, its witness over HTTP on the loopback, and people who ask and approve.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot set up must stop"
)]

use keeper::witness::{self, Limits, Witness};
use ledger::{KeyName, VerifierKey};
use model::body::{Body, TimeBasis};
use model::chain::{Draft, Session, Step};
use model::fixture::{LogTerms, START_MS, World, seed};
use model::id::{BootId, GrantId};
use model::judge::{Wanted, judge_open};
use model::name::EnvironmentName;
use model::statement::Gate;
use publisher::{Cosigned, Publisher, PublisherConfig, WitnessAddress, log_key};
use std::path::Path;
use std::sync::Arc;
use store::{Clock, Committed, Store, StoreConfig};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// A store, a witness over HTTP, and the fixture's world that follows the store.
pub(crate) struct Bench {
    pub(crate) store: Store,
    pub(crate) world: World,
    pub(crate) environment: EnvironmentName,
    pub(crate) witness: Option<WitnessAddress>,
    pub(crate) heads: Option<mpsc::Sender<(EnvironmentName, Cosigned)>>,
    pub(crate) folder: tempfile::TempDir,
}

async fn witness_at(folder: &Path, vkey: &VerifierKey) -> WitnessAddress {
    if !folder.join("key").exists() {
        let key = witness::generate_key(KeyName::new("witness.example").unwrap()).unwrap();
        witness::create(folder, &key).unwrap();
        witness::add_log(folder, &vkey.to_string()).unwrap();
    }
    let clock: Arc<dyn Fn() -> u64 + Send + Sync> = Arc::new(|| START_MS / 1000 + 1);
    let witness = Arc::new(Witness::open(folder, clock).unwrap());
    let key = witness.verifier().clone();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        drop(witness::serve(listener, witness, Limits::default(), std::future::pending()).await);
    });
    WitnessAddress { key, url }
}

pub(crate) async fn open_store(folder: &Path) -> Store {
    let config = StoreConfig::new(
        folder.join("data"),
        "gw1".parse().unwrap(),
        BootId::new(START_MS, [9; 10]),
        Clock::new(|| START_MS + 1000),
    );
    Store::open(config).await.unwrap()
}

pub(crate) async fn bench(gate: Gate, with_witness: bool) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path()).await;
    let environment: EnvironmentName = "acme".parse().unwrap();
    let vkey = log_key(&store, &environment, "acme.gateway.example").await.unwrap();
    let witness = if with_witness {
        Some(witness_at(&folder.path().join("witness"), &vkey).await)
    } else {
        None
    };
    let witnesses = witness.iter().map(|w| w.key.to_string()).collect();
    let terms = LogTerms {
        log_key: vkey.to_string(),
        witnesses,
        gate,
        ..LogTerms::default()
    };
    let mut bench = Bench {
        store,
        world: World::blank(terms),
        environment,
        witness,
        heads: None,
        folder,
    };
    for body in bench.world.founding() {
        if !matches!(body, Body::NodeStarted(_)) {
            bench.commit(body).await;
        }
    }
    bench
}

impl Bench {
    /// Commits to the store, and follows in the fixture's own state so that its builders know it.
    async fn commit(&mut self, body: Body) {
        let id = match &body {
            Body::Requested(requested) => requested.statement.entry,
            _ => self.world.entry_id(),
        };
        let step = Step::record(vec![Draft::new(id, body)]).unwrap();
        let receipts = self.store.commit(&self.environment, step).await.unwrap().into_entries();
        let entries = self
            .store
            .entries(&self.environment, receipts[0].index..receipts[0].index + 1, 1)
            .await
            .unwrap();
        let placed = model::entry::Placed::parse(receipts[0].index, &entries[0].1).unwrap();
        let changes = model::apply::apply(&self.world.state, &placed).unwrap();
        self.world.state.accept(changes);
        self.world.log.push(entries[0].1.clone());
        self.world.now_ms = START_MS + 1000;
    }

    pub(crate) async fn grant(&mut self) -> GrantId {
        self.world.now_ms = START_MS + 1000;
        let (_, request, _) = self.world.request(seed::ALICE);
        let Body::Requested(requested) = &request else {
            unreachable!()
        };
        let id = requested.statement.request;
        self.commit(request).await;
        let approval = self.world.approval(seed::OLGA, id);
        self.commit(approval).await;
        let grant = self.world.grant(id);
        let Body::Granted(granted) = &grant else { unreachable!() };
        let id = granted.grant;
        self.commit(grant).await;
        id
    }

    pub(crate) async fn open(&mut self, grant: GrantId, time: TimeBasis) -> (Committed<Session>, Wanted) {
        let wanted = self.world.wanted(grant);
        let mut terms = self.world.opening();
        terms.time = time;
        let now_ms = self.store.now_ms();
        let permit = judge_open(&self.world.state, &wanted, now_ms).unwrap();
        (
            self.store.commit(&self.environment, permit.open(terms)).await.unwrap(),
            wanted,
        )
    }

    pub(crate) async fn publisher(&self) -> Publisher {
        let config = PublisherConfig {
            tiles: self.folder.path().join("tiles"),
            witnesses: self.witness.clone().into_iter().collect(),
            heads: self.heads.clone(),
        };
        Publisher::start(self.store.clone(), config).await.unwrap()
    }
}

//! The gate against a real witness over HTTP and a real store: nothing is cleared without its cosignature, a withdrawn
//! grant is not cleared either, and a log that a witness knows otherwise is never signed on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set up must stop"
)]

use keeper::witness::{self, Limits, Witness};
use ledger::{KeyName, SignedCheckpoint, VerifierKey};
use model::body::{Body, TimeBasis};
use model::chain::{Draft, Session, Step};
use model::fixture::{LogTerms, START_MS, World, seed};
use model::id::{BootId, GrantId};
use model::judge::{Wanted, judge_open};
use model::name::EnvironmentName;
use model::statement::Gate;
use publisher::{Cleared, NotCleared, Publisher, PublisherConfig, Status, WitnessAddress, log_key};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use store::{Clock, Committed, Store, StoreConfig};
use tokio::net::TcpListener;

struct Bench {
    store: Store,
    world: World,
    environment: EnvironmentName,
    witness: Option<WitnessAddress>,
    folder: tempfile::TempDir,
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

async fn open_store(folder: &Path) -> Store {
    let config = StoreConfig::new(
        folder.join("data"),
        "gw1".parse().unwrap(),
        BootId::new(START_MS, [9; 10]),
        Clock::new(|| START_MS + 1000),
    );
    Store::open(config).await.unwrap()
}

async fn bench(gate: Gate, with_witness: bool) -> Bench {
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

    async fn grant(&mut self) -> GrantId {
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

    async fn open(&mut self, grant: GrantId, time: TimeBasis) -> (Committed<Session>, Wanted) {
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

    async fn publisher(&self) -> Publisher {
        let config = PublisherConfig {
            tiles: self.folder.path().join("tiles"),
            witnesses: self.witness.clone().into_iter().collect(),
        };
        Publisher::start(self.store.clone(), config).await.unwrap()
    }
}

async fn settled(publisher: &Publisher, environment: &EnvironmentName, wanted: fn(&Status) -> bool) -> Status {
    for _ in 0..200 {
        let status = publisher.status(environment).unwrap();
        if wanted(&status) {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the log stays {:?}", publisher.status(environment));
}

#[tokio::test]
async fn an_opening_is_cleared_once_its_witness_has_cosigned_it() {
    let mut bench = bench(Gate::Witnesses(1), true).await;
    let publisher = bench.publisher().await;
    let grant = bench.grant().await;
    let time = publisher.time_basis(&bench.environment).await;
    let TimeBasis::Checkpoint(note) = &time else {
        panic!("{time:?}")
    };
    let vkey: VerifierKey = bench.world.terms.log_key.parse().unwrap();
    assert!(
        SignedCheckpoint::parse(note.as_bytes())
            .unwrap()
            .is_signed_by(&vkey)
            .unwrap()
    );
    let (committed, wanted) = bench.open(grant, time).await;
    let index = committed.entries()[0].index;
    let cleared: Cleared<Session> = publisher.clear(committed, &wanted).await.unwrap();
    let newest = publisher.newest(&bench.environment).unwrap();
    assert!(newest.size > index);
    assert_eq!(cleared.opening().index, index);
    let witness = &bench.witness.as_ref().unwrap().key;
    assert_eq!(
        newest.checkpoint.cosigned_at(witness).unwrap(),
        Some(START_MS / 1000 + 1)
    );
}

/// The gate is real: with the witness away, nothing is cleared.
#[tokio::test]
async fn nothing_is_cleared_while_the_gate_is_unmet() {
    let mut bench = bench(Gate::Witnesses(1), true).await;
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    bench.witness.as_mut().unwrap().url = format!("http://{dead}");
    let publisher = bench.publisher().await;
    let grant = bench.grant().await;
    let (committed, wanted) = bench.open(grant, TimeBasis::Unwitnessed("none".into())).await;
    let refused = publisher.clear(committed, &wanted).await.unwrap_err();
    assert!(matches!(refused, NotCleared::Gate(_)), "{refused}");
    assert!(publisher.newest(&bench.environment).is_none());
    assert!(matches!(
        publisher.status(&bench.environment),
        Some(Status::Uncosigned(_))
    ));
}

#[tokio::test]
async fn a_gate_of_none_is_said_and_passes() {
    let mut bench = bench(Gate::None, false).await;
    let publisher = bench.publisher().await;
    let grant = bench.grant().await;
    let time = publisher.time_basis(&bench.environment).await;
    assert!(matches!(time, TimeBasis::Unwitnessed(_)));
    let (committed, wanted) = bench.open(grant, time).await;
    assert_eq!(committed.session().gate, Gate::None);
    drop(publisher.clear(committed, &wanted).await.unwrap());
}

/// R013: cleared means judged again; a revocation that came after the opening wins.
#[tokio::test]
async fn r013_a_grant_withdrawn_after_the_opening_is_not_cleared() {
    let mut bench = bench(Gate::Witnesses(1), true).await;
    let publisher = bench.publisher().await;
    let grant = bench.grant().await;
    let (committed, wanted) = bench.open(grant, TimeBasis::Unwitnessed("none".into())).await;
    // The fixture's state has not followed the opening; a revocation does not look at it.
    let revocation = bench.world.revocation(seed::BOB, grant);
    let id = bench.world.entry_id();
    let step = Step::record(vec![Draft::new(id, revocation)]).unwrap();
    drop(bench.store.commit(&bench.environment, step).await.unwrap());
    let refused = publisher.clear(committed, &wanted).await.unwrap_err();
    assert!(
        matches!(&refused, NotCleared::Judge(refusal) if refusal.code == "grant_revoked"),
        "{refused}"
    );
}

/// A restored backup: the witness has seen more, so nothing is signed until that is mended.
#[tokio::test]
async fn a_log_behind_its_witness_stays_unsigned() {
    let mut bench = bench(Gate::Witnesses(1), true).await;
    bench.store.close().await;
    let data = bench.folder.path().join("data");
    let backup = bench.folder.path().join("backup");
    copy(&data, &backup);
    bench.store = open_store(bench.folder.path()).await;
    let publisher = bench.publisher().await;
    bench.grant().await;
    settled(&publisher, &bench.environment, |s| *s == Status::Ready).await;
    let seen = bench.store.size(&bench.environment).await.unwrap();
    wait_for_size(&publisher, &bench.environment, seen).await;
    bench.store.close().await;
    std::fs::remove_dir_all(&data).unwrap();
    std::fs::rename(&backup, &data).unwrap();
    bench.store = open_store(bench.folder.path()).await;
    let publisher = bench.publisher().await;
    let status = settled(&publisher, &bench.environment, |s| matches!(s, Status::Behind { .. })).await;
    assert!(
        matches!(status, Status::Behind { seen: s, .. } if s == seen),
        "{status:?}"
    );
    assert!(publisher.newest(&bench.environment).is_none());
}

/// Another history of the same length or longer: the log stops for good.
#[tokio::test]
async fn another_history_stops_the_log_for_good() {
    let mut bench = bench(Gate::Witnesses(1), true).await;
    bench.store.close().await;
    let data = bench.folder.path().join("data");
    let backup = bench.folder.path().join("backup");
    copy(&data, &backup);
    bench.store = open_store(bench.folder.path()).await;
    let publisher = bench.publisher().await;
    let before = bench.world.state.clone();
    bench.grant().await;
    let seen = bench.store.size(&bench.environment).await.unwrap();
    wait_for_size(&publisher, &bench.environment, seen).await;
    bench.store.close().await;
    std::fs::remove_dir_all(&data).unwrap();
    std::fs::rename(&backup, &data).unwrap();
    bench.store = open_store(bench.folder.path()).await;
    // Other requests than before, and more of them.
    bench.world.state = before;
    for _ in 0..2 {
        bench.grant().await;
    }
    let publisher = bench.publisher().await;
    let status = settled(&publisher, &bench.environment, |s| matches!(s, Status::Stopped(_))).await;
    assert!(
        matches!(&status, Status::Stopped(why) if why.contains("another history")),
        "{status:?}"
    );
}

async fn wait_for_size(publisher: &Publisher, environment: &EnvironmentName, size: u64) {
    for _ in 0..200 {
        if publisher.newest(environment).is_some_and(|c| c.size >= size) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the head never covered {size} entries");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

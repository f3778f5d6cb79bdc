//! The gate against a real witness over HTTP and a real store: nothing is cleared without its cosignature, a withdrawn
//! grant is not cleared either, and a log that a witness knows otherwise is never signed on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set up must stop"
)]

mod scene;

use ledger::{SignedCheckpoint, VerifierKey};
use model::body::TimeBasis;
use model::chain::{Draft, Session, Step};
use model::fixture::{START_MS, seed};
use model::name::EnvironmentName;
use model::statement::Gate;
use publisher::{Cleared, NotCleared, Publisher, Status};
use scene::{bench, open_store};
use std::path::Path;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

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

/// What proves later that an opening awaited its gate is a head that nobody may miss, however soon the next one comes.
#[tokio::test]
async fn each_cosigned_head_is_handed_on() {
    let mut bench = bench(Gate::Witnesses(1), true).await;
    let (heads, mut new) = mpsc::channel(64);
    bench.heads = Some(heads);
    let publisher = bench.publisher().await;
    let mut awaited = vec![];
    for _ in 0..5 {
        bench.grant().await;
        let size = bench.store.size(&bench.environment).await.unwrap();
        wait_for_size(&publisher, &bench.environment, size).await;
        awaited.push(size);
    }
    let mut sizes = vec![];
    while sizes.last() != awaited.last() {
        let (environment, cosigned) = new.recv().await.unwrap();
        assert_eq!(environment, bench.environment);
        assert_eq!(cosigned.checkpoint.checkpoint().head().size, cosigned.size);
        sizes.push(cosigned.size);
    }
    assert!(sizes.is_sorted_by(|a, b| a < b), "{sizes:?}");
    assert!(awaited.iter().all(|size| sizes.contains(size)), "{awaited:?} {sizes:?}");
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

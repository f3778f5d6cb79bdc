//! How many entries a second go through the full commit, and what each costs in processor time, as the log grows.
//! `cargo run --example commit_rate -- 100000 [directory]`. Beside it: the median of fdatasync on the same directory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a measurement that cannot set up must stop"
)]

use model::apply::Snapshot;
use model::body::{ActionEnded, Body};
use model::chain::{Draft, Intent, Step};
use model::fixture::{World, name, seed};
use model::id::{ActionId, BootId, SessionId};
use model::judge::{judge_action, judge_open};
use model::statement::ActionClass;
use std::collections::VecDeque;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::{Duration, Instant};
use store::{Clock, Store, StoreConfig};

/// Sessions that act at the same time.
const SESSIONS: usize = 64;
/// Steps on their way at once.
const IN_FLIGHT: usize = 256;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let entries: usize = arguments
        .next()
        .map_or(20_000, |text| text.parse().expect("a number of entries"));
    let parent = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = parent.join(format!("commit-rate-{}", std::process::id()));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(measure(entries, directory.clone()));
    fs::remove_dir_all(directory).unwrap();
}

async fn measure(entries: usize, directory: PathBuf) {
    let mut world = World::blank(model::fixture::LogTerms::default());
    let now = world.now_ms;
    let config = StoreConfig::new(
        &directory,
        name("gw1"),
        BootId::new(now, [1; 10]),
        Clock::new(move || now + 1000),
    );
    let store = Store::open(config).await.unwrap();
    let sessions = found(&store, &mut world).await;
    println!("fdatasync p50 {:?}", median_sync(&directory));
    println!(
        "{:>10} {:>12} {:>14} {:>10}",
        "entries", "entries/s", "CPU µs/entry", "1 by 1"
    );
    let mut done = 0;
    let mut share = entries.min(10_000);
    while done < entries {
        let steps = steps(&mut world, &sessions, share);
        let (began, cpu) = (Instant::now(), cpu_time());
        run(&store, steps).await;
        let (took, cpu) = (began.elapsed(), cpu_time() - cpu);
        done += share;
        println!(
            "{done:>10} {:>12.0} {:>14.1} {:>10.0}",
            per_second(share, took),
            cpu.as_secs_f64() * 1e6 / as_f64(share),
            one_by_one(&store, &mut world, &sessions).await,
        );
        share = share.min(entries - done);
    }
    store.close().await;
}

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;
type Steps = Vec<Box<dyn FnOnce(&Store) -> Work>>;

async fn run(store: &Store, steps: Steps) {
    let mut flying: VecDeque<Work> = VecDeque::new();
    for step in steps {
        if flying.len() == IN_FLIGHT {
            flying.pop_front().unwrap().await;
        }
        flying.push_back(step(store));
    }
    for work in flying {
        work.await;
    }
}

async fn one_by_one(store: &Store, world: &mut World, sessions: &[SessionId]) -> f64 {
    let steps = steps(world, sessions, 100);
    let began = Instant::now();
    for step in steps {
        step(store).await;
    }
    per_second(100, began.elapsed())
}

/// The intent of an action and its end, in turns, over all sessions.
fn steps(world: &mut World, sessions: &[SessionId], count: usize) -> Steps {
    let acme = name::<model::name::EnvironmentName>("acme");
    let mut steps: Steps = vec![];
    for session in sessions.iter().cycle().take(count / 2) {
        // Ids sort by time, as they do in use.
        world.now_ms += 1;
        let action = ActionId::new(world.now_ms, world.fresh());
        let intent = Intent {
            action,
            entry: world.entry_id(),
            channel: 0,
            command: None,
            pty: false,
            frame: 1,
            offset_us: 1,
        };
        let permit = judge_action(&world.state, *session, ActionClass::Exec, world.now_ms + 1000).unwrap();
        let intend = permit.intend(intent);
        let ended = Body::ActionEnded(ActionEnded {
            action,
            exit_status: Some(0),
            exit_signal: None,
            bytes_in: 10,
            bytes_out: 1000,
            frame: 4,
        });
        let end = Step::record(vec![Draft::new(world.entry_id(), ended).in_session(*session)]).unwrap();
        let name = acme.clone();
        steps.push(Box::new(move |store| {
            let committed = store.commit(&name, intend);
            Box::pin(async move { drop(committed.await.unwrap().into_action()) })
        }));
        let name = acme.clone();
        steps.push(Box::new(move |store| {
            let committed = store.commit(&name, end);
            Box::pin(async move { drop(committed.await.unwrap().into_entries()) })
        }));
    }
    steps
}

/// Founds the environment and opens the sessions, each under a grant of its own.
async fn found(store: &Store, world: &mut World) -> Vec<SessionId> {
    let acme = name("acme");
    let mut drafts: Vec<Draft> = vec![];
    for body in world.founding() {
        if !matches!(body, Body::NodeStarted(_)) {
            drafts.push(Draft::new(world.entry_id(), body));
        }
    }
    drop(store.commit(&acme, Step::record(drafts).unwrap()).await.unwrap());
    let mut sessions = vec![];
    for _ in 0..SESSIONS {
        refresh(store, world).await;
        let (entry, body, _) = world.request(seed::ALICE);
        let Body::Requested(requested) = &body else { panic!() };
        let request = requested.statement.request;
        record(store, vec![Draft::new(entry, body)]).await;
        refresh(store, world).await;
        let (approval, id) = (world.approval(seed::OLGA, request), world.entry_id());
        let Body::Granted(mut granted) = world.grant(request) else {
            panic!()
        };
        granted.approvals.push(id);
        let (grant, grant_id) = (granted.grant, world.entry_id());
        record(
            store,
            vec![Draft::new(id, approval), Draft::new(grant_id, Body::Granted(granted))],
        )
        .await;
        refresh(store, world).await;
        let (wanted, terms) = (world.wanted(grant), world.opening());
        sessions.push(terms.session);
        let permit = judge_open(&world.state, &wanted, store.now_ms()).unwrap();
        drop(store.commit(&acme, permit.open(terms)).await.unwrap());
    }
    refresh(store, world).await;
    sessions
}

async fn record(store: &Store, drafts: Vec<Draft>) {
    let step = Step::record(drafts).unwrap();
    drop(store.commit(&name("acme"), step).await.unwrap());
}

async fn refresh(store: &Store, world: &mut World) {
    let mut keys = vec![];
    for change in store.changes_since(0).await.unwrap() {
        keys.extend(change.keys);
    }
    let known: Snapshot = store.snapshot(&name("acme"), keys).await.unwrap();
    let mut state = Snapshot::empty();
    let loaded: Vec<_> = known.entities().map(|(key, _)| key.clone()).collect();
    for key in loaded {
        let value = known.versioned(&key).unwrap().cloned();
        state.load(key, value);
    }
    world.state = state;
}

/// Processor time of all threads so far.
fn cpu_time() -> Duration {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let nanos = tasks.map(|task| {
        let text = fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0)
    });
    Duration::from_nanos(nanos.sum())
}

fn median_sync(directory: &std::path::Path) -> Duration {
    let mut file = fs::File::create(directory.join("sync")).unwrap();
    let mut times: Vec<Duration> = (0..100)
        .map(|_| {
            file.write_all(&[0; 4096]).unwrap();
            let began = Instant::now();
            file.sync_data().unwrap();
            began.elapsed()
        })
        .collect();
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn per_second(count: usize, took: Duration) -> f64 {
    as_f64(count) / took.as_secs_f64()
}

fn as_f64(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

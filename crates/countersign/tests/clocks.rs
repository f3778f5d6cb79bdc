//! A server whose wall clock is wrong: set back, and set far ahead, while it runs. What it writes keeps its order, windows
//! end when their length is over, and no session opens of which nobody could say later when it was.
//!
//! The clock is faked for the server's process alone, and only the one that can be set: see `shim/clock.c`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set up must stop"
)]

mod support;

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};
use support::both;
use support::clock::Clock;
use support::running::{PATIENCE, within};
use support::world::World;

const HOUR_S: i64 = 3600;

/// R022 R065: windows end by the clock that nobody sets, and what is written keeps its order and its true time.
#[test]
fn a_clock_that_is_set_back_lengthens_no_window() {
    let (world, clock) = world();
    let began_ms = now_ms();
    world.granted("20s");
    let (mut cut, first) = live(&world);
    clock.set(-HOUR_S);
    let within_window = try_open(&world);
    assert_eq!(within_window.stdout, b"in\n", "{}", both(&within_window));
    let second = world.newest_session();

    assert!(
        within(PATIENCE, || cut.try_wait().unwrap()).is_some(),
        "the window does not end"
    );
    let ended = last_entry(&world, &first);
    assert_eq!(ended["body"]["cause"], "expired", "{ended:#}");
    assert!(ended["body"]["late_ms"].as_u64().unwrap() <= 1000, "{ended:#}");
    let after = try_open(&world);
    assert_eq!(after.status.code(), Some(254), "{}", both(&after));
    assert!(
        both(&after).contains("window has ended") && after.stdout.is_empty(),
        "{}",
        both(&after)
    );

    let times: Vec<u64> = entries(&world, &[&first, &second]).into_values().collect();
    assert!(times.is_sorted(), "{times:?}");
    assert!(
        times[0] >= began_ms && times.iter().all(|time| *time <= now_ms()),
        "{began_ms} {times:?}"
    );
    let verdict = verdict(&world, &second);
    assert_eq!(verdict["overall"], "pass", "{verdict:#}");
}

/// A day ahead: nothing opens whose time the witness contradicts, also after a restart, and it is said. A session that
/// was live keeps its window.
#[test]
fn a_clock_that_is_set_ahead_opens_nothing() {
    let (mut world, clock) = world();
    let granted = Instant::now();
    world.granted("20s");
    let (mut cut, first) = live(&world);
    clock.set(24 * HOUR_S);
    world.granted("10m");
    assert_clock_refused(&world);
    assert!(
        cut.try_wait().unwrap().is_none(),
        "{:#}
{}",
        last_entry(&world, &first),
        world.server.said()
    );
    assert!(
        within(PATIENCE, || cut.try_wait().unwrap()).is_some(),
        "the window does not end"
    );
    assert!(granted.elapsed() > Duration::from_secs(15), "ended before its window");
    let ended = last_entry(&world, &first);
    assert_eq!(ended["body"]["cause"], "expired", "{ended:#}");

    // The log holds what was written a day ahead: going back would put its times out of order.
    clock.set(0);
    assert_clock_refused(&world);
    world.restart();
    assert_clock_refused(&world);
    let logins = world.target.running.said();
    let dialed: BTreeSet<&str> = logins
        .split_whitespace()
        .filter(|word| word.starts_with("ses_"))
        .collect();
    assert_eq!(
        dialed.into_iter().collect::<Vec<_>>(),
        [first.as_str()],
        "something was dialed"
    );
}

fn assert_clock_refused(world: &World) {
    let refused = try_open(world);
    let said = both(&refused);
    assert_eq!(refused.status.code(), Some(254), "{said}");
    for part in ["CS-GATE", "ahead of its witness's", "clock must be set right"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

fn try_open(world: &World) -> Output {
    world.ssh("alice", "root+web1.acme", "echo in").output().unwrap()
}

/// A session in which a command runs until it is cut, and its id.
fn live(world: &World) -> (Child, String) {
    let mut ssh = world.ssh("alice", "root+web1.acme", "echo on; sleep 60");
    let mut child = ssh.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut said = [0; 3];
    child.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
    assert_eq!(&said, b"on\n");
    (child, world.newest_session())
}

fn shown(world: &World, session: &str) -> Vec<Value> {
    let shown: Value = serde_json::from_str(&world.ok(&format!("show {session} --json --key bob"))).unwrap();
    shown["entries"].as_array().unwrap().clone()
}

fn last_entry(world: &World, session: &str) -> Value {
    let ended = within(PATIENCE, || {
        let last = shown(world, session).pop().unwrap()["entry"].clone();
        (last["type"] == "session.ended").then_some(last)
    });
    ended.expect("an end on record")
}

/// The stated times of the sessions' entries, by index.
fn entries(world: &World, sessions: &[&str]) -> BTreeMap<u64, u64> {
    let all = sessions.iter().flat_map(|session| shown(world, session));
    let number = |value: &Value| value.as_u64().unwrap();
    all.map(|line| (number(&line["index"]), number(&line["entry"]["time_ms"])))
        .collect()
}

fn verdict(world: &World, session: &str) -> Value {
    world.ok(&format!(
        "export {session} --out e.pack --identity acme/recording-1.key --key bob"
    ));
    let report: Value = serde_json::from_str(&world.ok("verify e.pack --trust acme/trust.txt --json")).unwrap();
    assert_eq!(report["report"]["status"], "trusted", "{report:#}");
    report["verdicts"][0].clone()
}

#[allow(clippy::disallowed_methods, reason = "the true time, which the server does not see")]
fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(since.unwrap().as_millis()).unwrap()
}

fn world() -> (World, Clock) {
    let clock = Clock::new();
    (World::start_with(clock.environment()), clock)
}

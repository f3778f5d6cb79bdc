//! Power failures: the disk keeps what was synced, and any part of the rest. Simulated from what the shim recorded of a
//! real run, at thousands of points.

use crate::aftermath::{directory, inspect, lines, runtime, soak};
use crate::child::watched;
use crate::disk::{Disk, Luck, Op, Rest, parse};
use std::fs;

const ROUNDS: u64 = 24;

/// A recorded run: what was done to the disk, under which path.
struct Recorded {
    root: String,
    ops: Vec<Op>,
}

fn record(settings: &[(&str, &str)]) -> Recorded {
    let place = directory();
    let (data, log) = (place.path().join("data"), place.path().join("log"));
    let mut command = watched(&data, &log, ROUNDS);
    command.envs(settings.iter().copied());
    assert!(command.status().unwrap().success());
    Recorded {
        root: data.to_str().unwrap().to_owned(),
        ops: parse(&fs::read(log).unwrap()),
    }
}

/// Crashes at `points` places of the run, and gives what was wrong.
fn crash(run: &Recorded, points: u64, seed: u64) -> Vec<String> {
    let answers_path = format!("{}/answers", run.root);
    let mut luck = Luck(seed);
    let mut disk = Disk::default();
    let mut faults = vec![];
    let runtime = runtime();
    let place = directory();
    let (mut done, total) = (0, run.ops.len() as u64);
    for (n, op) in run.ops.iter().enumerate() {
        disk.follow(op);
        // Right after an answer, what was not synced is lost whole; elsewhere, in part.
        let answered = matches!(op, Op::Write(path, ..) if *path == answers_path);
        // What was answered as not stored could come back at this moment above all.
        let refused = matches!(op, Op::Write(_, _, bytes) if answered && bytes.starts_with(b"refused"));
        let due = points * (n as u64 + 1) / total;
        let mut more = if refused { 8 } else { 0 };
        while done < due || more > 0 {
            let rest = match (answered, luck.below(8)) {
                _ if more == 8 => Rest::Everything,
                _ if more > 0 => Rest::Some,
                (true, 0..4) | (false, 0) => Rest::Nothing,
                (_, 7) => Rest::Everything,
                _ => Rest::Some,
            };
            let data = place.path().join("data");
            fs::create_dir(&data).unwrap();
            disk.leave(&run.root, &data, rest, &mut luck);
            let answers = lines(&disk.said(&answers_path));
            private(&data);
            if let Err(fault) = runtime.block_on(inspect(&data, 2, &answers)) {
                faults.push(format!("after {n} of {total}, {rest:?}: {fault}"));
            }
            fs::remove_dir_all(&data).unwrap();
            done += u64::from(more == 0);
            more = u64::saturating_sub(more, 1);
        }
    }
    faults
}

/// Modes are not recorded.
fn private(data: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    let key = data.join("master.key");
    if key.exists() {
        fs::set_permissions(key, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

/// More than 5,000 points in all, in tests that run side by side: this many in each of two, and half of it after failed
/// syncs.
fn points() -> u64 {
    if soak() { 50_000 } else { 2_100 }
}

#[test]
fn a_power_failure_loses_no_answer_1() {
    assert_eq!(crash(&record(&[]), points(), 1), Vec::<String>::new());
}

#[test]
fn a_power_failure_loses_no_answer_2() {
    assert_eq!(crash(&record(&[]), points(), 2), Vec::<String>::new());
}

/// INVARIANT (told the truth): also when syncs fail on the way, what was answered holds, either way.
#[test]
fn a_power_failure_after_failed_syncs_loses_no_answer() {
    let runs: u64 = if soak() { 60 } else { 12 };
    let mut refusals = 0;
    for run in 0..runs {
        let at = format!("{}{}", 4 + run * 3, if run % 4 == 3 { "+" } else { "" });
        let file = if run % 3 == 2 { "store.db" } else { "-wal" };
        let settings = [
            ("COUNTERSIGN_DISK_FAIL", at.as_str()),
            ("COUNTERSIGN_DISK_FAIL_FILE", file),
        ];
        let recorded = record(&settings);
        let failed = recorded.ops.iter().any(|op| matches!(op, Op::SyncFailed(_)));
        assert!(failed || file == "store.db", "no sync failed in {settings:?}");
        let said = |op: &Op| matches!(op, Op::Write(path, _, bytes) if path.ends_with("answers") && bytes.starts_with(b"refused"));
        refusals += recorded.ops.iter().filter(|op| said(op)).count();
        assert_eq!(
            crash(&recorded, points() / runs / 2, run),
            Vec::<String>::new(),
            "{settings:?}"
        );
    }
    assert!(refusals > 0, "no commit was answered as not stored");
}

/// The harness must see what it is there to see: with one kind of sync taken out, answers are lost.
#[test]
fn a_missing_sync_is_caught() {
    for file in ["store.db-wal", "master.new"] {
        let faults = crash(&record(&[("COUNTERSIGN_DISK_DEAF", file)]), 300, 3);
        assert!(!faults.is_empty(), "syncs of {file} make no difference");
    }
}

//! The page cache survives: processes that are killed, or stop before their n-th write or sync.

use crate::aftermath::{directory, inspect, lines, runtime, soak};
use crate::child::{answers_to, child, watched};
use crate::disk;
use std::fs;
use std::process::Command;
use std::time::Duration;

#[test]
fn what_was_acknowledged_survives_20_kills() {
    let place = tempfile::tempdir().unwrap();
    let (data, answers) = (place.path().join("data"), place.path().join("answers"));
    let kills = if soak() { 500 } else { 20 };
    let mut said = 0;
    for boot in 1..=kills {
        let mut command = child(&data, boot, u64::from(u32::MAX));
        answers_to(&mut command, &answers);
        let mut process = command.spawn().unwrap();
        // Not before it has said something new, then at some moment.
        let waited = std::time::Instant::now();
        while lines(&fs::read(&answers).unwrap_or_default()).len() < said + 5 {
            assert!(waited.elapsed() < Duration::from_secs(60), "it does not get to work");
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(boot * 7 % 30));
        process.kill().unwrap();
        process.wait().unwrap();
        let now = lines(&fs::read(&answers).unwrap());
        said = now.len();
        runtime().block_on(inspect(&data, boot + 1_000_000, &now)).unwrap();
    }
    assert!(said >= usize::try_from(kills).unwrap() * 5);
}

const ROUNDS: u64 = 12;

/// 500 points in all, in two tests that run side by side.
fn stops_at(odd: u64) {
    let place = directory();
    let total = {
        let (data, log) = (place.path().join("count"), place.path().join("log"));
        assert!(watched(&data, &log, ROUNDS).status().unwrap().success());
        disk::counted(&fs::read(log).unwrap())
    };
    assert!(total >= 500, "only {total} writes and syncs");
    let points: u64 = if soak() { total } else { 500 };
    for n in (0..points).filter(|n| n % 2 == odd) {
        let at = 1 + n * total / points;
        let (data, log) = (place.path().join("data"), place.path().join("log"));
        let mut command = watched(&data, &log, ROUNDS);
        command
            .env_remove("COUNTERSIGN_DISK_LOG")
            .env("COUNTERSIGN_DISK_STOP", at.to_string());
        if n % 4 < 2 {
            command.env("COUNTERSIGN_DISK_TORN", "1");
        }
        let status = command.status().unwrap();
        assert!(!status.success() || at > total - 20, "it was not stopped at {at}");
        let answers = lines(&fs::read(data.join("answers")).unwrap_or_default());
        let found = runtime().block_on(inspect(&data, 2, &answers));
        assert_eq!(found, Ok(()), "stopped at {at} of {total}");
        fs::remove_dir_all(&data).unwrap();
    }
}

#[test]
fn stopping_before_any_write_or_sync_loses_no_answer_1() {
    stops_at(0);
}

#[test]
fn stopping_before_any_write_or_sync_loses_no_answer_2() {
    stops_at(1);
}

/// strace sees the same from outside: between a write to the write-ahead log and the next answer there is a sync.
#[test]
fn a_sync_precedes_each_acknowledgement() {
    let place = directory();
    let (data, trace) = (place.path().join("data"), place.path().join("trace"));
    let plain = child(&data, 1, 20);
    let mut command = Command::new("strace");
    command
        .args(["-f", "-y", "-e", "trace=write,pwrite64,fsync,fdatasync", "-o"])
        .arg(&trace)
        .arg(plain.get_program())
        .args(plain.get_args())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    for (name, value) in plain.get_envs() {
        command.env(name, value.unwrap());
    }
    answers_to(&mut command, &place.path().join("answers"));
    assert!(command.status().unwrap().success());
    let (mut unsynced, mut answers, mut syncs) = (false, 0, 0);
    for line in fs::read_to_string(trace).unwrap().lines() {
        let call = line.split_once(' ').map_or(line, |(_, rest)| rest.trim_start());
        let wal = call.contains("store.db-wal>");
        if wal && (call.starts_with("write(") || call.starts_with("pwrite64(")) {
            unsynced = true;
        } else if wal && (call.starts_with("fdatasync(") || call.starts_with("fsync(")) {
            // The answer can only follow its return, and one thread makes both calls.
            (unsynced, syncs) = (false, syncs + 1);
        } else if call.starts_with("write(") && call.contains("/answers>") {
            assert!(!unsynced, "answered before the sync: {line}");
            answers += 1;
        }
    }
    assert!(answers >= 20 && syncs >= 20, "{answers} answers, {syncs} syncs");
}

//! A witness that is killed at any moment has not forgotten what it answered, and one that loses power neither: each
//! answer comes after its syncs.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use keeper::witness::Witness;

use crate::log::{ENTRIES, Home, Log};

/// Set in the process that is to be killed.
const FOLDER: &str = "COUNTERSIGN_TEST_WITNESS_FOLDER";
/// How many answers that process gives before it ends by itself.
const ANSWERS: &str = "COUNTERSIGN_TEST_WITNESS_ANSWERS";
const TEST: &str = "killed::sigkill_forgets_nothing_that_was_answered";

#[test]
fn sigkill_forgets_nothing_that_was_answered() {
    let log = Log::new("log.example/acme", "a");
    if let Some(folder) = std::env::var_os(FOLDER) {
        answer_until_killed(&log, Path::new(&folder));
    }
    let home = Home::new(&log);
    let rounds = if std::env::var_os("COUNTERSIGN_SOAK").is_some() {
        200
    } else {
        12
    };
    for round in 0..rounds {
        let answered = run_and_kill(&home, Duration::from_millis(2 + 3 * (round % 12)));
        let witness = home.open();
        let (_, head) = witness.latest().swap_remove(0);
        let size = head.map_or(0, |head| head.size);
        assert!(size >= answered, "answered {answered}, remembers {size}");
        assert_eq!(head.unwrap_or(log.head(0)), log.head(size));
    }
}

/// The largest size that the process said to be cosigned.
fn run_and_kill(home: &Home, after: Duration) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", TEST, "--nocapture"])
        .env(FOLDER, &home.path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let size = |line: String| line.strip_prefix("cosigned ").map(|size| size.parse::<u64>().unwrap());
    let first = lines.by_ref().find_map(size).expect("the process answered nothing");
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
    // What is left in the pipe was said before the end; its last line may be cut off.
    let rest: Vec<String> = lines.collect();
    let whole = rest.iter().take(rest.len().saturating_sub(1)).cloned();
    whole.filter_map(size).next_back().unwrap_or(first)
}

/// What the kernel saw, in order. A kill keeps the page cache and so proves nothing about syncs.
#[test]
fn each_answer_follows_its_syncs() {
    let log = Log::new("log.example/acme", "a");
    let home = Home::new(&log);
    let trace = home.path.with_file_name("trace");
    let traced = Command::new("strace")
        .args(["-f", "-e", "trace=write,fdatasync,fsync,rename", "-o"])
        .arg(&trace)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", TEST, "--nocapture"])
        .env(FOLDER, &home.path)
        .env(ANSWERS, "8")
        .output()
        .expect("strace is missing: run .ci/setup test");
    assert!(traced.status.success(), "{}", String::from_utf8_lossy(&traced.stderr));
    let trace = std::fs::read_to_string(trace).unwrap();
    let steps: Vec<&str> = trace.split("write(1, \"cosigned ").skip(1).collect();
    assert_eq!(steps.len(), 9, "the start and eight answers");
    for step in steps.iter().take(8) {
        let calls = step
            .lines()
            .filter_map(|line| line.split_whitespace().nth(1)?.split_once('('));
        let order: Vec<&str> = calls.map(|(call, _)| call).filter(|call| *call != "write").collect();
        assert!(order.starts_with(&["fdatasync", "rename", "fsync"]), "{order:?}");
        assert_eq!(order.len() % 3, 0, "{order:?}");
    }
}

fn answer_until_killed(log: &Log, folder: &Path) -> ! {
    let witness = Witness::open(folder, Arc::new(|| 1_700_000_000)).unwrap();
    let answers = std::env::var(ANSWERS).map_or(u64::MAX, |answers| answers.parse().unwrap());
    let mut out = std::io::stdout();
    let mut size = witness.latest()[0].1.map_or(0, |head| head.size);
    writeln!(out, "\ncosigned {size}").unwrap();
    for _ in 0..answers {
        let next = (size + 1).min(ENTRIES);
        witness.add_checkpoint(log.submission(size, next).as_bytes()).unwrap();
        size = next;
        writeln!(out, "cosigned {size}").unwrap();
        out.flush().unwrap();
    }
    std::process::exit(0)
}

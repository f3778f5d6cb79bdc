//! A killed process: nothing that had an effect is missing from the segments.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set up must stop"
)]

mod keep;

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use journal::Journal;
use keep::{child, config, id, play, session, shim};
use recording::{Content, Kind};

const LINE: usize = 16;

/// Every line that came out of the child is in its session's recording, in order.
fn assert_nothing_missing(dir: &Path, effect: &[u8]) -> usize {
    let (journal, recovery) = Journal::open(config(dir)).unwrap();
    let faults: Vec<_> = recovery
        .damage
        .iter()
        .filter(|one| one.kind.to_string().contains("missing"))
        .collect();
    assert!(faults.is_empty(), "{faults:?}");
    for number in 1..=3_u8 {
        let marker = format!("{number}:");
        let seen: Vec<u8> = effect
            .chunks_exact(LINE)
            .filter(|line| line.starts_with(marker.as_bytes()))
            .flatten()
            .copied()
            .collect();
        let recorded: Vec<u8> = match journal.extents(&id(number)) {
            Err(_) => Vec::new(),
            Ok(extents) => play(number, extents)
                .into_iter()
                .filter_map(|one| {
                    if let Content::Output(bytes) = one.content {
                        Some(bytes)
                    } else {
                        None
                    }
                })
                .flatten()
                .collect(),
        };
        assert!(
            recorded.starts_with(&seen),
            "session {number}: something had an effect and is not recorded"
        );
    }
    effect.len() / LINE
}

fn effect_of(command: &mut Command, kill_after: Option<Duration>) -> Vec<u8> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        stdout.read_to_end(&mut all).map(|_| all)
    });
    if let Some(after) = kill_after {
        std::thread::sleep(after);
        child.kill().unwrap();
    }
    child.wait().unwrap();
    let all = reader.join().unwrap().unwrap();
    let start = all.windows(2).position(|two| two == b"1:").unwrap_or(all.len());
    all[start..].to_vec()
}

#[test]
fn a_killed_process_loses_nothing_that_had_an_effect() {
    let rounds: u64 = if std::env::var_os("COUNTERSIGN_SOAK").is_some() {
        200
    } else {
        8
    };
    let mut lines = 0;
    for round in 0..rounds {
        let dir = tempfile::tempdir().unwrap();
        let mut command = child("child_writes_until_killed");
        command.env("COUNTERSIGN_TEST_DIR", dir.path());
        let effect = effect_of(&mut command, Some(Duration::from_millis(120 + 23 * (round % 7))));
        lines += assert_nothing_missing(dir.path(), &effect);
    }
    assert!(lines > 100, "the child did next to nothing: {lines}");
}

#[test]
fn aborting_at_any_write_or_sync_loses_nothing_that_had_an_effect() {
    let mut lines = 0;
    for n in (1..60).step_by(7) {
        for op in ["pwrite", "sync"] {
            let dir = tempfile::tempdir().unwrap();
            let mut command = child("child_writes_until_killed");
            command
                .env("COUNTERSIGN_TEST_DIR", dir.path())
                .env("LD_PRELOAD", shim())
                .env("COUNTERSIGN_FAULT_PATH", ".segment")
                .env("COUNTERSIGN_FAULT", format!("{op}:{n}:exit,pwrite:3000:exit"));
            let effect = effect_of(&mut command, None);
            lines += assert_nothing_missing(dir.path(), &effect);
        }
    }
    assert!(lines > 100, "the child did next to nothing: {lines}");
}

#[test]
#[ignore = "a process of its own, started by the tests above"]
fn child_writes_until_killed() {
    let Some(dir) = std::env::var_os("COUNTERSIGN_TEST_DIR") else {
        return;
    };
    let (journal, _) = Journal::open(config(Path::new(&dir))).unwrap();
    let mut sessions: Vec<_> = (1..=3_u8).map(|number| (number, session(&journal, number))).collect();
    let mut effect = std::io::stdout();
    for round in 0..1_000_000_u64 {
        for (number, session) in &mut sessions {
            let line = format!("{number}:{round:013}\n").into_bytes();
            let released = session.write(Kind::Output, 1, line, round * 300).unwrap().release();
            effect.write_all(&released).unwrap();
            effect.flush().unwrap();
        }
    }
}

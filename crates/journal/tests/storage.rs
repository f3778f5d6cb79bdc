//! Storages that really fail, under a live session: a full tmpfs, a file system that turns read-only, syncs and
//! writes that fail or hang. In each: not one byte is released after the first that was not recorded, the halt says
//! why, and a gap follows. Needs root for the mounts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set up must stop"
)]

mod keep;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use journal::{Halt, HaltReason, Journal, JournalConfig, OpenError, SessionError, SessionJournal, SessionStart, State};
use keep::{child, config, dek, id, pass_on, play, session, shim, until};
use recording::{Content, GapReason, Kind, Played};

/// A mount that ends with the test.
struct Mount(tempfile::TempDir);

impl Mount {
    fn new(source: &str, options: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        run(Command::new("mount").args(options).arg(source).arg(dir.path()));
        Self(dir)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("journal")
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if !Command::new("umount")
            .arg(self.0.path())
            .output()
            .is_ok_and(|output| output.status.success())
        {
            drop(Command::new("umount").arg("-l").arg(self.0.path()).status());
        }
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Writes until refused; gives what was released, and why it ended.
fn write_until_halt(session: &mut SessionJournal, size: usize, limit: usize) -> (Vec<u8>, Halt) {
    let mut released = Vec::new();
    for round in 0..limit {
        let data = vec![round.to_le_bytes()[0]; size];
        match session.write(Kind::Output, 1, data, round as u64 * 1000) {
            Ok(journaled) => released.extend(journaled.release()),
            Err(halt) => {
                for _ in 0..3 {
                    assert_eq!(
                        session.write(Kind::Output, 1, "more", 0).err(),
                        Some(halt),
                        "a halt is for ever"
                    );
                }
                return (released, halt);
            }
        }
    }
    panic!("the storage never failed");
}

fn recorded(played: &[Played]) -> Vec<u8> {
    let bytes = played.iter().filter_map(|one| match &one.content {
        Content::Output(bytes) => Some(bytes.clone()),
        _ => None,
    });
    bytes.flatten().collect()
}

fn assert_halted(played: &[Played], released: &[u8], reason: GapReason) {
    assert!(
        recorded(played).starts_with(released),
        "a released byte is not in the recording"
    );
    let last = &played.last().unwrap().content;
    assert!(matches!(last, Content::Halt(gap) if gap.reason == reason), "{last:?}");
}

#[test]
fn r012_r076_a_full_tmpfs_stops_the_session_before_the_first_unrecorded_byte() {
    let mount = Mount::new("tmpfs", &["-t", "tmpfs", "-o", "size=3m"]);
    let (journal, _) = Journal::open(config(&mount.path())).unwrap();
    let mut one = session(&journal, 1);
    let mut idle = session(&journal, 2);
    pass_on(idle.write(Kind::Output, 1, "idle", 0).unwrap().release());
    let (released, halt) = write_until_halt(&mut one, 10_000, 1000);
    assert_eq!(halt.reason(), HaltReason::NoSpace);
    assert!(halt.to_string().contains("the recording's disk is full"));
    assert_eq!(idle.write(Kind::Output, 1, "x", 0).err(), Some(halt));
    let start = SessionStart {
        session: id(3),
        origin: keep::ORIGIN,
        dek: &dek(3),
        opened_at_ms: 0,
    };
    assert!(matches!(
        journal.session(&start),
        Err(SessionError::Stopped(HaltReason::NoSpace))
    ));
    let closed = one.finish_blocking(1_000_000);
    assert_eq!(
        (closed.halt, closed.gaps, closed.durable),
        (Some(HaltReason::NoSpace), 1, true)
    );
    let doubt = closed.doubt.unwrap();
    assert_eq!(doubt.reason, GapReason::NoSpace);
    assert_eq!(
        doubt.from + doubt.frames + 1,
        closed.next_index,
        "the halt frame follows"
    );
    let played = play(1, journal.extents(&id(1)).unwrap());
    assert_halted(&played, &released, GapReason::NoSpace);
    assert_eq!(recorded(&played).len(), released.len());
    drop(idle);
    let idle = play(2, journal.extents(&id(2)).unwrap());
    assert_halted(&idle, b"idle", GapReason::NoSpace);

    // With space again, the journal proves itself and admits new sessions.
    run(Command::new("mount")
        .args(["-o", "remount,size=16m"])
        .arg(mount.0.path()));
    until("the journal recovers", || journal.health().state == State::Ok);
    let mut after = session(&journal, 3);
    pass_on(
        after
            .write(Kind::Output, 1, "again", 0)
            .unwrap()
            .durable_blocking()
            .unwrap()
            .release(),
    );
    let notices = journal.notices();
    assert_eq!((notices.stops, notices.recoveries, notices.gaps.len()), (1, 1, 0));
}

#[test]
fn r012_r076_a_file_system_that_turns_read_only_stops_the_session() {
    let image = tempfile::NamedTempFile::new().unwrap();
    image.as_file().set_len(24 * 1024 * 1024).unwrap();
    run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(image.path()));
    let mount = Mount::new(image.path().to_str().unwrap(), &["-o", "loop,errors=remount-ro"]);
    let (journal, _) = Journal::open(config(&mount.path())).unwrap();
    let mut one = session(&journal, 1);
    let mut released = b"before".to_vec();
    pass_on(
        one.write(Kind::Output, 1, "before", 0)
            .unwrap()
            .durable_blocking()
            .unwrap()
            .release(),
    );
    let source = Command::new("findmnt")
        .args(["-no", "SOURCE"])
        .arg(mount.0.path())
        .output()
        .unwrap();
    let device = String::from_utf8(source.stdout).unwrap().trim().replace("/dev/", "");
    std::fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "read-only test").unwrap();
    let (more, halt) = write_until_halt(&mut one, 100, 100_000);
    released.extend(more);
    assert!(
        matches!(halt.reason(), HaltReason::ReadOnly | HaltReason::SyncFailed),
        "{halt}"
    );
    let closed = one.finish_blocking(1_000_000);
    assert_eq!((closed.halt, closed.durable), (Some(halt.reason()), false));
    assert_eq!(journal.notices().stops, 1);
    drop(journal);

    // Nothing could say it then; a restart does: the session never ended.
    drop(mount);
    let again = Mount::new(image.path().to_str().unwrap(), &["-o", "loop"]);
    let (journal, recovery) = Journal::open(config(&again.path())).unwrap();
    assert_eq!((recovery.sessions.len(), recovery.sessions[0].ending), (1, None));
    let played = play(1, journal.extents(&id(1)).unwrap());
    assert_eq!(recorded(&played), released);
}

/// Runs `test` of this file as a process under the shim; it prints nothing unless it fails.
fn under_shim(test: &str, fault: &str) {
    let dir = tempfile::tempdir().unwrap();
    let mut command = child(test);
    command
        .env("LD_PRELOAD", shim())
        .env("COUNTERSIGN_FAULT", fault)
        .env("COUNTERSIGN_FAULT_PATH", ".segment")
        .env("COUNTERSIGN_FAULT_ARM", dir.path().join("armed"))
        .env("COUNTERSIGN_TEST_DIR", dir.path());
    run(&mut command);
}

fn in_child() -> Option<(PathBuf, JournalConfig)> {
    let dir = PathBuf::from(std::env::var_os("COUNTERSIGN_TEST_DIR")?);
    let config = config(&dir.join("journal"));
    Some((dir, config))
}

fn arm(dir: &Path) {
    std::fs::write(dir.join("armed"), "").unwrap();
}

#[test]
fn r076_a_sync_that_fails_once_leaves_a_gap_and_the_session_goes_on() {
    under_shim("child_one_failing_sync", "fdatasync:1:5");
}

#[test]
#[ignore = "a process of its own, started by the test above"]
fn child_one_failing_sync() {
    let Some((dir, config)) = in_child() else { return };
    let (journal, _) = Journal::open(config).unwrap();
    let mut one = session(&journal, 1);
    let mut idle = session(&journal, 2);
    let mut safe = session(&journal, 3);
    for session in [&mut one, &mut safe] {
        pass_on(
            session
                .write(Kind::Output, 1, "synced", 0)
                .unwrap()
                .durable_blocking()
                .unwrap()
                .release(),
        );
    }
    arm(&dir);
    let written = one.write(Kind::Output, 1, "lost?", 10).unwrap();
    pass_on(idle.write(Kind::Output, 1, "idle", 10).unwrap().release());
    assert_eq!(
        written.durable_blocking().err().unwrap().reason(),
        HaltReason::SyncFailed
    );
    pass_on(
        one.write(Kind::Output, 1, "after", 20)
            .unwrap()
            .durable_blocking()
            .unwrap()
            .release(),
    );
    let mut told = Vec::new();
    until("the silent session's gap", || {
        told.extend(journal.notices().gaps);
        told.iter().any(|(session, _)| *session == id(2))
    });
    let closed = one.finish_blocking(30);
    assert_eq!(
        (closed.gaps, closed.lost_frames, closed.durable, closed.halt),
        (1, 1, true, None)
    );
    assert!(idle.finish_blocking(30).durable);
    assert_eq!(safe.finish_blocking(30).gaps, 0);
    told.extend(journal.notices().gaps);
    let mut told: Vec<_> = told
        .iter()
        .map(|(id, gap)| (*id, gap.reason, gap.from, gap.frames))
        .collect();
    told.sort_unstable_by_key(|one| one.0);
    let failed = GapReason::SyncFailed;
    assert_eq!(told, [(id(1), failed, 1, 1), (id(2), failed, 0, 1)], "each once");
    let played = play(1, journal.extents(&id(1)).unwrap());
    let gap = |one: &Played| match one.content {
        Content::Gap(gap) => Some((gap.reason, gap.from, gap.frames)),
        _ => None,
    };
    assert_eq!(played.iter().find_map(gap), Some((GapReason::SyncFailed, 1, 1)));
    let idle = play(2, journal.extents(&id(2)).unwrap());
    assert_eq!(idle.iter().find_map(gap), Some((GapReason::SyncFailed, 0, 1)));
    drop(journal);
    assert_eq!(Journal::open_read_only(&dir.join("journal")).unwrap().1.damage, []);
}

#[test]
fn r012_r076_syncs_that_keep_failing_stop_every_session() {
    under_shim("child_failing_syncs", "fdatasync:1+:5,fsync:1+:5");
}

#[test]
#[ignore = "a process of its own, started by the test above"]
fn child_failing_syncs() {
    let Some((dir, config)) = in_child() else { return };
    let (journal, _) = Journal::open(config).unwrap();
    let mut one = session(&journal, 1);
    pass_on(
        one.write(Kind::Output, 1, "synced", 0)
            .unwrap()
            .durable_blocking()
            .unwrap()
            .release(),
    );
    arm(&dir);
    let (released, halt) = write_until_halt(&mut one, 10, 10_000_000);
    assert_eq!(halt.reason(), HaltReason::SyncFailed);
    assert_eq!(
        halt.to_string(),
        "this session was stopped because it can no longer be recorded: the recording could not be made durable"
    );
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(journal.health().state, State::Stopped(HaltReason::SyncFailed));
    let refused = one.finish_blocking(99);
    assert!(!refused.durable);
    std::fs::remove_file(dir.join("armed")).unwrap();
    until("the journal recovers", || journal.health().state == State::Ok);
    let mut played = play(1, journal.extents(&id(1)).unwrap());
    assert_eq!(played.remove(0).content, Content::Output(b"synced".to_vec()));
    let Content::Halt(gap) = played.last().unwrap().content else {
        panic!("no halt frame")
    };
    assert_eq!((gap.reason, gap.from), (GapReason::SyncFailed, 1));
    assert_eq!(gap.frames, released.len() as u64 / 10);
}

#[test]
fn r012_r076_failing_and_short_writes_stop_every_session() {
    under_shim("child_failing_write", "pwrite:5:5");
    under_shim("child_failing_write", "pwrite:7:short");
}

#[test]
#[ignore = "a process of its own, started by the test above"]
fn child_failing_write() {
    let Some((dir, config)) = in_child() else { return };
    let (journal, _) = Journal::open(config).unwrap();
    let mut one = session(&journal, 1);
    pass_on(
        one.write(Kind::Output, 1, "synced", 0)
            .unwrap()
            .durable_blocking()
            .unwrap()
            .release(),
    );
    arm(&dir);
    let (released, halt) = write_until_halt(&mut one, 1000, 100);
    assert!(matches!(
        halt.reason(),
        HaltReason::WriteFailed | HaltReason::ShortWrite
    ));
    let closed = one.finish_blocking(99_000);
    assert_eq!(closed.halt, Some(halt.reason()));
    until("the journal recovers", || journal.health().state == State::Ok);
    let played = play(1, journal.extents(&id(1)).unwrap());
    let released = [b"synced".as_slice(), &released].concat();
    assert_halted(
        &played,
        &released,
        if halt.reason() == HaltReason::ShortWrite {
            GapReason::ShortWrite
        } else {
            GapReason::WriteFailed
        },
    );
    assert_eq!(recorded(&played), released);
    let mut after = session(&journal, 4);
    pass_on(
        after
            .write(Kind::Output, 1, "new", 0)
            .unwrap()
            .durable_blocking()
            .unwrap()
            .release(),
    );
}

#[test]
fn a_sync_that_never_ends_does_not_hang_who_closes() {
    under_shim("child_close_on_hanging_sync", "fdatasync:1:delay=600000");
}

#[test]
#[ignore = "a process of its own, started by the test above"]
fn child_close_on_hanging_sync() {
    let Some((dir, config)) = in_child() else { return };
    let (journal, _) = Journal::open(config.clone()).unwrap();
    let mut one = session(&journal, 1);
    arm(&dir);
    pass_on(one.write(Kind::Output, 1, "waits", 1).unwrap().release());
    until("it hangs", || journal.health().sync_running.is_some());
    drop(journal);
    // Who still writes there keeps it.
    assert!(matches!(Journal::open(config), Err(OpenError::InUse(_))));
}

#[test]
fn r012_a_sync_that_hangs_stops_every_session_in_time() {
    under_shim("child_slow_sync", "fdatasync:1:delay=1500");
}

#[test]
#[ignore = "a process of its own, started by the test above"]
fn child_slow_sync() {
    let Some((dir, config)) = in_child() else { return };
    let (journal, _) = Journal::open(JournalConfig {
        slow_sync: Duration::from_millis(300),
        ..config
    })
    .unwrap();
    let mut one = session(&journal, 1);
    pass_on(
        one.write(Kind::Output, 1, "synced", 0)
            .unwrap()
            .durable_blocking()
            .unwrap()
            .release(),
    );
    arm(&dir);
    let begun = Instant::now();
    let waiting = one.write(Kind::Output, 1, "waits", 1).unwrap().durable_blocking();
    assert_eq!(waiting.err().unwrap().reason(), HaltReason::SlowSync);
    assert!(
        begun.elapsed() < Duration::from_millis(1400),
        "the wait outlived the limit"
    );
    assert_eq!(
        one.write(Kind::Output, 1, "x", 2).err().unwrap().reason(),
        HaltReason::SlowSync
    );
    assert_eq!(journal.health().state, State::Stopped(HaltReason::SlowSync));
    // While its writer hangs there is no halt frame yet; what is in doubt is known all the same.
    let doubt = one.finish_blocking(3).doubt.unwrap();
    assert_eq!((doubt.reason, doubt.from, doubt.frames), (GapReason::SlowSync, 1, 1));
    until("the journal recovers", || journal.health().state == State::Ok);
    assert_eq!(journal.notices().gaps, []);
    assert_halted(
        &play(1, journal.extents(&id(1)).unwrap()),
        b"synced",
        GapReason::SlowSync,
    );
}

#[test]
fn the_longest_wait_for_a_sync_is_the_sessions_own() {
    under_shim("child_late_sync", "fdatasync:1:delay=600");
}

#[test]
#[ignore = "a process of its own, started by the test above"]
fn child_late_sync() {
    let Some((dir, config)) = in_child() else { return };
    let (journal, _) = Journal::open(config).unwrap();
    let mut one = session(&journal, 1);
    let silent = session(&journal, 2);
    arm(&dir);
    let begun = Instant::now();
    let written = one.write(Kind::Output, 1, "waits", 0).unwrap();
    pass_on(written.durable_blocking().unwrap().release());
    let waited = begun.elapsed();
    let closed = one.finish_blocking(1).longest_unsynced;
    assert!(
        (Duration::from_millis(600)..=waited).contains(&closed),
        "{closed:?} of {waited:?}"
    );
    assert_eq!(silent.finish_blocking(1).longest_unsynced, Duration::ZERO);
}

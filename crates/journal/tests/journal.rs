//! The journal on a storage that works: writing, reading back, rotation, progress, reopening.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set up must stop"
)]

mod keep;

use bytes::Bytes;
use journal::{Ending, HaltReason, Journal, OpenError, SessionError, SessionStart, State};
use keep::{config, dek, id, pass_on, play, session, until};
use recording::{Content, Kind, Resize};
use std::future::Future as _;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

fn outputs(played: &[recording::Played]) -> Vec<u8> {
    let bytes = played.iter().filter_map(|one| match &one.content {
        Content::Output(bytes) => Some(bytes.clone()),
        _ => None,
    });
    bytes.flatten().collect()
}

/// Somebody who waits, and is woken by the journal's own thread.
enum Waiter {
    Panics,
    Drops(Mutex<Option<Journal>>),
}

impl Wake for Waiter {
    fn wake(self: Arc<Self>) {
        match &*self {
            Self::Panics => panic!("a waiter panics"),
            Self::Drops(journal) => drop(journal.lock().unwrap().take()),
        }
    }
}

/// Nobody syncs any more: nothing passes, and the close does not wait for who is not there.
#[test]
fn a_sync_thread_that_panics_stops_every_session_and_hangs_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(config(dir.path())).unwrap();
    let mut one = session(&journal, 1);
    let two = session(&journal, 2);
    let waker = Waker::from(Arc::new(Waiter::Panics));
    let mut halted = Box::pin(two.halted());
    assert!(halted.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    pass_on(one.write(Kind::Output, 1, "kept", 0).unwrap().release());
    until("it stops", || {
        journal.health().state == State::Stopped(HaltReason::SyncFailed)
    });
    assert!(one.write(Kind::Output, 1, "x", 1).is_err());
    drop(journal);
    // A panic in the middle of waking leaves the list of those who wait in disorder.
    std::mem::forget(halted);
    assert_eq!(
        outputs(&play(
            1,
            Journal::open(config(dir.path())).unwrap().0.extents(&id(1)).unwrap()
        )),
        b"kept"
    );
}

#[test]
fn the_last_handle_may_go_in_the_journals_own_thread() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(config(dir.path())).unwrap();
    let mut one = session(&journal, 1);
    let two = session(&journal, 2);
    let waker = Waker::from(Arc::new(Waiter::Drops(Mutex::new(Some(journal)))));
    let mut halted = Box::pin(two.halted());
    assert!(halted.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    pass_on(one.write(Kind::Output, 1, "kept", 0).unwrap().release());
    until("it is closed", || Journal::open(config(dir.path())).is_ok());
}

#[test]
fn what_was_written_is_read_back_by_a_second_run() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, recovery) = Journal::open(config(dir.path())).unwrap();
    assert!(recovery.sessions.is_empty() && recovery.damage.is_empty());
    let mut one = session(&journal, 1);
    let mut two = session(&journal, 2);
    pass_on(
        one.write(Kind::Opened, 1, Bytes::from_static(b"shell"), 5)
            .unwrap()
            .release(),
    );
    let back = one
        .write(Kind::Output, 1, Bytes::from_static(b"hello"), 10)
        .unwrap()
        .release();
    assert_eq!(back, Bytes::from_static(b"hello"));
    pass_on(two.write(Kind::Input, 1, "typed", 3).unwrap().release());
    pass_on(
        one.resize(1, Resize { columns: 80, rows: 24 }, 2_500_000)
            .unwrap()
            .release(),
    );
    let closed = one.finish_blocking(4_000_000);
    assert!(closed.durable && closed.halt.is_none());
    assert_eq!(
        (closed.next_index, closed.extents, closed.totals.bytes_out()),
        (3, 2, 5)
    );
    assert_eq!(closed.totals.longest_silence_us, 2_499_990);
    let played = play(1, journal.extents(&id(1)).unwrap());
    assert_eq!(played.len(), 3);
    assert_eq!(outputs(&played), b"hello");
    drop(two);
    assert_eq!(journal.notices().dropped, [id(2)]);
    drop(journal);

    let (again, recovery) = Journal::open(config(dir.path())).unwrap();
    assert_eq!(recovery.damage, []);
    assert_eq!(recovery.sessions[0].ending, Some(Ending::Finished));
    assert_eq!(recovery.sessions[0].newest.unwrap().chain, closed.chain);
    assert_eq!(recovery.sessions[0].commitment, dek(1).commitment());
    assert_eq!(recovery.sessions[1].ending, Some(Ending::Dropped));
    assert_eq!(play(1, again.extents(&id(1)).unwrap()), played);
    assert_eq!(play(2, again.extents(&id(2)).unwrap()).len(), 1);
    let doubled = SessionStart {
        session: id(1),
        origin: keep::ORIGIN,
        dek: &dek(1),
        opened_at_ms: 0,
    };
    assert!(matches!(again.session(&doubled), Err(SessionError::Doubled)));
}

#[test]
fn a_second_server_on_the_directory_is_refused_and_a_reader_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(config(dir.path())).unwrap();
    let second = Journal::open(config(dir.path())).err().unwrap();
    assert!(matches!(second, OpenError::InUse(_)));
    assert!(second.to_string().contains("belongs to another server that is running"));
    let mut one = session(&journal, 1);
    pass_on(
        one.write(Kind::Output, 0, "x", 0)
            .unwrap()
            .durable_blocking()
            .unwrap()
            .release(),
    );
    let (reader, recovery) = Journal::open_read_only(dir.path()).unwrap();
    assert_eq!(recovery.sessions[0].ending, None);
    assert_eq!(play(1, reader.extents(&id(1)).unwrap()).len(), 1);
}

#[test]
fn many_sessions_share_segments_and_each_reads_back_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(config(dir.path())).unwrap();
    let writers: Vec<_> = (1..=4_u8)
        .map(|number| {
            let mut session = session(&journal, number);
            std::thread::spawn(move || {
                for round in 0..40_u64 {
                    let data = vec![number; 20_000];
                    pass_on(session.write(Kind::Output, 1, data, round * 100_000).unwrap().release());
                }
                pass_on(
                    session
                        .write(Kind::Output, 1, vec![9; 200_000], 5_000_000)
                        .unwrap()
                        .release(),
                );
                session.finish_blocking(5_000_000)
            })
        })
        .collect();
    let closed: Vec<_> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
    for (number, closed) in (1..).zip(&closed) {
        assert!(closed.durable);
        let played = play(number, journal.extents(&closed.session).unwrap());
        assert_eq!(outputs(&played).len(), 1_000_000);
        assert_eq!(played.len() as u64, closed.next_index);
        let later: Vec<_> = journal
            .extents_from(&closed.session, 2)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(later[0].seal.number, 2);
        assert_eq!(later.len() as u64, closed.extents - 2);
    }
    let segments = || std::fs::read_dir(dir.path()).unwrap().count();
    assert!(segments() > 4);
    let before = segments();
    closed
        .iter()
        .for_each(|closed| journal.discard(&closed.session).unwrap());
    assert!(segments() < before);
    drop(journal);
    let (_, recovery) = Journal::open(config(dir.path())).unwrap();
    assert_eq!(
        recovery
            .damage
            .iter()
            .filter(|one| !one.kind.to_string().contains("begin here"))
            .count(),
        0
    );
}

#[test]
fn r055_progress_names_only_synced_extents_and_idle_ones_are_cut() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(config(dir.path())).unwrap();
    let mut one = session(&journal, 1);
    pass_on(one.write(Kind::Output, 0, "a", 0).unwrap().release());
    assert_eq!(journal.progress(), []);
    pass_on(
        one.write(Kind::Output, 0, "b", 2_000_000)
            .unwrap()
            .durable_blocking()
            .unwrap()
            .release(),
    );
    let progress = journal.progress();
    assert_eq!((progress[0].newest.number, progress[0].newest.last), (0, 0));
    assert_eq!(journal.progress(), []);
    let mut newest = None;
    until("the idle extent is cut and synced", || {
        newest = journal.progress().pop().or(newest.take());
        newest.is_some()
    });
    assert_eq!(newest.unwrap().newest.last, 1);
}

#[test]
fn durable_waits_for_a_sync_and_closing_halts_who_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(config(dir.path())).unwrap();
    let mut one = session(&journal, 1);
    let before = journal.health().syncs;
    pass_on(
        one.write(Kind::Output, 0, "x", 1)
            .unwrap()
            .durable_blocking()
            .unwrap()
            .release(),
    );
    assert!(journal.health().syncs > before);
    assert_eq!(
        (journal.health().unsynced_bytes, journal.health().state),
        (0, State::Ok)
    );
    drop(journal);
    let halt = one.write(Kind::Output, 0, "y", 2).err().unwrap();
    assert_eq!(halt.reason(), HaltReason::Closed);
    drop(one);
    let (reader, recovery) = Journal::open_read_only(dir.path()).unwrap();
    assert_eq!(recovery.sessions[0].ending, Some(Ending::Halted));
    let played = play(1, reader.extents(&id(1)).unwrap());
    assert!(matches!(played[1].content, Content::Halt(gap) if gap.frames == 0));
}

#[test]
fn below_the_low_mark_no_session_begins_and_below_the_stop_mark_none_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let low = journal::JournalConfig {
        low_water_bytes: u64::MAX,
        ..config(dir.path())
    };
    let (journal, _) = Journal::open(low).unwrap();
    let start = SessionStart {
        session: id(1),
        origin: keep::ORIGIN,
        dek: &dek(1),
        opened_at_ms: 0,
    };
    assert!(matches!(journal.session(&start), Err(SessionError::LowDisk)));
    assert_eq!(journal.health().state, State::LowDisk);
}

#[test]
fn waits_can_move_between_threads() {
    fn moves<T: Send>(_: &T) {}
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(config(dir.path())).unwrap();
    let mut one = session(&journal, 1);
    moves(
        &one.write(Kind::Output, 0, Bytes::from_static(b"x"), 1)
            .unwrap()
            .durable(),
    );
    moves(&one.halted());
    moves(&one.finish(1));
}

#[test]
fn a_wrong_configuration_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let tiny = journal::JournalConfig {
        segment_bytes: 5,
        ..config(dir.path())
    };
    assert_eq!(
        Journal::open(tiny).err().unwrap().to_string(),
        "segment size `5` is not between 512 KiB and 1 GiB"
    );
}

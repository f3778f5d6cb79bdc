//! Segments that were cut, flipped, doubled or reordered: recovery names the place; arbitrary bytes never panic it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set up must stop"
)]

mod keep;

use std::path::{Path, PathBuf};

use journal::{DamageKind, Journal, ReadError, Recovery};
use keep::{config, id, pass_on, session};
use recording::Kind;

const HEADER: usize = 24;

/// One segment with two finished sessions of three extents each.
fn segment() -> (tempfile::TempDir, PathBuf, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(config(dir.path())).unwrap();
    let (mut one, mut two) = (session(&journal, 1), session(&journal, 2));
    for round in 0..6_u64 {
        pass_on(
            one.write(Kind::Output, 1, "some output", round * 1_000_000)
                .unwrap()
                .release(),
        );
        pass_on(
            two.write(Kind::Input, 1, "some input", round * 1_000_000)
                .unwrap()
                .release(),
        );
    }
    assert!(one.finish_blocking(6_000_000).durable && two.finish_blocking(6_000_000).durable);
    drop(journal);
    let path = dir.path().join(format!("{:016x}.segment", 1));
    let bytes = std::fs::read(&path).unwrap();
    (dir, path, bytes)
}

fn recover(dir: &Path) -> Recovery {
    Journal::open_read_only(dir).unwrap().1
}

#[test]
fn an_undamaged_segment_is_called_undamaged() {
    let (dir, _, bytes) = segment();
    let recovery = recover(dir.path());
    assert_eq!((recovery.damage.len(), recovery.sessions.len()), (0, 2));
    assert_eq!(recovery.bytes, bytes.len() as u64);
}

#[test]
fn every_flipped_byte_is_noticed_at_or_after_its_place() {
    let (dir, path, good) = segment();
    for place in 0..good.len() {
        let mut bad = good.clone();
        bad[place] ^= 0x10;
        std::fs::write(&path, &bad).unwrap();
        let recovery = recover(dir.path());
        assert!(!recovery.damage.is_empty(), "byte {place}");
        let lost_sessions = recovery.sessions.len() < 2 && place < HEADER;
        assert!(
            lost_sessions || recovery.damage.iter().any(|one| one.offset + 200 >= place as u64),
            "byte {place}"
        );
    }
}

#[test]
fn a_cut_segment_is_a_torn_write_and_the_rest_is_whole() {
    let (dir, path, good) = segment();
    for length in (HEADER..good.len()).step_by(7) {
        std::fs::write(&path, &good[..length]).unwrap();
        let recovery = recover(dir.path());
        let torn = recovery
            .damage
            .iter()
            .filter(|one| matches!(one.kind, DamageKind::Torn(_)))
            .count();
        assert_eq!(recovery.damage.len(), torn, "{:?}", recovery.damage);
        assert!(torn <= 1);
    }
}

#[test]
fn a_hole_is_named_and_what_follows_is_found() {
    let (dir, path, mut bad) = segment();
    // The second session's header record begins after the first session's header and frame.
    let start = 200;
    let length = 600;
    bad[start..start + length].fill(0);
    std::fs::write(&path, &bad).unwrap();
    let recovery = recover(dir.path());
    assert!(
        recovery
            .damage
            .iter()
            .any(|one| matches!(one.kind, DamageKind::Hole(_) | DamageKind::Unwritten(_)))
    );
    assert_eq!(recovery.sessions[0].next_index, 6);
    let missing: u64 = recovery.sessions[0]
        .missing
        .iter()
        .map(|frames| frames.end - frames.start)
        .sum();
    assert_eq!(missing + recovery.sessions[0].totals.frames(), 6);
    assert!(missing > 0);
}

#[test]
fn a_doubled_or_renamed_segment_is_not_taken_for_another() {
    let (dir, path, good) = segment();
    std::fs::write(dir.path().join(format!("{:016x}.segment", 2)), &good).unwrap();
    let recovery = recover(dir.path());
    assert_eq!((recovery.damage.len(), recovery.damage[0].segment), (1, 2));
    assert_eq!(recovery.damage[0].kind, DamageKind::NotThisSegment);
    // Its own contents twice within one file.
    std::fs::remove_file(dir.path().join(format!("{:016x}.segment", 2))).unwrap();
    std::fs::write(&path, [&good[..], &good[HEADER..]].concat()).unwrap();
    let doubled = recover(dir.path());
    assert!(doubled.damage.iter().all(|one| one.offset >= good.len() as u64));
    assert!(
        doubled
            .damage
            .iter()
            .any(|one| one.kind.to_string().contains("second time"))
    );
    assert_eq!(doubled.sessions[0].next_index, 6);
}

#[test]
fn a_damaged_extent_is_refused_on_reading_and_the_next_is_read() {
    let (dir, path, good) = segment();
    let place = good.windows(4).position(|four| four == b"CSF\x01").unwrap() + 50;
    let mut bad = good;
    bad[place] ^= 1;
    std::fs::write(&path, &bad).unwrap();
    let (reader, _) = Journal::open_read_only(dir.path()).unwrap();
    let read: Vec<_> = reader.extents(&id(1)).unwrap().collect();
    assert_eq!(read.len(), 3);
    assert!(matches!(read[0], Err(ReadError::Damaged { extent: 0, .. })));
    assert!(read[1].is_ok() && read[2].is_ok());
}

#[test]
fn arbitrary_segments_never_panic_recovery() {
    let (_dir, _, good) = segment();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random >> 33).unwrap()
    };
    let rounds = if std::env::var_os("COUNTERSIGN_SOAK").is_some() {
        200_000
    } else {
        3_000
    };
    for _ in 0..rounds {
        let mut data = good[HEADER..].to_vec();
        for _ in 0..=next() % 6 {
            let (from, length) = (next() % data.len().max(1), next() % 300);
            match next() % 4 {
                0 => data.truncate(from),
                1 => data.extend_from_within(from.min(data.len())..data.len().min(from + length)),
                2 if !data.is_empty() => data[from] ^= next().to_le_bytes()[0],
                _ => drop(data.drain(from.min(data.len())..data.len().min(from + length))),
            }
        }
        journal::fuzz::fuzz_one(&data);
    }
}

//! Golden vectors: the bytes of one entry of each type, from the fixed world, beside the format document's examples.
//! A change of any byte here is a change of the grammar. `UPDATE_VECTORS=1` writes them anew.
#![allow(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set up must stop"
)]

use model::apply::{Snapshot, apply};
use model::body::Body;
use model::entry::{Entry, EntryError, Placed};
use model::fixture::{World, seed};
use model::statement::ActionClass;

fn history() -> World {
    let mut world = World::default();
    let grant = world.granted();
    let session = world.open(grant);
    world.exec(session, "systemctl restart nginx", 0);
    world.progress(session, World::recorded(2, 1));
    let (_, _, refused, _) = world.intended(session, ActionClass::Forward, None);
    world.force(refused, Some(session));
    let kill = world.kill(seed::OLGA, session);
    world.append_in(session, kill);
    world.close(session, World::recorded(3, 2));
    let revocation = world.revocation(seed::BOB, grant);
    world.append(revocation);
    world
}

#[test]
fn the_log_is_golden() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/log.jsonl");
    let text: Vec<u8> = history()
        .log
        .iter()
        .flat_map(|line| [line.as_slice(), b"\n"].concat())
        .collect();
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors")).unwrap();
        std::fs::write(path, &text).unwrap();
    }
    assert_eq!(std::fs::read(path).unwrap(), text, "the grammar's bytes have changed");
}

#[test]
fn replay_of_the_golden_log_refuses_exactly_the_forced_entry() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/log.jsonl")).unwrap();
    let mut state = Snapshot::empty();
    let mut refused = vec![];
    for (index, line) in text.lines().enumerate() {
        let placed = Placed::parse(index as u64, line.as_bytes()).unwrap();
        assert_eq!(placed.entry.encode().unwrap(), line.as_bytes());
        match apply(&state, &placed) {
            Ok(changes) => state.accept(changes),
            Err(why) => refused.push((placed.entry.body.kind(), why.code())),
        }
    }
    assert_eq!(refused, [("action.intended", "action_not_granted")]);
}

#[test]
fn a_newer_grammar_is_never_called_tampering() {
    let world = history();
    let line = String::from_utf8(world.log[2].clone()).unwrap();
    let newer = line.replace("\"v\":1", "\"v\":2");
    assert!(matches!(Entry::parse(newer.as_bytes()), Err(EntryError::Newer(_))));
    let reserved = line.replace("node.started", "verdict.issued");
    assert!(matches!(Entry::parse(reserved.as_bytes()), Err(EntryError::Newer(_))));
    let unknown = line.replace("node.started", "node.stopped");
    assert!(matches!(
        Entry::parse(unknown.as_bytes()),
        Err(EntryError::UnknownType(_))
    ));
    let extra = line.replace("\"v\":1", "\"u\":1,\"v\":1");
    assert!(matches!(Entry::parse(extra.as_bytes()), Err(EntryError::Json(_))));
}

#[test]
fn no_single_bit_of_an_entry_can_change_unseen() {
    let world = history();
    for line in world
        .log
        .iter()
        .filter(|l| matches!(Entry::parse(l).unwrap().body, Body::Opened(_) | Body::Approved(_)))
    {
        let hash = model::bytes::Digest::of(line);
        for at in 0..line.len() {
            let mut flipped = line.clone();
            flipped[at] ^= 1;
            assert_ne!(model::bytes::Digest::of(&flipped), hash);
            model::fuzz::entry(&flipped);
        }
    }
}

#[test]
fn fuzz_functions_hold_over_mutations_of_the_golden_log() {
    let world = history();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed as usize
    };
    for _ in 0..4000 {
        let mut bytes = world.log[next() % world.log.len()].clone();
        for _ in 0..1 + next() % 4 {
            let at = next() % bytes.len();
            match next() % 4 {
                0 => bytes[at] = next() as u8,
                1 => bytes.insert(at, next() as u8),
                2 => drop(bytes.remove(at)),
                _ => bytes.truncate(at.max(1)),
            }
        }
        model::fuzz::entry(&bytes);
        model::fuzz::json(&bytes);
        model::fuzz::statement(&bytes);
        model::fuzz::signature(&bytes);
    }
}

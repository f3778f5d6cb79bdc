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
use model::body::{ActionRefused, AttemptRefused, Body, Gap, GapCause, Lost, RefusalCount, RefusalsCounted};
use model::chain::Attachment;
use model::entity::EntityKey;
use model::entry::{BlobKind, Entry, EntryError, Placed};
use model::fixture::{World, commitment, identity, seed, signed};
use model::id::ActionId;
use model::statement::{ActionClass, Denial};
use std::collections::BTreeSet;

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
    refusals(&mut world);
    loss(&mut world);
    world
}

/// What was asked for and not had: a request, an attempt, callers that nobody knows.
fn refusals(world: &mut World) {
    let (entry, requested, openings) = world.request(seed::ALICE);
    let Body::Requested(made) = &requested else {
        unreachable!()
    };
    let request = made.statement.request;
    let openings = Attachment {
        kind: BlobKind::Openings,
        bytes: model::json::to_vec(&openings).unwrap(),
    };
    world.append_as(entry, requested, None, vec![openings]);
    let denial = Denial {
        request,
        request_hash: world.state.request(&EntityKey::request(request)).unwrap().hash,
        approver: identity(seed::OLGA),
        at_ms: world.now_ms,
    };
    world.append(Body::Denied(signed(&[seed::OLGA], &world.terms.origin.clone(), denial)));
    let entry = world.entry_id();
    let attempt = AttemptRefused {
        identity: identity(seed::ALICE),
        operation: "open".into(),
        object: commitment(entry, "object", "root+db1"),
        code: "no_grant".into(),
    };
    world.append_as(entry, Body::AttemptRefused(attempt), None, vec![]);
    world.append(Body::RefusalsCounted(RefusalsCounted {
        listener: "ssh".into(),
        from_ms: world.now_ms - 60_000,
        until_ms: world.now_ms,
        counts: vec![RefusalCount {
            code: "unknown_key".into(),
            count: 3,
        }],
    }));
}

/// A session whose gateway dies after a gap; then its person leaves.
fn loss(world: &mut World) {
    let grant = world.granted();
    let session = world.open(grant);
    let refused = ActionRefused {
        action: ActionId::from_bytes([1; 16]),
        class: None,
        wanted: "x11-req".into(),
        command: None,
        code: "not_forwarded".into(),
    };
    world.append_in(session, Body::ActionRefused(refused));
    let gap = Gap {
        session,
        first: 4,
        next: Some(6),
        cause: GapCause::SyncFailed,
    };
    world.append_in(session, Body::Gap(gap));
    let lost = Lost {
        seen_ms: world.now_ms,
        recorded: World::recorded(7, 2),
    };
    world.append_in(session, Body::Lost(lost));
    let disabled = world.disablement(seed::OPERATOR_ROOT, seed::ALICE);
    world.append(disabled);
}

#[test]
fn the_golden_log_has_each_type() {
    let kinds: BTreeSet<_> = history()
        .log
        .iter()
        .map(|line| Entry::parse(line).unwrap().body.kind())
        .collect();
    assert_eq!(kinds, Body::KINDS.iter().copied().collect());
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
    let unlike = Entry::parse(br#"{"type":[],"v":2}"#);
    assert!(matches!(unlike, Err(EntryError::Newer(_))));
    // There is no version 0, whatever its type.
    for kind in ["node.started", "verdict.issued"] {
        let zero = line.replace("\"v\":1", "\"v\":0").replace("node.started", kind);
        assert!(
            matches!(Entry::parse(zero.as_bytes()), Err(EntryError::Json(_))),
            "{kind}"
        );
    }
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
                2 if bytes.len() > 1 => drop(bytes.remove(at)),
                _ => bytes.truncate(at.max(1)),
            }
        }
        model::fuzz::entry(&bytes);
        model::fuzz::json(&bytes);
        model::fuzz::statement(&bytes);
        model::fuzz::signature(&bytes);
    }
}

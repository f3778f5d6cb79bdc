//! The rules of `add-checkpoint`, without HTTP.

use std::sync::Arc;

use keeper::witness::{self, Refusal, Trouble, Witness};
use ledger::{KeyName, NoteKey, SignedCheckpoint};

use crate::log::{ENTRIES, Home, Log, only};

fn cosigned_at(witness: &Witness, log: &Log, old: u64, size: u64) -> u64 {
    let line = witness.add_checkpoint(log.submission(old, size).as_bytes()).unwrap();
    let mut signed = log.signed(size);
    signed.add(line).unwrap();
    signed.cosigned_at(witness.verifier()).unwrap().unwrap()
}

#[test]
fn the_same_head_is_cosigned_again_with_the_new_time() {
    let log = Log::new("log.example/acme", "a");
    let home = Home::new(&log);
    let witness = home.open();
    assert_eq!(cosigned_at(&witness, &log, 0, 5), 1_700_000_000);
    home.set_clock(1_700_000_007);
    assert_eq!(cosigned_at(&witness, &log, 5, 5), 1_700_000_007);
    assert_eq!(cosigned_at(&witness, &log, 5, 5), 1_700_000_007);
    assert_eq!(cosigned_at(&witness, &log, 5, 300), 1_700_000_007);
}

#[test]
fn a_fork_is_refused_and_both_notes_are_kept() {
    let (log, other) = (Log::new("log.example/acme", "a"), Log::new("log.example/acme", "b"));
    let home = Home::new(&log);
    let witness = home.open();
    cosigned_at(&witness, &log, 0, 5);
    for _ in 0..2 {
        let refusal = witness.add_checkpoint(other.submission(5, 5).as_bytes()).unwrap_err();
        assert!(matches!(refusal, Refusal::Fork { size: 5, .. }), "{refusal}");
    }
    let kept = only(&witness.forks());
    for (name, head) in [("cosigned", log.head(5)), ("refused", other.head(5))] {
        let note = SignedCheckpoint::parse(&std::fs::read(kept.join(name)).unwrap()).unwrap();
        assert_eq!(note.checkpoint().head(), &head);
        assert_eq!(note.is_signed_by(log.key.verifier()), Ok(true));
    }
    // The fork changed nothing: the first history goes on, the second does not.
    assert!(matches!(
        witness.add_checkpoint(other.submission(5, 9).as_bytes()),
        Err(Refusal::NotConsistent)
    ));
    cosigned_at(&witness, &log, 5, 9);
}

#[test]
fn a_clock_set_back_stops_the_log_until_it_caught_up() {
    let log = Log::new("log.example/acme", "a");
    let home = Home::new(&log);
    let witness = home.open();
    cosigned_at(&witness, &log, 0, 5);
    home.set_clock(1_699_999_990);
    for (old, size) in [(5, 5), (5, 9)] {
        let refusal = witness
            .add_checkpoint(log.submission(old, size).as_bytes())
            .unwrap_err();
        assert!(matches!(refusal, Refusal::Unavailable(Trouble::Clock(10))), "{refusal}");
    }
    drop(witness);
    let witness = home.open();
    let refusal = witness.add_checkpoint(log.submission(5, 9).as_bytes()).unwrap_err();
    assert!(matches!(refusal, Refusal::Unavailable(Trouble::Clock(10))), "{refusal}");
    home.set_clock(1_700_000_000);
    cosigned_at(&witness, &log, 5, 9);
}

#[test]
fn a_time_that_no_cosignature_can_carry_is_refused() {
    let log = Log::new("log.example/acme", "a");
    let home = Home::new(&log);
    home.set_clock(u64::MAX);
    let refusal = home.open().add_checkpoint(log.submission(0, 5).as_bytes()).unwrap_err();
    assert!(matches!(refusal, Refusal::Unavailable(Trouble::NoTime)), "{refusal}");
    home.set_clock(1_700_000_000);
    let witness = home.open();
    cosigned_at(&witness, &log, 0, 5);
}

#[test]
fn the_list_of_logs_is_read_when_it_changes() {
    let (log, second) = (Log::new("log.example/acme", "a"), Log::new("log.example/second", "a"));
    let home = Home::new(&log);
    let witness = home.open();
    let submit = |log: &Log| witness.add_checkpoint(log.submission(0, 5).as_bytes());
    assert!(matches!(submit(&second), Err(Refusal::UnknownOrigin(_))));
    witness::add_log(&home.path, &second.key.verifier().to_string()).unwrap();
    submit(&second).unwrap();
    // A broken edit is not followed: who was known stays known, and nobody is added.
    let third = Log::new("log.example/third", "a");
    let list = home.path.join("logs");
    let good = std::fs::read_to_string(&list).unwrap();
    std::fs::write(&list, format!("{good}{}\nnonsense\n", third.key.verifier())).unwrap();
    assert!(matches!(submit(&third), Err(Refusal::UnknownOrigin(_))));
    witness.add_checkpoint(second.submission(5, 6).as_bytes()).unwrap();
    std::fs::write(&list, format!("{good}\n  # a comment\n{}\n", third.key.verifier())).unwrap();
    submit(&third).unwrap();
    // A log that is taken off the list is unknown; put back, it goes on where it was.
    std::fs::write(&list, "").unwrap();
    assert!(matches!(
        witness.add_checkpoint(second.submission(6, 7).as_bytes()),
        Err(Refusal::UnknownOrigin(_))
    ));
    std::fs::write(&list, good).unwrap();
    witness.add_checkpoint(second.submission(6, 7).as_bytes()).unwrap();
}

#[test]
fn a_log_may_have_several_keys() {
    let log = Log::new("log.example/acme", "a");
    let home = Home::new(&log);
    let newer = NoteKey::from_seed(KeyName::new("log.example/acme").unwrap(), &[4; 32]);
    let witness = home.open();
    let by_newer = |old, size| {
        let signed = log.signed_by(size, &newer);
        ledger::Submission::new(old, log.proof(old, size), signed)
            .unwrap()
            .to_string()
    };
    assert!(matches!(
        witness.add_checkpoint(by_newer(0, 5).as_bytes()),
        Err(Refusal::NotSigned(_))
    ));
    witness::add_log(&home.path, &newer.verifier().to_string()).unwrap();
    witness.add_checkpoint(by_newer(0, 5).as_bytes()).unwrap();
    cosigned_at(&witness, &log, 5, 9);
}

#[test]
fn only_keys_of_logs_are_added() {
    let log = Log::new("log.example/acme", "a");
    let home = Home::new(&log);
    let before = std::fs::read(home.path.join("logs")).unwrap();
    assert!(witness::add_log(&home.path, &home.key.verifier().to_string()).is_err());
    assert!(witness::add_log(&home.path, "nonsense").is_err());
    witness::add_log(&home.path, &log.key.verifier().to_string()).unwrap();
    assert_eq!(
        std::fs::read(home.path.join("logs")).unwrap(),
        before,
        "adding twice changes nothing"
    );
}

/// The race of the specification: two submissions from one old size must not both be taken.
#[test]
fn concurrent_submissions_never_roll_back() {
    let log = Arc::new(Log::new("log.example/acme", "a"));
    let home = Home::new(&log);
    let witness = Arc::new(home.open());
    let threads: Vec<_> = (0..8u64)
        .map(|thread| {
            let (log, witness) = (Arc::clone(&log), Arc::clone(&witness));
            std::thread::spawn(move || {
                let (mut old, mut taken) = (0, Vec::new());
                while old + thread < ENTRIES {
                    let size = old + 1 + thread;
                    match witness.add_checkpoint(log.submission(old, size.min(ENTRIES)).as_bytes()) {
                        Ok(_) => {
                            taken.push((old, size.min(ENTRIES)));
                            old = size.min(ENTRIES);
                        }
                        Err(Refusal::OldSize { latest }) => {
                            assert!(latest > old, "the witness went back from {old} to {latest}");
                            old = latest;
                        }
                        Err(other) => panic!("{other}"),
                    }
                }
                taken
            })
        })
        .collect();
    let mut taken: Vec<(u64, u64)> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    taken.sort_unstable();
    for pair in taken.windows(2) {
        assert_eq!(pair[0].1, pair[1].0, "each step begins where the one before ended");
    }
}

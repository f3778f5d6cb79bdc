//! Entry point for fuzzers: what a witness may answer, as any bytes.

use std::sync::OnceLock;

use ledger::consistency::Head;
use ledger::{Checkpoint, Hash, KeyName, NoteKey, SignedCheckpoint, WitnessKey};

use crate::cosign::check;

/// The body of an answer that should hold a cosignature.
///
/// # Panics
/// When a line is taken that does not cosign the head in question.
pub fn answer(data: &[u8]) {
    static HEAD: OnceLock<Option<SignedCheckpoint>> = OnceLock::new();
    let Ok(name) = KeyName::new("witness.example/w1") else {
        return;
    };
    let key = WitnessKey::from_seed(name, &[7; 32]).verifier().clone();
    let head = HEAD.get_or_init(head);
    assert!(head.is_some(), "no head could be signed");
    if let Some(head) = head
        && let Ok(signature) = check(&String::from_utf8_lossy(data), &key, head)
    {
        let mut cosigned = head.clone();
        assert!(cosigned.add(signature).is_ok());
        assert!(matches!(cosigned.cosigned_at(&key), Ok(Some(_))));
    }
}

fn head() -> Option<SignedCheckpoint> {
    let log = NoteKey::from_seed(KeyName::new("log.example/acme").ok()?, &[3; 32]);
    let head = Head {
        size: 3,
        root: Hash::EMPTY_ROOT,
    };
    Checkpoint::new(log.verifier().name().clone(), head).sign(&log).ok()
}

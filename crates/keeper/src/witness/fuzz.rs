//! What a witness reads: submissions from strangers, and the files of its folder.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use ledger::consistency::Head;
use ledger::{Checkpoint, KeyName, NoteKey, Submission, Tree, WitnessKey, hash};

use super::record::Record;
use super::{Witness, create, file, logs};

/// Size of the tree that the fuzzed witness has seen.
const SEEN: u64 = 3;

/// Bodies of `add-checkpoint`: a witness that has cosigned three entries of one log judges them. Its folder is gone by
/// then, so that nothing is ever written and each submission meets the same state.
///
/// # Panics
/// When another head than the one that it has seen is cosigned without a record, or no witness can be made.
pub fn submission(data: &[u8]) {
    static WITNESS: OnceLock<Option<Witness>> = OnceLock::new();
    let witness = WITNESS.get_or_init(witness);
    assert!(
        witness.is_some(),
        "no witness could be made in the folder for temporary files"
    );
    if witness
        .as_ref()
        .is_some_and(|witness| witness.add_checkpoint(data).is_ok())
    {
        let cosigned = Submission::parse(data).map(|submission| submission.checkpoint().checkpoint().head().size);
        assert_eq!(cosigned.ok(), Some(SEEN), "a head was cosigned that is not on record");
    }
}

/// The folder's files: records, the list of logs, and the form of both.
///
/// # Panics
/// When an accepted record has a second spelling.
pub fn files(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    drop(logs::parse(Path::new("logs"), text));
    assert!(file::open(text, "form v1").is_none_or(|content| text.ends_with(content)));
    if let Some(record) = Record::parse(text) {
        assert_eq!(
            Record::parse(&record.content()).map(|again| again.content()),
            Some(record.content())
        );
    }
}

fn log() -> Option<NoteKey> {
    Some(NoteKey::from_seed(KeyName::new("log.example/acme").ok()?, &[3; 32]))
}

fn witness() -> Option<Witness> {
    let folder = std::env::temp_dir().join(format!("countersign-fuzz-{}", std::process::id()));
    // Another process of this number may have left it, half made.
    drop(std::fs::remove_dir_all(&folder));
    let made = prepared(&folder);
    drop(std::fs::remove_dir_all(&folder));
    made
}

fn prepared(folder: &Path) -> Option<Witness> {
    let key = WitnessKey::from_seed(KeyName::new("witness.example/w1").ok()?, &[7; 32]);
    create(folder, &key).ok()?;
    logs::add_log(folder, &log()?.verifier().to_string()).ok()?;
    let witness = Witness::open(folder, Arc::new(|| 1_700_000_000)).ok()?;
    let mut tree = Tree::new();
    for n in 0..SEEN {
        tree.append(hash::leaf(&n.to_be_bytes())).ok()?;
    }
    let head = Head {
        size: tree.size(),
        root: tree.root(),
    };
    let signed = Checkpoint::new(log()?.verifier().name().clone(), head)
        .sign(&log()?)
        .ok()?;
    let first = Submission::new(0, vec![], signed).ok()?;
    witness.add_checkpoint(first.to_string().as_bytes()).ok()?;
    Some(witness)
}

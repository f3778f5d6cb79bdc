//! A log that the tests grow at will, and a folder with a witness for it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use keeper::witness::{self, Clock, Witness};
use ledger::consistency::{self, Head};
use ledger::tree::{self, Node};
use ledger::{Checkpoint, Hash, KeyName, NoteKey, SignedCheckpoint, Submission, Tree, WitnessKey, hash};

pub(crate) const ENTRIES: u64 = 600;

pub(crate) struct Log {
    pub(crate) key: NoteKey,
    nodes: BTreeMap<Node, Hash>,
}

impl Log {
    /// A log of [`ENTRIES`] entries that are told apart by `world`.
    pub(crate) fn new(origin: &str, world: &str) -> Self {
        let mut nodes = BTreeMap::new();
        let mut tree = Tree::new();
        for index in 0..ENTRIES {
            let leaf = hash::leaf(format!("{world} {index}").as_bytes());
            tree.append_with(leaf, |node, hash| _ = nodes.insert(node, *hash))
                .unwrap();
        }
        Self {
            key: NoteKey::from_seed(KeyName::new(origin).unwrap(), &[3; 32]),
            nodes,
        }
    }

    fn read(&self, node: Node) -> Result<Hash, Node> {
        self.nodes.get(&node).copied().ok_or(node)
    }

    pub(crate) fn head(&self, size: u64) -> Head {
        Head {
            size,
            root: tree::root(size, |node| self.read(node)).unwrap(),
        }
    }

    pub(crate) fn signed(&self, size: u64) -> SignedCheckpoint {
        self.signed_by(size, &self.key)
    }

    pub(crate) fn signed_by(&self, size: u64, key: &NoteKey) -> SignedCheckpoint {
        Checkpoint::new(key.verifier().name().clone(), self.head(size))
            .sign(key)
            .unwrap()
    }

    pub(crate) fn proof(&self, old: u64, size: u64) -> Vec<Hash> {
        consistency::prove(old, size, |node| self.read(node)).unwrap()
    }

    /// What the log sends to grow a witness from `old` to `size`.
    pub(crate) fn submission(&self, old: u64, size: u64) -> String {
        Submission::new(old, self.proof(old, size), self.signed(size))
            .unwrap()
            .to_string()
    }
}

/// A witness folder, its key, and a clock that stands still until it is set.
pub(crate) struct Home {
    _folder: tempfile::TempDir,
    pub(crate) path: PathBuf,
    pub(crate) key: WitnessKey,
    pub(crate) now: Arc<AtomicU64>,
}

impl Home {
    /// A new witness that knows the log.
    pub(crate) fn new(log: &Log) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("witness");
        let key = witness::generate_key(KeyName::new("witness.example/w1").unwrap()).unwrap();
        witness::create(&path, &key).unwrap();
        witness::add_log(&path, &log.key.verifier().to_string()).unwrap();
        Self {
            _folder: folder,
            path,
            key,
            now: Arc::new(AtomicU64::new(1_700_000_000)),
        }
    }

    pub(crate) fn clock(&self) -> Clock {
        let now = Arc::clone(&self.now);
        Arc::new(move || now.load(Ordering::Relaxed))
    }

    pub(crate) fn set_clock(&self, now: u64) {
        self.now.store(now, Ordering::Relaxed);
    }

    pub(crate) fn open(&self) -> Witness {
        Witness::open(&self.path, self.clock()).unwrap()
    }

    /// Why the folder cannot be opened.
    pub(crate) fn refused(&self) -> String {
        Witness::open(&self.path, self.clock())
            .err()
            .expect("the folder was opened")
            .to_string()
    }

    pub(crate) fn record(&self) -> PathBuf {
        only(&self.path.join("records"))
    }
}

/// The one file in a folder.
pub(crate) fn only(folder: &Path) -> PathBuf {
    let mut entries = std::fs::read_dir(folder).unwrap();
    let path = entries.next().unwrap().unwrap().path();
    assert!(entries.next().is_none(), "more than one file in {}", folder.display());
    path
}

//! A disk that keeps what was synced and any part of the rest, rebuilt from what the shim recorded.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::ops::Range;
use std::path::Path;

/// Bytes that a disk writes whole or not at all.
const SECTOR: usize = 512;

/// One change, as recorded.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Write(String, usize, Vec<u8>),
    Truncate(String, usize),
    Synced(String),
    SyncFailed(String),
    Created(String),
    Renamed(String, String),
    Unlinked(String),
    DirectorySynced,
}

/// Calls that count for stopping.
pub(crate) fn counted(log: &[u8]) -> u64 {
    parse(log).len() as u64
}

pub(crate) fn parse(log: &[u8]) -> Vec<Op> {
    let mut rest = log;
    let mut take = |n: usize| {
        let (head, tail) = rest.split_at(n);
        rest = tail;
        head
    };
    let mut ops = vec![];
    let mut left = log.len();
    while left > 0 {
        let kind = take(1)[0];
        let length = usize::from(u16::from_ne_bytes(take(2).try_into().unwrap()));
        let path = String::from_utf8(take(length).to_vec()).unwrap();
        let number = usize::try_from(u64::from_ne_bytes(take(8).try_into().unwrap())).unwrap();
        let size = usize::try_from(u32::from_ne_bytes(take(4).try_into().unwrap())).unwrap();
        let bytes = take(size).to_vec();
        left -= 1 + 2 + length + 8 + 4 + size;
        ops.push(match kind {
            b'W' => Op::Write(path, number, bytes),
            b'T' => Op::Truncate(path, number),
            b'S' => Op::Synced(path),
            b'E' => Op::SyncFailed(path),
            b'C' => Op::Created(path),
            b'R' => Op::Renamed(path, String::from_utf8(bytes).unwrap()),
            b'U' => Op::Unlinked(path),
            b'D' => Op::DirectorySynced,
            other => panic!("no such record: {other}"),
        });
    }
    ops
}

#[derive(Debug, Clone)]
enum Pending {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

/// One file: what is certainly on the disk, and what may be.
#[derive(Debug, Clone, Default)]
struct Inode {
    synced: Vec<u8>,
    pending: Vec<Pending>,
    /// Written before a sync that failed: the system calls it clean, so that no later sync writes it again.
    doubtful: Vec<(usize, Vec<u8>)>,
}

#[derive(Debug, Clone)]
enum Naming {
    Created(String, usize),
    Renamed(String, String),
    Unlinked(String),
}

/// Deterministic choices of what survives.
pub(crate) struct Luck(pub(crate) u64);

impl Luck {
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

/// How much of what was not synced survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    Nothing,
    Everything,
    Some,
}

/// The disk while the recorded process ran.
#[derive(Default, Clone)]
pub(crate) struct Disk {
    inodes: Vec<Inode>,
    /// Names as the process sees them.
    names: HashMap<String, usize>,
    /// Names as they are on the disk.
    named: BTreeMap<String, usize>,
    /// Names that are not synced, in the order in which a journalling file system keeps them.
    naming: Vec<Naming>,
}

impl Disk {
    pub(crate) fn follow(&mut self, op: &Op) {
        match op {
            Op::Write(path, at, bytes) => self.pend(path, Pending::Write(*at, bytes.clone())),
            Op::Truncate(path, length) => self.pend(path, Pending::Truncate(*length)),
            Op::Synced(path) => self.inode(path).sync(),
            Op::SyncFailed(path) => self.inode(path).lose(),
            Op::Created(path) => {
                let fresh = self.inodes.len();
                self.inodes.push(Inode::default());
                self.names.insert(path.clone(), fresh);
                self.naming.push(Naming::Created(path.clone(), fresh));
            }
            Op::Renamed(from, to) => {
                if let Some(inode) = self.names.remove(from) {
                    self.names.insert(to.clone(), inode);
                }
                self.naming.push(Naming::Renamed(from.clone(), to.clone()));
            }
            Op::Unlinked(path) => {
                self.names.remove(path);
                self.naming.push(Naming::Unlinked(path.clone()));
            }
            Op::DirectorySynced => {
                for naming in std::mem::take(&mut self.naming) {
                    rename(&mut self.named, &naming);
                }
            }
        }
    }

    fn inode(&mut self, path: &str) -> &mut Inode {
        let at = self.names[path];
        &mut self.inodes[at]
    }

    fn pend(&mut self, path: &str, pending: Pending) {
        self.inode(path).pending.push(pending);
    }

    /// Writes what a crash now would leave into `directory`; `root` is where the process thought it was.
    pub(crate) fn leave(&self, root: &str, directory: &Path, rest: Rest, luck: &mut Luck) {
        let mut named = self.named.clone();
        let kept = match rest {
            Rest::Nothing => 0,
            Rest::Everything => self.naming.len(),
            Rest::Some => usize::try_from(luck.below(self.naming.len() as u64 + 1)).unwrap(),
        };
        for naming in &self.naming[..kept] {
            rename(&mut named, naming);
        }
        for (path, inode) in named {
            let name = path.strip_prefix(root).unwrap().trim_start_matches('/');
            if name != "answers" {
                fs::write(directory.join(name), self.inodes[inode].left(rest, luck)).unwrap();
            }
        }
    }

    /// What the process had said by now.
    pub(crate) fn said(&self, path: &str) -> Vec<u8> {
        let Some(at) = self.names.get(path) else { return vec![] };
        self.inodes[*at].left(Rest::Everything, &mut Luck(0))
    }
}

fn rename(named: &mut BTreeMap<String, usize>, naming: &Naming) {
    match naming {
        Naming::Created(path, inode) => {
            named.insert(path.clone(), *inode);
        }
        Naming::Renamed(from, to) => {
            if let Some(inode) = named.remove(from) {
                named.insert(to.clone(), inode);
            }
        }
        Naming::Unlinked(path) => {
            named.remove(path);
        }
    }
}

impl Inode {
    fn sync(&mut self) {
        for pending in std::mem::take(&mut self.pending) {
            // What is written anew is no longer in doubt.
            match &pending {
                Pending::Write(at, bytes) => self.settle(*at..at + bytes.len()),
                Pending::Truncate(length) => self.settle(*length..usize::MAX),
            }
            apply(&mut self.synced, &pending);
        }
    }

    fn lose(&mut self) {
        for pending in std::mem::take(&mut self.pending) {
            match pending {
                Pending::Write(at, bytes) => self.doubtful.push((at, bytes)),
                // Lengths are metadata, and go through the file system's own journal.
                Pending::Truncate(_) => apply(&mut self.synced, &pending),
            }
        }
    }

    fn settle(&mut self, range: Range<usize>) {
        let mut left = vec![];
        for (at, bytes) in std::mem::take(&mut self.doubtful) {
            let end = at + bytes.len();
            if end <= range.start || at >= range.end {
                left.push((at, bytes));
                continue;
            }
            if at < range.start {
                left.push((at, bytes[..range.start - at].to_vec()));
            }
            if end > range.end {
                left.push((range.end, bytes[range.end - at..].to_vec()));
            }
        }
        self.doubtful = left;
    }

    fn left(&self, rest: Rest, luck: &mut Luck) -> Vec<u8> {
        let mut bytes = self.synced.clone();
        let doubtful = self
            .doubtful
            .iter()
            .map(|(at, bytes)| Pending::Write(*at, bytes.clone()));
        // Under what was synced since: settled parts are cut out of it already.
        for pending in doubtful.chain(self.pending.iter().cloned()) {
            match rest {
                Rest::Nothing => {}
                Rest::Everything => apply(&mut bytes, &pending),
                Rest::Some => match luck.below(4) {
                    0 => {}
                    1 => torn(&mut bytes, &pending, luck),
                    _ => apply(&mut bytes, &pending),
                },
            }
        }
        bytes
    }
}

fn apply(bytes: &mut Vec<u8>, pending: &Pending) {
    match pending {
        Pending::Write(at, new) => {
            if bytes.len() < at + new.len() {
                bytes.resize(at + new.len(), 0);
            }
            bytes[*at..at + new.len()].copy_from_slice(new);
        }
        Pending::Truncate(length) => bytes.resize(*length, 0),
    }
}

/// Some sectors of a write, and not others.
fn torn(bytes: &mut Vec<u8>, pending: &Pending, luck: &mut Luck) {
    let Pending::Write(at, new) = pending else { return };
    let mut from = 0;
    while from < new.len() {
        let to = ((at + from) / SECTOR * SECTOR + SECTOR - at).min(new.len());
        if luck.below(2) == 0 {
            apply(bytes, &Pending::Write(at + from, new[from..to].to_vec()));
        }
        from = to;
    }
}

#[test]
fn only_what_was_synced_is_certain() {
    let path = || "/d/f".to_owned();
    let mut disk = Disk::default();
    disk.follow(&Op::Created(path()));
    disk.follow(&Op::Write(path(), 0, b"one".to_vec()));
    disk.follow(&Op::Synced(path()));
    let left = |disk: &Disk, rest| disk.inodes[0].left(rest, &mut Luck(1));
    assert!(disk.named.is_empty(), "a name is durable with its directory");
    disk.follow(&Op::DirectorySynced);
    assert_eq!(disk.named.len(), 1);
    disk.follow(&Op::Write(path(), 3, b"two".to_vec()));
    assert_eq!(
        (left(&disk, Rest::Nothing), left(&disk, Rest::Everything)),
        (b"one".to_vec(), b"onetwo".to_vec())
    );
    // After a failed sync, a later one does not make it certain; writing it again does.
    disk.follow(&Op::SyncFailed(path()));
    disk.follow(&Op::Synced(path()));
    assert_eq!(left(&disk, Rest::Nothing), b"one");
    disk.follow(&Op::Write(path(), 3, b"T".to_vec()));
    disk.follow(&Op::Synced(path()));
    assert_eq!(
        (left(&disk, Rest::Nothing), left(&disk, Rest::Everything)),
        (b"oneT".to_vec(), b"oneTwo".to_vec())
    );
}

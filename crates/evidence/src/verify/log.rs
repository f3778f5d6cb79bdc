//! The log inside a pack: entries against their hashes, hashes against the root, and the replay of what is sound.

use crate::pack::{Fault, Manifest, Place};
use crate::replay::{Newer, Select, World};
use ledger::consistency::Head;
use ledger::tile::TileKind;
use ledger::tree::{self, Node};
use ledger::{Hash, TilePath, Tree, hash, tile};
use model::entry::{EntryError, Placed};
use std::collections::VecDeque;

/// Bundles that may wait to be replayed. Few: of a damaged pack little is read in vain.
const WAITING_MAX: usize = 8;

/// The entries of a bundle, each read by itself.
pub type Entries = Vec<Result<Placed, EntryError>>;
/// Waits for a bundle that is being read.
pub type Pending = Box<dyn FnOnce() -> Entries>;
/// Begins to read a bundle, whose first entry stands at this index: here, or on another thread.
pub type Begin<'a> = &'a mut dyn FnMut(u64, Vec<u8>) -> Pending;

/// Reads a bundle. A pure function of its bytes and its place, so it may run anywhere.
#[must_use]
pub fn read_bundle(first: u64, bundle: &[u8]) -> Entries {
    let mut rest = bundle;
    let entries = std::iter::from_fn(|| {
        let (entry, after) = split(rest)?;
        rest = after;
        Some(entry)
    });
    (first..)
        .zip(entries)
        .map(|(index, entry)| Placed::parse(index, entry))
        .collect()
}

/// Reads no bundle before it is waited for.
pub(super) fn when_asked(first: u64, bundle: Vec<u8>) -> Pending {
    Box::new(move || read_bundle(first, &bundle))
}

/// Entries read so far.
pub(super) struct Log {
    /// Leaf hashes as the tiles state them; they come before the entries.
    stated: Vec<Hash>,
    tree: Tree,
    /// Final inner nodes and leaves: 64 bytes an entry, so that the root at any size can be had.
    levels: Vec<Vec<Hash>>,
    /// The first entry that is not what its hash says, or where a bundle stops making sense.
    odd: Option<u64>,
    /// The newest bundles, not replayed before it is known that what follows them is sound: damage is told quickly.
    waiting: VecDeque<Pending>,
    pub(super) world: World,
    pub(super) newer: Option<Newer>,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            stated: Vec::new(),
            tree: Tree::new(),
            levels: Vec::new(),
            odd: None,
            waiting: VecDeque::new(),
            world: World::new(Select::All),
            newer: None,
        }
    }
}

impl Log {
    pub(super) fn new(manifest: &Manifest) -> Self {
        let sessions = manifest.sessions.iter().map(|session| session.id).collect();
        Self {
            world: World::new(Select::Sessions(sessions)),
            ..Self::default()
        }
    }

    /// Takes a hash tile or a bundle; gives the number of entries in it.
    pub(super) fn take(&mut self, path: TilePath, body: Vec<u8>, begin: Begin<'_>) -> Result<u64, Fault> {
        if path.kind() == TileKind::Entries {
            self.bundle(path, &body);
            if self.odd.is_none() && self.newer.is_none() {
                self.waiting.push_back(begin(path.first(), body));
                self.replay(WAITING_MAX);
            }
            return Ok(u64::from(path.width()));
        }
        let at = Place::File(crate::pack::Name::Tile(path));
        self.stated
            .extend(tile::decode(path, &body).map_err(|e| Fault::form(at, e.to_string()))?);
        Ok(0)
    }

    fn bundle(&mut self, path: TilePath, body: &[u8]) {
        let mut rest = body;
        for index in path.first()..path.first() + u64::from(path.width()) {
            let Some((entry, after)) = split(rest) else {
                self.odd.get_or_insert(index);
                return;
            };
            rest = after;
            let leaf = hash::leaf(entry);
            self.append(leaf);
            let stated = usize::try_from(index).ok().and_then(|at| self.stated.get(at));
            if stated != Some(&leaf) {
                self.odd.get_or_insert(index);
            }
        }
        if !rest.is_empty() {
            let last = path.first() + u64::from(path.width()) - 1;
            self.odd.get_or_insert(last);
        }
    }

    /// Replays the oldest bundles until no more than `left` wait. What is not the log's is not worth reading.
    fn replay(&mut self, left: usize) {
        while self.odd.is_none() && self.newer.is_none() && self.waiting.len() > left {
            let entries = self.waiting.pop_front().map(|read| read()).unwrap_or_default();
            self.newer = entries.into_iter().find_map(|entry| self.world.put(entry).err());
        }
    }

    fn append(&mut self, leaf: Hash) {
        let levels = &mut self.levels;
        let appended = self.tree.append_with(leaf, |node, hash| {
            let level = usize::from(node.level);
            if levels.len() <= level {
                levels.push(Vec::new());
            }
            if let Some(level) = levels.get_mut(level) {
                level.push(*hash);
            }
        });
        appended.unwrap_or_default();
    }

    /// Holds entries and hashes against the head: entries at fault are told from hashes at fault.
    pub(super) fn close(&mut self, head: &Head) -> Result<(), Fault> {
        let whole = self.tree.size() == head.size && self.tree.root() == head.root;
        match self.odd {
            None if whole => {
                self.replay(0);
                Ok(())
            }
            None => Err(Fault::form(
                Place::File(crate::pack::Name::Checkpoint),
                "the entries do not hash to the root that it states",
            )),
            Some(index) if whole => Err(Fault::form(Place::Hash(index), "is not the hash of its entry")),
            Some(index) if self.stated_root() == head.root => Err(Fault::form(
                Place::Entry(index),
                "is not the entry that the root covers",
            )),
            Some(index) => Err(Fault::form(
                Place::Entry(index),
                "neither fits its hash, nor the hashes the root",
            )),
        }
    }

    /// The root over the hashes that the tiles state.
    fn stated_root(&self) -> Hash {
        let mut tree = Tree::new();
        // Full only past what a pack can hold.
        let full = self.stated.iter().try_for_each(|hash| tree.append(*hash));
        full.map(|()| tree.root()).unwrap_or(Hash::EMPTY_ROOT)
    }

    /// The root of the first `size` entries; nothing where the pack has fewer.
    pub(super) fn root(&self, size: u64) -> Option<Hash> {
        if size > self.tree.size() {
            return None;
        }
        tree::root(size, |node| self.node(node).ok_or(())).ok()
    }

    /// The leaf hash of the entry at `index`.
    pub(super) fn leaf(&self, index: u64) -> Option<Hash> {
        self.node(Node { level: 0, index })
    }

    fn node(&self, node: Node) -> Option<Hash> {
        let level = self.levels.get(usize::from(node.level))?;
        level.get(usize::try_from(node.index).ok()?).copied()
    }
}

fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

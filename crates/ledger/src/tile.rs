//! Tiles of C2SP `tlog-tiles`: 256 consecutive hashes of one level in one file, their paths, and proofs from them.
//!
//! A tile at level L holds nodes of height 8·L. Full tiles are final; a partial one (`.p/W`) exists for the right edge of
//! a tree. Paths are relative to the log's prefix: `tile/0/x001/234.p/8`, `tile/entries/000`.
//! [`TileReader`] trusts nothing that it reads: what comes out of it is checked by comparing roots, and a proof that was
//! built from a wrong tile does not verify.
//!
//! INVARIANT (a path can exist): a [`TilePath`] lies within some tree of at most 2^63 − 1 leaves, so its level is at
//! most 7 and no arithmetic on it overflows.

use std::fmt;
use std::str::FromStr;

use crate::SIZE_MAX;
use crate::consistency;
use crate::decimal;
use crate::hash::{self, Hash};
use crate::inclusion::{self, ProveError};
use crate::tree::{self, Node};

/// Hashes in a full tile, entries in a full bundle.
pub const FULL_WIDTH: u16 = 256;
/// Highest level that a tree of at most 2^63 − 1 leaves has tiles on.
const LEVEL_MAX: u8 = 7;
/// Longest path of a tile that can exist, with room.
const PATH_BYTES_MAX: usize = 64;

/// Which file of a tiled log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum TileKind {
    /// A bundle of the entries themselves.
    Entries,
    /// Hashes at this tile level.
    Hashes(u8),
}

/// Place and width of one tile or entry bundle.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TilePath {
    kind: TileKind,
    index: u64,
    width: u16,
}

/// Why a path is not that of a tile.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is not the path of a tile")]
pub struct BadPath(String);

/// Why a hash could not be had from tiles.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TileError {
    /// The tile is not there, neither partial nor full.
    #[error("tile `{0}` is missing")]
    Missing(TilePath),
    /// The tile's bytes are not as many hashes as its width says.
    #[error("tile `{0}` has the wrong length")]
    Length(TilePath),
    /// The node is not final in a tree of this size.
    #[error("the tree has no node `{}` on level {}", .0.index, .0.level)]
    Outside(Node),
}

impl TilePath {
    /// A tile or bundle of 1 to 256 items; `None` when no tree of at most 2^63 − 1 leaves has it.
    pub fn new(kind: TileKind, index: u64, width: u16) -> Option<Self> {
        let level = match kind {
            TileKind::Entries => 0,
            TileKind::Hashes(level) => level,
        };
        if level > LEVEL_MAX || width == 0 || width > FULL_WIDTH {
            return None;
        }
        let end = (u128::from(index) * 256 + u128::from(width)) << (8 * u32::from(level));
        // INVARIANT (a path can exist)
        (end <= u128::from(SIZE_MAX)).then_some(Self { kind, index, width })
    }

    /// Hashes or entries.
    pub const fn kind(&self) -> TileKind {
        self.kind
    }

    /// Position from the left among the tiles of its kind.
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// Number of hashes or entries, 1 to 256.
    pub const fn width(&self) -> u16 {
        self.width
    }

    /// Whether the tile has room for more.
    pub const fn is_partial(&self) -> bool {
        self.width < FULL_WIDTH
    }

    /// Index of its first hash (or entry) on its level.
    pub const fn first(&self) -> u64 {
        self.index * FULL_WIDTH as u64
    }

    /// The full tile at the same place; `None` at the very end of the largest tree.
    pub fn full(&self) -> Option<Self> {
        Self::new(self.kind, self.index, FULL_WIDTH)
    }

    /// The tile that a tree of `size` leaves has at this kind and index, partial at its right edge.
    pub fn of_tree(kind: TileKind, index: u64, size: u64) -> Option<Self> {
        let level = match kind {
            TileKind::Entries => 0,
            TileKind::Hashes(level) => level.min(LEVEL_MAX),
        };
        let left = (size >> (8 * u32::from(level))).checked_sub(index.checked_mul(256)?)?;
        Self::new(kind, index, u16::try_from(left.min(256)).ok()?)
    }

    /// The hash tile that holds the node, or the leaves that it is computed from, in a tree of `size` leaves.
    fn holding(node: Node, size: u64) -> Option<(Self, u64)> {
        let is_final = (u128::from(node.index) + 1) << node.level.min(64) <= u128::from(size);
        let level = node.level / 8;
        let first = node.index.checked_mul(1 << (node.level % 8)).filter(|_| is_final)?;
        let tile = Self::of_tree(TileKind::Hashes(level), first / 256, size)?;
        Some((tile, first % 256))
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Entries => f.write_str("tile/entries/")?,
            TileKind::Hashes(level) => write!(f, "tile/{level}/")?,
        }
        let groups = (0..=6u32).rev().map(|power| (self.index / 1000u64.pow(power), power));
        for (head, power) in groups.filter(|(head, power)| *head > 0 || *power == 0) {
            write!(f, "{}{:03}", if power > 0 { "x" } else { "" }, head % 1000)?;
            f.write_str(if power > 0 { "/" } else { "" })?;
        }
        if self.is_partial() {
            write!(f, ".p/{}", self.width)?;
        }
        Ok(())
    }
}

impl FromStr for TilePath {
    type Err = BadPath;

    fn from_str(path: &str) -> Result<Self, BadPath> {
        parse(path).ok_or_else(|| BadPath(path.chars().take(PATH_BYTES_MAX).collect()))
    }
}

fn parse(path: &str) -> Option<TilePath> {
    if path.len() > PATH_BYTES_MAX {
        return None;
    }
    let (kind, rest) = path.strip_prefix("tile/")?.split_once('/')?;
    let kind = match kind {
        "entries" => TileKind::Entries,
        level => TileKind::Hashes(u8::try_from(decimal::parse(level)?).ok()?),
    };
    let (index, width) = match rest.split_once(".p/") {
        Some((index, width)) => (index, decimal::parse(width).filter(|width| *width < 256)?),
        None => (rest, 256),
    };
    TilePath::new(kind, parse_index(index)?, u16::try_from(width).ok()?)
}

/// Reads `x001/x234/067`; the first group of several is not zero.
fn parse_index(text: &str) -> Option<u64> {
    let mut index = 0u64;
    let mut groups = text.split('/').peekable();
    while let Some(group) = groups.next() {
        let digits = if groups.peek().is_some() {
            group.strip_prefix('x')?
        } else {
            group
        };
        let is_group = digits.len() == 3 && digits.bytes().all(|digit| digit.is_ascii_digit());
        let value: u64 = digits.parse().ok().filter(|_| is_group)?;
        if index == 0 && value == 0 && groups.peek().is_some() {
            return None;
        }
        index = index.checked_mul(1000)?.checked_add(value)?;
    }
    Some(index)
}

/// Tiles and bundles that a log writes when it grows from `old` to `new` entries: every full one that was not full
/// before, and the partial ones of the new right edge. Bundles first, then hash tiles from the leaves up.
pub fn new_tiles(old: u64, new: u64) -> impl Iterator<Item = TilePath> {
    let kinds = std::iter::once(TileKind::Entries).chain((0..=LEVEL_MAX).map(TileKind::Hashes));
    kinds.flat_map(move |kind| {
        let shift = match kind {
            TileKind::Entries => 0,
            TileKind::Hashes(level) => 8 * u32::from(level),
        };
        let (before, after) = (old >> shift, new >> shift);
        let end = if after > before {
            after.div_ceil(256)
        } else {
            before / 256
        };
        (before / 256..end).filter_map(move |index| TilePath::of_tree(kind, index, new))
    })
}

/// Bytes of a tile: its hashes, one after the other.
pub fn encode(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

/// Reads the bytes of the tile at `path`: exactly as many hashes as its width.
pub fn decode(path: TilePath, bytes: &[u8]) -> Result<Vec<Hash>, TileError> {
    let (hashes, rest) = bytes.as_chunks::<{ Hash::LEN }>();
    if !rest.is_empty() || hashes.len() != usize::from(path.width) {
        return Err(TileError::Length(path));
    }
    Ok(hashes.iter().copied().map(Hash::from_bytes).collect())
}

/// The hashes of a tile, from stored nodes. `None` when the path is that of an entry bundle.
pub fn from_nodes<E>(path: TilePath, mut read: impl FnMut(Node) -> Result<Hash, E>) -> Option<Result<Vec<Hash>, E>> {
    let TileKind::Hashes(level) = path.kind else {
        return None;
    };
    let indexes = path.first()..path.first() + u64::from(path.width);
    Some(
        indexes
            .map(|index| {
                read(Node {
                    level: level * 8,
                    index,
                })
            })
            .collect(),
    )
}

/// Root over the hashes of a tile, or of a power of two of them; any other number folds as RFC 6962 says.
pub fn root(hashes: &[Hash]) -> Hash {
    let mut level = hashes.to_vec();
    while level.len() > 1 {
        let parents = level.chunks(2).map(|pair| match pair {
            [left, right] => hash::node(left, right),
            alone => alone.first().copied().unwrap_or(Hash::EMPTY_ROOT),
        });
        level = parents.collect();
    }
    level.first().copied().unwrap_or(Hash::EMPTY_ROOT)
}

/// Reads nodes, the root and proofs of a tree of one size out of its tiles. Keeps the last tile of each level.
pub struct TileReader<F> {
    size: u64,
    fetch: F,
    recent: [Option<(TilePath, Vec<Hash>)>; LEVEL_MAX as usize + 1],
}

impl<F: FnMut(TilePath) -> Option<Vec<u8>>> TileReader<F> {
    /// `fetch` gives the bytes of a tile. Where a partial tile is gone, the full one in its place is asked for.
    pub const fn new(size: u64, fetch: F) -> Self {
        Self {
            size,
            fetch,
            recent: [const { None }; LEVEL_MAX as usize + 1],
        }
    }

    /// Root of the tree, to be compared with the checkpoint's.
    pub fn root(&mut self) -> Result<Hash, TileError> {
        let size = self.size;
        tree::root(size, |node| self.node(node))
    }

    /// Inclusion proof for the entry at `index`.
    pub fn prove_inclusion(&mut self, index: u64) -> Result<Vec<Hash>, ProveError<TileError>> {
        let size = self.size;
        inclusion::prove(index, size, |node| self.node(node))
    }

    /// Consistency proof from the tree of `old` entries.
    pub fn prove_consistency(&mut self, old: u64) -> Result<Vec<Hash>, ProveError<TileError>> {
        let size = self.size;
        consistency::prove(old, size, |node| self.node(node))
    }

    /// One final node of the tree.
    pub fn node(&mut self, node: Node) -> Result<Hash, TileError> {
        let outside = TileError::Outside(node);
        let (tile, offset) = TilePath::holding(node, self.size).ok_or(outside)?;
        let start = usize::try_from(offset).map_err(|_| outside)?;
        let span = start..start + (1 << (node.level % 8));
        let hashes = self.tile(tile)?;
        Ok(root(hashes.get(span).ok_or(outside)?))
    }

    fn tile(&mut self, path: TilePath) -> Result<&[Hash], TileError> {
        let level = match path.kind {
            TileKind::Entries => 0,
            TileKind::Hashes(level) => usize::from(level),
        };
        let slot = self.recent.get_mut(level).ok_or(TileError::Missing(path))?;
        let hashes = match slot.take() {
            Some((held, hashes)) if held == path => hashes,
            _ => load(path, &mut self.fetch)?,
        };
        Ok(&slot.insert((path, hashes)).1)
    }
}

/// Fetches the tile, or the full one in its place, of which it is the beginning.
fn load(path: TilePath, fetch: &mut impl FnMut(TilePath) -> Option<Vec<u8>>) -> Result<Vec<Hash>, TileError> {
    if let Some(bytes) = fetch(path) {
        return decode(path, &bytes);
    }
    let full = path
        .full()
        .filter(|full| *full != path)
        .ok_or(TileError::Missing(path))?;
    let bytes = fetch(full).ok_or(TileError::Missing(path))?;
    let mut hashes = decode(full, &bytes)?;
    hashes.truncate(usize::from(path.width));
    Ok(hashes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_paths() {
        for (path, kind, index, width) in [
            ("tile/0/000", TileKind::Hashes(0), 0, 256),
            ("tile/0/x001/234.p/8", TileKind::Hashes(0), 1234, 8),
            ("tile/3/x001/x234/067", TileKind::Hashes(3), 1_234_067, 256),
            ("tile/entries/x273/000.p/255", TileKind::Entries, 273_000, 255),
            ("tile/7/000.p/127", TileKind::Hashes(7), 0, 127),
        ] {
            let tile = TilePath::new(kind, index, width).unwrap();
            assert_eq!(tile.to_string(), path);
            assert_eq!(path.parse::<TilePath>().unwrap(), tile);
        }
    }

    #[test]
    fn other_paths_are_refused() {
        for path in [
            "",
            "tile",
            "tile/0",
            "tile/0/",
            "tile/0/00",
            "tile/0/0000",
            "tile/0/1234",
            "tile/00/000",
            "tile/8/000",
            "tile/63/000",
            "tile/-1/000",
            "tile/0/x000/000",
            "tile/0/x000/x001/000",
            "tile/0/001/000",
            "tile/0/x001/x000",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/000.p/",
            "tile/0/000.p",
            "tile/0/000/",
            "/tile/0/000",
            "tile/0/000.p/8/",
            "tile/data/000",
            "tile/entries/+12",
            "tile/0/x999/x999/x999/x999/x999/x999/999",
            "tile/7/000",
            "tile/7/000.p/128",
            "tile/0/٠٠١",
        ] {
            assert!(path.parse::<TilePath>().is_err(), "{path}");
        }
    }

    #[test]
    fn the_example_of_the_specification() {
        // "a tree of size 70,000 will be represented by 273 full level 0 tiles, one partial level 0 tile of width 112,
        // one full level 1 tile, one partial level 1 tile of width 17, and one partial level 2 tile of width 1"
        let tiles: Vec<TilePath> = new_tiles(0, 70_000)
            .filter(|tile| tile.kind() != TileKind::Entries)
            .collect();
        let on = |level, partial| {
            tiles
                .iter()
                .filter(move |tile| tile.kind() == TileKind::Hashes(level) && tile.is_partial() == partial)
        };
        assert_eq!(on(0, false).count(), 273);
        assert_eq!(on(0, true).map(TilePath::width).collect::<Vec<_>>(), [112]);
        assert_eq!(on(1, false).count(), 1);
        assert_eq!(on(1, true).map(TilePath::width).collect::<Vec<_>>(), [17]);
        assert_eq!(on(2, true).map(TilePath::width).collect::<Vec<_>>(), [1]);
        assert_eq!(tiles.len(), 273 + 1 + 1 + 1 + 1);
        let small: Vec<String> = new_tiles(0, 256).map(|tile| tile.to_string()).collect();
        assert_eq!(small, ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]);
        assert_eq!(
            new_tiles(0, 0).count() + new_tiles(256, 256).count() + new_tiles(70_000, 70_000).count(),
            0
        );
    }

    #[test]
    fn nodes_outside_the_tree_and_missing_tiles_are_named() {
        let mut reader = TileReader::new(300, |_| None);
        let missing = TilePath::new(TileKind::Hashes(0), 1, 44).unwrap();
        assert_eq!(
            reader.node(Node { level: 0, index: 299 }),
            Err(TileError::Missing(missing))
        );
        let outside = Node { level: 0, index: 300 };
        assert_eq!(reader.node(outside), Err(TileError::Outside(outside)));
        let far = Node {
            level: 62,
            index: u64::MAX,
        };
        assert_eq!(reader.node(far), Err(TileError::Outside(far)));
        let beyond = Node { level: 255, index: 0 };
        assert_eq!(reader.node(beyond), Err(TileError::Outside(beyond)));
        let mut short = TileReader::new(300, |_| Some(vec![0; 31]));
        assert_eq!(
            short.node(Node { level: 0, index: 299 }),
            Err(TileError::Length(missing))
        );
    }
}

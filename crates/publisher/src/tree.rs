//! One environment's tree: full hash tiles as files, the right edge in memory. All of it is derived from the store's
//! entries, so nothing here is synced and everything can be deleted.

use ledger::consistency;
use ledger::hash::{self, Hash};
use ledger::tile::{self, TileKind, TilePath};
use ledger::tree::{Node, Tree};
use std::path::{Path, PathBuf};

/// Hashes in a full tile.
const TILE_WIDTH: usize = 256;
/// Levels of tiles that a log of 2^63 entries can have.
const LEVELS_MAX: usize = 8;

/// Why the tree cannot be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TreeError {
    /// A tile file could not be written or read.
    #[error("tile `{path}`: {source}")]
    File {
        /// The tile.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A tile that must exist does not, or holds something else.
    #[error("tile `{0}` is missing or damaged; delete the tiles folder, it is made anew at the next start")]
    Damaged(String),
    /// The log is full.
    #[error("the log is full")]
    Full,
}

/// The tree over the first `size` entries.
pub(crate) struct LogTree {
    folder: PathBuf,
    tree: Tree,
    /// Per tile level, the hashes that do not fill a tile yet.
    edge: Vec<Vec<Hash>>,
}

impl LogTree {
    /// An empty tree whose full tiles go to `folder`.
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            tree: Tree::new(),
            edge: vec![Vec::new()],
        }
    }

    pub(crate) fn size(&self) -> u64 {
        self.tree.size()
    }

    pub(crate) fn head(&self) -> consistency::Head {
        consistency::Head {
            size: self.tree.size(),
            root: self.tree.root(),
        }
    }

    /// Appends one entry's bytes as a leaf.
    pub(crate) fn append(&mut self, entry: &[u8]) -> Result<(), TreeError> {
        let leaf = hash::leaf(entry);
        self.tree.append(leaf).map_err(|_| TreeError::Full)?;
        let mut carried = Some(leaf);
        for level in 0..LEVELS_MAX {
            let Some(hash) = carried.take() else { break };
            if self.edge.len() == level {
                self.edge.push(Vec::new());
            }
            let Some(partial) = self.edge.get_mut(level) else { break };
            partial.push(hash);
            if partial.len() == TILE_WIDTH {
                let full = std::mem::take(partial);
                carried = Some(tile::root(&full));
                self.write(level, &full)?;
            }
        }
        Ok(())
    }

    /// Writes the tile of `level` that has just been filled. Skips a file that holds these bytes already.
    fn write(&self, level: usize, hashes: &[Hash]) -> Result<(), TreeError> {
        let index = (self.tree.size() >> (8 * (level + 1))).saturating_sub(1);
        let Some(path) = u8::try_from(level)
            .ok()
            .and_then(|level| TilePath::new(TileKind::Hashes(level), index, 256))
        else {
            return Err(TreeError::Full);
        };
        let file = self.folder.join(path.to_string());
        let bytes = tile::encode(hashes);
        if std::fs::read(&file).is_ok_and(|known| known == bytes) {
            return Ok(());
        }
        let failed = |source| TreeError::File {
            path: path.to_string(),
            source,
        };
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        // A reader sees the old file or the new one, never half of one.
        let temporary = file.with_extension("new");
        std::fs::write(&temporary, &bytes)
            .and_then(|()| std::fs::rename(&temporary, &file))
            .map_err(failed)
    }

    /// The tile at `path`, full or partial, if the tree covers it.
    pub(crate) fn tile(&self, path: TilePath) -> Result<Vec<u8>, TreeError> {
        let damaged = || TreeError::Damaged(path.to_string());
        let TileKind::Hashes(level) = path.kind() else {
            return Err(damaged());
        };
        let wanted = usize::from(path.width());
        let in_edge = self.tree.size() >> (8 * (u32::from(level) + 1)) == path.index();
        let hashes = if in_edge {
            self.edge.get(usize::from(level)).cloned().unwrap_or_default()
        } else {
            let full = TilePath::new(TileKind::Hashes(level), path.index(), 256).ok_or_else(damaged)?;
            let bytes = std::fs::read(self.folder.join(full.to_string())).map_err(|source| TreeError::File {
                path: full.to_string(),
                source,
            })?;
            tile::decode(full, &bytes).map_err(|_| damaged())?
        };
        hashes.get(..wanted).map(tile::encode).ok_or_else(damaged)
    }

    fn node(&self, node: Node) -> Result<Hash, TreeError> {
        let mut tiles = tile::TileReader::new(self.tree.size(), |path| self.tile(path).ok());
        tiles.node(node).map_err(|error| TreeError::Damaged(error.to_string()))
    }

    /// Proof that the tree of `old` entries is a prefix of this one.
    pub(crate) fn prove_consistency(&self, old: u64) -> Result<Vec<Hash>, TreeError> {
        consistency::prove(old, self.tree.size(), |node| self.node(node))
            .map_err(|error| TreeError::Damaged(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_and_proofs_agree_with_the_plain_tree() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = LogTree::new(folder.path());
        let mut heads = vec![log.head()];
        for n in 0..1000u32 {
            log.append(&n.to_be_bytes()).unwrap();
            heads.push(log.head());
        }
        for old in [1usize, 2, 255, 256, 257, 511, 700, 999] {
            let proof = log.prove_consistency(old as u64).unwrap();
            consistency::verify(&heads[old], &heads[1000], &proof).unwrap();
        }
        let partial = TilePath::new(TileKind::Hashes(0), 3, 1000 % 256).unwrap();
        assert_eq!(log.tile(partial).unwrap().len(), (1000 % 256) * 32);
        let cut = TilePath::new(TileKind::Hashes(0), 1, 7).unwrap();
        assert_eq!(log.tile(cut).unwrap().len(), 7 * 32);
        assert!(log.tile(TilePath::new(TileKind::Hashes(0), 9, 1).unwrap()).is_err());
    }

    #[test]
    fn a_damaged_tile_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = LogTree::new(folder.path());
        for n in 0..600u32 {
            log.append(&n.to_be_bytes()).unwrap();
        }
        std::fs::write(folder.path().join("tile/0/001"), b"short").unwrap();
        assert!(matches!(log.prove_consistency(300), Err(TreeError::Damaged(_))));
    }
}

//! Merkle inclusion proofs (audit paths) of RFC 6962, section 2.1.1: that an entry is at an index of a tree.
//!
//! Hashes run from the leaf's sibling up to the root's child. Verification follows RFC 9162, section 2.1.3.2.

use crate::hash::{self, Hash};
use crate::tree::{Node, range_root, split};

/// The longest proof that a tree of at most 2^63 − 1 leaves can need.
pub const HASHES_MAX: usize = 63;

/// Why a proof could not be built.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProveError<E> {
    /// The tree has no such entry, or is smaller than the older tree.
    #[error("`{asked}` is outside a log of `{size}` entries")]
    Outside {
        /// The index or older size that was asked for.
        asked: u64,
        /// The tree's size.
        size: u64,
    },
    /// A stored hash could not be read.
    #[error(transparent)]
    Read(#[from] E),
}

/// Why a proof does not hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the inclusion proof does not lead from the entry to the root")]
pub struct NotIncluded;

/// Builds the proof for the leaf at `index` in the tree of `size` leaves; `read` gives stored nodes.
pub fn prove<E>(
    index: u64,
    size: u64,
    mut read: impl FnMut(Node) -> Result<Hash, E>,
) -> Result<Vec<Hash>, ProveError<E>> {
    if index >= size || size > crate::SIZE_MAX {
        return Err(ProveError::Outside { asked: index, size });
    }
    let (mut low, mut high) = (0, size);
    let mut siblings = Vec::new();
    while high - low > 1 {
        let middle = low + split(high - low);
        if index < middle {
            siblings.push((middle, high));
            high = middle;
        } else {
            siblings.push((low, middle));
            low = middle;
        }
    }
    siblings.reverse();
    let hashes: Result<Vec<Hash>, E> = siblings
        .into_iter()
        .map(|(low, high)| range_root(low, high, &mut read))
        .collect();
    Ok(hashes?)
}

/// Checks that the leaf hash is at `index` in the tree of `size` leaves with this root.
pub fn verify(index: u64, size: u64, leaf: &Hash, proof: &[Hash], root: &Hash) -> Result<(), NotIncluded> {
    match root_of(index, size, leaf, proof) {
        Some(computed) if computed == *root => Ok(()),
        _ => Err(NotIncluded),
    }
}

/// The root that the proof leads to; `None` when it is too short, too long, or the index is outside.
fn root_of(index: u64, size: u64, leaf: &Hash, proof: &[Hash]) -> Option<Hash> {
    let mut last = size.checked_sub(1).filter(|last| index <= *last)?;
    let mut at = index;
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return None;
        }
        if at & 1 == 1 || at == last {
            hash = hash::node(sibling, &hash);
            // A node on the right edge has no sibling at levels where its subtree is the last alone.
            let skipped = at.trailing_zeros().min(63);
            at >>= skipped;
            last >>= skipped;
        } else {
            hash = hash::node(&hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(hash)
}

//! The Merkle tree of RFC 6962, section 2.1, as its compact range: the roots of the complete subtrees that tile it.
//!
//! [`Tree`] is all that appending needs: it holds at most 63 hashes, whatever the size. Hashes of earlier nodes are the
//! caller's to store; [`Tree::append_with`] hands over each one as it becomes final. [`root`] computes the root again from
//! stored nodes.
//!
//! INVARIANT (one peak per set bit): a tree of size n holds `n.count_ones()` peaks, the largest subtree first.

use crate::SIZE_MAX;
use crate::hash::{self, Hash};

/// Place of a final inner node (or leaf, at level 0): the root of the complete subtree over leaves
/// `index << level` to `(index + 1) << level`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Node {
    /// Height above the leaves, 0 to 62.
    pub level: u8,
    /// Position from the left among the nodes of its level.
    pub index: u64,
}

/// An append-only tree, reduced to what appending and the root need.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tree {
    size: u64,
    peaks: Vec<Hash>,
}

/// Why a tree cannot grow: it has 2^63 − 1 leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the log is full")]
pub struct Full;

/// Why stored bytes are not a tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    /// Fewer than the eight bytes of the size, or not exactly one hash per set bit of it.
    #[error("the length does not fit the tree's size")]
    Length,
    /// The size is above 2^63 − 1.
    #[error("the tree's size is above 2^63 - 1")]
    Size,
}

impl Tree {
    /// The tree without leaves.
    pub const fn new() -> Self {
        Self {
            size: 0,
            peaks: Vec::new(),
        }
    }

    /// Number of leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf by its hash.
    pub fn append(&mut self, leaf: Hash) -> Result<(), Full> {
        self.append_with(leaf, |_, _| ())
    }

    /// Appends a leaf by its hash and tells `store` each node that became final: the leaf first, then its ancestors.
    pub fn append_with(&mut self, leaf: Hash, mut store: impl FnMut(Node, &Hash)) -> Result<(), Full> {
        if self.size >= SIZE_MAX {
            return Err(Full);
        }
        let mut place = Node {
            level: 0,
            index: self.size,
        };
        let mut peak = leaf;
        store(place, &peak);
        while place.index & 1 == 1 {
            let Some(left) = self.peaks.pop() else { break };
            peak = hash::node(&left, &peak);
            place = Node {
                level: place.level + 1,
                index: place.index >> 1,
            };
            store(place, &peak);
        }
        self.peaks.push(peak);
        self.size += 1;
        Ok(())
    }

    /// Root of the whole tree.
    pub fn root(&self) -> Hash {
        let folded = self
            .peaks
            .iter()
            .rev()
            .copied()
            .reduce(|right, left| hash::node(&left, &right));
        folded.unwrap_or(Hash::EMPTY_ROOT)
    }

    /// Places of the nodes that [`Tree::from_peaks`] needs for this size, the largest first.
    pub fn peaks_of(size: u64) -> impl Iterator<Item = Node> {
        (0..63u8)
            .rev()
            .filter(move |level| size >> level & 1 == 1)
            .map(move |level| Node {
                level,
                index: (size >> level) - 1,
            })
    }

    /// Builds a tree from its size and peaks, the largest subtree first.
    pub fn from_peaks(size: u64, peaks: Vec<Hash>) -> Result<Self, DecodeError> {
        if size > SIZE_MAX {
            return Err(DecodeError::Size);
        }
        // INVARIANT (one peak per set bit)
        if peaks.len() != size.count_ones() as usize {
            return Err(DecodeError::Length);
        }
        Ok(Self { size, peaks })
    }

    /// The peaks, the largest subtree first.
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Size as eight big-endian bytes, then the peaks, the largest subtree first.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 + self.peaks.len() * Hash::LEN);
        bytes.extend_from_slice(&self.size.to_be_bytes());
        self.peaks
            .iter()
            .for_each(|peak| bytes.extend_from_slice(peak.as_bytes()));
        bytes
    }

    /// Reads what [`Tree::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (size, peaks) = bytes.split_first_chunk::<8>().ok_or(DecodeError::Length)?;
        let (peaks, []) = peaks.as_chunks::<{ Hash::LEN }>() else {
            return Err(DecodeError::Length);
        };
        Self::from_peaks(
            u64::from_be_bytes(*size),
            peaks.iter().copied().map(Hash::from_bytes).collect(),
        )
    }
}

/// Root of the tree of `size` leaves, from stored nodes.
pub fn root<E>(size: u64, mut read: impl FnMut(Node) -> Result<Hash, E>) -> Result<Hash, E> {
    if size == 0 {
        return Ok(Hash::EMPTY_ROOT);
    }
    range_root(0, size, &mut read)
}

/// `MTH(D[low:high])` of RFC 6962 for a non-empty range whose start is aligned to its largest complete subtree.
pub(crate) fn range_root<E>(low: u64, high: u64, read: &mut impl FnMut(Node) -> Result<Hash, E>) -> Result<Hash, E> {
    let length = high - low;
    if length.is_power_of_two() {
        return read(complete(low, length));
    }
    let split = split(length);
    let left = read(complete(low, split))?;
    let right = range_root(low + split, high, read)?;
    Ok(hash::node(&left, &right))
}

/// The largest power of two smaller than `length`, which is at least 2.
pub(crate) const fn split(length: u64) -> u64 {
    1 << (63 - (length - 1).leading_zeros())
}

/// The node over `length` (a power of two) leaves from `low`.
fn complete(low: u64, length: u64) -> Node {
    // A u64 has at most 63 trailing zeros here, since `length` is not zero.
    let level = u8::try_from(length.trailing_zeros()).unwrap_or(u8::MAX);
    Node {
        level,
        index: low >> level,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The eight leaves and roots published with the certificate-transparency project.
    const LEAVES: [&str; 8] = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ];
    const ROOTS: [&str; 8] = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    #[test]
    fn known_roots() {
        let mut tree = Tree::new();
        assert_eq!(tree.root(), Hash::EMPTY_ROOT);
        for (leaf, root) in LEAVES.iter().zip(ROOTS) {
            tree.append(hash::leaf(&hex::decode(leaf).unwrap())).unwrap();
            assert_eq!(hex::encode(tree.root().as_bytes()), root);
            assert_eq!(Tree::from_bytes(&tree.to_bytes()).unwrap(), tree);
        }
    }

    #[test]
    fn stored_nodes_give_the_same_root() {
        let mut nodes = std::collections::BTreeMap::new();
        let mut tree = Tree::new();
        for index in 0..600u64 {
            tree.append_with(hash::leaf(&index.to_be_bytes()), |place, hash| {
                assert_eq!(nodes.insert(place, *hash), None, "a node becomes final once");
            })
            .unwrap();
            let again = root(tree.size(), |place| nodes.get(&place).copied().ok_or(place)).unwrap();
            assert_eq!(again, tree.root());
            let peaks = Tree::peaks_of(tree.size()).map(|place| nodes[&place]).collect();
            assert_eq!(Tree::from_peaks(tree.size(), peaks).unwrap(), tree);
        }
    }

    #[test]
    fn bytes_of_another_length_are_refused() {
        let mut tree = Tree::new();
        (0..5u8).for_each(|n| tree.append(hash::leaf(&[n])).unwrap());
        let bytes = tree.to_bytes();
        for cut in 0..bytes.len() {
            assert_eq!(Tree::from_bytes(&bytes[..cut]), Err(DecodeError::Length), "{cut}");
        }
        assert_eq!(
            Tree::from_bytes(&[&bytes[..], &[0; 32]].concat()),
            Err(DecodeError::Length)
        );
        assert_eq!(Tree::from_bytes(&u64::MAX.to_be_bytes()), Err(DecodeError::Size));
    }

    #[test]
    fn a_full_tree_refuses() {
        let mut tree = Tree::from_peaks(SIZE_MAX, vec![Hash::EMPTY_ROOT; 63]).unwrap();
        assert_eq!(tree.append(Hash::EMPTY_ROOT), Err(Full));
        assert_eq!(tree.size(), SIZE_MAX);
    }
}

//! Properties of proofs: what is built verifies; any other hash, index, size or length does not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set up must stop"
)]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use ledger::consistency::{self, Head};
use ledger::hash;
use ledger::inclusion;
use ledger::tree::Node;
use ledger::{Hash, Tree};
use proptest::prelude::*;

const LARGEST: u64 = 1_500;

static NODES: LazyLock<BTreeMap<Node, Hash>> = LazyLock::new(|| {
    let mut nodes = BTreeMap::new();
    let mut tree = Tree::new();
    for index in 0..LARGEST {
        tree.append_with(leaf(index), |node, hash| _ = nodes.insert(node, *hash))
            .unwrap();
    }
    nodes
});

fn leaf(index: u64) -> Hash {
    hash::leaf(&index.to_be_bytes())
}

fn read(node: Node) -> Result<Hash, Node> {
    NODES.get(&node).copied().ok_or(node)
}

fn head(size: u64) -> Head {
    Head {
        size,
        root: ledger::tree::root(size, read).unwrap(),
    }
}

fn flipped(hash: &Hash, bit: usize) -> Hash {
    let mut bytes = *hash.as_bytes();
    bytes[bit / 8] ^= 1 << (bit % 8);
    Hash::from_bytes(bytes)
}

/// The proof with one hash flipped, one taken out, or one put in.
fn damaged(proof: &[Hash], at: prop::sample::Index, bit: usize) -> Vec<Vec<Hash>> {
    let mut longer = proof.to_vec();
    longer.insert(at.index(proof.len() + 1), Hash::EMPTY_ROOT);
    let mut all = vec![longer];
    if !proof.is_empty() {
        let at = at.index(proof.len());
        let mut other = proof.to_vec();
        other[at] = flipped(&other[at], bit);
        let mut shorter = proof.to_vec();
        shorter.remove(at);
        all.extend([other, shorter]);
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn inclusion_holds_for_its_own_entry_only(
        size in 1..=LARGEST, index in any::<prop::sample::Index>(), other in 0..=LARGEST, at in any::<prop::sample::Index>(), bit in 0..256usize,
    ) {
        let index = index.index(usize::try_from(size).unwrap()) as u64;
        let Head { root, .. } = head(size);
        let proof = inclusion::prove(index, size, read).unwrap();
        prop_assert!(inclusion::verify(index, size, &leaf(index), &proof, &root).is_ok());
        prop_assert!(inclusion::verify(index, size, &leaf(index), &proof, &flipped(&root, bit)).is_err());
        prop_assert!(inclusion::verify(index, size, &flipped(&leaf(index), bit), &proof, &root).is_err());
        if other != index {
            prop_assert!(inclusion::verify(other, size, &leaf(index), &proof, &root).is_err());
            prop_assert!(inclusion::verify(index, size, &leaf(other), &proof, &root).is_err());
        }
        for proof in damaged(&proof, at, bit) {
            prop_assert!(inclusion::verify(index, size, &leaf(index), &proof, &root).is_err());
        }
    }

    #[test]
    fn consistency_holds_between_its_own_trees_only(
        sizes in prop::array::uniform2(0..=LARGEST), at in any::<prop::sample::Index>(), bit in 0..256usize,
    ) {
        let (old, new) = (head(sizes[0].min(sizes[1])), head(sizes[0].max(sizes[1])));
        let proof = consistency::prove(old.size, new.size, read).unwrap();
        prop_assert!(consistency::verify(&old, &new, &proof).is_ok());
        for proof in damaged(&proof, at, bit) {
            prop_assert!(consistency::verify(&old, &new, &proof).is_err());
        }
        if old.size < new.size {
            prop_assert!(consistency::verify(&new, &old, &proof).is_err());
        }
        let forked = Head { root: flipped(&old.root, bit), ..old };
        prop_assert!(consistency::verify(&forked, &new, &proof).is_err());
        if old.size > 0 {
            let forked = Head { root: flipped(&new.root, bit), ..new };
            prop_assert!(consistency::verify(&old, &forked, &proof).is_err());
        }
    }
}

#[test]
fn outside_is_refused() {
    assert!(inclusion::prove(5, 5, read).is_err());
    assert!(inclusion::prove(0, 0, read).is_err());
    assert!(inclusion::prove(0, u64::MAX, read).is_err());
    assert!(consistency::prove(6, 5, read).is_err());
    assert!(inclusion::verify(0, 0, &leaf(0), &[], &Hash::EMPTY_ROOT).is_err());
    assert!(inclusion::verify(u64::MAX, u64::MAX, &leaf(0), &[], &leaf(0)).is_err());
}

#[test]
fn a_missing_node_is_named() {
    let missing = inclusion::prove(0, LARGEST + 1, read).unwrap_err();
    assert!(
        matches!(missing, inclusion::ProveError::Read(Node { .. })),
        "{missing:?}"
    );
}

#[test]
fn the_largest_trees_need_63_hashes_at_most() {
    let any = |_: Node| Ok::<_, Node>(Hash::EMPTY_ROOT);
    assert_eq!(
        inclusion::prove(0, ledger::SIZE_MAX, any).unwrap().len(),
        inclusion::HASHES_MAX
    );
    for old in [1, 2, 3, (1 << 61) - 1, 1 << 61, (1 << 61) + 1, (1 << 62) - 2] {
        let proof = consistency::prove(old, (1 << 62) - 1, any).unwrap();
        assert!(proof.len() <= consistency::HASHES_MAX, "{old}: {}", proof.len());
    }
}

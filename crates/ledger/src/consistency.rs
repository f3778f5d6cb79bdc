//! Merkle consistency proofs of RFC 6962, section 2.1.2: that a newer tree only appended to an older one.
//!
//! Verification follows RFC 9162, section 2.1.4.2. Every tree extends the empty one, with an empty proof.

use crate::hash::{self, Hash};
use crate::inclusion::ProveError;
use crate::tree::{Node, range_root, split};

/// The longest proof that a witness takes, and that trees of fewer than 2^62 leaves can need.
pub const HASHES_MAX: usize = 63;

/// A tree as a checkpoint states it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// Number of leaves.
    pub size: u64,
    /// Root hash.
    pub root: Hash,
}

/// Why a proof does not hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the consistency proof does not lead from the older tree to the newer one")]
pub struct NotConsistent;

/// Builds the proof from the tree of `old` leaves to that of `size`; `read` gives stored nodes.
pub fn prove<E>(
    old: u64,
    size: u64,
    mut read: impl FnMut(Node) -> Result<Hash, E>,
) -> Result<Vec<Hash>, ProveError<E>> {
    if old > size || size > crate::SIZE_MAX {
        return Err(ProveError::Outside { asked: old, size });
    }
    if old == 0 || old == size {
        return Ok(Vec::new());
    }
    let hashes: Result<Vec<Hash>, E> = parts(old, size)
        .into_iter()
        .map(|(low, high)| range_root(low, high, &mut read))
        .collect();
    Ok(hashes?)
}

/// Ranges whose roots make `PROOF(old, D[size])`, for 0 < old < size.
fn parts(old: u64, size: u64) -> Vec<(u64, u64)> {
    let (mut low, mut high) = (0, size);
    let mut parts = Vec::new();
    while old != high {
        let middle = low + split(high - low);
        if old <= middle {
            parts.push((middle, high));
            high = middle;
        } else {
            parts.push((low, middle));
            low = middle;
        }
    }
    // The verifier knows the older root, so it is left out where the older tree is one complete subtree.
    if low != 0 {
        parts.push((low, high));
    }
    parts.reverse();
    parts
}

/// Checks that `new` only appended to `old`.
pub fn verify(old: &Head, new: &Head, proof: &[Hash]) -> Result<(), NotConsistent> {
    let holds = match (old.size, new.size) {
        (0, 0) => proof.is_empty() && old.root == Hash::EMPTY_ROOT && new.root == Hash::EMPTY_ROOT,
        (0, _) => proof.is_empty() && old.root == Hash::EMPTY_ROOT,
        (older, newer) if older == newer => proof.is_empty() && old.root == new.root,
        (older, newer) if older < newer => roots_of(old, new.size, proof) == Some((old.root, new.root)),
        _ => false,
    };
    if holds { Ok(()) } else { Err(NotConsistent) }
}

/// The older and newer roots that the proof leads to, for 0 < old size < new size.
fn roots_of(old: &Head, new_size: u64, proof: &[Hash]) -> Option<(Hash, Hash)> {
    let (first, rest) = if old.size.is_power_of_two() {
        (&old.root, proof)
    } else {
        proof.split_first()?
    };
    let complete = (old.size - 1).trailing_ones();
    let mut at = (old.size - 1) >> complete;
    let mut last = (new_size - 1) >> complete;
    let (mut older, mut newer) = (*first, *first);
    for hash in rest {
        if last == 0 {
            return None;
        }
        if at & 1 == 1 || at == last {
            older = hash::node(hash, &older);
            newer = hash::node(hash, &newer);
            let skipped = at.trailing_zeros().min(63);
            at >>= skipped;
            last >>= skipped;
        } else {
            newer = hash::node(&newer, hash);
        }
        at >>= 1;
        last >>= 1;
    }
    (last == 0).then_some((older, newer))
}

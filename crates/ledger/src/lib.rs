//! A transparency log over bytes: tree, tiles, notes, checkpoints, proofs, cosignatures. Pure.

//! One entry point per parser for fuzzing: bytes in, nothing out, an assertion that fails where an invariant breaks.
//!
//! What parses must print as the bytes that came: that is the "one accepted encoding" of this crate, checked on whatever
//! a fuzzer finds. Not part of the public interface.

use crate::consistency::{self, Head};
use crate::{
    Checkpoint, Hash, Note, NoteSignature, Policy, SignedCheckpoint, Submission, TilePath, TlogProof, Tree,
    VerifierKey, bundle, inclusion,
};

/// Signed notes.
pub fn note(data: &[u8]) {
    if let Ok(note) = Note::parse(data) {
        assert_eq!(note.to_string().as_bytes(), data);
    }
    if let Ok(text) = str::from_utf8(data)
        && let Ok(lines) = NoteSignature::parse_lines(text)
    {
        assert_eq!(lines.iter().map(ToString::to_string).collect::<String>(), text);
    }
}

/// Checkpoints, bare and signed.
pub fn checkpoint(data: &[u8]) {
    if let Ok(signed) = SignedCheckpoint::parse(data) {
        assert_eq!(signed.to_string().as_bytes(), data);
    }
    if let Ok(text) = str::from_utf8(data)
        && let Ok(checkpoint) = Checkpoint::parse(text)
    {
        assert_eq!(checkpoint.to_string(), text);
    }
}

/// Proof files.
pub fn proof(data: &[u8]) {
    if let Ok(proof) = TlogProof::parse(data) {
        assert_eq!(proof.to_string().as_bytes(), data);
    }
}

/// Submissions to a witness.
pub fn submission(data: &[u8]) {
    if let Ok(submission) = Submission::parse(data) {
        assert_eq!(submission.to_string().as_bytes(), data);
    }
}

/// Trust policies.
pub fn policy(data: &[u8]) {
    if let Ok(policy) = Policy::parse(data) {
        assert!(policy.logs().len() + policy.witnesses().len() <= data.len());
    }
}

/// Paths of tiles.
pub fn tile_path(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data)
        && let Ok(path) = text.parse::<TilePath>()
    {
        assert_eq!(path.to_string(), text);
    }
}

/// Entry bundles; the first byte is the width minus one.
pub fn bundle(data: &[u8]) {
    let Some((width, data)) = data.split_first() else {
        return;
    };
    if let Ok(entries) = bundle::decode(data, u16::from(*width) + 1) {
        assert_eq!(bundle::encode(entries).as_deref(), Ok(data));
    }
}

/// Public keys.
pub fn key(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data)
        && let Ok(key) = text.parse::<VerifierKey>()
    {
        assert_eq!(key.to_string(), text);
    }
}

/// Serialised trees.
pub fn tree(data: &[u8]) {
    if let Ok(tree) = Tree::from_bytes(data) {
        assert_eq!(tree.to_bytes(), data);
    }
}

/// Proof verification on arbitrary sizes: never panics, and an altered root is never accepted.
pub fn proofs(data: &[u8]) {
    let Some((first, rest)) = data.split_first_chunk::<8>() else {
        return;
    };
    let Some((second, rest)) = rest.split_first_chunk::<8>() else {
        return;
    };
    let (older, newer) = (u64::from_be_bytes(*first), u64::from_be_bytes(*second));
    let hashes: Vec<Hash> = rest.as_chunks::<32>().0.iter().copied().map(Hash::from_bytes).collect();
    let Some((root, proof)) = hashes.split_first() else {
        return;
    };
    let head = |size| Head { size, root: *root };
    let included = inclusion::verify(older, newer, root, proof, root);
    assert!(included.is_err() || proof.is_empty());
    let consistent = consistency::verify(&head(older), &head(newer), proof);
    assert!(consistent.is_err() || older == newer || (older == 0 && *root == Hash::EMPTY_ROOT));
}

//! Proofs of C2SP `tlog-proof`: an entry's index, its inclusion proof, and the checkpoint that it leads to, in one file.
//!
//! The optional `extra` line is refused: it is not authenticated and would be a second encoding of the same proof.
//! A [`TlogProof`] shows that an entry is in the tree of its checkpoint; whom that checkpoint binds is the trust policy's
//! answer ([`crate::policy`]).

use std::fmt;

use crate::checkpoint::{CheckpointError, SignedCheckpoint};
use crate::decimal;
use crate::hash::Hash;
use crate::inclusion::{self, HASHES_MAX, NotIncluded};
use crate::note::NOTE_BYTES_MAX;

const HEADER: &str = "c2sp.org/tlog-proof@v1\n";
/// Header, index, hashes, blank line, checkpoint.
const PROOF_BYTES_MAX: usize = NOTE_BYTES_MAX + 64 + (HASHES_MAX + 1) * 45;

/// A stored proof of inclusion. Conventionally a file named `.tlog-proof`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlogProof {
    index: u64,
    hashes: Vec<Hash>,
    checkpoint: SignedCheckpoint,
}

/// Why bytes are not a proof.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProofError {
    /// Longer than any proof can be.
    #[error("the proof is too long")]
    TooLong,
    /// Not UTF-8, or the header, index or blank line is missing or malformed.
    #[error("not a proof in the form of c2sp.org/tlog-proof@v1")]
    Malformed,
    /// It carries an `extra` line.
    #[error("the proof carries extra data")]
    Extra,
    /// A line is not a hash.
    #[error("hash {0} of the proof is malformed")]
    Hash(usize),
    /// More than 63 hashes.
    #[error("the proof has more than {HASHES_MAX} hashes")]
    TooManyHashes,
    /// The checkpoint is malformed.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

impl TlogProof {
    /// A proof from its parts; whether it holds is for [`TlogProof::verify`].
    pub fn new(index: u64, hashes: Vec<Hash>, checkpoint: SignedCheckpoint) -> Result<Self, ProofError> {
        if hashes.len() > HASHES_MAX {
            return Err(ProofError::TooManyHashes);
        }
        if index > crate::SIZE_MAX {
            return Err(ProofError::Malformed);
        }
        Ok(Self {
            index,
            hashes,
            checkpoint,
        })
    }

    /// Reads a proof.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProofError> {
        if bytes.len() > PROOF_BYTES_MAX {
            return Err(ProofError::TooLong);
        }
        let text = str::from_utf8(bytes).map_err(|_| ProofError::Malformed)?;
        let rest = text.strip_prefix(HEADER).ok_or(ProofError::Malformed)?;
        if rest.starts_with("extra ") {
            return Err(ProofError::Extra);
        }
        let rest = rest.strip_prefix("index ").ok_or(ProofError::Malformed)?;
        let (index, mut rest) = rest.split_once('\n').ok_or(ProofError::Malformed)?;
        let index = decimal::parse(index).ok_or(ProofError::Malformed)?;
        let mut hashes = Vec::new();
        loop {
            let (line, after) = rest.split_once('\n').ok_or(ProofError::Malformed)?;
            rest = after;
            if line.is_empty() {
                break;
            }
            hashes.push(Hash::from_base64(line).ok_or(ProofError::Hash(hashes.len() + 1))?);
        }
        Self::new(index, hashes, SignedCheckpoint::parse(rest.as_bytes())?)
    }

    /// Index of the entry in its log.
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// From the leaf's sibling to the root's child.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// The checkpoint, which the reader's trust policy has still to accept.
    pub const fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }

    /// Checks that the entry with this leaf hash is at the proof's index in the checkpoint's tree.
    pub fn verify(&self, leaf: &Hash) -> Result<(), NotIncluded> {
        let head = self.checkpoint.checkpoint().head();
        inclusion::verify(self.index, head.size, leaf, &self.hashes, &head.root)
    }
}

/// The proof's bytes.
impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}index {}", self.index)?;
        self.hashes.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consistency::Head;
    use crate::{Checkpoint, KeyName, NoteKey, Tree, hash};

    fn proof() -> TlogProof {
        let key = NoteKey::from_seed(KeyName::new("log.example/acme").unwrap(), &[3; 32]);
        let leaves = [hash::leaf(b"a"), hash::leaf(b"b")];
        let mut tree = Tree::new();
        leaves.iter().for_each(|leaf| tree.append(*leaf).unwrap());
        let head = Head {
            size: tree.size(),
            root: tree.root(),
        };
        let checkpoint = Checkpoint::new(key.verifier().name().clone(), head).sign(&key).unwrap();
        TlogProof::new(1, vec![leaves[0]], checkpoint).unwrap()
    }

    #[test]
    fn golden_proof() {
        let proof = proof();
        let text = proof.to_string();
        assert_eq!(
            text,
            "c2sp.org/tlog-proof@v1\nindex 1\nAippeebat6pa5MPl5F9+l3ESp+Y1k4INvsHsc4ok+Tw=\n\n\
             log.example/acme\n2\nsTeYX/SE+2ANuTEHx3sDZcgNePW0Kd7Q/Zc2HQd5mes=\n\n\
             — log.example/acme BEH1zdgKLccVpSm/4ofpyJs1w1dK3koCu9N6WZdFNiVygZwrkm29bnc/ch2twIsl2FedSGcBREFdChvASz9KCWcNJww=\n"
        );
        assert_eq!(TlogProof::parse(text.as_bytes()).unwrap(), proof);
        assert_eq!(proof.verify(&hash::leaf(b"b")), Ok(()));
        assert_eq!(proof.verify(&hash::leaf(b"a")), Err(NotIncluded));
    }

    #[test]
    fn other_texts_are_refused() {
        let text = proof().to_string();
        let refused = |from: &str, to: &str| TlogProof::parse(text.replacen(from, to, 1).as_bytes()).unwrap_err();
        assert_eq!(refused("index", "extra AAAA\nindex"), ProofError::Extra);
        assert_eq!(refused("@v1", "@v2"), ProofError::Malformed);
        assert_eq!(refused("index 1", "index 01"), ProofError::Malformed);
        assert_eq!(refused("index 1", "index  1"), ProofError::Malformed);
        assert_eq!(refused("index 1\n", "index 1\nAAAA\n"), ProofError::Hash(1));
        assert_eq!(refused("index 1\n", "index 1\r\n"), ProofError::Malformed);
        assert_eq!(
            refused("index 1\n", "index 1\n\n"),
            ProofError::Checkpoint(CheckpointError::Origin)
        );
        let hash = format!("index 1\n{}", format!("{}\n", Hash::EMPTY_ROOT).repeat(63));
        assert_eq!(refused("index 1\n", &hash), ProofError::TooManyHashes);
        assert_eq!(
            TlogProof::parse(&vec![b'a'; PROOF_BYTES_MAX + 1]),
            Err(ProofError::TooLong)
        );
        for cut in 0..text.len() {
            assert!(TlogProof::parse(&text.as_bytes()[..cut]).is_err(), "{cut}");
        }
    }
}

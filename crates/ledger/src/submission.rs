//! What a log submits to a witness: the body of `add-checkpoint` in C2SP `tlog-witness`.
//!
//! An old size, a consistency proof of at most 63 hashes, a blank line, the checkpoint. Whether the proof holds is the
//! witness's to judge.

use std::fmt;

use crate::checkpoint::{CheckpointError, SignedCheckpoint};
use crate::consistency::HASHES_MAX;
use crate::decimal;
use crate::hash::Hash;
use crate::note::NOTE_BYTES_MAX;

/// The longest submission that is read.
pub const SUBMISSION_BYTES_MAX: usize = NOTE_BYTES_MAX + 64 + (HASHES_MAX + 1) * 45;

/// A checkpoint with the proof that it extends the one of `old` entries, which the witness has seen before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Submission {
    old: u64,
    proof: Vec<Hash>,
    checkpoint: SignedCheckpoint,
}

/// Why bytes are not a submission.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SubmissionError {
    /// Longer than [`SUBMISSION_BYTES_MAX`].
    #[error("the submission is too long")]
    TooLong,
    /// Not UTF-8, or the old size or blank line is missing or malformed.
    #[error("not a submission in the form of c2sp.org/tlog-witness")]
    Malformed,
    /// A line of the proof is not a hash.
    #[error("hash {0} of the consistency proof is malformed")]
    Hash(usize),
    /// More than 63 hashes.
    #[error("the consistency proof has more than {HASHES_MAX} hashes")]
    TooManyHashes,
    /// The old size is above the checkpoint's.
    #[error("the old size `{old}` is above the checkpoint's size `{size}`")]
    OldAboveSize {
        /// The old size.
        old: u64,
        /// The checkpoint's size.
        size: u64,
    },
    /// The checkpoint is malformed.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

impl Submission {
    /// A submission from its parts.
    pub fn new(old: u64, proof: Vec<Hash>, checkpoint: SignedCheckpoint) -> Result<Self, SubmissionError> {
        let size = checkpoint.checkpoint().head().size;
        if old > size {
            return Err(SubmissionError::OldAboveSize { old, size });
        }
        if proof.len() > HASHES_MAX {
            return Err(SubmissionError::TooManyHashes);
        }
        Ok(Self { old, proof, checkpoint })
    }

    /// Reads a submission.
    pub fn parse(bytes: &[u8]) -> Result<Self, SubmissionError> {
        if bytes.len() > SUBMISSION_BYTES_MAX {
            return Err(SubmissionError::TooLong);
        }
        let text = str::from_utf8(bytes).map_err(|_| SubmissionError::Malformed)?;
        let rest = text.strip_prefix("old ").ok_or(SubmissionError::Malformed)?;
        let (old, mut rest) = rest.split_once('\n').ok_or(SubmissionError::Malformed)?;
        let old = decimal::parse(old).ok_or(SubmissionError::Malformed)?;
        let mut proof = Vec::new();
        loop {
            let (line, after) = rest.split_once('\n').ok_or(SubmissionError::Malformed)?;
            rest = after;
            if line.is_empty() {
                break;
            }
            if proof.len() >= HASHES_MAX {
                return Err(SubmissionError::TooManyHashes);
            }
            proof.push(Hash::from_base64(line).ok_or(SubmissionError::Hash(proof.len() + 1))?);
        }
        Self::new(old, proof, SignedCheckpoint::parse(rest.as_bytes())?)
    }

    /// Size of the checkpoint that the proof starts from.
    pub const fn old(&self) -> u64 {
        self.old
    }

    /// Consistency proof from the old size to the checkpoint's.
    pub fn proof(&self) -> &[Hash] {
        &self.proof
    }

    /// The submitted checkpoint.
    pub const fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }

    /// The submitted checkpoint, owned.
    pub fn into_checkpoint(self) -> SignedCheckpoint {
        self.checkpoint
    }
}

/// The bytes of the request's body.
impl fmt::Display for Submission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification.
    const EXAMPLE: &str = "old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
";

    #[test]
    fn golden_submission() {
        let submission = Submission::parse(EXAMPLE.as_bytes()).unwrap();
        assert_eq!((submission.old(), submission.proof().len()), (20_852_014, 4));
        assert_eq!(submission.checkpoint().note().signatures().len(), 2);
        assert_eq!(submission.to_string(), EXAMPLE);
    }

    #[test]
    fn other_texts_are_refused() {
        let refused = |from: &str, to: &str| Submission::parse(EXAMPLE.replacen(from, to, 1).as_bytes()).unwrap_err();
        assert_eq!(refused("old ", ""), SubmissionError::Malformed);
        assert_eq!(refused("old ", "old  "), SubmissionError::Malformed);
        assert_eq!(refused("old 2", "old 02"), SubmissionError::Malformed);
        assert_eq!(refused("old 2", "old -2"), SubmissionError::Malformed);
        assert_eq!(refused("PlRN", "PlR"), SubmissionError::Hash(1));
        assert_eq!(refused("kaw=", "kax="), SubmissionError::Hash(1));
        let many = format!("{}\n", Hash::EMPTY_ROOT).repeat(60);
        assert_eq!(refused("PlRN", &format!("{many}PlRN")), SubmissionError::TooManyHashes);
        let above = SubmissionError::OldAboveSize {
            old: 20_852_164,
            size: 20_852_163,
        };
        assert_eq!(refused("20852014", "20852164"), above);
        assert_eq!(
            refused("q2I=\n", "q2I=\nextension\n"),
            SubmissionError::Checkpoint(CheckpointError::Extension)
        );
        assert_eq!(
            Submission::parse(&vec![b'a'; SUBMISSION_BYTES_MAX + 1]),
            Err(SubmissionError::TooLong)
        );
        for cut in 0..EXAMPLE.find("— example").unwrap() {
            assert!(Submission::parse(&EXAMPLE.as_bytes()[..cut]).is_err(), "{cut}");
        }
    }
}

//! Cosignatures of C2SP `tlog-cosignature`, version 1: a witness's timestamped Ed25519 signature of a checkpoint.
//!
//! It says: at this time, this is the largest consistent tree that I have seen of this log.

use crate::SIZE_MAX;
use crate::checkpoint::Checkpoint;
use crate::key::{VerifierKey, WitnessKey};
use crate::note::{NoteSignature, Verified};

/// Why a checkpoint cannot be cosigned.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is not a time that a cosignature can carry")]
pub struct BadTime(u64);

impl WitnessKey {
    /// Cosigns a checkpoint that was seen at `time`, in seconds since the Unix epoch.
    pub fn cosign(&self, checkpoint: &Checkpoint, time: u64) -> Result<NoteSignature, BadTime> {
        if time > SIZE_MAX {
            return Err(BadTime(time));
        }
        let signature = self.sign(&message(&checkpoint.to_string(), time));
        Ok(NoteSignature::new(
            self.verifier(),
            [&time.to_be_bytes()[..], &signature].concat(),
        ))
    }
}

/// Checks the bytes of a cosignature of the note's text.
pub(crate) fn verify(text: &str, key: &VerifierKey, bytes: &[u8]) -> Option<Verified> {
    let (time, signature) = bytes.split_first_chunk::<8>()?;
    let time = u64::from_be_bytes(*time);
    let verifies = time <= SIZE_MAX && key.accepts(&message(text, time), signature.try_into().ok()?);
    verifies.then_some(Verified { time: Some(time) })
}

fn message(text: &str, time: u64) -> Vec<u8> {
    format!("cosignature/v1\ntime {time}\n{text}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consistency::Head;
    use crate::{Hash, KeyName, NoteKey, SignedCheckpoint};

    fn cosigned() -> (SignedCheckpoint, WitnessKey) {
        let log = NoteKey::from_seed(KeyName::new("log.example/acme").unwrap(), &[3; 32]);
        let witness = WitnessKey::from_seed(KeyName::new("witness.example/w1").unwrap(), &[7; 32]);
        let head = Head {
            size: 0,
            root: Hash::EMPTY_ROOT,
        };
        let mut signed = Checkpoint::new(log.verifier().name().clone(), head).sign(&log).unwrap();
        let signature = witness.cosign(signed.checkpoint(), 1_679_315_147).unwrap();
        signed.add(signature).unwrap();
        (signed, witness)
    }

    #[test]
    fn golden_cosignature() {
        let (signed, witness) = cosigned();
        assert_eq!(
            signed.to_string(),
            "log.example/acme\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n\
             — log.example/acme BEH1zemMuRYxEheYsHgPoxP/u4ETUS9ThiuRs5eJ2NBrTcE/6P/CZppHgpP8ACn6mUJgaBP8ygiXK6sLe6jglNIDMg0=\n\
             — witness.example/w1 qkoJ0QAAAABkGFDLMdf54UVgg4vVj2U5b7b4BF44D91s574WMDTmbF6ku6QQW1MzlkdXX/DS4MotVCLG+Wou4vphS3CQtPFlh4vRAg==\n"
        );
        assert_eq!(signed.cosigned_at(witness.verifier()), Ok(Some(1_679_315_147)));
    }

    #[test]
    fn the_message_of_the_specification() {
        let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
        assert_eq!(
            message(text, 1_679_315_147),
            format!("cosignature/v1\ntime 1679315147\n{text}").into_bytes()
        );
    }

    #[test]
    fn another_time_or_text_does_not_verify() {
        let (signed, witness) = cosigned();
        let checkpoint = signed.checkpoint().to_string();
        let key = witness.verifier();
        let time = 1_679_315_147u64.to_be_bytes();
        let signature = witness.sign(&message(&checkpoint, 1_679_315_147));
        let whole = [&time[..], &signature].concat();
        assert!(verify(&checkpoint, key, &whole).is_some());
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            assert_eq!(verify(&checkpoint, key, &flipped), None, "{at}");
        }
        assert_eq!(verify(&checkpoint, key, &whole[..71]), None);
        assert_eq!(verify(&checkpoint, key, &[&whole[..], &[0]].concat()), None);
        assert_eq!(verify(&checkpoint.replace("acme", "acmf"), key, &whole), None);
        // A signature whose time is above 2^63 − 1 is refused although the key made it.
        let late = [
            &u64::MAX.to_be_bytes()[..],
            &witness.sign(&message(&checkpoint, u64::MAX)),
        ]
        .concat();
        assert_eq!(verify(&checkpoint, key, &late), None);
        assert_eq!(witness.cosign(signed.checkpoint(), u64::MAX), Err(BadTime(u64::MAX)));
    }
}

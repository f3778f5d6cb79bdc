//! Salted commitments: what may have to be erased stands in the log only as a digest; the salt and the value are in
//! an opening, which is stored encrypted and can be deleted without breaking a proof.

use crate::bytes::{Blob, Digest, Octets};
use crate::id::EntryId;
use serde::{Deserialize, Serialize};

const DOMAIN: &str = "countersign/commitment/v1";

/// Stands in an entry for a value that can be erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Commitment(pub Digest);

/// What a commitment hides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// The field, as a path inside the entry's body: `reason`, `command`.
    pub path: String,
    /// 32 fresh random bytes.
    pub salt: Blob,
    /// The value itself.
    pub value: Octets,
}

/// All openings of one entry: the content of its encrypted `openings` blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Openings {
    /// The entry that holds the commitments.
    pub entry: EntryId,
    /// One for each committed field.
    pub fields: Vec<Opening>,
}

impl Opening {
    /// Makes the opening of one field from fresh `salt`.
    #[must_use]
    pub fn new(path: &str, salt: [u8; 32], value: &[u8]) -> Self {
        Self {
            path: path.to_owned(),
            salt: Blob(salt.to_vec()),
            value: Octets::new(value),
        }
    }

    /// SHA-256 over the domain, the entry's id, the field's path, the salt and the value.
    #[must_use]
    pub fn commitment(&self, entry: EntryId) -> Commitment {
        let id = entry.to_bytes();
        Commitment(Digest::of_parts(
            DOMAIN,
            &[&id, self.path.as_bytes(), &self.salt.0, self.value.as_bytes()],
        ))
    }
}

impl Openings {
    /// The value behind `path`, if it opens `commitment`.
    #[must_use]
    pub fn open(&self, path: &str, commitment: Commitment) -> Option<&Octets> {
        let opening = self.fields.iter().find(|field| field.path == path)?;
        (opening.salt.0.len() == 32 && opening.commitment(self.entry) == commitment).then_some(&opening.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_only_itself() {
        let entry = EntryId::new(1, [1; 10]);
        let opening = Opening::new("reason", [7; 32], b"disk is full");
        let commitment = opening.commitment(entry);
        let openings = Openings {
            entry,
            fields: vec![opening],
        };
        assert_eq!(
            openings.open("reason", commitment),
            Some(&Octets::Text("disk is full".into()))
        );
        assert_eq!(openings.open("ticket", commitment), None);
        let other = Openings {
            entry: EntryId::new(2, [1; 10]),
            ..openings
        };
        assert_eq!(other.open("reason", commitment), None);
    }
}

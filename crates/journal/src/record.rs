//! The journal's own records between the frames: clear, fixed, each with a check of eight SHA-256 bytes.
//!
//! ```text
//! segment header   "CSJSEG" 0 1, number 8, check 8                                     24 bytes, at offset 0
//! any other        "CSJ" 1, kind 1, zero 1, body length 2, session 16, body, check 8
//!   1 session      next index 8, next extent 8, chain 32, opened at ms 8, commitment 32, origin
//!   2 seal         number, first, last, frames, bytes, first µs, last µs: 8 each; digest 32, chain 32
//!   3 finish       ending 1, next index 8, extents 8, chain 32
//! ```

use recording::{Chain, Commitment, ExtentSeal, SessionId};
use sha2::{Digest, Sha256};

use crate::follow::Ending;

pub(crate) const RECORD_MAGIC: [u8; 4] = *b"CSJ\x01";
pub(crate) const RECORD_HEAD: usize = 24;
pub(crate) const SEGMENT_HEADER: usize = 24;
pub(crate) const MAX_RECORD: usize = RECORD_HEAD + MAX_BODY + CHECK;
const SEGMENT_MAGIC: [u8; 8] = *b"CSJSEG\x00\x01";
const MAX_BODY: usize = 88 + recording::MAX_ORIGIN_BYTES;
const CHECK: usize = 8;

/// Where a session stands when it first appears in a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionRecord {
    pub(crate) session: SessionId,
    pub(crate) next_index: u64,
    pub(crate) next_extent: u64,
    pub(crate) chain: Chain,
    pub(crate) opened_at_ms: u64,
    pub(crate) commitment: Commitment,
    pub(crate) origin: String,
}

/// A session's last record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FinishRecord {
    pub(crate) session: SessionId,
    pub(crate) ending: Ending,
    pub(crate) next_index: u64,
    pub(crate) extents: u64,
    pub(crate) chain: Chain,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Session(SessionRecord),
    Seal(SessionId, ExtentSeal),
    Finish(FinishRecord),
}

pub(crate) fn segment_header(number: u64) -> [u8; SEGMENT_HEADER] {
    let mut out = [0; SEGMENT_HEADER];
    let clear = [SEGMENT_MAGIC, number.to_be_bytes()].concat();
    let bytes = clear.iter().copied().chain(check(&clear));
    for (place, byte) in out.iter_mut().zip(bytes) {
        *place = byte;
    }
    out
}

/// The number that a segment's header says, when it is one.
pub(crate) fn segment_number(header: &[u8; SEGMENT_HEADER]) -> Option<u64> {
    let (magic, rest) = header.split_first_chunk::<8>()?;
    let (number, _) = rest.split_first_chunk::<8>()?;
    let number = u64::from_be_bytes(*number);
    (*magic == SEGMENT_MAGIC && segment_header(number) == *header).then_some(number)
}

impl Record {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let (kind, session, body) = self.parts();
        out.extend(RECORD_MAGIC);
        out.extend([kind, 0]);
        out.extend(u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes());
        out.extend(session);
        out.extend(body);
        let check = check(out.get(start..).unwrap_or_default());
        out.extend(check);
    }

    fn parts(&self) -> (u8, &SessionId, Vec<u8>) {
        match self {
            Self::Session(record) => (1, &record.session, record.body()),
            Self::Seal(session, seal) => (2, session, seal_body(seal)),
            Self::Finish(record) => (3, &record.session, record.body()),
        }
    }

    /// The whole length of the record that starts with these bytes, when one can start so.
    pub(crate) fn length(head: &[u8; RECORD_HEAD]) -> Option<usize> {
        let (magic, rest) = head.split_first_chunk::<4>()?;
        let ([kind, zero, high, low], _) = rest.split_first_chunk::<4>()?;
        let body = usize::from(u16::from_be_bytes([*high, *low]));
        let known = *magic == RECORD_MAGIC && (1..=3).contains(kind) && *zero == 0;
        (known && body <= MAX_BODY).then_some(RECORD_HEAD + body + CHECK)
    }

    /// Reads exactly one record.
    pub(crate) fn decode(input: &[u8]) -> Option<Self> {
        let (clear, sum) = input.split_last_chunk::<CHECK>()?;
        if check(clear) != *sum {
            return None;
        }
        let (head, body) = clear.split_first_chunk::<RECORD_HEAD>()?;
        if Self::length(head)? != input.len() {
            return None;
        }
        let (_, rest) = head.split_first_chunk::<4>()?;
        let ([kind, ..], session) = rest.split_first_chunk::<4>()?;
        let session = session.try_into().ok()?;
        let mut fields = Fields(body);
        let record = match kind {
            1 => Self::Session(SessionRecord::decode(session, &mut fields)?),
            2 => Self::Seal(session, decode_seal(&mut fields)?),
            _ => Self::Finish(FinishRecord::decode(session, &mut fields)?),
        };
        fields.0.is_empty().then_some(record)
    }
}

impl SessionRecord {
    fn body(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(88 + self.origin.len());
        out.extend(self.next_index.to_be_bytes());
        out.extend(self.next_extent.to_be_bytes());
        out.extend(self.chain);
        out.extend(self.opened_at_ms.to_be_bytes());
        out.extend(self.commitment);
        out.extend(self.origin.as_bytes());
        out
    }

    fn decode(session: SessionId, fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            session,
            next_index: fields.number()?,
            next_extent: fields.number()?,
            chain: fields.digest()?,
            opened_at_ms: fields.number()?,
            commitment: fields.digest()?,
            origin: String::from_utf8(std::mem::take(&mut fields.0).to_vec()).ok()?,
        })
    }
}

impl FinishRecord {
    fn body(self) -> Vec<u8> {
        let mut out = vec![self.ending as u8];
        out.extend(self.next_index.to_be_bytes());
        out.extend(self.extents.to_be_bytes());
        out.extend(self.chain);
        out
    }

    fn decode(session: SessionId, fields: &mut Fields<'_>) -> Option<Self> {
        let (ending, rest) = fields.0.split_first()?;
        fields.0 = rest;
        Some(Self {
            session,
            ending: Ending::from_code(*ending)?,
            next_index: fields.number()?,
            extents: fields.number()?,
            chain: fields.digest()?,
        })
    }
}

fn seal_body(seal: &ExtentSeal) -> Vec<u8> {
    let numbers = [
        seal.number,
        seal.first,
        seal.last,
        seal.frames,
        seal.bytes,
        seal.first_us,
        seal.last_us,
    ];
    let mut out: Vec<u8> = numbers.into_iter().flat_map(u64::to_be_bytes).collect();
    out.extend(seal.digest);
    out.extend(seal.chain);
    out
}

fn decode_seal(fields: &mut Fields<'_>) -> Option<ExtentSeal> {
    Some(ExtentSeal {
        number: fields.number()?,
        first: fields.number()?,
        last: fields.number()?,
        frames: fields.number()?,
        bytes: fields.number()?,
        first_us: fields.number()?,
        last_us: fields.number()?,
        digest: fields.digest()?,
        chain: fields.digest()?,
    })
}

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn number(&mut self) -> Option<u64> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*head))
    }

    fn digest(&mut self) -> Option<[u8; 32]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }
}

pub(crate) fn check(bytes: &[u8]) -> [u8; CHECK] {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    digest.first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records() -> Vec<Record> {
        let seal = ExtentSeal {
            number: 1,
            first: 2,
            last: 3,
            frames: 4,
            bytes: 5,
            digest: [6; 32],
            chain: [7; 32],
            first_us: 8,
            last_us: 9,
        };
        let session = SessionRecord {
            session: [1; 16],
            next_index: 2,
            next_extent: 3,
            chain: [4; 32],
            opened_at_ms: 5,
            commitment: [6; 32],
            origin: "log.example".into(),
        };
        let finish = FinishRecord {
            session: [1; 16],
            ending: Ending::Halted,
            next_index: 2,
            extents: 3,
            chain: [4; 32],
        };
        vec![
            Record::Session(session),
            Record::Seal([1; 16], seal),
            Record::Finish(finish),
        ]
    }

    #[test]
    fn records_survive_their_encoding_and_no_flipped_bit() {
        for record in records() {
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            assert_eq!(Record::decode(&bytes), Some(record));
            for place in 0..bytes.len() {
                bytes[place] ^= 4;
                assert_eq!(Record::decode(&bytes), None, "byte {place}");
                bytes[place] ^= 4;
            }
        }
    }

    #[test]
    fn a_segment_header_says_its_number_or_nothing() {
        let mut header = segment_header(77);
        assert_eq!(segment_number(&header), Some(77));
        header[15] ^= 1;
        assert_eq!(segment_number(&header), None);
    }
}

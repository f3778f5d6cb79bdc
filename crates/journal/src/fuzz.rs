//! A segment's contents as arbitrary bytes: recovery must end, and never panic.

use crate::record::{MAX_RECORD, Record};
use crate::recovery::Recoverer;

/// Recovers from `data` as if it stood behind a segment's header.
///
/// # Panics
/// When a record is accepted that would be written otherwise.
pub fn fuzz_one(data: &[u8]) {
    let mut recoverer = Recoverer::default();
    let read = recoverer.stream(1, data, 0, data.len() as u64);
    assert!(read.is_ok_and(|used| used <= data.len() as u64));
    drop(recoverer.finish());
    if let Some(record) = data.get(..data.len().min(MAX_RECORD)).and_then(Record::decode) {
        let mut again = Vec::new();
        record.encode(&mut again);
        assert_eq!(again, data);
    }
}

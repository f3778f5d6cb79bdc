//! A segment's contents as arbitrary bytes: recovery must end, and never panic.

use crate::record::{MAX_RECORD, Record, check};
use crate::recovery::Recoverer;

/// Recovers from `data` as if it stood behind a segment's header, and reads it as a record whose check is right.
///
/// # Panics
/// When recovery does not end, or a record is accepted that would be written otherwise.
pub fn fuzz_one(data: &[u8]) {
    let mut recoverer = Recoverer::default();
    let read = recoverer.stream(1, data, 0, data.len() as u64);
    assert!(read.is_ok_and(|used| used <= data.len() as u64));
    drop(recoverer.finish());
    if data.len() > MAX_RECORD {
        return;
    }
    for data in [data.to_vec(), [data, &check(data)].concat()] {
        if let Some(record) = Record::decode(&data) {
            let mut again = Vec::new();
            record.encode(&mut again);
            assert_eq!(again, data);
        }
    }
}

//! One entry per parser, for arbitrary bytes: none may panic, and what is accepted has one encoding.

use crate::body::{Exit, Gap, Resize};
use crate::export::{ExportedExtent, encode_export};
use crate::frame::{HEADER_BYTES, decode};
use crate::hostile::filter_all;

/// Feeds `data` to every parser of this crate.
///
/// # Panics
/// When a parser accepts bytes that it would not write.
pub fn fuzz_one(data: &[u8]) {
    if let Ok((header, ciphertext, rest)) = decode(data) {
        assert_eq!(Some(header.encode().as_slice()), data.get(..HEADER_BYTES));
        assert_eq!(HEADER_BYTES + ciphertext.len() + rest.len(), data.len());
    }
    if let Ok(extent) = ExportedExtent::parse(data) {
        let again = encode_export(&extent.seal, &extent.session, &extent.previous, &extent.frames);
        assert_eq!(again, data);
    }
    if let Ok(exit) = Exit::decode(data) {
        assert_eq!(exit.encode(), data);
    }
    if let Ok(gap) = Gap::decode(data) {
        assert_eq!(gap.encode(), data);
    }
    if let Ok(size) = Resize::decode(data) {
        assert_eq!(size.encode(), data);
    }
    let shown = filter_all(data);
    assert_eq!(filter_all(shown.as_bytes()), shown);
}

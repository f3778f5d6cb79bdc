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

/// What a target printed, in pieces whose length the first byte gives and with a resize of any size between them: as a
/// cast, and on the emulated terminal.
///
/// # Panics
/// When a line of the cast is not JSON, or the emulator gives no screen.
#[cfg(feature = "screen")]
pub fn cast(data: &[u8]) {
    use crate::asciicast::{CastOptions, asciicast};
    use crate::replay::{Content, Played};

    let Some(([piece, columns, rows, ..], _)) = data.split_first_chunk::<4>() else {
        return;
    };
    let size = Resize {
        columns: u16::from(*columns) * 5,
        rows: u16::from(*rows) * 3,
    };
    // A resize costs as much as the whole screen.
    let pieces = data.chunks(usize::from(*piece).max(1)).take(64);
    let contents = pieces.flat_map(|piece| [Content::Output(piece.to_vec()), Content::Resize(size)]);
    let played: Vec<Played> = (1..)
        .zip(contents)
        .map(|(index, content)| Played {
            index,
            time_us: index * 1000,
            channel: 1,
            content,
        })
        .collect();
    let options = CastOptions {
        channel: Some(1),
        input: true,
        timestamp: Some(0),
        title: "fuzz",
        size,
    };
    let cast = asciicast(&played, &options).unwrap_or_default();
    assert!(!cast.is_empty());
    let is_json = |line: &str| serde_json::from_str::<serde_json::Value>(line).is_ok();
    assert!(cast.lines().all(is_json), "a line of a cast is not JSON");
    assert!(crate::screen::screen_at(&played, 1, u64::MAX).is_some());
}

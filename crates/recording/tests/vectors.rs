//! Golden vectors of docs/formats/recording.md: a small session, regenerated and compared byte for byte.
//! `COUNTERSIGN_BLESS=1` writes them anew.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set up must stop"
)]

use std::path::PathBuf;

use recording::{
    Content, Dek, Exit, ExportedExtent, ExportedFrame, ExtentBuilder, FrameBody, Gap, GapReason, Kind, Opener, Resize,
    Sealer, SubKey, chain_start, decode, encode_export, play_extent, verify_chain,
};

const ORIGIN: &str = "countersign.example/acme";
const SESSION: [u8; 16] = *b"0123456789abcdef";

fn dek() -> Dek {
    Dek::from_bytes(std::array::from_fn(|place| u8::try_from(place).unwrap()))
}

/// The frames of the vectors, each with the extent it belongs to.
fn frames() -> Vec<(usize, Vec<u8>)> {
    let mut sealer = Sealer::new(&dek(), ORIGIN, SESSION).unwrap();
    let mut seal = |extent: usize, kind, channel, time, body: &[u8]| {
        let mut out = Vec::new();
        sealer.seal(kind, channel, time, body, &mut out).unwrap();
        (extent, out)
    };
    let gap = Gap {
        reason: GapReason::SyncFailed,
        from: 5,
        frames: 2,
        since_us: 2_400_000,
    };
    let mut frames = vec![
        seal(0, Kind::Opened, 1, 1_000, b"shell"),
        seal(0, Kind::Resize, 1, 1_100, &Resize { columns: 80, rows: 24 }.encode()),
        seal(0, Kind::Output, 1, 250_000, b"$ "),
        seal(0, Kind::Input, 1, 900_000, b"id\r"),
        seal(0, Kind::Output, 1, 900_400, "id\r\nuid=0(root) ✓\r\n".as_bytes()),
        seal(1, Kind::ErrorOutput, 1, 2_300_000, b"warning\r\n"),
        seal(1, Kind::Input, 1, 2_400_000, b""),
        seal(1, Kind::Gap, 0, 2_500_000, &gap.encode()),
        seal(1, Kind::Mark, 0, 2_600_000, b"expires in 5 minutes"),
        seal(1, Kind::Exit, 1, 2_700_000, &Exit::Status(0).encode()),
        seal(1, Kind::Closed, 1, 2_700_100, b""),
    ];
    let halt = Gap {
        reason: GapReason::NoSpace,
        from: 11,
        frames: 0,
        since_us: 2_800_000,
    };
    let mut last = Vec::new();
    sealer.halt(11, 2_900_000, &halt, &mut last).unwrap();
    frames.push((1, last));
    frames
}

fn extents() -> Vec<Vec<u8>> {
    let frames = frames();
    let mut builder = ExtentBuilder::new(chain_start(ORIGIN, &SESSION, &dek().commitment()));
    (0..2)
        .map(|number| {
            let previous = builder.chain();
            let ours: Vec<_> = frames
                .iter()
                .filter(|(extent, _)| *extent == number)
                .map(|(_, bytes)| {
                    let (header, ciphertext, _) = decode(bytes).unwrap();
                    ExportedFrame {
                        header,
                        body: FrameBody::Sealed(ciphertext),
                    }
                })
                .collect();
            for frame in &ours {
                let FrameBody::Sealed(ciphertext) = frame.body else {
                    unreachable!()
                };
                builder.push(&frame.header, &recording::frame_digest(ciphertext));
            }
            encode_export(&builder.cut().unwrap(), &SESSION, &previous, &ours)
        })
        .collect()
}

fn golden(name: &str, bytes: &[u8]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/vectors")
        .join(name);
    let text = bytes.chunks(32).map(hex::encode).collect::<Vec<_>>().join("\n") + "\n";
    if std::env::var_os("COUNTERSIGN_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "{name}");
}

#[test]
fn golden_vectors_are_what_this_code_writes() {
    golden("commitment.hex", &dek().commitment());
    golden("chain-start.hex", &chain_start(ORIGIN, &SESSION, &dek().commitment()));
    golden("output-key.hex", SubKey::output(&dek(), &SESSION).unwrap().expose());
    golden("input-key.hex", SubKey::input(&dek(), &SESSION).unwrap().expose());
    let frames: Vec<u8> = frames().into_iter().flat_map(|(_, bytes)| bytes).collect();
    golden("frames.hex", &frames);
    let extents = extents();
    golden("extent-0.hex", &extents[0]);
    golden("extent-1.hex", &extents[1]);
    let withheld = ExportedExtent::parse(&extents[0]).unwrap().without_input();
    golden("extent-0-without-input.hex", &withheld);
    golden("chain-end.hex", &ExportedExtent::parse(&extents[1]).unwrap().seal.chain);
}

#[test]
fn golden_cast_of_the_vectors() {
    let mut opener = Opener::new(&dek(), ORIGIN, SESSION).unwrap();
    let played: Vec<_> = extents()
        .iter()
        .flat_map(|bytes| play_extent(&mut opener, &ExportedExtent::parse(bytes).unwrap()).unwrap())
        .collect();
    let options = recording::CastOptions {
        channel: Some(1),
        input: true,
        timestamp: Some(1_700_000_000),
        title: "root@web1",
        size: Resize { columns: 80, rows: 24 },
    };
    let cast = recording::asciicast(&played, &options).unwrap();
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/session.cast");
    if std::env::var_os("COUNTERSIGN_BLESS").is_some() {
        std::fs::write(&path, &cast).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), cast);
    for line in cast.lines() {
        let _: serde_json::Value = serde_json::from_str(line).unwrap();
    }
}

/// Channels count from 0: what channel 0 printed is in its own cast alone, what is missing is in each.
#[test]
fn a_cast_shows_one_channel_and_what_is_missing() {
    let played = |channel, content| recording::Played {
        index: 0,
        time_us: 0,
        channel,
        content,
    };
    let gap = Gap {
        reason: GapReason::SyncFailed,
        from: 0,
        frames: 3,
        since_us: 0,
    };
    let all = [
        played(0, Content::Output(b"first".to_vec())),
        played(1, Content::Output(b"second".to_vec())),
        played(0, Content::Gap(gap)),
    ];
    let shown = |channel| {
        let options = recording::CastOptions {
            channel,
            input: false,
            timestamp: None,
            title: "",
            size: Resize { columns: 80, rows: 24 },
        };
        let cast = recording::asciicast(&all, &options).unwrap();
        ["first", "second", "3 frames"].map(|word| cast.contains(word))
    };
    assert_eq!(shown(Some(0)), [true, false, true]);
    assert_eq!(shown(Some(1)), [false, true, true]);
    assert_eq!(shown(None), [true, true, true]);
}

#[test]
fn the_chain_verifies_without_a_key_and_without_what_was_typed() {
    let start = chain_start(ORIGIN, &SESSION, &dek().commitment());
    let full = extents();
    let bare: Vec<_> = full
        .iter()
        .map(|bytes| ExportedExtent::parse(bytes).unwrap().without_input())
        .collect();
    let end = verify_chain(start, full.iter().map(Vec::as_slice)).unwrap();
    assert_eq!(verify_chain(start, bare.iter().map(Vec::as_slice)), Ok(end));
    assert_eq!(end.next_index, 12);
    assert_eq!(ExportedExtent::parse(&bare[0]).unwrap().withheld(), 1);
    assert!(bare[0].len() < full[0].len());
}

#[test]
fn the_output_key_alone_shows_the_screen_and_not_what_was_typed() {
    let output = SubKey::output(&dek(), &SESSION).unwrap();
    let mut opener = Opener::with_keys(&output, None, ORIGIN, SESSION).unwrap();
    let bytes = &extents()[0];
    let played = play_extent(&mut opener, &ExportedExtent::parse(bytes).unwrap()).unwrap();
    assert_eq!(played[2].content, Content::Output(b"$ ".to_vec()));
    assert_eq!(played[3].content, Content::Withheld(3));
}

#[test]
fn no_plaintext_is_in_the_sealed_bytes() {
    let all: Vec<u8> = extents().concat();
    for canary in [&b"uid=0"[..], b"shell", b"warning", b"expires"] {
        assert!(!all.windows(canary.len()).any(|window| window == canary));
    }
}

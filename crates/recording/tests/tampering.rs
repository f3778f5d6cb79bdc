//! What a changed, cut, doubled or reordered recording is called; and arbitrary bytes against every parser.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set up must stop"
)]

use recording::{
    ChainError, Dek, ExportError, ExportedExtent, ExportedFrame, ExtentBuilder, FrameBody, Kind, OpenError, Opener,
    SealError, Sealer, chain_start, decode, encode_export, play_extent, verify_chain,
};

const ORIGIN: &str = "log.example";
const SESSION: [u8; 16] = [9; 16];

fn dek() -> Dek {
    Dek::from_bytes([7; 32])
}

fn start() -> [u8; 32] {
    chain_start(ORIGIN, &SESSION, &dek().commitment())
}

/// Three extents of three frames: output, input, output.
fn extents() -> Vec<Vec<u8>> {
    let mut sealer = Sealer::new(&dek(), ORIGIN, SESSION).unwrap();
    let frames: Vec<Vec<u8>> = (0..3_u64)
        .map(|number| {
            let mut bytes = Vec::new();
            for (step, kind) in (0..).zip([Kind::Output, Kind::Input, Kind::Output]) {
                let time = number * 2_000_000 + step * 1000;
                sealer.seal(kind, 1, time, b"some text", &mut bytes).unwrap();
            }
            bytes
        })
        .collect();
    sealed_extents(&frames.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// One extent of the frames in each piece.
fn sealed_extents(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut builder = ExtentBuilder::new(start());
    let export = |mut rest: &[u8]| {
        let previous = builder.chain();
        let mut frames = Vec::new();
        while let Ok((header, ciphertext, after)) = decode(rest) {
            builder.push(&header, &recording::frame_digest(ciphertext));
            frames.push(ExportedFrame {
                header,
                body: FrameBody::Sealed(ciphertext),
            });
            rest = after;
        }
        encode_export(&builder.cut().unwrap(), &SESSION, &previous, &frames)
    };
    pieces.iter().copied().map(export).collect()
}

fn verify(extents: &[Vec<u8>]) -> Result<u64, ChainError> {
    verify_chain(start(), extents.iter().map(Vec::as_slice)).map(|end| end.next_index)
}

#[test]
fn every_flipped_bit_is_refused() {
    let good = extents();
    assert_eq!(verify(&good), Ok(9));
    for byte in 0..good[1].len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[1][byte] ^= 1 << bit;
            assert!(verify(&bad).is_err(), "byte {byte} bit {bit}");
        }
    }
}

#[test]
fn a_changed_ciphertext_names_its_frame() {
    let mut bad = extents();
    let place = bad[1].len() - 1;
    bad[1][place] ^= 1;
    assert_eq!(verify(&bad), Err(ExportError::Body(5).into()));
}

#[test]
fn cut_extended_and_empty_extents_are_refused() {
    let good = extents();
    for length in 0..good[0].len() {
        assert!(ExportedExtent::parse(&good[0][..length]).is_err(), "{length}");
    }
    let longer = [good[0].as_slice(), b"x"].concat();
    assert_eq!(
        ExportedExtent::parse(&longer),
        Err(ExportError::Trailing(good[0].len()))
    );
}

#[test]
fn missing_doubled_reordered_and_foreign_extents_are_named() {
    let [a, b, c]: [Vec<u8>; 3] = extents().try_into().unwrap();
    let wrong = |expected, found| Err(ChainError::Number { expected, found });
    assert_eq!(verify(&[a.clone(), c.clone()]), wrong(1, 2));
    assert_eq!(verify(&[a.clone(), a.clone()]), wrong(1, 0));
    assert_eq!(verify(&[b.clone(), a.clone(), c]), wrong(0, 1));
    let other = chain_start(ORIGIN, &SESSION, &[0; 32]);
    assert_eq!(verify_chain(other, [a.as_slice()]), Err(ChainError::Previous(0)));
}

#[test]
fn only_input_can_be_withheld() {
    let bytes = extents().remove(0);
    let extent = ExportedExtent::parse(&bytes).unwrap();
    let mut frames = extent.frames.clone();
    frames[0].body = FrameBody::Dropped([0; 32]);
    let withheld = encode_export(&extent.seal, &SESSION, &extent.previous, &frames);
    assert_eq!(ExportedExtent::parse(&withheld), Err(ExportError::State(0)));
}

#[test]
fn frames_open_only_in_their_own_session_log_and_place() {
    let bytes = extents().remove(0);
    let extent = ExportedExtent::parse(&bytes).unwrap();
    let open = |dek: &Dek, origin: &str| {
        play_extent(&mut Opener::new(dek, origin, SESSION).unwrap(), &extent).map(|all| all.len())
    };
    assert_eq!(open(&dek(), ORIGIN), Ok(3));
    assert_eq!(open(&dek(), "other.example"), Err(OpenError::Refused(0)));
    assert_eq!(open(&Dek::from_bytes([8; 32]), ORIGIN), Err(OpenError::Refused(0)));
    let mut moved = extent.frames[0];
    moved.header.time_us += 1;
    let mut opener = Opener::new(&dek(), ORIGIN, SESSION).unwrap();
    assert_eq!(recording::play_frame(&mut opener, &moved), Err(OpenError::Refused(0)));
}

#[test]
fn nothing_is_sealed_after_a_halt() {
    let gap = recording::Gap {
        reason: recording::GapReason::NoSpace,
        from: 0,
        frames: 0,
        since_us: 0,
    };
    let mut sealer = Sealer::new(&dek(), ORIGIN, SESSION).unwrap();
    let mut out = Vec::new();
    sealer.seal(Kind::Output, 0, 5, b"x", &mut out).unwrap();
    sealer.halt(0, 6, &gap, &mut out).unwrap();
    let length = out.len();
    assert_eq!(sealer.halt(0, 7, &gap, &mut out).err(), Some(SealError::Ended));
    assert_eq!(
        sealer.seal(Kind::Output, 0, 7, b"x", &mut out).err(),
        Some(SealError::Ended)
    );
    assert_eq!(out.len(), length);
}

/// Kinds stand in the clear, so a reader without a key sees this too: in one extent, and in the next.
#[test]
fn a_frame_after_a_halt_is_refused_with_its_place() {
    let (mut kept, mut last) = (Vec::new(), Vec::new());
    let mut sealer = Sealer::new(&dek(), ORIGIN, SESSION).unwrap();
    sealer.seal(Kind::Output, 0, 1, b"x", &mut kept).unwrap();
    let gap = recording::Gap {
        reason: recording::GapReason::NoSpace,
        from: 1,
        frames: 0,
        since_us: 0,
    };
    sealer.halt(1, 1, &gap, &mut kept).unwrap();
    // Our sealer would not: one that never halted.
    let mut other = Sealer::new(&dek(), ORIGIN, SESSION).unwrap();
    for _ in 0..3 {
        last.clear();
        other.seal(Kind::Output, 0, 1, b"x", &mut last).unwrap();
    }
    let together = sealed_extents(&[&[kept.clone(), last.clone()].concat()]);
    assert_eq!(verify(&together), Err(ExportError::AfterHalt(2).into()));
    let apart = sealed_extents(&[&kept, &last]);
    assert_eq!(verify(&apart[..1]), Ok(2));
    assert_eq!(verify(&apart), Err(ExportError::AfterHalt(2).into()));
}

#[test]
fn no_two_frames_share_a_nonce_even_when_a_halt_takes_an_unkept_place() {
    let mut sealer = Sealer::new(&dek(), ORIGIN, SESSION).unwrap();
    let gap = recording::Gap {
        reason: recording::GapReason::SyncFailed,
        from: 0,
        frames: 0,
        since_us: 0,
    };
    let body = gap.encode();
    let (mut kept, mut lost) = (Vec::new(), Vec::new());
    sealer.seal(Kind::Gap, 0, 0, &body, &mut lost).unwrap();
    sealer.halt(0, 0, &gap, &mut kept).unwrap();
    // The same plaintext at the same index: an equal key stream would give equal ciphertext.
    assert_ne!(lost[48..48 + body.len()], kept[48..48 + body.len()]);
}

#[test]
fn arbitrary_bytes_never_panic_a_parser() {
    let mut corpus: Vec<Vec<u8>> = extents();
    corpus.push(b"\x1b]52;c;aGk=\x07\x1b[6n".to_vec());
    corpus.push(b"\x01TERM".to_vec());
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random >> 33).unwrap()
    };
    let rounds = if std::env::var_os("COUNTERSIGN_SOAK").is_some() {
        500_000
    } else {
        4_000
    };
    for round in 0..rounds {
        let mut data = corpus[round % corpus.len()].clone();
        for _ in 0..=next() % 4 {
            match (next() % 4, data.len()) {
                (0, length) if length > 0 => data.truncate(next() % length),
                (1, length) => data.insert(next() % (length + 1), next().to_le_bytes()[0]),
                (_, length) if length > 0 => data[next() % length] = next().to_le_bytes()[0],
                _ => {}
            }
        }
        recording::fuzz::fuzz_one(&data);
    }
}

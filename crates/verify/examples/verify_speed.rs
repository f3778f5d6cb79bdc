//! How fast packs are verified, beside what cannot be left out: recordings beside SHA-256 over the same bytes, entries
//! beside building the tree over them. `cargo run --release --example verify_speed`; prints one JSON object.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    unreachable_pub,
    reason = "a measurement that cannot set up must stop"
)]

#[path = "../../evidence/tests/scene/mod.rs"]
mod scene;

use evidence::replay::Select;
use evidence::verify::{Status, verify_ahead};
use ledger::{Tree, hash};
use model::body::Recorded;
use model::bytes::Digest;
use model::id::SessionId;
use recording::{ExportedFrame, ExtentBuilder, FrameBody, Header, Kind, chain_start, encode_export, frame_digest};
use scene::{ORIGIN, Scene};
use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::{Duration, Instant};
use verify::Ahead;

const ROUNDS: usize = 5;
const EXTENTS: u64 = 128;
const FRAMES: u64 = 16;
const FRAME_BYTES: u32 = 32 * 1024;
/// Intents and ends of actions, which most of a log is.
const ACTIONS: usize = 10_000;

fn main() {
    let recordings = recordings();
    let entries = entries();
    println!("{{\"recordings\": {recordings}, \"entries\": {entries}}}");
}

/// A pack that is nearly all recording.
fn recordings() -> String {
    let mut scene = Scene::founded();
    let grant = scene.permission();
    let wished = scene.opened(grant);
    let session = wished.0;
    let (opening, dek) = scene.begin(wished, None);
    scene.act(session, &opening);
    let recorded = record(&mut scene, session, dek);
    scene.end(session, recorded);
    let pack = pack(&scene, session);
    let mib = pack.len() as f64 / f64::from(1 << 20);
    let (work, peer) = beside(
        || verified(&scene, &pack),
        || {
            black_box(Digest::of(&pack));
        },
    );
    told(mib, "mib_per_s", work, peer)
}

/// A pack that is nearly all log, about one of two sessions.
fn entries() -> String {
    let mut scene = Scene::honest();
    let session = scene.session;
    let grant = scene.permission();
    let wished = scene.opened(grant);
    let other = wished.0;
    let (opening, _) = scene.begin(wished, None);
    let disclosed = scene.disclosed.len();
    (0..ACTIONS).for_each(|_| scene.act(other, &opening));
    scene.disclosed.truncate(disclosed);
    let pack = pack(&scene, session);
    let count = scene.world.log.len() as f64;
    let (work, peer) = beside(
        || verified(&scene, &pack),
        || {
            let mut tree = Tree::new();
            scene
                .world
                .log
                .iter()
                .for_each(|entry| tree.append(hash::leaf(entry)).unwrap());
            black_box(tree.root());
        },
    );
    told(count, "per_s", work, peer)
}

fn verified(scene: &Scene, pack: &[u8]) {
    let mut ahead = Ahead::default();
    let mut begin = |first, bundle| ahead.begin(first, bundle);
    let verified = verify_ahead(pack, Some(&scene.trust()), &mut |_| (), &mut begin).unwrap();
    let status = &verified.report.status;
    assert!(
        matches!(status, Status::Trusted),
        "{status:?}: {:?}",
        verified.report.claims
    );
}

/// Both in turns, the median of each.
fn beside(mut work: impl FnMut(), mut peer: impl FnMut()) -> (Duration, Duration) {
    let timed = |work: &mut dyn FnMut()| {
        let began = Instant::now();
        work();
        began.elapsed()
    };
    let mut pairs: Vec<_> = (0..ROUNDS).map(|_| (timed(&mut work), timed(&mut peer))).collect();
    pairs.sort();
    let work = pairs[ROUNDS / 2].0;
    pairs.sort_by_key(|pair| pair.1);
    (work, pairs[ROUNDS / 2].1)
}

fn told(amount: f64, unit: &str, work: Duration, peer: Duration) -> String {
    let (work, peer) = (amount / work.as_secs_f64(), amount / peer.as_secs_f64());
    format!(
        "{{\"{unit}\": {work:.0}, \"peer_{unit}\": {peer:.0}, \"ratio\": {:.3}}}",
        work / peer
    )
}

/// Extents of large frames; nobody has the key, any bytes are ciphertext.
fn record(scene: &mut Scene, session: SessionId, dek: Digest) -> Recorded {
    let body: Vec<u8> = (0..FRAME_BYTES)
        .map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3])
        .collect();
    let mut previous = chain_start(ORIGIN, &session.to_bytes(), &dek.0);
    let mut builder = ExtentBuilder::new(previous);
    let mut recorded = None;
    for number in 0..EXTENTS {
        let headers: Vec<Header> = (number * FRAMES..(number + 1) * FRAMES)
            .map(|index| Header {
                kind: Kind::Output,
                channel: 0,
                index,
                time_us: 1000 * index,
                ciphertext_len: FRAME_BYTES,
                session: session.to_bytes(),
            })
            .collect();
        headers
            .iter()
            .for_each(|header| builder.push(header, &frame_digest(&body)));
        let seal = builder.cut().unwrap();
        let rows: Vec<ExportedFrame<'_>> = headers
            .iter()
            .map(|header| ExportedFrame {
                header: *header,
                body: FrameBody::Sealed(&body),
            })
            .collect();
        let bytes = encode_export(&seal, &session.to_bytes(), &previous, &rows);
        scene.extents.entry(session).or_default().push(bytes);
        previous = seal.chain;
        recorded = Some(Recorded {
            frames: seal.last + 1,
            extents: seal.number + 1,
            chain: Digest(seal.chain),
        });
    }
    recorded.unwrap()
}

/// The pack about one session.
fn pack(scene: &Scene, session: SessionId) -> Vec<u8> {
    let select = Select::Sessions(BTreeSet::from([session]));
    scene.pack_of(select, &scene.cosigned(scene.world.now_ms))
}

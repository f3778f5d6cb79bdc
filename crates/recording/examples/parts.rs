//! What the parts of one 32 KiB frame cost: `cargo run --example parts`. Not a test: figures depend on the machine.
#![allow(clippy::unwrap_used, reason = "a measurement that cannot set up must stop")]

use std::time::Instant;

use recording::{Dek, Kind, Sealer, frame_digest};

const ROUNDS: u64 = 16_384;

fn main() {
    let data = vec![5; 32 * 1024];
    report("SHA-256 of 32 KiB", || frame_digest(&data));
    let mut sealer = Sealer::new(&Dek::from_bytes([1; 32]), "parts.example", [2; 16]).unwrap();
    let mut out = Vec::new();
    report("sealed frame of 32 KiB", || {
        out.clear();
        sealer.seal(Kind::Output, 1, 0, &data, &mut out).unwrap()
    });
    report("sealed frame of 1 byte", || {
        out.clear();
        sealer.seal(Kind::Output, 1, 0, b"x", &mut out).unwrap()
    });
    let key = aws_lc_rs::aead::UnboundKey::new(&aws_lc_rs::aead::AES_256_GCM, &[1; 32]).unwrap();
    let key = aws_lc_rs::aead::LessSafeKey::new(key);
    let mut copy = data.clone();
    report("AES-256-GCM of 32 KiB", || {
        let nonce = aws_lc_rs::aead::Nonce::assume_unique_for_key([0; 12]);
        key.seal_in_place_separate_tag(nonce, aws_lc_rs::aead::Aad::empty(), &mut copy)
            .unwrap()
    });
    report("SHA-256 of 32 KiB, aws-lc", || {
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &data)
    });
}

fn report<T>(what: &str, mut work: impl FnMut() -> T) {
    let begun = Instant::now();
    (0..ROUNDS).for_each(|_| {
        std::hint::black_box(work());
    });
    println!("{what}: {:.2} µs", begun.elapsed().as_secs_f64() * 1e6 / ROUNDS as f64);
}

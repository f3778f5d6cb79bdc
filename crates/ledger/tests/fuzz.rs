//! Runs every fuzz function over a corpus of valid inputs and seeded mutations of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set up must stop"
)]

use ledger::consistency::Head;
use ledger::{Checkpoint, Hash, KeyName, NoteKey, Submission, TlogProof, Tree, WitnessKey, bundle, fuzz, hash};

fn log() -> NoteKey {
    NoteKey::from_seed(KeyName::new("log.example/acme").unwrap(), &[3; 32])
}

fn witness() -> WitnessKey {
    WitnessKey::from_seed(KeyName::new("witness.example/w1").unwrap(), &[7; 32])
}

fn tree() -> Tree {
    let mut tree = Tree::new();
    (0..11u8).for_each(|n| tree.append(hash::leaf(&[n])).unwrap());
    tree
}

fn proof() -> TlogProof {
    let tree = tree();
    let head = Head {
        size: tree.size(),
        root: tree.root(),
    };
    let mut signed = Checkpoint::new(log().verifier().name().clone(), head)
        .sign(&log())
        .unwrap();
    signed
        .add(witness().cosign(signed.checkpoint(), 1_700_000_000).unwrap())
        .unwrap();
    TlogProof::new(3, vec![Hash::EMPTY_ROOT; 4], signed).unwrap()
}

fn policy() -> String {
    let witness = witness();
    format!(
        "# comment\nlog {}\nwitness w {} https://w.example\ngroup g 1 w\nquorum g\n",
        log().verifier(),
        witness.verifier()
    )
}

/// xorshift64*: the same mutations each run.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(drawn).unwrap() % bound.max(1)
    }
}

fn mutate(seed: &[u8], random: &mut Seeded) -> Vec<u8> {
    let mut data = seed.to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(data.len() + 1);
        match random.below(6) {
            0 if at < data.len() => data[at] ^= 1 << random.below(8),
            1 if at < data.len() => drop(data.remove(at)),
            2 => data.truncate(at),
            3 => data.insert(at, b"\n +=0\x00\xff/x"[random.below(9)]),
            4 => {
                let end = at + random.below(data.len() - at + 1);
                let copy = data[at..end].to_vec();
                data.splice(at..at, copy);
            }
            _ => {
                let tail = data.split_off(at);
                data.splice(0..0, tail);
            }
        }
    }
    data
}

fn run(seeds: &[Vec<u8>], fuzz_one: fn(&[u8])) {
    let soak = std::env::var_os("COUNTERSIGN_SOAK").is_some();
    let mut random = Seeded(0x9E37_79B9_7F4A_7C15);
    for seed in seeds {
        fuzz_one(seed);
        for _ in 0..if soak { 200_000 } else { 4_000 } {
            fuzz_one(&mutate(seed, &mut random));
        }
    }
}

#[test]
fn parsers_hold_under_mutation() {
    let proof = proof();
    let signed = proof.checkpoint().to_string();
    run(
        &[signed.clone().into_bytes(), "text\n\n— key AAAAAAA=\n".into()],
        fuzz::note,
    );
    run(
        &[
            signed.clone().into_bytes(),
            proof.checkpoint().checkpoint().to_string().into_bytes(),
        ],
        fuzz::checkpoint,
    );
    run(&[proof.to_string().into_bytes()], fuzz::proof);
    let submission = Submission::new(3, vec![Hash::EMPTY_ROOT; 2], proof.checkpoint().clone()).unwrap();
    run(&[submission.to_string().into_bytes()], fuzz::submission);
    run(&[policy().into_bytes()], fuzz::policy);
    run(
        &[b"tile/0/x001/234.p/8".to_vec(), b"tile/entries/x001/x234/067".to_vec()],
        fuzz::tile_path,
    );
    run(
        &[[&[2][..], &bundle::encode([&b"one"[..], b"", b"three"]).unwrap()].concat()],
        fuzz::bundle,
    );
    run(
        &[
            log().verifier().to_string().into_bytes(),
            witness().verifier().to_string().into_bytes(),
        ],
        fuzz::key,
    );
    run(&[tree().to_bytes()], fuzz::tree);
}

#[test]
fn proofs_hold_under_mutation() {
    let sizes = [
        (0u64, 1u64),
        (1, 2),
        (3, 7),
        (7, 3),
        (4, 8),
        (u64::MAX, u64::MAX),
        (1 << 62, 1 << 63),
        (0, 0),
        (5, 5),
    ];
    let seeds: Vec<Vec<u8>> = sizes
        .iter()
        .map(|(old, new)| {
            [
                &old.to_be_bytes()[..],
                &new.to_be_bytes(),
                Hash::EMPTY_ROOT.as_bytes(),
                &[9; 64],
            ]
            .concat()
        })
        .collect();
    run(&seeds, fuzz::proofs);
}

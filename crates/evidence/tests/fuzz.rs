//! Every parser over valid inputs and seeded mutations of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set up must stop"
)]

mod scene;

use evidence::fuzz;
use evidence::record::Record;
use evidence::trust::Trust;
use evidence::verify::verify;
use scene::Scene;

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
            3 => data.insert(at, b"\n \"0\x00\xff/{"[random.below(8)]),
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

fn run(seed: &[u8], times: usize, fuzz_one: fn(&[u8])) {
    let soak = std::env::var_os("COUNTERSIGN_SOAK").is_some();
    let mut random = Seeded(0x9E37_79B9_7F4A_7C15);
    fuzz_one(seed);
    for _ in 0..if soak { times * 50 } else { times } {
        fuzz_one(&mutate(seed, &mut random));
    }
}

#[test]
fn packs_hold_under_mutation() {
    run(&Scene::honest().pack(), 1000, fuzz::pack);
}

#[test]
fn papers_hold_under_mutation() {
    let scene = Scene::honest();
    let pack = scene.pack();
    let size = usize::from_str_radix(std::str::from_utf8(&pack[124..135]).unwrap(), 8).unwrap();
    run(&pack[512..512 + size], 3000, fuzz::manifest);
    run(Trust::file_of(&scene.world.genesis()).as_bytes(), 3000, fuzz::trust);
    let verified = verify(&pack[..], Some(&scene.trust()), &mut |_| ()).unwrap();
    let record = Record::of(&verified.reading().unwrap(), scene.session).unwrap();
    run(record.to_json().unwrap().as_bytes(), 1000, fuzz::record);
}

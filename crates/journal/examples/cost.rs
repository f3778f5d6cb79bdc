//! What a frame costs, beside what its parts cost alone, in one run: `cargo run --release --example cost -- DIR`.
//!
//! Not a test: figures depend on the machine. F is the same directory's fdatasync of a small write.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a measurement that cannot set up must stop"
)]

use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use journal::{Journal, JournalConfig, SessionStart};
use recording::{Dek, Kind};

fn main() {
    let dir = std::env::args()
        .nth(1)
        .map_or_else(|| std::env::temp_dir().join("journal-cost"), PathBuf::from);
    let config = JournalConfig {
        low_water_bytes: 0,
        stop_water_bytes: 0,
        ..JournalConfig::new(&dir)
    };
    let (journal, _) = Journal::open(config).unwrap();
    let mut id = [7; 16];
    id[..4].copy_from_slice(&std::process::id().to_le_bytes());
    let dek = Dek::from_bytes([3; 32]);
    let start = SessionStart {
        session: id,
        origin: "cost.example",
        dek: &dek,
        opened_at_ms: 0,
    };
    let mut session = journal.session(&start).unwrap();
    let begun = Instant::now();
    let now = || u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);

    let file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .open(dir.join("raw"))
        .unwrap();
    let mut offset = 0;
    report("raw pwrite of 65 bytes", 20_000, |_| {
        file.write_all_at(&[1; 65], offset).unwrap();
        offset += 65;
    });
    report("keystroke frame, written", 20_000, |_| {
        session
            .write(Kind::Input, 1, Bytes::from_static(b"x"), now())
            .unwrap()
            .release()
    });
    report("1 KiB frame, written", 20_000, |_| {
        session
            .write(Kind::Output, 1, Bytes::from_static(&[9; 1024]), now())
            .unwrap()
            .release()
    });
    std::thread::sleep(Duration::from_millis(400));
    let bulk = Bytes::from(vec![5; 32 * 1024]);
    let cpu = cpu_time();
    let took = report("32 KiB frame, written", 16_384, |_| {
        session.write(Kind::Output, 1, bulk.clone(), now()).unwrap().release()
    });
    println!(
        "  = {:.0} MiB/s, {:.2} CPU-s/GiB",
        512.0 / took.as_secs_f64(),
        (cpu_time() - cpu) * 2.0
    );
    report("F: pwrite and fdatasync, raw", 200, |_| {
        file.write_all_at(&[1; 65], offset).unwrap();
        file.sync_data().unwrap();
        offset += 65;
    });
    report("keystroke frame, durable", 200, |_| {
        session
            .write(Kind::Input, 1, Bytes::from_static(b"x"), now())
            .unwrap()
            .durable_blocking()
            .unwrap()
            .release()
    });
    let read = Instant::now();
    let bytes: usize = journal
        .extents(&id)
        .unwrap()
        .map(|extent| extent.unwrap().bytes.len())
        .sum();
    let rate = bytes as f64 / 1_048_576.0 / read.elapsed().as_secs_f64();
    println!("reading back, export form: {rate:.0} MiB/s");
    println!("{:?}", session.finish_blocking(now()).durable);
    drop(journal);
    std::fs::remove_dir_all(&dir).unwrap();
}

fn report<T>(what: &str, rounds: usize, mut work: impl FnMut(usize) -> T) -> Duration {
    let mut times = Vec::with_capacity(rounds);
    let begun = Instant::now();
    for round in 0..rounds {
        let one = Instant::now();
        std::hint::black_box(work(round));
        times.push(one.elapsed());
    }
    let total = begun.elapsed();
    times.sort_unstable();
    let at = |percent: usize| times[(rounds - 1) * percent / 100].as_nanos() as f64 / 1000.0;
    println!(
        "{what}: p50 {:.1} µs, p99 {:.1} µs, most {:.0} µs",
        at(50),
        at(99),
        at(100)
    );
    total
}

/// Seconds of processor that this process has used.
fn cpu_time() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

//! How long the gate holds an opening: from its commit to the verified cosignature of a witness on the loopback, one
//! after the other. `cargo run --release --example gate_speed -- 100`, with TMPDIR on the disk in question; prints one
//! JSON object, with the median of fdatasync on the same disk in the same moments.
#![allow(clippy::unwrap_used, reason = "a measurement that cannot set up must stop")]

#[path = "../tests/scene/mod.rs"]
mod scene;

use model::statement::Gate;
use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

/// Syncs between two openings.
const SYNCS: usize = 3;

#[tokio::main(worker_threads = 2)]
async fn main() {
    let openings = std::env::args().nth(1).map_or(100, |text| text.parse().unwrap());
    let mut bench = scene::bench(Gate::Witnesses(1), true).await;
    let publisher = bench.publisher().await;
    let mut grants = Vec::new();
    for _ in 0..openings {
        grants.push(bench.grant().await);
    }
    let mut file = File::create(bench.folder.path().join("sync")).unwrap();
    let (mut gates, mut syncs) = (Vec::new(), Vec::new());
    for grant in grants {
        let time = publisher.time_basis(&bench.environment).await;
        let began = Instant::now();
        let (committed, wanted) = bench.open(grant, time).await;
        drop(publisher.clear(committed, &wanted).await.unwrap());
        gates.push(began.elapsed());
        syncs.extend((0..SYNCS).map(|_| sync(&mut file)));
    }
    println!(
        "{{\"p50_ms\": {:.3}, \"p99_ms\": {:.3}, \"fdatasync_p50_ms\": {:.3}}}",
        percentile(&mut gates, 50),
        percentile(&mut gates, 99),
        percentile(&mut syncs, 50)
    );
}

fn sync(file: &mut File) -> Duration {
    file.write_all(&[0; 4096]).unwrap();
    let began = Instant::now();
    file.sync_data().unwrap();
    began.elapsed()
}

fn percentile(values: &mut [Duration], percent: usize) -> f64 {
    values.sort_unstable();
    let value = values.get((values.len() * percent / 100).min(values.len() - 1));
    value.unwrap().as_secs_f64() * 1000.0
}

//! Our manifest repeats upstream's features and dependencies, since its source is compiled here.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot set up must stop"
)]

use toml::{Table, Value};

/// Named by us alone: it pins the checksum of upstream's crate and is never compiled.
const PIN: &str = "cfg(any())";
/// Upstream's benchmarks.
const BENCH: &[&str] = &["_bench", "criterion"];

fn ours() -> Table {
    include_str!("../Cargo.toml").parse().unwrap()
}

fn upstream() -> Table {
    include_str!(concat!(env!("OUT_DIR"), "/russh-0.65.1/Cargo.toml"))
        .parse()
        .unwrap()
}

fn without_bench(table: &Table) -> Table {
    table
        .iter()
        .filter(|(name, _)| !BENCH.contains(&name.as_str()))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

fn targets(manifest: &Table) -> Vec<(String, Table)> {
    let targets = manifest["target"]
        .as_table()
        .unwrap()
        .iter()
        .filter(|(target, _)| *target != PIN);
    let normal = targets
        .filter_map(|(target, tables)| Some((target.clone(), without_bench(tables.get("dependencies")?.as_table()?))));
    normal.collect()
}

#[test]
fn features_are_upstreams() {
    let (ours, upstream) = (ours(), upstream());
    assert_eq!(
        without_bench(ours["features"].as_table().unwrap()),
        without_bench(upstream["features"].as_table().unwrap())
    );
}

#[test]
fn dependencies_are_upstreams() {
    let (ours, upstream) = (ours(), upstream());
    assert_eq!(
        without_bench(ours["dependencies"].as_table().unwrap()),
        without_bench(upstream["dependencies"].as_table().unwrap())
    );
    assert_eq!(targets(&ours), targets(&upstream));
}

#[test]
fn the_pinned_package_is_the_one_that_is_unpacked() {
    let ours = ours();
    let pin = &ours["target"][PIN]["dependencies"]["upstream"];
    let version = upstream()["package"]["version"].clone();
    assert_eq!(pin["version"], Value::from(format!("={}", version.as_str().unwrap())));
    assert_eq!(ours["package"]["version"], version);
    assert_eq!(ours["package"]["rust-version"], upstream()["package"]["rust-version"]);
}

/// The checksum in build.rs is the one that Cargo.lock holds.
#[test]
fn the_checksum_is_the_locked_one() {
    let lock: Table = include_str!("../../../Cargo.lock").parse().unwrap();
    let packages = lock["package"].as_array().unwrap();
    let russh = packages
        .iter()
        .find(|package| package["name"].as_str() == Some("russh"))
        .unwrap();
    assert!(include_str!("../build.rs").contains(russh["checksum"].as_str().unwrap()));
}

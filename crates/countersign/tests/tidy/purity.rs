//! The pure crates: same arguments, same answer. No files, network, clock, environment, threads, processes,
//! asynchronous runtime or randomness outside their tests.

use super::edges::{self, Kind};
use super::tree::{Finding, Source, Tree};

const PURE: &[&str] = &["model", "ledger", "recording", "evidence", "policy"];

const PACKAGES: &[&str] = &[
    "tokio",
    "async-std",
    "smol",
    "futures-executor",
    "rand",
    "rand_core",
    "getrandom",
    "fastrand",
    "reqwest",
    "hyper",
    "axum",
    "libc",
    "rustix",
    "nix",
    "jiff",
    "chrono",
    "time",
    "tempfile",
    "rayon",
];

/// Paths that reach outside, whole or from here down.
const ROOTS: &[&str] = &[
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "std::os",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "tokio",
    "rand",
    "getrandom",
];

/// The same, as they read once imported.
const ENDS: &[&str] = &[
    "SystemTime::now",
    "Instant::now",
    "SystemRandom",
    "SystemRandom::new",
    "OsRng",
    "thread_rng",
    "SysRng",
];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for name in PURE {
        let path = format!("crates/{name}/Cargo.toml");
        if let Some(manifest) = tree.files.get(&path) {
            let edges = edges::edges(&manifest.text, tree.text("Cargo.toml"));
            let bad = edges
                .iter()
                .filter(|e| e.kind == Kind::Normal && PACKAGES.contains(&e.package.as_str()));
            found.extend(bad.map(|e| Finding::new(&path, 0, format!("pure crate depends on `{}`", e.package))));
        }
    }
    let pure = tree
        .rust()
        .filter(|s| s.is_product() && s.crate_name().is_some_and(|name| PURE.contains(&name)));
    found.extend(pure.flat_map(impure));
    found
}

fn impure(source: &Source) -> Vec<Finding> {
    let mut seen: Vec<(usize, String)> = Vec::new();
    for chain in source.uses().into_iter().chain(source.chains()) {
        let reaches = ROOTS.iter().any(|root| chain.is_under(root)) && chain.path.contains("::");
        let reaches = reaches || ENDS.iter().any(|end| chain.ends_with(end));
        if reaches && !chain.method && !source.is_test(chain.line) && seen.iter().all(|(line, _)| *line != chain.line) {
            seen.push((chain.line, chain.path));
        }
    }
    seen.into_iter()
        .map(|(line, path)| Finding::new(&source.path, line, format!("pure crate reaches for `{path}`")))
        .collect()
}

#[test]
fn a_clock_a_file_and_randomness_are_found() {
    let text = "use std::{collections::BTreeMap, fs};\nfn f() { log!(Instant::now()); }\nfn g(t: std::time::SystemTime) {}\n\
                fn h() { aws_lc_rs::rand::SystemRandom::new(); }\nfn i() { std::net::TcpStream::connect(x); }\n";
    let found = super::planted(
        check,
        &[
            ("crates/model/src/clock.rs", text),
            ("crates/store/src/lib.rs", "use std::fs;\n"),
        ],
    );
    assert_eq!(
        found,
        [
            "crates/model/src/clock.rs:1: pure crate reaches for `std::fs`",
            "crates/model/src/clock.rs:2: pure crate reaches for `Instant::now`",
            "crates/model/src/clock.rs:4: pure crate reaches for `aws_lc_rs::rand::SystemRandom::new`",
            "crates/model/src/clock.rs:5: pure crate reaches for `std::net::TcpStream::connect`",
        ]
    );
}

#[test]
fn tests_of_a_pure_crate_may_read_files() {
    let text = "#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n";
    assert!(
        super::planted(
            check,
            &[
                ("crates/ledger/src/note.rs", text),
                ("crates/ledger/tests/a.rs", "use std::fs;\n")
            ]
        )
        .is_empty()
    );
}

#[test]
fn a_runtime_among_the_dependencies_is_found() {
    let manifest = "[dependencies]\ntokio = \"1\"\n[dev-dependencies]\nrand = \"0.9\"\n";
    let found = super::planted(check, &[("Cargo.toml", ""), ("crates/recording/Cargo.toml", manifest)]);
    assert_eq!(found, ["crates/recording/Cargo.toml:0: pure crate depends on `tokio`"]);
}

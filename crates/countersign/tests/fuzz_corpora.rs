//! Every parser over its seeds and over every finding that was mended, on stable. The crates' own tests add mutations;
//! `make fuzz` searches for hours.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot read its seeds must stop"
)]

use std::fs;
use std::path::{Path, PathBuf};

#[path = "../../../fuzz/targets.rs"]
mod targets;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus")
}

#[test]
fn each_parser_holds_over_its_corpus() {
    for (name, parser) in targets::TARGETS {
        let seeds: Vec<_> = fs::read_dir(corpus().join(name))
            .into_iter()
            .flatten()
            .flatten()
            .collect();
        assert!(!seeds.is_empty(), "no seeds in fuzz/corpus/{name}");
        for seed in seeds {
            let bytes = fs::read(seed.path()).unwrap();
            parser(&bytes);
            // A prefix is what a cut file or a cut connection leaves.
            (0..bytes.len().min(512)).for_each(|end| parser(&bytes[..end]));
        }
    }
}

#[test]
fn each_corpus_has_a_parser() {
    for folder in fs::read_dir(corpus()).unwrap().flatten() {
        let name = folder.file_name().into_string().unwrap();
        assert!(
            targets::TARGETS.iter().any(|(target, _)| *target == name),
            "fuzz/corpus/{name} has no target"
        );
    }
}

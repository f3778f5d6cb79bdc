//! The libFuzzer binary: COUNTERSIGN_FUZZ names the target of `targets.rs` that it runs.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

#[path = "../targets.rs"]
mod targets;

static PARSER: OnceLock<targets::Parser> = OnceLock::new();

fuzz_target!(
    init: {
        let name = std::env::var("COUNTERSIGN_FUZZ").expect("COUNTERSIGN_FUZZ names a target");
        let found = targets::TARGETS.iter().find(|(target, _)| *target == name);
        let (_, parser) = found.unwrap_or_else(|| panic!("no target `{name}`"));
        PARSER.set(*parser).expect("set once");
    },
    |data: &[u8]| PARSER.get().expect("set before the first input")(data)
);

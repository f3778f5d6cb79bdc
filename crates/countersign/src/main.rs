//! The `countersign` binary: command line, configuration and wiring.

fn main() {}

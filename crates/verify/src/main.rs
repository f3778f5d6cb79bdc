//! The small offline verifier: reads a pack and a trust policy, and nothing else.

fn main() {}

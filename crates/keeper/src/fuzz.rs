//! Entry points for fuzzers: what a witness reads from the network and from its own folder, as any bytes.

pub use crate::witness::fuzz::{files, submission};

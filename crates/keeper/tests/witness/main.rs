//! The witness as its clients and its disk see it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set up must stop"
)]

mod disk;
mod http;
mod killed;
mod log;
mod rules;

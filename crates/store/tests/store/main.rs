//! The store as its users see it: one binary, so that it is linked once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set up must stop"
)]

mod commit;
mod failures;
mod opening;
mod races;
mod reading;
mod sealing;
mod world;

//! The API as a client meets it: a real socket, a real store, real SSH keys.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set up must stop"
)]

mod access;
mod bounds;
mod place;
mod reading;

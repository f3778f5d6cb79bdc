//! Crashes: a process that is killed, a process that stops before its n-th write or sync, and a disk that keeps only
//! what was synced and any part of the rest. After each, everything that was acknowledged is there, and nothing that was
//! refused.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set up must stop"
)]

mod aftermath;
mod child;
mod disk;
mod killed;
mod lost;

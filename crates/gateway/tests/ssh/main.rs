//! The relay with a real sshd behind it and stock clients before it. Whoever answers the relay's questions here is a
//! few rules in memory (`desk`); everything else is the product.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot set up must stop"
)]

mod bulk;
mod check;
mod clients;
mod desk;
mod ends;
mod protocol;
mod refusals;
mod strangers;
mod world;

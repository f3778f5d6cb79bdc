//! Publishing: an environment's entries as a signed, cosigned transparency log; and the gate, which makes `Cleared`.
//!
//! What it is not: it commits nothing and judges by `model::judge` alone. One task per environment owns its tree.
//!
//! INVARIANT (signing order): SQL commit → root for size n → `signed_head` durable → only then a signature leaves →
//! submit → publish. A log never signs two roots of one size, also not after a crash: the store refuses the second.

mod cosign;
#[doc(hidden)]
pub mod fuzz;
mod gate;
mod head;
mod key;
mod serve;
mod start;
mod tree;

pub use gate::{Cleared, NotCleared};
pub use head::{Cosigned, Status};
pub use key::{LogKeyError, log_key};
pub use serve::router;
pub use start::{Freshness, Publisher, PublisherConfig, StartError, WitnessAddress};

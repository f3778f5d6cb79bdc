//! What clients write, as values: whom and what a user name means, and what becomes of each kind of channel and
//! request. Pure, bounded, without panics.

pub mod disposition;
pub mod place;
pub mod target;
pub mod words;

pub use place::{Place, Reachable, Unresolved, resolve};
pub use target::{Account, Hint, NotATarget, Target};

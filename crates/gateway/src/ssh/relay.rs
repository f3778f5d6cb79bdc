//! Moves bytes between a person's client and a target: connections, channels, tasks. Decides nothing by itself: the
//! names are read by `wire`, what happens next is said by `session`, and whether it may is asked through `ask`.
//!
//! - [`gateway`]: the listener; `strangers`: how many it bears, and who gives way; [`refusals`]: how many it turned away
//! - `connection`: one log-in, at the gateway or behind `-J`; `line`: its socket, which can be cut
//! - `live`: one session's task; `passage`: where its bytes are recorded, held or stopped
//! - `channel`, `local`: one channel, with a target and without; `words`: the gateway's own
//! - `check`: whether a target refuses what it must refuse, on a channel that asks for it
//! - `dial`: the only module that reaches a target; `forward`: the only one that writes to either side

mod channel;
mod check;
mod connection;
mod dial;
mod forward;
pub mod gateway;
mod line;
mod live;
mod local;
mod passage;
pub mod refusals;
mod request;
mod strangers;
mod transport;
mod words;

pub use gateway::{Gateway, Settings};
pub use refusals::Refusals;

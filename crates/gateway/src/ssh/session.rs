//! What a session does next, decided without clock, sockets or tasks: time and happenings go in, effects come out.
//!
//! - [`check`]: what is asked of a target that is checked, and what is said about it
//! - [`life`]: from the question whether it may begin to its end: waiting, warnings, expiry, revocation, pause
//! - [`channel`]: which request of a channel goes on, in which order answers leave, and how an end is told
//! - [`screen`]: whether a line of ours may be written on a terminal

pub mod channel;
pub mod check;
pub mod life;
pub mod screen;

pub use channel::{Answers, Ending, Intake};
pub use life::{Effect, End, Input, Life, Order};
pub use screen::Screen;

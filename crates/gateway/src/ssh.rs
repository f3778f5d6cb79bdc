//! SSH on both sides, in three layers: [`wire`] reads names and says what becomes of each kind of request; [`session`]
//! decides, without clock or sockets; [`relay`] moves the bytes. [`ask`] is all that the relay wants to know from
//! outside; [`refusal`] is how it says no.
//!
//! INVARIANT (evidence before effect): a target is dialed only with what an opening gave (`relay/dial.rs`), and bytes
//! go on only after they were journaled (`relay/forward.rs`); no other module can do either.

pub mod ask;
pub mod refusal;
pub mod relay;
pub mod session;
pub mod wire;

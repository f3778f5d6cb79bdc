//! HTTP for people and programs: sign-in by SSH key, requests, approvals, reading what is on record. JSON in and out.
//!
//! What it is not: it decides nothing (that is `desk`, and below it the log's rules), and it does not serve the log to
//! the public (that is the publisher's). It listens on loopback only; whoever needs it elsewhere puts TLS in front.
//!
//! - [`server`]: listening, and the bounds on what a client may hold; [`endpoint`]: the list of what there is
//! - [`sign_in`]: challenge, signature, token; [`problem`]: how it says no

mod access;
mod caller;
mod endpoint;
mod founding;
#[doc(hidden)]
pub mod fuzz;
mod problem;
mod reading;
mod recordings;
mod sent;
mod server;
mod sign_in;

pub use endpoint::list as endpoints;
pub use recordings::{Extents, Recordings};
pub use server::{BindError, Config, Server, Unpublished, Unrecorded};
pub use sign_in::{CHALLENGE_DOMAIN, Challenge};

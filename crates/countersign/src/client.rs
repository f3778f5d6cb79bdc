//! The client of the server's API. One connection's worth of state: the address, and a token that is never written down.

use crate::exit::Failure;
use crate::trust::TrustBody;

/// Posts signed bodies, in order; each is accepted or refused by the server's own rules.
pub(crate) fn submit_bodies(server: &str, bodies: Vec<TrustBody>) -> Result<(), Failure> {
    let _ = (server, bodies);
    Err(Failure::unavailable("this build has no client"))
}

//! Disclosed values against the commitments that stand for them in an entry.

use model::body::Body;
use model::bytes::Octets;
use model::commitment::{Commitment, Openings};

/// The commitments of an entry, each with its path.
#[must_use]
pub fn commitments(body: &Body) -> Vec<(&'static str, Commitment)> {
    match body {
        Body::Requested(body) => {
            let mut all = vec![("reason", body.statement.reason)];
            all.extend(body.statement.ticket.map(|ticket| ("ticket", ticket)));
            all
        }
        Body::Opened(body) => vec![("client", body.client)],
        Body::Intended(body) => body.command.map(|command| ("command", command)).into_iter().collect(),
        Body::ActionRefused(body) => body.command.map(|command| ("command", command)).into_iter().collect(),
        Body::AttemptRefused(body) => vec![("object", body.object)],
        _ => Vec::new(),
    }
}

/// Whether every field of `openings` opens a commitment of the entry, and each but once.
#[must_use]
pub fn opens(body: &Body, openings: &Openings) -> bool {
    let commitments = commitments(body);
    let known = |path: &str| commitments.iter().find(|(name, _)| *name == path);
    let once = |path: &str| openings.fields.iter().filter(|field| field.path == path).count() == 1;
    openings.fields.iter().all(|field| {
        let Some((path, commitment)) = known(&field.path) else {
            return false;
        };
        once(path) && openings.open(path, *commitment).is_some()
    })
}

/// The value behind a commitment, where it was disclosed and fits.
#[must_use]
pub fn value<'a>(body: &Body, openings: Option<&'a Openings>, path: &str) -> Option<&'a Octets> {
    let (_, commitment) = commitments(body).into_iter().find(|(name, _)| *name == path)?;
    openings?.open(path, commitment)
}

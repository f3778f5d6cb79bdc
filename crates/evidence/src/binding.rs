//! Identity, approval and session evidence belong together: which sessions lack one of the three, and what stands alone.

use crate::grounds::Grounds;
use crate::replay::World;
use model::body::Body;
use model::id::{EntryId, SessionId};
use serde::Serialize;

/// Something that is bound to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unbound {
    /// A session whose actor nobody enrolled.
    NoIdentity(SessionId),
    /// A session without an approval that counts.
    NoApproval(SessionId),
    /// A session without evidence of what was done.
    NoEvidence(SessionId),
    /// Evidence of a session that was never opened.
    NoSession(SessionId),
    /// An approval whose permission never ends.
    NoExpiry(EntryId),
}

/// Everything in `world` that is bound to nothing; empty when all is bound.
#[must_use]
pub fn unbound(world: &World, grounds: &Grounds) -> Vec<Unbound> {
    let mut found = Vec::new();
    for dossier in world.sessions() {
        let session = dossier.session;
        let Some(at) = &dossier.opening else {
            found.push(Unbound::NoSession(session));
            continue;
        };
        if at.identity.is_none() {
            found.push(Unbound::NoIdentity(session));
        }
        let approvals = at.request.as_ref().map(|r| r.approvals.as_slice()).unwrap_or_default();
        let grant = at.grant.as_ref().is_some_and(|g| world.refusal(g.issued_at).is_none());
        let counts = |index: u64| index < at.placed.index && world.refusal(index).is_none();
        if !grant || !approvals.iter().any(|approval| counts(approval.index)) {
            found.push(Unbound::NoApproval(session));
        }
        let recording = grounds
            .recordings
            .get(&session)
            .is_some_and(|r| r.intact && r.extents > 0);
        if !recording && dossier.entries.len() < 2 {
            found.push(Unbound::NoEvidence(session));
        }
    }
    let endless = world.entries().filter(|placed| match &placed.entry.body {
        Body::Approved(signed) => signed.statement.scope.until_ms <= signed.statement.scope.from_ms,
        _ => false,
    });
    found.extend(endless.map(|placed| Unbound::NoExpiry(placed.entry.id)));
    found
}

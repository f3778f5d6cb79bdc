//! What a pack about some sessions must hold, read off the replayed log: for whoever gathers it.

use super::manifest::SessionLine;
use crate::replay::{Dossier, World};
use model::body::Body;
use model::bytes::Digest;
use model::entry::BlobKind;
use model::id::{EntryId, SessionId};

/// What goes into a pack beside the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The sessions, with the number of extents that the log says each has.
    pub sessions: Vec<SessionLine>,
    /// Entries that get a proof of their own, with their indices.
    pub proven: Vec<(EntryId, u64)>,
    /// Encrypted openings of requests, openings and actions, by the digest of the blob.
    pub openings: Vec<(EntryId, Digest)>,
    /// Wrapped keys, by the digest of the blob.
    pub wraps: Vec<(SessionId, Digest)>,
}

impl Plan {
    /// What a pack about all sessions that `world` follows needs.
    #[must_use]
    pub fn of(world: &World) -> Self {
        let mut plan = Self {
            sessions: Vec::new(),
            proven: Vec::new(),
            openings: Vec::new(),
            wraps: Vec::new(),
        };
        for dossier in world.sessions() {
            plan.add(world, dossier);
        }
        plan.proven.sort_unstable_by_key(|(_, index)| *index);
        plan.proven.dedup();
        plan.openings.sort_unstable();
        plan.openings.dedup();
        plan
    }

    fn add(&mut self, world: &World, dossier: &Dossier) {
        self.sessions.push(SessionLine {
            extents: dossier.recorded().map_or(0, |recorded| recorded.extents),
            id: dossier.session,
        });
        self.proven.extend(proven_entries(dossier));
        let opening = dossier.opening.as_ref();
        let wraps = opening.and_then(|at| Some((dossier.session, at.body()?.wraps)));
        self.wraps.extend(wraps);
        let request = opening.and_then(|at| world.entry(at.request.as_ref()?.made_at));
        for placed in dossier.entries.iter().chain(request) {
            if matches!(placed.entry.body, Body::Killed(_)) {
                continue;
            }
            let openings = placed.entry.blobs.iter().filter(|blob| blob.kind == BlobKind::Openings);
            self.openings
                .extend(openings.map(|blob| (placed.entry.id, blob.sha256)));
        }
    }
}

/// The entries of a session that get a proof of their own: its opening, its approvals and its end.
#[must_use]
pub fn proven_entries(dossier: &Dossier) -> Vec<(EntryId, u64)> {
    let opening = dossier.opening.as_ref();
    let approvals = opening
        .and_then(|at| at.request.as_ref())
        .map(|r| r.approvals.as_slice());
    let approvals = approvals.unwrap_or_default().iter().map(|a| (a.entry, a.index));
    let ends = dossier.ended().map(|(placed, _)| placed).or(dossier.lost());
    let placed = opening.map(|at| &at.placed).into_iter().chain(ends);
    placed
        .map(|placed| (placed.entry.id, placed.index))
        .chain(approvals)
        .collect()
}

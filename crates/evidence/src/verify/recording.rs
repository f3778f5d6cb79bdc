//! A session's recording without its key: every extent sound by itself and following the one before.

use crate::pack::{Fault, Place};
use model::id::SessionId;
use recording::{Chain, ChainedExtent, ExportedExtent, Totals};

/// Where a recording stands.
#[derive(Default)]
pub(super) struct Track {
    /// The chain before the first extent, as that extent states it.
    pub(super) start: Option<Chain>,
    /// After each extent: the next frame's index, and the chain.
    pub(super) after: Vec<(u64, Chain)>,
    pub(super) totals: Totals,
    /// Input frames that were withheld.
    pub(super) withheld: u64,
    at: Option<ChainedExtent>,
}

impl Track {
    pub(super) fn take(&mut self, session: SessionId, number: u64, body: &[u8]) -> Result<(), Fault> {
        let bad = |what: String| Fault::form(Place::Extent(session, number), what);
        let extent = ExportedExtent::parse(body).map_err(|error| match error {
            newer if newer.is_newer() => Fault::Newer(format!("extent {number} of {session}: {error}")),
            _ => bad(error.to_string()),
        })?;
        if extent.session != session.to_bytes() {
            return Err(bad("belongs to another session".into()));
        }
        let mut at = self.at.unwrap_or_else(|| ChainedExtent::start(extent.previous));
        at.follow(&extent).map_err(|error| bad(error.to_string()))?;
        self.start.get_or_insert(extent.previous);
        self.after.push((at.next_index, at.chain));
        self.withheld += extent.withheld() as u64;
        extent.frames.iter().for_each(|frame| self.totals.add(&frame.header));
        self.at = Some(at);
        Ok(())
    }

    /// Frames and chain after `extents` extents, if there are so many.
    pub(super) fn after(&self, extents: u64) -> Option<(u64, Chain)> {
        match usize::try_from(extents).ok()?.checked_sub(1) {
            Some(last) => self.after.get(last).copied(),
            None => None,
        }
    }

    pub(super) fn extents(&self) -> u64 {
        self.after.len() as u64
    }
}

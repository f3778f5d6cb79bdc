//! Connections that have not logged in: how many are borne, from one source and in all, and which of them has to go.
//!
//! A newcomer is turned away only while those that had to go are not gone yet. Otherwise the oldest of its own source
//! gives way, or of the source that holds most: a crowd costs itself its places, and a log-in is over before it is old.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use super::line::Switch;

/// One source holds at most one in so many places.
const SOURCE_PART: usize = 2;

/// All of them, oldest first.
pub(super) struct Strangers {
    max: usize,
    borne: Mutex<Vec<Stranger>>,
}

struct Stranger {
    source: IpAddr,
    switch: Arc<Switch>,
}

/// A place among them; dropped, it is free.
pub(super) struct Place {
    strangers: Arc<Strangers>,
    switch: Arc<Switch>,
}

impl Strangers {
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            max: max.max(1),
            borne: Mutex::default(),
        })
    }

    /// A place for a newcomer; whoever has to give way for it is cut.
    pub(super) fn admit(self: &Arc<Self>, peer: IpAddr, switch: &Arc<Switch>) -> Option<Place> {
        let source = source(peer);
        let mut borne = self.borne.lock().unwrap_or_else(PoisonError::into_inner);
        if borne.len() >= self.max.saturating_mul(2) {
            return None;
        }
        if let Some(oldest) = yielding(&borne, source, self.max) {
            oldest.switch.give_way();
        }
        borne.push(Stranger {
            source,
            switch: Arc::clone(switch),
        });
        Some(Place {
            strangers: Arc::clone(self),
            switch: Arc::clone(switch),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut borne = self.strangers.borne.lock().unwrap_or_else(PoisonError::into_inner);
        borne.retain(|stranger| !Arc::ptr_eq(&stranger.switch, &self.switch));
    }
}

/// Who gives way, if somebody has to.
fn yielding(borne: &[Stranger], newcomer: IpAddr, max: usize) -> Option<&Stranger> {
    let mut held = HashMap::<IpAddr, usize>::new();
    let staying = || borne.iter().filter(|stranger| !stranger.switch.gave_way());
    for stranger in staying() {
        *held.entry(stranger.source).or_default() += 1;
    }
    let own = held.get(&newcomer).copied().unwrap_or_default();
    if own >= max.div_ceil(SOURCE_PART) {
        return staying().find(|stranger| stranger.source == newcomer);
    }
    if held.values().sum::<usize>() < max {
        return None;
    }
    let most = held.values().max()?;
    staying().find(|stranger| held.get(&stranger.source) == Some(most))
}

/// Whom an address belongs to: one IPv4 address, or the network of 64 bits that one IPv6 host has for itself.
fn source(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those that came from these addresses in this order, and whether each had to give way.
    fn borne(max: usize, from: &[&str]) -> Vec<bool> {
        let strangers = Strangers::new(max);
        let came = from.iter().map(|peer| {
            let switch = Arc::new(Switch::default());
            let place = strangers.admit(peer.parse().unwrap(), &switch).unwrap();
            (switch, place)
        });
        let came: Vec<_> = came.collect();
        came.iter().map(|(switch, _)| switch.gave_way()).collect()
    }

    #[test]
    fn a_source_beyond_its_part_loses_its_own_oldest() {
        let crowd = ["::1", "10.0.0.1", "10.0.0.1", "::ffff:10.0.0.1", "10.0.0.1"];
        assert_eq!(borne(6, &crowd), [false, true, false, false, false]);
        let network = ["fd00::1", "fd00::2", "fd00:0:0:1::1", "fd00::ffff:0:0:1"];
        assert_eq!(borne(4, &network), [true, false, false, false]);
    }

    #[test]
    fn beyond_the_whole_the_fullest_source_loses_its_oldest() {
        let from = ["10.0.0.1", "10.0.0.2", "10.0.0.2", "10.0.0.3", "10.0.0.4"];
        assert_eq!(borne(4, &from), [false, true, false, false, false]);
        let one_each = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"];
        assert_eq!(borne(4, &one_each), [true, false, false, false, false]);
    }

    #[test]
    fn a_place_that_was_left_is_free() {
        let strangers = Strangers::new(2);
        for _ in 0..5 {
            let switch = Arc::new(Switch::default());
            let place = strangers.admit([10, 0, 0, 1].into(), &switch).unwrap();
            assert!(!switch.gave_way());
            drop(place);
        }
    }

    #[test]
    fn nobody_is_let_in_while_those_that_gave_way_are_still_there() {
        let strangers = Strangers::new(2);
        let admit = || strangers.admit([10, 0, 0, 1].into(), &Arc::new(Switch::default()));
        let mut places: Vec<Place> = (0..4).map(|_| admit().unwrap()).collect();
        assert!(admit().is_none());
        places.remove(0);
        assert!(admit().is_some());
    }
}

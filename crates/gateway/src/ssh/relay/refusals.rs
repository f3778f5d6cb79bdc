//! How many connections were turned away before anybody was known, by reason. Counted, never listed: strangers must not
//! be able to fill anything.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Counts since they were last taken.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<BTreeMap<&'static str, u64>>);

impl Refusals {
    /// One more, for this reason.
    pub fn count(&self, code: &'static str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(code).or_default();
        *count = count.saturating_add(1);
    }

    /// The counts, ordered by reason; they begin at zero again.
    #[must_use]
    pub fn take(&self) -> Vec<(&'static str, u64)> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *counts).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_taken_once() {
        let refusals = Refusals::default();
        ["late", "full", "late"]
            .into_iter()
            .for_each(|code| refusals.count(code));
        assert_eq!(refusals.take(), [("full", 1), ("late", 2)]);
        assert_eq!(refusals.take(), []);
    }
}

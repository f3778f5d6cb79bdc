//! What a check finds out, before it is judged: log-ins and their answers, facts, and how far the clocks are apart.

use super::Wrong;
use super::facts::Facts;

/// What the session's own certificate, which the target accepted, says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Right {
    /// Its principal.
    pub principal: String,
    /// Addresses from which it may be used; none: from anywhere.
    pub sources: Vec<String>,
    /// Its end, Unix seconds.
    pub valid_before_s: u64,
}

/// What the target answered to a wrong certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Knocked {
    /// As it must.
    Refused,
    /// It let it in.
    Accepted,
    /// It took it for one step, and wants another by one of these methods.
    Partly(String),
    /// It could not be tried; why.
    Unclear(String),
}

/// One log-in with a wrong certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Knock {
    /// Which.
    pub wrong: Wrong,
    /// What came of it.
    pub answer: Knocked,
    /// When it was over, by our clock.
    pub at_ms: u64,
}

/// How far the target's clock is ahead of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// Ahead; negative: behind.
    pub offset_ms: i64,
    /// By how much that may be wrong, either way.
    pub within_ms: u64,
}

impl Clock {
    /// The target said that it was `said_s` some time between our `asked_ms` and `heard_ms`.
    #[must_use]
    pub fn between(asked_ms: u64, heard_ms: u64, said_s: u64) -> Self {
        let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        let said = signed(said_s.saturating_mul(1000));
        let least = said.saturating_sub(signed(heard_ms));
        let most = said.saturating_add(999).saturating_sub(signed(asked_ms));
        let width = most.saturating_sub(least).max(0);
        Self {
            offset_ms: least.saturating_add(width / 2),
            within_ms: width.unsigned_abs().div_ceil(2),
        }
    }
}

/// All that a check has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
    /// The session's own certificate.
    pub right: Right,
    /// The log-ins with wrong ones.
    pub knocks: Vec<Knock>,
    /// What the target says about itself, or why that could not be had.
    pub facts: Result<Facts, String>,
    /// Its clock, where it said a time.
    pub clock: Option<Clock>,
    /// What the log of the target has to name.
    pub key_id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_says_seconds_is_known_to_within_one() {
        let clock = |offset_ms, within_ms| Clock { offset_ms, within_ms };
        assert_eq!(Clock::between(10_000, 10_200, 10), clock(399, 600));
        assert_eq!(Clock::between(100_000, 100_000, 30), clock(-69_501, 500));
        let absurd = Clock::between(u64::MAX, 0, u64::MAX);
        assert!(absurd.offset_ms >= 0, "whatever a target says: {absurd:?}");
    }
}

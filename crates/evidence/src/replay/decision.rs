//! Decisions made again: the facts gathered from the state before the entry, the same rules, the same answer or not.

use super::World;
use model::apply::{Refused, Snapshot};
use model::body::{Decision, Intended, Opened};
use model::id::SessionId;
use model::judge::{ActionFacts, Facts, OpenFacts, Wanted, decide};
use model::signature::Key;

/// The longest time between a decision and the entry that carries it, milliseconds.
const DECISION_AGE_MS_MAX: u64 = 60_000;

/// What came of making a decision again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DecisionCheck {
    /// The same facts, the same answer.
    Same,
    /// The facts or the policy are not those that the entry names.
    Differs(Differs),
    /// The policy says no on these facts.
    Refused {
        /// The rule that forbids it.
        code: &'static str,
        /// The same as a sentence.
        because: String,
    },
    /// The facts cannot be had: something that they rest on does not exist.
    NoFacts {
        /// Why, as a code.
        code: &'static str,
        /// The same as a sentence.
        because: String,
    },
}

/// In what a decision differs from its replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Differs {
    /// Another policy version.
    Policy,
    /// Other facts.
    Inputs,
    /// Rules that this version does not know.
    Rule,
    /// Decided at another time than the entry was written.
    Time,
}

impl Differs {
    /// As a code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Policy => "other_policy",
            Self::Inputs => "other_inputs",
            Self::Rule => "unknown_rule",
            Self::Time => "decided_at_other_time",
        }
    }
}

pub(super) fn check_opening(world: &World, opened: &Opened, key: &Key, time_ms: u64) -> DecisionCheck {
    let wanted = Wanted {
        identity: opened.identity,
        key: key.clone(),
        grant: opened.grant,
        resource: opened.resource.clone(),
        account: opened.account.clone(),
    };
    let at_ms = opened.decision.at_ms;
    let facts = on_either(world, |state| OpenFacts::gather(state, &wanted, at_ms));
    compare(facts, &opened.decision, time_ms)
}

pub(super) fn check_action(world: &World, session: SessionId, intended: &Intended, time_ms: u64) -> DecisionCheck {
    let at_ms = intended.decision.at_ms;
    let facts = on_either(world, |state| {
        ActionFacts::gather(state, session, intended.class, at_ms)
    });
    compare(facts, &intended.decision, time_ms)
}

/// Gathers from the state; where it lacks something, from the state with what refused entries made.
fn on_either<T>(world: &World, gather: impl Fn(&Snapshot) -> Result<T, Refused>) -> Result<T, Refused> {
    gather(&world.state).or_else(|_| world.shadow.ask(&world.state, gather))
}

fn compare<F: Facts>(facts: Result<F, Refused>, stated: &Decision, time_ms: u64) -> DecisionCheck {
    let facts = match facts {
        Ok(facts) => facts,
        Err(refused) => {
            return DecisionCheck::NoFacts {
                code: refused.code(),
                because: refused.to_string(),
            };
        }
    };
    let decision = match decide(&facts) {
        Ok(decision) => decision,
        Err(refusal) => {
            return DecisionCheck::Refused {
                code: refusal.code,
                because: refusal.because,
            };
        }
    };
    if decision.rule != stated.rule {
        DecisionCheck::Differs(Differs::Rule)
    } else if decision.policy != stated.policy {
        DecisionCheck::Differs(Differs::Policy)
    } else if decision.inputs != stated.inputs {
        DecisionCheck::Differs(Differs::Inputs)
    } else if stated.at_ms > time_ms || time_ms - stated.at_ms > DECISION_AGE_MS_MAX {
        DecisionCheck::Differs(Differs::Time)
    } else {
        DecisionCheck::Same
    }
}

//! Refused callers whom nobody identified: counted, and entered once a minute for each listener. And the bound on how
//! many refusals of one identity are entered each by itself.
//!
//! A listener serves every environment, so its counts go into every environment's log: each owner sees how often
//! strangers knocked at the door that guards its hosts.

use crate::desk::Desk;
use crate::failure::Failure;
use model::body::{Body, RefusalCount, RefusalsCounted};
use model::chain::Draft;
use model::id::IdentityId;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How often counts are entered.
const PERIOD: Duration = Duration::from_mins(1);
/// Refusals of one identity that are entered in one minute; more are counted.
const REFUSALS_PER_MINUTE_MAX: u32 = 60;
/// Identities that are watched for repetition at once.
const IDENTITIES_MAX: usize = 4096;

type Counts = BTreeMap<(&'static str, &'static str), u64>;

/// Counts since they were entered last. Bounded: listeners and codes are constants of the program.
#[derive(Default)]
pub(crate) struct Strangers(Mutex<Counts>);

impl Strangers {
    pub(crate) fn count(&self, listener: &'static str, code: &'static str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry((listener, code)).or_default();
        *count = count.saturating_add(1);
    }

    fn take(&self) -> Counts {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn give_back(&self, taken: Counts) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, count) in taken {
            let total = counts.entry(key).or_default();
            *total = total.saturating_add(count);
        }
    }
}

/// How often each identity was refused in the present minute.
#[derive(Default)]
pub(crate) struct Repeats(Mutex<(u64, HashMap<IdentityId, u32>)>);

impl Repeats {
    /// Whether one more refusal of `identity` is entered by itself.
    pub(crate) fn may_record(&self, identity: IdentityId, now_ms: u64) -> bool {
        let minute = now_ms / 60_000;
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.0 != minute || state.1.len() >= IDENTITIES_MAX {
            *state = (minute, HashMap::new());
        }
        let count = state.1.entry(identity).or_default();
        *count = count.saturating_add(1);
        *count <= REFUSALS_PER_MINUTE_MAX
    }
}

/// Counts one refused caller of `listener` whom nobody identified.
pub fn count(desk: &Desk, listener: &'static str, code: &'static str) {
    desk.strangers.count(listener, code);
}

/// Enters what was counted since `from_ms`, if anything was. What could not be entered anywhere is counted on.
///
/// # Errors
/// When no environment's log could be written.
pub async fn enter(desk: &Desk, from_ms: u64) -> Result<(), Failure> {
    let counts = desk.strangers.take();
    if counts.is_empty() {
        return Ok(());
    }
    let mut entered = false;
    let mut failed = None;
    for environment in desk.environments().await.unwrap_or_default() {
        let drafts = drafts(desk, &counts, from_ms)?;
        match desk.record(&environment, drafts).await {
            Ok(_) => entered = true,
            Err(failure) => failed = Some(failure),
        }
    }
    if !entered {
        desk.strangers.give_back(counts);
    }
    failed.map_or(Ok(()), Err)
}

fn drafts(desk: &Desk, counts: &Counts, from_ms: u64) -> Result<Vec<Draft>, Failure> {
    let mut listeners: BTreeMap<&str, Vec<RefusalCount>> = BTreeMap::new();
    for ((listener, code), count) in counts {
        listeners.entry(listener).or_default().push(RefusalCount {
            code: (*code).into(),
            count: *count,
        });
    }
    let body = |(listener, counts): (&str, Vec<RefusalCount>)| {
        let counted = RefusalsCounted {
            listener: listener.into(),
            from_ms,
            until_ms: desk.now_ms(),
            counts,
        };
        Ok(Draft::new(desk.entry_id()?, Body::RefusalsCounted(counted)))
    };
    listeners.into_iter().map(body).collect()
}

/// Enters counts each minute, until it is dropped.
pub async fn run(desk: &Desk) {
    let mut from_ms = desk.now_ms();
    loop {
        tokio::time::sleep(PERIOD).await;
        match enter(desk, from_ms).await {
            Ok(()) => from_ms = desk.now_ms(),
            Err(failure) => tracing::warn!(%failure, "refusals of strangers could not be entered"),
        }
    }
}

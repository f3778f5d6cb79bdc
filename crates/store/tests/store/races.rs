//! Seeded interleavings of revoke and open, expiry and open, two approvals: never an opening after the revocation, never
//! one after the window, never two grants for one request. A second reading of the log, without `apply`, says so too.

use crate::world::{Site, acme};
use model::apply::Refused;
use model::body::Body;
use model::chain::{Session, Step};
use model::entity::EntityKey;
use model::entry::Entry;
use model::fixture::{identity, name, seed};
use model::id::{GrantId, RequestId};
use model::judge::{JudgeError, judge_open};
use std::collections::HashMap;
use store::faults::{Failure, Point};
use store::{CommitError, Committed};

/// Interleavings in each test; together more than 1,000.
fn seeds() -> u64 {
    if std::env::var_os("COUNTERSIGN_SOAK").is_some() {
        20_000
    } else {
        350
    }
}

/// SplitMix64: the same choices for the same seed.
struct Choices(u64);

impl Choices {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    async fn yields(&mut self) {
        for _ in 0..self.below(6) {
            tokio::task::yield_now().await;
        }
    }

    /// Forgets what the writer remembers, or lets its next commit fail, now and then.
    async fn disturb(&mut self, site: &mut Site) {
        match self.below(24) {
            0 => site.reopen().await,
            1 => site.faults.arm(Point::Commit, Failure::DoneWithError),
            2 => drop(site.store.rebuild(&acme()).await.unwrap()),
            _ => {}
        }
    }
}

impl Site {
    /// Takes over what the world needs of the state, without the sessions of earlier seeds.
    async fn focus(&mut self, more: impl IntoIterator<Item = EntityKey>) {
        let people = [seed::ALICE, seed::OLGA, seed::OSCAR, seed::BOB, seed::CAROL];
        let mut keys: Vec<EntityKey> = people
            .into_iter()
            .map(|seed| EntityKey::identity(identity(seed)))
            .collect();
        keys.push(EntityKey::environment());
        keys.push(EntityKey::organisation(&name("Acme Ltd")));
        keys.push(EntityKey::organisation(&name("Northwind MSP")));
        keys.push(EntityKey::resource(&name("web1")));
        keys.push(EntityKey::workflow(&name("patching")));
        keys.extend(more);
        self.world.state = self.store.snapshot(&acme(), keys).await.unwrap();
    }

    /// A request whose window ends in `window_ms`.
    async fn asked(&mut self, window_ms: u64) -> RequestId {
        self.focus([]).await;
        let mut scope = self.world.scope();
        scope.until_ms = scope.from_ms + window_ms;
        let (_, body, _) = self.world.request_for(seed::ALICE, scope);
        let Body::Requested(requested) = &body else {
            unreachable!()
        };
        let request = requested.statement.request;
        drop(self.try_record(body).await.unwrap());
        self.focus([EntityKey::request(request)]).await;
        request
    }

    async fn granted_for(&mut self, window_ms: u64) -> GrantId {
        let request = self.asked(window_ms).await;
        let (grant, step) = self.approval(seed::OLGA, request);
        drop(self.store.commit(&acme(), step).await.unwrap());
        self.focus([EntityKey::grant(grant), EntityKey::request(request)]).await;
        grant
    }
}

#[tokio::test]
async fn never_an_opening_after_the_revocation() {
    let mut site = Site::founded().await;
    let mut outcomes = [0; 2];
    for seed in 0..seeds() {
        let mut choices = Choices(seed);
        site.advance(1 + choices.below(5));
        let grant = site.granted_for(3_600_000).await;
        let (_, _, opening) = site.opening(grant).unwrap();
        let revocation = site.world.revocation(seed::OLGA, grant);
        let revocation = Step::record(vec![site.draft(revocation)]).unwrap();
        choices.disturb(&mut site).await;
        let (opened, revoked) = match choices.below(5) {
            // Both wait for the writer: one transaction.
            0 => {
                let (o, r) = (
                    site.store.commit(&acme(), opening),
                    site.store.commit(&acme(), revocation),
                );
                tokio::join!(o, r)
            }
            1 => {
                let (r, o) = (
                    site.store.commit(&acme(), revocation),
                    site.store.commit(&acme(), opening),
                );
                tokio::join!(o, r)
            }
            2 => {
                let o = site.store.commit(&acme(), opening).await;
                (o, site.store.commit(&acme(), revocation).await)
            }
            3 => {
                let r = site.store.commit(&acme(), revocation).await;
                let o = site.store.commit(&acme(), opening).await;
                assert!(o.is_err(), "seed {seed}: opened after an acknowledged revocation");
                (o, r)
            }
            _ => entangled(&mut site, grant, revocation, seed).await,
        };
        let revoked = revoked.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        match opened {
            Ok(opened) => {
                assert!(opened.entries()[0].index < revoked.entries()[0].index, "seed {seed}");
                outcomes[0] += 1;
            }
            Err(CommitError::Conflict(key)) => {
                assert_eq!(key, EntityKey::grant(grant), "seed {seed}");
                outcomes[1] += 1;
            }
            Err(other) => panic!("seed {seed}: {other}"),
        }
    }
    assert!(
        outcomes.iter().all(|count| *count > seeds() / 5),
        "one-sided: {outcomes:?}"
    );
    audit(&site).await;
}

/// Both at once, some way into each other; the opening is judged on what the store says at that moment.
async fn entangled(
    site: &mut Site,
    grant: GrantId,
    revocation: Step<()>,
    seed: u64,
) -> (
    Result<Committed<Session>, CommitError>,
    Result<Committed<()>, CommitError>,
) {
    let (wanted, terms) = (site.world.wanted(grant), site.world.opening());
    let (mut o_choices, mut r_choices) = (Choices(seed + 1), Choices(seed + 2));
    let store = &site.store;
    let open = async {
        o_choices.yields().await;
        let judged = store
            .gather(&acme(), |state| match judge_open(state, &wanted, store.now_ms()) {
                Err(JudgeError::State(refused)) => Err(refused),
                other => Ok(other.ok()),
            })
            .await
            .unwrap();
        o_choices.yields().await;
        match judged {
            Some(permit) => store.commit(&acme(), permit.open(terms)).await,
            None => Err(CommitError::Conflict(EntityKey::grant(grant))),
        }
    };
    let revoke = async {
        r_choices.yields().await;
        store.commit(&acme(), revocation).await
    };
    tokio::join!(open, revoke)
}

/// R022: by the log's own clock, also when the system's is set back.
#[tokio::test]
async fn never_an_opening_after_the_window() {
    let mut site = Site::founded().await;
    let mut outcomes = [0; 2];
    for seed in 0..seeds() {
        let mut choices = Choices(seed ^ 0xe0);
        let window = 50;
        let grant = site.granted_for(window).await;
        let until = site.store.now_ms() + window;
        let (_, _, opening) = site.opening(grant).unwrap();
        choices.disturb(&mut site).await;
        // The window ends while the step is on its way, or does not, by a millisecond.
        let step = window - 2 + choices.below(4);
        let late = match choices.below(3) {
            0 => {
                site.advance(step);
                site.store.commit(&acme(), opening).await
            }
            1 => {
                // Handed over in time, written when the writer comes to it.
                let handed = site.store.commit(&acme(), opening);
                site.advance(step);
                handed.await
            }
            _ => {
                site.advance(step);
                let handed = site.store.commit(&acme(), opening);
                // A clock set back helps nobody.
                site.clock.fetch_sub(40, std::sync::atomic::Ordering::SeqCst);
                let answer = handed.await;
                site.clock.fetch_add(40, std::sync::atomic::Ordering::SeqCst);
                answer
            }
        };
        match late {
            Ok(opened) => {
                assert!(opened.entries()[0].time_ms < until, "seed {seed}");
                outcomes[0] += 1;
            }
            Err(CommitError::Refused(refused)) => {
                assert_eq!(refused.code(), "grant_expired", "seed {seed}");
                outcomes[1] += 1;
            }
            Err(other) => panic!("seed {seed}: {other}"),
        }
        site.advance(100);
    }
    assert!(
        outcomes.iter().all(|count| *count > seeds() / 5),
        "one-sided: {outcomes:?}"
    );
    audit(&site).await;
}

#[tokio::test]
async fn two_approvals_give_one_grant() {
    let mut site = Site::founded().await;
    for seed in 0..seeds() {
        let mut choices = Choices(seed ^ 0xa2);
        site.advance(1 + choices.below(5));
        let request = site.asked(3_600_000).await;
        let mut steps = vec![site.approval(seed::OLGA, request), site.approval(seed::OSCAR, request)];
        if choices.below(2) == 0 {
            steps.reverse();
        }
        let (second, first) = (steps.pop().unwrap(), steps.pop().unwrap());
        choices.disturb(&mut site).await;
        let (a, b) = if choices.below(2) == 0 {
            let (a, b) = (
                site.store.commit(&acme(), first.1),
                site.store.commit(&acme(), second.1),
            );
            tokio::join!(a, b)
        } else {
            let a = site.store.commit(&acme(), first.1).await;
            (a, site.store.commit(&acme(), second.1).await)
        };
        drop(a.unwrap_or_else(|error| panic!("seed {seed}: {error}")));
        let lost = b.unwrap_err();
        assert!(
            matches!(&lost, CommitError::Conflict(key) if *key == EntityKey::request(request)),
            "seed {seed}: {lost}"
        );
        let grants = [EntityKey::grant(first.0), EntityKey::grant(second.0)];
        site.focus(grants.into_iter().chain([EntityKey::request(request)]))
            .await;
        drop(site.opening(first.0).unwrap());
        let absent = site.opening(second.0).unwrap_err();
        let expected = Refused::Absent(EntityKey::grant(second.0));
        assert_eq!(absent, JudgeError::State(expected), "seed {seed}");
    }
    audit(&site).await;
}

/// Reads the whole log again, with rules of its own. R052: no opening without its identity, grant and approvals.
async fn audit(site: &Site) {
    let mut asked = HashMap::new();
    let mut approved: HashMap<RequestId, Vec<_>> = HashMap::new();
    let mut granted = HashMap::new();
    let mut revoked = HashMap::new();
    let mut times = vec![0];
    for (index, bytes) in site.log().await {
        let entry = Entry::parse(&bytes).unwrap();
        assert!(entry.time_ms >= *times.last().unwrap(), "time ran back at {index}");
        times.push(entry.time_ms);
        match entry.body {
            Body::Requested(body) => {
                asked.insert(body.statement.request, body.statement.requester);
            }
            Body::Approved(signed) => {
                assert_ne!(asked[&signed.statement.request], signed.statement.approver);
                approved.entry(signed.statement.request).or_default().push(entry.id);
            }
            Body::Granted(body) => {
                assert_eq!(approved[&body.request], body.approvals);
                let before = granted.insert(body.grant, (body.request, body.scope.until_ms));
                assert!(before.is_none());
                let same = granted.values().filter(|(request, _)| *request == body.request).count();
                assert_eq!(same, 1, "two grants for one request");
            }
            Body::Revoked(signed) => {
                revoked.insert(signed.statement.grant, index);
            }
            Body::Opened(body) => {
                assert!(
                    !revoked.contains_key(&body.grant),
                    "opened at {index} after the revocation"
                );
                assert!(
                    entry.time_ms < granted[&body.grant].1,
                    "opened at {index} after the window"
                );
            }
            _ => {}
        }
    }
    let before = site.store.canonical_digest().await.unwrap();
    assert_eq!(site.store.rebuild(&acme()).await.unwrap().refused, []);
    assert_eq!(site.store.canonical_digest().await.unwrap(), before);
}

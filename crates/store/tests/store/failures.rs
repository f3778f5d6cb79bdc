//! Every write fails twice: once it is not done, once it is done and an error is reported. What was answered must be
//! what is stored, and the store must go on.

use crate::world::{Site, acme};
use ledger::hash::Hash;
use model::chain::Step;
use model::entry::BlobKind;
use model::fixture::seed;
use store::faults::{Failure, Point};
use store::{CommitError, SignedHead};

const WAYS: [Failure; 2] = [Failure::NotDone, Failure::DoneWithError];
/// Points that every transaction passes before its commit.
const BEFORE: [Point; 3] = [Point::Begin, Point::Append, Point::Project];
/// Points on the way to finding out what became of a commit.
const AFTER: [Point; 3] = [Point::Reconnect, Point::Fence, Point::LookUp];

/// The store works, its log has no hole, and its projections are what its entries say.
async fn goes_on(site: &mut Site) {
    assert!(site.faults.spent(), "a failure was armed that nothing came past");
    site.refresh().await;
    let grant = site.granted().await;
    site.opened(grant).await;
    site.kinds().await;
    let sequence: Vec<u64> = site
        .log()
        .await
        .iter()
        .map(|(_, bytes)| model::entry::Entry::parse(bytes).unwrap().writer.seq)
        .collect();
    assert!(
        sequence.is_sorted_by(|a, b| a < b),
        "a writer's sequence was used twice"
    );
    let before = site.store.canonical_digest().await.unwrap();
    assert_eq!(site.store.rebuild(&acme()).await.unwrap().refused, []);
    assert_eq!(site.store.canonical_digest().await.unwrap(), before);
}

#[tokio::test]
async fn a_genesis_that_fails() {
    for failure in WAYS {
        for point in [&BEFORE[..], &[Point::Commit]].concat() {
            let mut site = Site::empty().await;
            let founding = site.world.founding();
            site.faults.arm(point, failure);
            let answer = site.try_record(founding[0].clone()).await;
            let stored = (point, failure) == (Point::Commit, Failure::DoneWithError);
            assert_eq!(answer.is_ok(), stored, "{point:?} {failure:?}");
            assert_eq!(site.store.environments().await.unwrap().len(), usize::from(stored));
            site.refresh().await;
            for body in founding.into_iter().skip(usize::from(stored)) {
                if !matches!(body, model::body::Body::NodeStarted(_)) {
                    site.record(body).await;
                }
            }
            goes_on(&mut site).await;
        }
    }
}

#[tokio::test]
async fn an_opening_that_fails() {
    let mut site = Site::founded().await;
    for failure in WAYS {
        for point in [&BEFORE[..], &[Point::Commit]].concat() {
            let grant = site.granted().await;
            let (session, entry, step) = site.opening(grant).unwrap();
            site.faults.arm(point, failure);
            let answer = site.store.commit(&acme(), step).await;
            let stored = site.store.entry(&acme(), entry).await.unwrap();
            match (point, failure) {
                (Point::Commit, Failure::DoneWithError) => {
                    let committed = answer.unwrap();
                    assert_eq!(committed.entries()[0].index, stored.unwrap().0);
                    assert_eq!(committed.session().id, session);
                }
                _ => {
                    let error = answer.unwrap_err();
                    assert!(
                        matches!(error, CommitError::NotStored(_)),
                        "{point:?} {failure:?}: {error}"
                    );
                    assert_eq!(stored, None);
                    assert_eq!(site.store.settle(&acme(), entry).await.unwrap(), None);
                    // It may be tried again, as a new step.
                    site.opened(grant).await;
                }
            }
            goes_on(&mut site).await;
        }
    }
}

#[tokio::test]
async fn an_outcome_that_cannot_be_found_out_is_unknown() {
    let mut site = Site::founded().await;
    for failure in WAYS {
        for (point, way) in AFTER.into_iter().flat_map(|point| WAYS.map(|way| (point, way))) {
            let grant = site.granted().await;
            let (_, entry, step) = site.opening(grant).unwrap();
            site.faults.arm(Point::Commit, failure);
            site.faults.arm(point, way);
            let answer = site.store.commit(&acme(), step).await.unwrap_err();
            assert!(
                matches!(&answer, CommitError::Unknown(ids) if *ids == [entry]),
                "{point:?}: {answer}"
            );
            assert!(answer.to_string().contains(&entry.to_string()));
            // Once the database answers, it is known for good.
            let settled = site.store.settle(&acme(), entry).await.unwrap();
            assert_eq!(
                settled.is_some(),
                failure == Failure::DoneWithError,
                "{point:?} {way:?}"
            );
            goes_on(&mut site).await;
            let later = site.store.entry(&acme(), entry).await.unwrap();
            assert_eq!(later.map(|(index, _)| index), settled.map(|receipt| receipt.index));
        }
    }
}

#[tokio::test]
async fn a_database_that_stays_away_stores_nothing() {
    let mut site = Site::founded().await;
    site.faults.arm(Point::Begin, Failure::NotDone);
    for _ in 0..3 {
        site.faults.arm(Point::Reconnect, Failure::NotDone);
    }
    let before = site.log().await.len();
    for _ in 0..4 {
        let (_, body, _) = site.world.request(seed::ALICE);
        assert!(matches!(site.try_record(body).await, Err(CommitError::NotStored(_))));
    }
    assert_eq!(site.log().await.len(), before);
    goes_on(&mut site).await;
}

#[tokio::test]
async fn steps_of_one_transaction_share_its_fate() {
    for failure in WAYS {
        let mut site = Site::founded().await;
        let (_, body, _) = site.world.request(seed::ALICE);
        let good = site.draft(body);
        let (_, body, _) = site.world.request(99);
        let bad = site.draft(body);
        let id = good.id;
        let (good, bad) = (Step::record(vec![good]).unwrap(), Step::record(vec![bad]).unwrap());
        site.faults.arm(Point::Commit, failure);
        let (good, bad) = (site.store.commit(&acme(), good), site.store.commit(&acme(), bad));
        let (good, bad) = tokio::join!(good, bad);
        let stored = failure == Failure::DoneWithError;
        assert_eq!(good.is_ok(), stored);
        assert!(bad.is_err());
        assert_eq!(site.store.entry(&acme(), id).await.unwrap().is_some(), stored);
        goes_on(&mut site).await;
    }
}

#[tokio::test]
async fn a_head_that_fails_is_not_signed_and_can_be_put_again() {
    for failure in WAYS {
        for point in [Point::Begin, Point::Side, Point::Commit] {
            let mut site = Site::founded().await;
            let head = SignedHead {
                size: 3,
                root: Hash::from_bytes([1; 32]),
            };
            site.faults.arm(point, failure);
            site.store.put_signed_head(&acme(), head).await.unwrap_err();
            let stored = (point, failure) == (Point::Commit, Failure::DoneWithError);
            let found = site.store.signed_head(&acme()).await.unwrap();
            assert_eq!(found, stored.then_some(head), "{point:?} {failure:?}");
            site.store.put_signed_head(&acme(), head).await.unwrap();
            assert_eq!(site.store.signed_head(&acme()).await.unwrap(), Some(head));
            goes_on(&mut site).await;
        }
    }
}

#[tokio::test]
async fn a_cosigned_head_that_fails_can_be_kept_again() {
    for failure in WAYS {
        for point in [Point::Begin, Point::Side, Point::Commit] {
            let mut site = Site::founded().await;
            site.faults.arm(point, failure);
            site.store
                .keep_cosigned(&acme(), 3, "first".into(), None)
                .await
                .unwrap_err();
            let stored = (point, failure) == (Point::Commit, Failure::DoneWithError);
            let found = site.store.cosigned_over(&acme(), None).await.unwrap();
            assert_eq!(found, stored.then(|| "first".into()), "{point:?} {failure:?}");
            site.store
                .keep_cosigned(&acme(), 3, "again".into(), None)
                .await
                .unwrap();
            let kept = site.store.cosigned_over(&acme(), None).await.unwrap();
            assert_eq!(kept.as_deref(), Some(if stored { "first" } else { "again" }));
            goes_on(&mut site).await;
        }
    }
}

#[tokio::test]
async fn secrets_erasures_and_rebuilds_that_fail() {
    for failure in WAYS {
        for point in [Point::Begin, Point::Side, Point::Commit] {
            let mut site = Site::founded().await;
            let stored = (point, failure) == (Point::Commit, Failure::DoneWithError);
            let vault = site.store.vault();
            site.faults.arm(point, failure);
            vault.seal("log", b"secret").await.unwrap_err();
            assert_eq!(vault.open("log").await.is_ok(), stored, "{point:?} {failure:?}");
            let kept = vault.open_or_seal("log", || b"other".to_vec().into()).await.unwrap();
            assert_eq!(&**kept, if stored { b"secret".as_slice() } else { b"other" });

            let (_, body, _) = site.world.request(seed::ALICE);
            let draft = site.draft(body).with(BlobKind::Openings, b"sealed".to_vec());
            let id = draft.id;
            drop(
                site.store
                    .commit(&acme(), Step::record(vec![draft]).unwrap())
                    .await
                    .unwrap(),
            );
            let digest = model::bytes::Digest::of(b"sealed");
            site.faults.arm(point, failure);
            site.store.delete_blob(&acme(), digest).await.unwrap_err();
            let blob = site.store.blobs_of(&acme(), id).await.unwrap().remove(0);
            assert_eq!(blob.bytes.is_none(), stored);
            goes_on(&mut site).await;
        }
        for point in [Point::Begin, Point::Project, Point::Commit] {
            let mut site = Site::founded().await;
            let before = site.store.canonical_digest().await.unwrap();
            site.faults.arm(point, failure);
            site.store.rebuild(&acme()).await.unwrap_err();
            assert_eq!(
                site.store.canonical_digest().await.unwrap(),
                before,
                "{point:?} {failure:?}"
            );
            goes_on(&mut site).await;
        }
    }
}

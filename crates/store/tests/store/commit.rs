//! Steps: what is taken, what is refused, and what is left of either.

use crate::world::{Site, acme};
use model::body::{AttemptRefused, Body, EndCause, NodeStarted};
use model::chain::{Draft, Step};
use model::entity::EntityKey;
use model::entry::{BlobKind, Entry, Placed};
use model::fixture::{World, commitment, identity, name, seed, signed};
use model::id::{BootId, EntryId};
use store::CommitError;

fn refusal(error: CommitError) -> String {
    match error {
        CommitError::Refused(refused) => refused.code().to_owned(),
        other => panic!("not a refusal: {other}"),
    }
}

#[tokio::test]
async fn a_session_from_genesis_to_end() {
    let mut site = Site::founded().await;
    let grant = site.granted().await;
    let session = site.opened(grant).await;
    let ended = Body::Ended(World::ended(EndCause::ClientClosed, World::recorded(3, 1)));
    let draft = site.draft(ended).in_session(session);
    let committed = site
        .store
        .commit(&acme(), Step::record(vec![draft]).unwrap())
        .await
        .unwrap();
    assert_eq!(committed.store(), site.store.id());
    assert_eq!(committed.environment(), &acme());
    let log = site.log().await;
    let last = committed.into_entries()[0];
    assert_eq!(last.index, log.len() as u64 - 1);
    // Each entry can be read, carries its place, and the writer's sequence has no hole.
    for (n, (index, bytes)) in log.iter().enumerate() {
        let placed = Placed::parse(*index, bytes).unwrap();
        assert_eq!((placed.index, placed.entry.writer.seq), (n as u64, n as u64));
        assert_eq!(placed.entry.writer.node, name("gw1"));
    }
    assert_eq!(
        Placed::parse(last.index, &log.last().unwrap().1).unwrap().hash,
        last.hash
    );
    let entries = site.store.session_entries(&acme(), session, 0).await.unwrap();
    let links: Vec<_> = entries
        .iter()
        .map(|(_, bytes)| Entry::parse(bytes).unwrap().session.unwrap())
        .collect();
    assert_eq!(links.iter().map(|link| link.seq).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(links[1].prev, Some(model::bytes::Digest::of(&entries[0].1)));
}

#[tokio::test]
async fn a_log_begins_with_its_own_genesis() {
    let mut site = Site::empty().await;
    let started = Body::NodeStarted(NodeStarted {
        boot: site.store.boot(),
        software: "1".into(),
    });
    assert_eq!(refusal(site.try_record(started).await.unwrap_err()), "absent");
    let mut genesis = site.world.genesis();
    genesis.environment = name("other");
    let other = Body::Genesis(signed(&[seed::OWNER_ROOT], &genesis.origin.clone(), genesis));
    assert_eq!(
        refusal(site.try_record(other.clone()).await.unwrap_err()),
        "other_environment"
    );
    assert!(site.store.environments().await.unwrap().is_empty());

    let acme_genesis = site.world.founding().remove(0);
    site.record(acme_genesis).await;
    assert_eq!(site.store.environments().await.unwrap(), [acme()]);
    // A second environment under the same origin would be a fork of the first.
    let draft = site.draft(other);
    let step = Step::record(vec![draft]).unwrap();
    assert_eq!(
        refusal(site.store.commit(&name("other"), step).await.unwrap_err()),
        "origin_twice"
    );
    assert_eq!(site.store.size(&name("other")).await.unwrap(), 0);
}

#[tokio::test]
async fn an_unsigned_approver_is_refused_by_the_store() {
    let mut site = Site::founded().await;
    let enrolment = site
        .world
        .enrolment(99, "eve", "Acme Ltd", vec![model::statement::Role::Approve]);
    let body = Body::Enrolled(signed(
        &[seed::OPERATOR_ROOT],
        &site.world.terms.origin.clone(),
        enrolment,
    ));
    assert_eq!(refusal(site.try_record(body).await.unwrap_err()), "not_under_root");
}

#[tokio::test]
async fn a_step_is_taken_whole_or_not_at_all() {
    let mut site = Site::founded().await;
    let before = site.log().await.len();
    let (_, asked, _) = site.world.request(seed::ALICE);
    let (_, again, _) = site.world.request(99);
    let drafts = vec![site.draft(asked), site.draft(again)];
    let error = site
        .store
        .commit(&acme(), Step::record(drafts).unwrap())
        .await
        .unwrap_err();
    assert_eq!(refusal(error), "absent");
    assert_eq!(site.log().await.len(), before);
    // The next step takes the places that were not used.
    let request = site.requested().await;
    assert_eq!(site.log().await.len(), before + 1);
    assert!(site.world.state.request(&EntityKey::request(request)).is_ok());
}

#[tokio::test]
async fn a_changed_basis_is_a_conflict() {
    let mut site = Site::founded().await;
    let grant = site.granted().await;
    let (_, _, step) = site.opening(grant).unwrap();
    let revocation = site.world.revocation(seed::OLGA, grant);
    site.record(revocation).await;
    let error = site.store.commit(&acme(), step).await.unwrap_err();
    assert!(matches!(error, CommitError::Conflict(key) if key == EntityKey::grant(grant)));
}

#[tokio::test]
async fn an_id_is_used_once() {
    let site = Site::founded().await;
    let id = EntryId::new(1, [1; 10]);
    let refused = |operation: &str| {
        Body::AttemptRefused(AttemptRefused {
            identity: identity(seed::ALICE),
            operation: operation.into(),
            object: commitment(id, "object", "web1"),
            code: "no".into(),
        })
    };
    let step = |operations: &[&str]| {
        let drafts = operations
            .iter()
            .map(|operation| Draft::new(id, refused(operation)))
            .collect();
        Step::record(drafts).unwrap()
    };
    let twice = site.store.commit(&acme(), step(&["open", "read"])).await.unwrap_err();
    assert_eq!(refusal(twice), "entry_twice");
    // Two steps of one transaction, then one of a later transaction.
    let (first, second) = (
        site.store.commit(&acme(), step(&["open"])),
        site.store.commit(&acme(), step(&["read"])),
    );
    let first = first.await.unwrap().into_entries();
    assert_eq!(refusal(second.await.unwrap_err()), "entry_twice");
    let third = site.store.commit(&acme(), step(&["kill"])).await.unwrap_err();
    assert_eq!(refusal(third), "entry_twice");
    assert_eq!(site.log().await.last().unwrap().0, first[0].index);
}

#[tokio::test]
async fn what_is_replaced_counts_its_versions() {
    let mut site = Site::founded().await;
    let key = EntityKey::resource(&name("web1"));
    assert_eq!(site.world.state.version(&key).unwrap(), 1);
    // The second time nothing of it is remembered.
    for version in 2..4 {
        let mut resource = site.world.resource();
        resource.signed_ms += version;
        let body = Body::Resource(signed(&[seed::OWNER_ROOT], &site.world.terms.origin.clone(), resource));
        site.record(body).await;
        assert_eq!(site.world.state.version(&key).unwrap(), version);
        site.reopen().await;
    }
}

#[tokio::test]
async fn a_dropped_future_loses_nothing() {
    let mut site = Site::founded().await;
    let before = site.log().await.len();
    let (_, body, _) = site.world.request(seed::ALICE);
    let draft = site.draft(body);
    drop(site.store.commit(&acme(), Step::record(vec![draft]).unwrap()));
    site.requested().await;
    assert_eq!(site.log().await.len(), before + 2);
}

#[tokio::test]
async fn steps_beyond_the_queue_are_not_lost_either() {
    let mut site = Site::founded().await;
    let before = site.log().await.len();
    let mut dropped = 0;
    for n in 0..2000_u64 {
        let id = EntryId::new(n, [2; 10]);
        let body = Body::AttemptRefused(AttemptRefused {
            identity: identity(seed::ALICE),
            operation: "open".into(),
            object: commitment(id, "object", "web1"),
            code: "no".into(),
        });
        drop(
            site.store
                .commit(&acme(), Step::record(vec![Draft::new(id, body)]).unwrap()),
        );
        dropped += 1;
    }
    let cursor = before + dropped;
    site.store
        .committed()
        .wait_for(|seen| *seen >= cursor as u64)
        .await
        .unwrap();
    assert_eq!(site.kinds().await.len(), cursor);
    site.requested().await;
}

#[tokio::test]
async fn time_does_not_run_back_in_a_log() {
    let mut site = Site::founded().await;
    let grant = site.granted().await;
    site.advance(3_600_001);
    assert!(site.opening(grant).is_err(), "the window has ended");
    let attempt = site.requested_refused().await;
    site.clock
        .store(model::fixture::START_MS, std::sync::atomic::Ordering::SeqCst);
    assert!(
        site.store.now_ms() >= attempt,
        "the clock was set back, and the store followed it"
    );
    assert!(site.opening(grant).is_err(), "a clock set back opened a window again");
    // Also over a restart.
    site.reopen().await;
    assert!(site.store.now_ms() >= attempt);
    assert!(site.opening(grant).is_err());
}

impl Site {
    /// Puts an entry on record now, and gives its time.
    async fn requested_refused(&mut self) -> u64 {
        let id = self.world.entry_id();
        let body = Body::AttemptRefused(AttemptRefused {
            identity: identity(seed::ALICE),
            operation: "open".into(),
            object: commitment(id, "object", "web1"),
            code: "no".into(),
        });
        self.record(body).await.time_ms
    }
}

#[tokio::test]
async fn blobs_are_stored_with_their_entry_and_bounded() {
    let mut site = Site::founded().await;
    let (_, body, _) = site.world.request(seed::ALICE);
    let draft = site.draft(body).with(BlobKind::Openings, vec![0; 256 * 1024 + 1]);
    let error = site
        .store
        .commit(&acme(), Step::record(vec![draft]).unwrap())
        .await
        .unwrap_err();
    assert_eq!(refusal(error), "blob_too_long");
    let (_, body, _) = site.world.request(seed::ALICE);
    let draft = site.draft(body).with(BlobKind::Openings, b"sealed".to_vec());
    let id = draft.id;
    let _receipts = site
        .store
        .commit(&acme(), Step::record(vec![draft]).unwrap())
        .await
        .unwrap()
        .into_entries();
    let blobs = site.store.blobs_of(&acme(), id).await.unwrap();
    assert_eq!(blobs[0].bytes.as_deref(), Some(b"sealed".as_slice()));
    let (_, bytes) = site.store.entry(&acme(), id).await.unwrap().unwrap();
    assert_eq!(Entry::parse(&bytes).unwrap().blobs[0].sha256, blobs[0].sha256);
}

#[tokio::test]
async fn a_node_announces_its_own_start_only() {
    let mut site = Site::founded().await;
    let started = |boot| {
        Body::NodeStarted(NodeStarted {
            boot,
            software: "1".into(),
        })
    };
    let other = site.try_record(started(BootId::new(5, [5; 10]))).await.unwrap_err();
    assert_eq!(refusal(other), "other_boot");
    let own = site.store.boot();
    site.record(started(own)).await;
    assert!(site.world.state.find(&EntityKey::node(&name("gw1"))).unwrap().is_some());
}

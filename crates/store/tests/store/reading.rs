//! Reading, rebuilding, erasing.

use crate::world::{Site, acme};
use model::apply::Refused;
use model::body::{Body, EndCause};
use model::bytes::Digest;
use model::chain::Step;
use model::entity::{Entity, EntityKey, EntityKind};
use model::entry::BlobKind;
use model::fixture::{World, name, seed};
use store::{Filter, GatherError};

#[tokio::test]
async fn gather_loads_what_the_question_needs() {
    let mut site = Site::founded().await;
    let grant = site.granted().await;
    let wanted = site.world.wanted(grant);
    let now = site.store.now_ms();
    let facts = site
        .store
        .gather(&acme(), |state| model::judge::OpenFacts::gather(state, &wanted, now))
        .await
        .unwrap();
    assert_eq!(facts.grant, grant);
    let nobody = EntityKey::organisation(&name("Nobody"));
    let missing = site
        .store
        .gather(&acme(), |state| state.organisation(&nobody).map(drop))
        .await;
    assert!(matches!(missing, Err(GatherError::Refused(Refused::Absent(key))) if key == nobody));
    let elsewhere = site
        .store
        .gather(&name("elsewhere"), |state| state.genesis().map(drop))
        .await;
    assert!(matches!(elsewhere, Err(GatherError::Refused(Refused::Absent(_)))));
}

#[tokio::test]
async fn a_snapshot_knows_what_it_was_asked_for() {
    let site = Site::founded().await;
    let known = EntityKey::resource(&name("web1"));
    let absent = EntityKey::resource(&name("web2"));
    let snapshot = site
        .store
        .snapshot(&acme(), [known.clone(), absent.clone()])
        .await
        .unwrap();
    assert!(snapshot.resource(&known).is_ok());
    assert_eq!(snapshot.find(&absent), Ok(None));
    assert!(matches!(
        snapshot.find(&EntityKey::environment()),
        Err(Refused::NotLoaded(_))
    ));
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let mut site = Site::founded().await;
    let mut sessions = vec![];
    for _ in 0..3 {
        let grant = site.granted().await;
        site.advance(1);
        sessions.push((grant, site.opened(grant).await));
        site.advance(1);
    }
    let ended = Body::Ended(World::ended(EndCause::ClientClosed, World::recorded(0, 0)));
    let draft = site.draft(ended).in_session(sessions[1].1);
    let _receipts = site
        .store
        .commit(&acme(), Step::record(vec![draft]).unwrap())
        .await
        .unwrap()
        .into_entries();
    let list = async |filter: Filter| -> Vec<String> {
        let found = site.store.list(&acme(), EntityKind::Session, &filter).await.unwrap();
        found.into_iter().map(|(key, _)| key.id()).collect()
    };
    let ids: Vec<String> = sessions.iter().map(|(_, session)| session.to_string()).collect();
    assert_eq!(list(Filter::default()).await, ids);
    let open = Filter {
        status: Some("open"),
        ..Filter::default()
    };
    assert_eq!(list(open).await, [ids[0].clone(), ids[2].clone()]);
    let parent = Filter {
        parent: Some(sessions[2].0.to_string()),
        ..Filter::default()
    };
    assert_eq!(list(parent).await, [ids[2].clone()]);
    let page = Filter {
        descending: true,
        after: Some(ids[2].clone()),
        limit: Some(1),
        status: Some("ended"),
        parent: Some(sessions[1].0.to_string()),
    };
    assert_eq!(list(page).await, [ids[1].clone()]);
}

#[tokio::test]
async fn changes_follow_commits() {
    let mut site = Site::founded().await;
    let mut hint = site.store.committed();
    let all = site.store.changes_since(0).await.unwrap();
    let last = all.last().unwrap().cursor;
    assert_eq!(*hint.borrow_and_update(), last);
    assert!(site.store.changes_since(last).await.unwrap().is_empty());
    let grant = site.granted().await;
    hint.changed().await.unwrap();
    let news = site.store.changes_since(last).await.unwrap();
    let kinds: Vec<&str> = news.iter().map(|change| change.kind.as_str()).collect();
    assert_eq!(kinds, ["request.made", "request.approved", "grant.issued"]);
    assert!(news[2].keys.contains(&EntityKey::grant(grant)));
    assert_eq!(news[2].environment, acme());
    assert!(news.is_sorted_by_key(|change| change.cursor));
}

#[tokio::test]
async fn rebuild_ends_with_the_same_digest() {
    let mut site = Site::founded().await;
    for _ in 0..3 {
        let grant = site.granted().await;
        site.opened(grant).await;
        let revocation = site.world.revocation(seed::OLGA, grant);
        site.record(revocation).await;
    }
    let before = site.store.canonical_digest().await.unwrap();
    let rebuilt = site.store.rebuild(&acme()).await.unwrap();
    assert_eq!(rebuilt.entries, site.store.size(&acme()).await.unwrap());
    assert_eq!(rebuilt.refused, []);
    assert_eq!(site.store.canonical_digest().await.unwrap(), before);
    // The digest sees a projection that was tampered with, and rebuild repairs it.
    let db = site.directory.path().join("store.db");
    tamper(&db, "UPDATE view_entity SET status = 'live' WHERE status = 'revoked'")
        .await
        .unwrap();
    assert_ne!(site.store.canonical_digest().await.unwrap(), before);
    site.store.rebuild(&acme()).await.unwrap();
    assert_eq!(site.store.canonical_digest().await.unwrap(), before);
    // And commits go on after it.
    site.refresh().await;
    let grant = site.granted().await;
    site.opened(grant).await;
}

#[tokio::test]
async fn the_log_refuses_to_be_changed() {
    let site = Site::founded().await;
    let db = site.directory.path().join("store.db");
    for sql in [
        "UPDATE log_entry SET time_ms = 0",
        "DELETE FROM log_entry WHERE idx = 3",
        "UPDATE log_environment SET origin = 'elsewhere'",
        "DELETE FROM log_environment",
        "REPLACE INTO log_entry SELECT * FROM log_entry WHERE idx = 2",
    ] {
        let error = tamper(&db, sql).await.unwrap_err().to_string();
        assert!(error.contains("append-only"), "{sql}: {error}");
    }
}

/// What somebody with the file and the pragmas of this program can do.
async fn tamper(db: &std::path::Path, sql: &'static str) -> Result<(), sqlx::Error> {
    use sqlx::{ConnectOptions, Connection};
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(db)
        .pragma("recursive_triggers", "ON");
    let mut db = options.connect().await?;
    sqlx::query(sql).execute(&mut db).await?;
    db.close().await
}

#[tokio::test]
async fn an_erased_blob_leaves_its_digest_and_no_byte() {
    let mut site = Site::founded().await;
    let canary = b"canary-7f3a-wrapped".repeat(40);
    let (_, body, _) = site.world.request(seed::ALICE);
    let draft = site.draft(body).with(BlobKind::Openings, canary.clone());
    let id = draft.id;
    let _receipts = site
        .store
        .commit(&acme(), Step::record(vec![draft]).unwrap())
        .await
        .unwrap()
        .into_entries();
    let digest = Digest::of(&canary);
    assert!(on_disk(&site, b"canary-7f3a"));
    assert_eq!(site.store.delete_blob(&acme(), digest).await.unwrap(), 1);
    assert_eq!(site.store.delete_blob(&acme(), digest).await.unwrap(), 0);
    let blob = site.store.blobs_of(&acme(), id).await.unwrap().remove(0);
    assert_eq!(
        (blob.bytes, blob.sha256, blob.size),
        (None, digest, canary.len() as u64)
    );
    assert_eq!(blob.erased_ms, Some(site.store.now_ms()));
    assert_eq!(site.store.blob(&acme(), digest).await.unwrap().unwrap().bytes, None);
    assert!(!on_disk(&site, b"canary-7f3a"));
}

fn on_disk(site: &Site, needle: &[u8]) -> bool {
    std::fs::read_dir(site.directory.path()).unwrap().any(|file| {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        bytes.windows(needle.len()).any(|window| window == needle)
    })
}

#[tokio::test]
async fn entities_come_back_as_they_were() {
    let mut site = Site::founded().await;
    let grant = site.granted().await;
    let key = EntityKey::grant(grant);
    let Some(Entity::Grant(kept)) = site.world.state.find(&key).unwrap().cloned() else {
        panic!("no grant")
    };
    site.reopen().await;
    let snapshot = site.store.snapshot(&acme(), [key.clone()]).await.unwrap();
    assert_eq!(snapshot.grant(&key).unwrap(), kept.as_ref());
}

//! Secrets, envelopes, signed and cosigned heads.

use crate::world::{Site, acme};
use ledger::hash::Hash;
use model::body::Body;
use model::chain::Step;
use model::fixture::{name, seed, signed};
use store::{EnvelopeError, HeadError, SignedHead, VaultError, fresh_identity, open_with, seal_to};
use zeroize::Zeroizing;

#[tokio::test]
async fn secrets_are_sealed_opened_and_never_replaced() {
    let mut site = Site::empty().await;
    let vault = site.store.vault();
    vault.seal("log/acme", b"canary-secret-41c9").await.unwrap();
    assert_eq!(&**vault.open("log/acme").await.unwrap(), b"canary-secret-41c9");
    assert!(matches!(
        vault.seal("log/acme", b"other").await,
        Err(VaultError::Exists(_))
    ));
    assert!(matches!(vault.open("log/other").await, Err(VaultError::Missing(_))));
    assert!(matches!(vault.open(".check").await, Err(VaultError::Name(_))));
    let made = vault
        .open_or_seal("host", || Zeroizing::new(b"h".to_vec()))
        .await
        .unwrap();
    let found = vault.open_or_seal("host", || panic!("it exists")).await.unwrap();
    assert_eq!(made, found);
    site.reopen().await;
    assert_eq!(
        &**site.store.vault().open("log/acme").await.unwrap(),
        b"canary-secret-41c9"
    );
    for file in std::fs::read_dir(site.directory.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(18).any(|window| window == b"canary-secret-41c9"));
    }
}

#[tokio::test]
async fn a_sealed_secret_does_not_pass_for_another() {
    use sqlx::{ConnectOptions, Connection};
    let site = Site::empty().await;
    let vault = site.store.vault();
    vault.seal("log/acme", b"secret").await.unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(site.directory.path().join("store.db"));
    let mut db = options.connect().await.unwrap();
    let copy = "INSERT INTO side_secret SELECT 'log/other', sealed FROM side_secret WHERE name = 'log/acme'";
    sqlx::query(copy).execute(&mut db).await.unwrap();
    db.close().await.unwrap();
    assert!(matches!(vault.open("log/other").await, Err(VaultError::Damaged(_))));
}

#[test]
fn envelopes_open_for_each_recipient_and_nobody_else() {
    let ((first, first_key), (second, second_key), (stranger, _)) =
        (fresh_identity(), fresh_identity(), fresh_identity());
    let sealed = seal_to(&[first_key.clone(), second_key], b"reason: openssl update").unwrap();
    assert!(!sealed.windows(7).any(|window| window == b"openssl"));
    for identity in [&first, &second] {
        let file = format!("# created: today\n{}\n", identity.as_str());
        assert_eq!(&**open_with(&file, &sealed).unwrap(), b"reason: openssl update");
    }
    assert!(matches!(open_with(&stranger, &sealed), Err(EnvelopeError::NotOpened)));
    assert!(matches!(open_with("no key", &sealed), Err(EnvelopeError::Identity)));
    assert!(matches!(seal_to(&[], b""), Err(EnvelopeError::Count)));
    assert!(matches!(
        seal_to(&["age1x".into()], b""),
        Err(EnvelopeError::Recipient(_))
    ));
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert!(open_with(&first, &changed).is_err(), "{at}");
    }
    assert!(open_with(&first, &sealed[..sealed.len() - 1]).is_err());
    assert!(seal_to(&[first_key], &vec![0; 1024 * 1024 + 1]).is_err());
}

#[tokio::test]
async fn one_history_is_signed() {
    let mut site = Site::founded().await;
    let size = site.store.size(&acme()).await.unwrap();
    let head = |size: u64, root: u8| SignedHead {
        size,
        root: Hash::from_bytes([root; 32]),
    };
    assert_eq!(site.store.signed_head(&acme()).await.unwrap(), None);
    site.store.put_signed_head(&acme(), head(size - 1, 1)).await.unwrap();
    site.store.put_signed_head(&acme(), head(size - 1, 1)).await.unwrap();
    let put = async |head| site.store.put_signed_head(&acme(), head).await.unwrap_err();
    assert!(matches!(put(head(size - 1, 2)).await, HeadError::Fork(at) if at == size - 1));
    assert!(matches!(put(head(size - 2, 1)).await, HeadError::Behind { .. }));
    assert!(matches!(put(head(size + 1, 1)).await, HeadError::Beyond { .. }));
    let nowhere = site.store.put_signed_head(&name("nowhere"), head(0, 0)).await;
    assert!(matches!(nowhere, Err(HeadError::NoLog(_))));
    site.reopen().await;
    assert_eq!(site.store.signed_head(&acme()).await.unwrap(), Some(head(size - 1, 1)));
    site.store.put_signed_head(&acme(), head(size, 2)).await.unwrap();
}

#[tokio::test]
async fn the_first_cosigned_head_over_an_entry_is_found_and_stays() {
    let mut site = Site::founded().await;
    assert_eq!(site.store.cosigned_over(&acme(), None).await.unwrap(), None);
    for (size, note) in [(7, "seven"), (3, "three"), (3, "three again")] {
        site.store
            .keep_cosigned(&acme(), size, note.into(), None)
            .await
            .unwrap();
    }
    let found = async |site: &Site, index| site.store.cosigned_over(&acme(), index).await.unwrap();
    let asked = [None, Some(0), Some(2), Some(3), Some(6), Some(7), Some(u64::MAX)];
    let expected = [
        Some("seven"),
        Some("three"),
        Some("three"),
        Some("seven"),
        Some("seven"),
        None,
        None,
    ];
    for (index, note) in asked.into_iter().zip(expected) {
        assert_eq!(found(&site, index).await.as_deref(), note, "{index:?}");
    }
    site.store
        .keep_cosigned(&acme(), 9, "nine".into(), Some(7))
        .await
        .unwrap();
    assert_eq!(found(&site, Some(3)).await.as_deref(), Some("nine"), "instead of seven");
    site.store.rebuild(&acme()).await.unwrap();
    assert_eq!(found(&site, None).await.as_deref(), Some("nine"), "after a rebuild");
    site.reopen().await;
    assert_eq!(found(&site, Some(0)).await.as_deref(), Some("three"), "after a restart");
}

#[tokio::test]
async fn a_cosigned_head_is_of_its_log() {
    let mut site = Site::founded().await;
    let mut genesis = site.world.genesis();
    (genesis.environment, genesis.origin) = (name("other"), "other.gateway.example".into());
    let other = Body::Genesis(signed(&[seed::OWNER_ROOT], &genesis.origin.clone(), genesis));
    let step = Step::record(vec![site.draft(other)]).unwrap();
    drop(site.store.commit(&name("other"), step).await.unwrap());

    site.store
        .keep_cosigned(&acme(), 3, "acme's".into(), None)
        .await
        .unwrap();
    for index in [None, Some(0)] {
        assert_eq!(site.store.cosigned_over(&name("other"), index).await.unwrap(), None);
    }
    site.store
        .keep_cosigned(&name("other"), 3, "other's".into(), None)
        .await
        .unwrap();
    for (log, note) in [(acme(), "acme's"), (name("other"), "other's")] {
        assert_eq!(
            site.store.cosigned_over(&log, Some(0)).await.unwrap().as_deref(),
            Some(note)
        );
    }
    let nowhere = site.store.keep_cosigned(&name("nowhere"), 3, "note".into(), None).await;
    assert!(nowhere.is_err());
    assert_eq!(site.store.cosigned_over(&name("nowhere"), None).await.unwrap(), None);
    site.store
        .keep_cosigned(&acme(), 4, "the next".into(), None)
        .await
        .unwrap();
}

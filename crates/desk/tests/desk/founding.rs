//! Founding environments, who counts as known, and how refusals are counted.

use crate::access::{code, field, target};
use crate::world::{Place, acme, wish};
use desk::attempt::Operation;
use desk::{people, reach, stranger, trust};
use model::body::Body;
use model::fixture::{self, START_MS, identity, name, public, seed, signed};
use model::statement::Disablement;

#[tokio::test]
async fn an_ended_identity_is_out_at_once_and_on_record() {
    let place = Place::founded().await;
    let origin = place.caller(seed::ALICE).await.origin;
    assert_eq!(people::find(&place.desk, &public(99)).await.unwrap(), []);
    let stranger = people::admit(&place.desk, &public(99), Operation::SignIn).await;
    assert_eq!(code(stranger), "unknown_key");
    assert_eq!(place.attempts().await, []);
    // A key that a later enrolment leaves out is nobody's any more.
    let mut enrolment = fixture::World::default().enrolment(seed::MALLORY, "mallory", "Northwind MSP", vec![]);
    enrolment.keys = vec![public(51)];
    trust::submit(
        &place.desk,
        Body::Enrolled(signed(&[seed::OPERATOR_ROOT], &origin, enrolment)),
    )
    .await
    .unwrap();
    assert_eq!(people::find(&place.desk, &public(seed::MALLORY)).await.unwrap(), []);
    assert_eq!(people::find(&place.desk, &public(51)).await.unwrap().len(), 1);
    let end = Disablement {
        environment: acme(),
        identity: identity(seed::ALICE),
    };
    trust::submit(
        &place.desk,
        Body::Disabled(signed(&[seed::OPERATOR_ROOT], &origin, end)),
    )
    .await
    .unwrap();
    let ended = people::admit(&place.desk, &public(seed::ALICE), Operation::SignIn).await;
    place.refused("sign_in", "identity_ended", ended).await;
}

#[tokio::test]
async fn an_environment_is_founded_on_what_was_offered() {
    let place = Place::empty().await;
    let offer = trust::offer(&place.desk, &acme()).await.unwrap();
    assert_eq!(offer.origin, "acme.gateway.example");
    assert_eq!(
        trust::offer(&place.desk, &acme()).await.unwrap(),
        offer,
        "an offer stands"
    );
    assert_ne!(offer.user_ca, offer.gateway_host_ca);
    let world = fixture::World::blank(fixture::LogTerms {
        log_key: offer.log_key.clone(),
        ..fixture::LogTerms::default()
    });
    let mut genesis = world.genesis();
    let submit = |genesis| {
        let body = Body::Genesis(signed(&[seed::OWNER_ROOT], "acme.gateway.example", genesis));
        trust::submit(&place.desk, body)
    };
    assert_eq!(field(submit(genesis.clone()).await), "gateway_host_ca");
    genesis.gateway_host_ca = offer.gateway_host_ca.clone();
    assert_eq!(field(submit(genesis.clone()).await), "user_ca");
    genesis.user_ca = offer.user_ca.clone();
    let mut other = genesis.clone();
    other.log_key = "acme.gateway.example+11111111+AQ==".into();
    assert_eq!(field(submit(other).await), "log_key");
    let by_operator = Body::Genesis(signed(&[seed::OPERATOR_ROOT], &offer.origin, genesis.clone()));
    assert_eq!(code(trust::submit(&place.desk, by_operator).await), "not_under_root");
    assert_eq!(place.desk.environments().await.unwrap(), []);
    let engagement = Body::Engagement(signed(&[seed::OWNER_ROOT], &offer.origin, world.engagement()));
    assert_eq!(code(trust::submit(&place.desk, engagement).await), "absent");
    submit(genesis.clone()).await.unwrap();
    assert_eq!(code(submit(genesis).await), "already_entered");
    assert!(matches!(place.log().await[1].body, Body::NodeStarted(_)));
    let started = place.log().await.remove(1).body;
    assert_eq!(field(trust::submit(&place.desk, started).await), "type");
}

#[tokio::test]
async fn offers_are_bounded() {
    let place = Place::empty().await;
    for n in 0..64 {
        trust::offer(&place.desk, &name(&format!("e{n}"))).await.unwrap();
    }
    assert_eq!(code(trust::offer(&place.desk, &acme()).await), "too_many_offers");
    assert!(trust::offer(&place.desk, &name("e7")).await.is_ok());
}

#[tokio::test]
async fn strangers_are_counted_and_entered_together() {
    let place = Place::founded().await;
    for _ in 0..3 {
        stranger::count(&place.desk, "ssh", "unknown_key");
    }
    stranger::count(&place.desk, "ssh", "bad_signature");
    stranger::count(&place.desk, "api", "no_token");
    stranger::enter(&place.desk, START_MS).await.unwrap();
    stranger::enter(&place.desk, START_MS).await.unwrap();
    let counted = |entry: model::entry::Entry| match entry.body {
        Body::RefusalsCounted(body) => Some((
            body.listener,
            body.counts
                .iter()
                .map(|c| (c.code.clone(), c.count))
                .collect::<Vec<_>>(),
        )),
        _ => None,
    };
    let found: Vec<_> = place.log().await.into_iter().filter_map(counted).collect();
    let of = |code: &str, count| (code.to_owned(), count);
    assert_eq!(
        found,
        [
            ("api".to_owned(), vec![of("no_token", 1)]),
            ("ssh".to_owned(), vec![of("bad_signature", 1), of("unknown_key", 3)])
        ]
    );
}

/// A known caller cannot fill the log with refusals: past the bound of a minute they are counted.
#[tokio::test]
async fn repeated_refusals_of_one_person_are_bounded() {
    let place = Place::founded().await;
    let alice = place.callers(seed::ALICE).await;
    for _ in 0..70 {
        assert_eq!(
            code(reach::resolve(&place.desk, &alice, &target("web1", None)).await),
            "no_grant"
        );
    }
    assert_eq!(place.attempts().await.len(), 60);
    stranger::enter(&place.desk, START_MS).await.unwrap();
    let Some(Body::RefusalsCounted(counted)) = place.log().await.pop().map(|entry| entry.body) else {
        panic!("not counted")
    };
    assert_eq!((counted.listener.as_str(), counted.counts[0].count), ("desk", 10));
    place.pass(60_000);
    place
        .refused(
            "open",
            "no_grant",
            reach::resolve(&place.desk, &alice, &target("web1", None)).await,
        )
        .await;
}

/// What is committed to is on no disk in plain: reason, ticket, and what was tried.
#[tokio::test]
async fn what_people_write_is_on_no_disk_in_plain() {
    let place = Place::founded().await;
    let mut secret = wish();
    secret.reason = Some("canary-reason-5301".into());
    secret.ticket = Some("canary-ticket-5301".into());
    place.ask(&secret).await;
    let alice = place.callers(seed::ALICE).await;
    let tried = reach::resolve(&place.desk, &alice, &target("canary-place-5301", None)).await;
    assert_eq!(code(tried), "resource_unknown");
    let origin = alice[0].origin.clone();
    place.desk.store().close().await;
    let mut read = 0;
    for file in std::fs::read_dir(place.directory.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        read += usize::from(bytes.windows(origin.len()).any(|w| w == origin.as_bytes()));
        for canary in ["canary-reason-5301", "canary-ticket-5301", "canary-place-5301"] {
            assert!(
                !bytes.windows(canary.len()).any(|window| window == canary.as_bytes()),
                "{canary}"
            );
        }
    }
    assert!(read > 0, "the files that were searched hold the log");
}

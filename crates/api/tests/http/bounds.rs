//! Signing in, and what the API does not take.

use crate::place::*;
use api::{BindError, Config, Server, endpoints};
use model::body::Body;
use model::fixture::{START_MS, World, name, public, seed, signed};
use model::signature::Key;
use model::statement::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn nobody((status, answer): (StatusCode, Value)) -> Value {
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    answer
}

fn sign_in(seed: u8, text: &str) -> String {
    sign(seed, "sign-in@countersign", text)
}

/// A stranger, another purpose, other bytes, another challenge, no signature: one answer for all, and each is counted.
#[tokio::test]
async fn signing_in_takes_an_enrolled_key_and_a_fresh_challenge() {
    let place = Place::founded().await;
    let challenge = place.challenge().await;
    let shown: Value = serde_json::from_str(&challenge).unwrap();
    assert_eq!(shown["origin"], json!(format!("http://{}", place.address)));
    let late = place.challenge().await;
    let mut refused = vec![];
    for (challenge, signature) in [
        (challenge.as_str(), sign_in(99, &challenge)),
        (&challenge, sign(seed::ALICE, "approve@countersign", &challenge)),
        (&challenge, sign_in(seed::ALICE, "other")),
        ("{}", sign_in(seed::ALICE, "{}")),
        (&challenge, "not a signature".into()),
    ] {
        refused.push(nobody(place.answer(challenge, &signature).await));
    }
    assert!(refused.iter().all(|answer| *answer == refused[0]), "{refused:?}");
    let good = sign_in(seed::ALICE, &challenge);
    let (status, token) = place.answer(&challenge, &good).await;
    assert_eq!((status, &token["lasts_ms"]), (StatusCode::OK, &json!(600_000)));
    nobody(place.answer(&challenge, &good).await);
    place.clock.fetch_add(60_000, Ordering::SeqCst);
    nobody(place.answer(&late, &sign_in(seed::ALICE, &late)).await);
    assert_eq!(
        counted(&place).await,
        [
            ("bad_challenge".to_owned(), 2),
            ("bad_signature".to_owned(), 3),
            ("challenge_used".to_owned(), 1),
            ("unknown_key".to_owned(), 1)
        ]
    );
}

/// The strangers that were counted since the last time, as the log holds them.
async fn counted(place: &Place) -> Vec<(String, u64)> {
    desk::stranger::enter(&place.desk, START_MS).await.unwrap();
    let stored = place
        .desk
        .store()
        .entries(&name("acme"), 0..u64::MAX, 1000)
        .await
        .unwrap();
    let Body::RefusalsCounted(counted) = model::entry::Entry::parse(&stored.last().unwrap().1).unwrap().body else {
        panic!("strangers were not counted")
    };
    counted.counts.into_iter().map(|c| (c.code, c.count)).collect()
}

#[tokio::test]
async fn a_token_ends_when_it_is_given_up_and_with_its_identity() {
    let place = Place::founded().await;
    let alice = place.sign_in(seed::ALICE).await;
    assert_eq!(place.get(&alice, "/v1/whoami").await.0, StatusCode::OK);
    let out = place.send(Method::POST, Some(&alice), "/v1/sign-out", None).await;
    assert_eq!(out.0, StatusCode::NO_CONTENT);
    nobody(place.get(&alice, "/v1/whoami").await);
    let alice = place.sign_in(seed::ALICE).await;
    let end = World::default().disablement(seed::OPERATOR_ROOT, seed::ALICE);
    assert_eq!(place.post(None, "/v1/trust", &founding(&end)).await.0, StatusCode::OK);
    let (status, answer) = place.get(&alice, "/v1/whoami").await;
    let code = &answer["code"];
    assert_eq!((status, code), (StatusCode::FORBIDDEN, &json!("identity_ended")));
    let challenge = place.challenge().await;
    nobody(place.answer(&challenge, &sign_in(seed::ALICE, &challenge)).await);
}

#[tokio::test]
async fn trust_takes_what_roots_sign_and_nothing_else() {
    let place = Place::founded().await;
    let world = World::default();
    let eve = world.enrolment(40, "eve", "Acme Ltd", vec![Role::Approve]);
    let eve = Body::Enrolled(signed(&[seed::OPERATOR_ROOT], ORIGIN, eve));
    let (status, answer) = place.post(None, "/v1/trust", &founding(&eve)).await;
    assert_eq!(
        (status, &answer["code"]),
        (StatusCode::FORBIDDEN, &json!("not_under_root"))
    );
    let kill = json!({"type": "session.killed", "body": {"statement": {}, "signatures": []}});
    assert_eq!(
        place.post(None, "/v1/trust", &kill).await.0,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    let (status, answer) = place
        .post(None, "/v1/environments/offer", &json!({"environment": "A/B"}))
        .await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
    let (status, answer) = place.post(None, "/v1/environments/offer", &json!({})).await;
    assert_eq!(
        (status, &answer["field"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("environment"))
    );
    let (status, health) = place.send(Method::GET, None, "/v1/health", None).await;
    assert_eq!((&health["status"], &health["unpublished"]), (&json!("ok"), &json!([])));
    assert_eq!((status, &health["environments"]), (StatusCode::OK, &json!(1)));
}

/// Garbage to every endpoint gets a problem, never a failure of the server; what is too long is not read.
#[tokio::test]
async fn garbage_is_answered_with_a_problem() {
    let place = Place::founded().await;
    let olga = place.sign_in(seed::OLGA).await;
    let deep = "[".repeat(60_000);
    let bodies: [&[u8]; 8] = [
        b"",
        b"null",
        b"\xff\xfe",
        b"{\"statement\":",
        b"[]",
        b"{\"statement\":{},\"statement\":{}}",
        b"{\"signatures\":1e999}",
        deep.as_bytes(),
    ];
    for line in endpoints().into_iter().filter(|line| line.starts_with("POST")) {
        let path = line.split_whitespace().last().unwrap();
        if ["/v1/sign-out", "/v1/sign-in/challenge"].contains(&path) {
            continue;
        }
        for body in bodies {
            let (status, answer) = place.send(Method::POST, Some(&olga), path, Some(body.to_vec())).await;
            assert!(status.is_client_error(), "{path} {status} {answer}");
            assert!(answer["code"].is_string(), "{path}");
        }
        let long = vec![b' '; 65 * 1024];
        let (status, answer) = place.send(Method::POST, Some(&olga), path, Some(long)).await;
        assert_eq!(
            (status, &answer["code"]),
            (StatusCode::PAYLOAD_TOO_LARGE, &json!("too_long")),
            "{path}"
        );
    }
    for path in [
        "/v1/requests/x",
        "/v1/sessions/%00",
        "/v1/environments/a%2Fb/entries",
        "/v1/environments/acme/blobs/1",
    ] {
        assert_eq!(
            place.get(&olga, path).await.0,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{path}"
        );
    }
    assert_eq!(place.get(&olga, "/v2").await.0, StatusCode::NOT_FOUND);
    assert_eq!(place.get(&olga, "/v1/kills").await.0, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn only_loopback_is_bound() {
    let directory = tempfile::tempdir().unwrap();
    let desk = desk_in(&directory, &Arc::new(AtomicU64::new(START_MS))).await;
    for bind in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let config = Config {
            bind: bind.parse().unwrap(),
            origins: vec![],
            unpublished: Box::new(|_| None),
            unrecorded: Box::new(|| None),
        };
        let Err(error) = Server::bind(config, desk.clone(), recordings()).await else {
            panic!("{bind} was bound")
        };
        assert!(matches!(error, BindError::NotLoopback(_)));
        assert!(error.to_string().contains("plain HTTP"), "{error}");
    }
}

/// A client that sends its head byte by byte, or nothing at all, is cut after ten seconds, and nobody waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_is_cut() {
    let place = Place::founded().await;
    let mut slow = vec![];
    for _ in 0..200 {
        let mut stream = TcpStream::connect(place.address).await.unwrap();
        stream
            .write_all(b"GET /v1/health HTTP/1.1\r\nHost: x\r\nX: ")
            .await
            .unwrap();
        slow.push(stream);
    }
    let alice = place.sign_in(seed::ALICE).await;
    assert_eq!(place.get(&alice, "/v1/whoami").await.0, StatusCode::OK);
    let mut last = slow.pop().unwrap();
    let mut answer = vec![];
    let cut = tokio::time::timeout(Duration::from_secs(15), last.read_to_end(&mut answer)).await;
    assert!(cut.is_ok(), "still connected after 15 s");
}

/// What waits for a key in the log is not a key: the API never holds one, and tells none in its errors.
#[tokio::test]
async fn errors_tell_no_secret() {
    let place = Place::founded().await;
    let alice = place.sign_in(seed::ALICE).await;
    let (_, answer) = place
        .post(
            Some(&alice),
            "/v1/requests",
            &json!({"environment": "acme", "x": alice}),
        )
        .await;
    assert!(!answer.to_string().contains(&alice), "{answer}");
    let key: Key = public(seed::ALICE);
    let (_, answer) = place.answer("{}", key.as_str()).await;
    assert!(!answer.to_string().contains(key.as_str()));
}

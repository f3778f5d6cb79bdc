//! Asking, deciding, stopping, over HTTP.

use crate::place::*;
use api::endpoints;
use model::body::Body;
use model::bytes::Digest;
use model::fixture::{START_MS, World, identity, public, seed, signed};
use model::statement::{Denial, Kill, Revocation, Role};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

#[test]
fn the_endpoints_are_those_of_the_golden_file() {
    let golden: Vec<&str> = include_str!("../endpoints.txt").lines().collect();
    assert_eq!(endpoints(), golden);
}

/// Every endpoint that wants a token answers without one, or with a wrong one, only that it wants one.
#[tokio::test]
async fn without_a_token_nothing_is_told() {
    let place = Place::founded().await;
    for line in endpoints() {
        let mut words = line.split_whitespace();
        let (method, who, path) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
        if who == "open" {
            continue;
        }
        let path = path.replace("{environment}", "acme").replace(['{', '}'], "");
        for token in [None, Some("cst_wrong")] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let (status, answer) = place.send(method, token, &path, Some(b"{}".to_vec())).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{line}");
            assert_eq!(answer["code"], "not_signed_in", "{line}");
        }
    }
}

/// R010, R014: request, the owner's approval, grant, over HTTP with SSH keys.
#[tokio::test]
async fn r010_a_request_is_approved_by_the_owner_over_http() {
    let place = Place::founded().await;
    let (alice, olga) = (place.sign_in(seed::ALICE).await, place.sign_in(seed::OLGA).await);
    let (_, who) = place.get(&alice, "/v1/whoami").await;
    assert_eq!(
        (&who[0]["handle"], &who[0]["origin"]),
        (&json!("alice"), &json!(ORIGIN))
    );
    let (_, workflows) = place.get(&alice, "/v1/workflows").await;
    assert_eq!(workflows[0]["statement"]["name"], "patching");
    let request = place.ask(&alice).await;
    let (_, waiting) = place.get(&alice, "/v1/ls").await;
    assert_eq!(waiting[0]["requests"][0]["request"], json!(request));
    let (_, list) = place.get(&olga, "/v1/requests").await;
    assert_eq!(list[0]["handle"], "alice");

    // Everything that an approver must see, and the bytes that prove it.
    let (status, shown) = place.get(&olga, &format!("/v1/requests/{request}")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        (&shown["reason"], &shown["ticket"]),
        (&json!("openssl update"), &json!("CHG123"))
    );
    let hash = Digest::of(shown["entry"].as_str().unwrap().as_bytes());
    assert_eq!(shown["hash"], json(&hash));

    // The operator's own approver is not enough.
    let max = place.sign_in(30).await;
    let approval = place.approval(&max, &request, 30).await;
    let (status, decided) = place.post(Some(&max), "/v1/approvals", &approval).await;
    assert_eq!(
        (status, &decided["missing"]["organisation"]),
        (StatusCode::OK, &json!("Acme Ltd"))
    );
    assert_eq!(decided["grant"], Value::Null);
    let approval = place.approval(&olga, &request, seed::OLGA).await;
    let (status, decided) = place.post(Some(&olga), "/v1/approvals", &approval).await;
    assert_eq!(status, StatusCode::OK, "{decided}");
    let (_, ls) = place.get(&alice, "/v1/ls").await;
    assert_eq!(ls[0]["grants"][0]["grant"], decided["grant"]);
    let (status, again) = place.post(Some(&olga), "/v1/approvals", &approval).await;
    assert_eq!(
        (status, &again["code"]),
        (StatusCode::FORBIDDEN, &json!("request_closed"))
    );
}

/// R014: whoever leaves a field out is told which, by 422.
#[tokio::test]
async fn r014_a_missing_field_is_named() {
    let place = Place::founded().await;
    let (alice, olga) = (place.sign_in(seed::ALICE).await, place.sign_in(seed::OLGA).await);
    let missing = |answer: (StatusCode, Value)| {
        assert_eq!(answer.0, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.1);
        answer.1["field"].as_str().unwrap().to_owned()
    };
    for field in ["reason", "resources", "accounts"] {
        let mut wish = wish();
        wish.as_object_mut().unwrap().remove(field);
        assert_eq!(
            missing(place.post(Some(&alice), "/v1/requests/prepare", &wish).await),
            field
        );
    }
    let (_, prepared) = place.post(Some(&alice), "/v1/requests/prepare", &wish()).await;
    let whole = submission(&prepared, seed::ALICE);
    // Who asks, why, from when, until when, on what.
    for (path, field) in [
        ("/statement", "requester"),
        ("/statement", "reason"),
        ("/statement/scope", "from_ms"),
        ("/statement/scope", "until_ms"),
        ("/statement/scope", "resources"),
        ("", "signature"),
        ("", "openings"),
    ] {
        let mut cut = whole.clone();
        cut.pointer_mut(path).unwrap().as_object_mut().unwrap().remove(field);
        assert_eq!(missing(place.post(Some(&alice), "/v1/requests", &cut).await), field);
    }
    // Who authorises.
    let request = place.ask(&alice).await;
    let mut approval = place.approval(&olga, &request, seed::OLGA).await;
    approval["statement"].as_object_mut().unwrap().remove("approver");
    assert_eq!(
        missing(place.post(Some(&olga), "/v1/approvals", &approval).await),
        "approver"
    );
    // An approved statement cannot be altered: the signature shows it.
    let mut approval = place.approval(&olga, &request, seed::OLGA).await;
    approval["statement"]["scope"]["until_ms"] = json!(START_MS + 9_000_000);
    let (status, answer) = place.post(Some(&olga), "/v1/approvals", &approval).await;
    assert_eq!(
        (status, &answer["code"]),
        (StatusCode::FORBIDDEN, &json!("bad_signature"))
    );
}

/// R038: the requester decides nothing, also not with a second key and the role for it. R034: an approval without the
/// approver's credential is none.
#[tokio::test]
async fn r038_the_requester_never_approves_and_r034_words_are_no_approval() {
    let place = Place::founded().await;
    let alice = place.sign_in(seed::ALICE).await;
    let request = place.ask(&alice).await;
    let mut both = World::default().enrolment(
        seed::ALICE,
        "alice",
        "Northwind MSP",
        vec![Role::Request, Role::Approve],
    );
    both.keys.push(public(50));
    let both = Body::Enrolled(signed(&[seed::OPERATOR_ROOT], ORIGIN, both));
    assert_eq!(place.post(None, "/v1/trust", &founding(&both)).await.0, StatusCode::OK);
    let olga = place.sign_in(seed::OLGA).await;
    let approval = place.approval(&olga, &request, seed::OLGA).await;
    let statement: model::statement::Approval = serde_json::from_value(approval["statement"].clone()).unwrap();
    for key in [seed::ALICE, 50] {
        let token = place.sign_in(key).await;
        let (status, answer) = place.get(&token, &format!("/v1/requests/{request}/approval")).await;
        assert_eq!(
            (status, &answer["code"]),
            (StatusCode::FORBIDDEN, &json!("own_request"))
        );
        let mut own = statement.clone();
        own.approver = identity(seed::ALICE);
        let (status, answer) = place.post(Some(&token), "/v1/approvals", &by(key, own)).await;
        assert_eq!(
            (status, &answer["code"]),
            (StatusCode::FORBIDDEN, &json!("own_request"))
        );
        // In the approver's name, signed by a key that is not the approver's.
        let (status, answer) = place
            .post(Some(&olga), "/v1/approvals", &by(key, statement.clone()))
            .await;
        assert_eq!(
            (status, &answer["code"]),
            (StatusCode::FORBIDDEN, &json!("not_own_key"))
        );
    }
    let unsigned = json!({"statement": approval["statement"], "signatures": []});
    let (status, answer) = place.post(Some(&olga), "/v1/approvals", &unsigned).await;
    assert_eq!(
        (status, &answer["code"]),
        (StatusCode::FORBIDDEN, &json!("bad_signature"))
    );
    let (_, shown) = place.get(&olga, &format!("/v1/requests/{request}")).await;
    assert_eq!((&shown["status"], &shown["approvals"]), (&json!("pending"), &json!([])));
}

#[tokio::test]
async fn what_was_given_is_taken_back() {
    let place = Place::founded().await;
    let session = place.opened().await;
    let (alice, olga) = (place.sign_in(seed::ALICE).await, place.sign_in(seed::OLGA).await);
    let mallory = place.sign_in(seed::MALLORY).await;
    let (_, shown) = place.get(&alice, &format!("/v1/sessions/{session}")).await;
    let grant = shown["state"]["grant"].as_str().unwrap().parse().unwrap();
    let at_ms = START_MS;
    let kill = |seed: u8| {
        by(
            seed,
            Kill {
                session,
                by: identity(seed),
                at_ms,
            },
        )
    };
    let revoke = |seed: u8| {
        by(
            seed,
            Revocation {
                grant,
                by: identity(seed),
                at_ms,
            },
        )
    };
    for (path, body) in [
        ("/v1/kills", kill(seed::MALLORY)),
        ("/v1/revocations", revoke(seed::MALLORY)),
    ] {
        let (status, answer) = place.post(Some(&mallory), path, &body).await;
        assert_eq!(
            (status, &answer["code"]),
            (StatusCode::FORBIDDEN, &json!("may_not_revoke"))
        );
    }
    for (path, body) in [("/v1/kills", kill(seed::OLGA)), ("/v1/revocations", revoke(seed::OLGA))] {
        let (status, answer) = place.post(Some(&olga), path, &body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
    }
    let (status, answer) = place.post(Some(&olga), "/v1/revocations", &revoke(seed::OLGA)).await;
    assert_eq!(
        (status, &answer["code"]),
        (StatusCode::FORBIDDEN, &json!("revoked_twice"))
    );
    let (_, shown) = place.get(&olga, &format!("/v1/sessions/{session}")).await;
    assert!(shown["state"]["killed_at"].is_u64(), "{shown}");
    // And a request that is denied.
    let request = place.ask(&alice).await;
    let (_, shown) = place.get(&olga, &format!("/v1/requests/{request}")).await;
    let denial = Denial {
        request: request.parse().unwrap(),
        request_hash: serde_json::from_value(shown["hash"].clone()).unwrap(),
        approver: identity(seed::OLGA),
        at_ms,
    };
    let (status, answer) = place.post(Some(&olga), "/v1/denials", &by(seed::OLGA, denial)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let (_, shown) = place.get(&alice, &format!("/v1/requests/{request}")).await;
    assert_eq!(shown["status"], "denied");
}

/// What somebody is about to take back is shown to whoever may take it back.
#[tokio::test]
async fn a_grant_is_shown_to_those_concerned() {
    let place = Place::founded().await;
    let session = place.opened().await;
    let (alice, olga) = (place.sign_in(seed::ALICE).await, place.sign_in(seed::OLGA).await);
    let (_, shown) = place.get(&alice, &format!("/v1/sessions/{session}")).await;
    let grant = shown["state"]["grant"].as_str().unwrap().parse().unwrap();
    let path = format!("/v1/grants/{grant}");
    for token in [&alice, &olga] {
        let (status, shown) = place.get(token, &path).await;
        assert_eq!((status, &shown["handle"]), (StatusCode::OK, &json!("alice")), "{shown}");
        assert_eq!(shown["state"]["granted"]["scope"]["resources"], json!(["web1"]));
        assert_eq!(shown["state"]["revoked"], Value::Null);
    }
    let mallory = place.sign_in(seed::MALLORY).await;
    assert_eq!(place.get(&mallory, &path).await.0, StatusCode::NOT_FOUND);
    let (status, answer) = place.get(&olga, "/v1/grants/x").await;
    assert_eq!(
        (status, &answer["field"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("id"))
    );
    let revocation = Revocation {
        grant,
        by: identity(seed::OLGA),
        at_ms: START_MS,
    };
    place
        .post(Some(&olga), "/v1/revocations", &by(seed::OLGA, revocation))
        .await;
    let (_, shown) = place.get(&alice, &path).await;
    assert_eq!(shown["state"]["revoked"]["by"], json!(identity(seed::OLGA)));
}

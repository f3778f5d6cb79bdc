//! The API as a client meets it: a real socket, a real store, real SSH keys.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set up must stop"
)]

use api::{BindError, Config, Extents, Recordings, Server, endpoints};
use desk::open::{Arrival, open_session};
use desk::{Desk, LogKeys, Terms};
use model::body::{Body, TimeBasis};
use model::bytes::Digest;
use model::fixture::{self, LogTerms, START_MS, World, identity, log_in, name, private, public, seed, signed};
use model::id::BootId;
use model::judge::Wanted;
use model::signature::{Key, Statement};
use model::statement::{Denial, Kill, Request, Revocation, Role};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use ssh_key::{HashAlg, LineEnding, SshSig};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use store::{Clock, Store, StoreConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

const ORIGIN: &str = "acme.gateway.example";

struct Place {
    address: SocketAddr,
    client: Client,
    desk: Arc<Desk>,
    clock: Arc<AtomicU64>,
    _directory: tempfile::TempDir,
    _stop: oneshot::Sender<()>,
}

/// Pieces for one recording; then, for a broken one, an error.
fn recordings() -> Recordings {
    Recordings::new(|_, _| {
        let pieces = (0..20u8).map(|n| Ok(vec![n; 100_000]));
        Ok(Some(Box::new(pieces) as Extents))
    })
}

async fn desk_in(directory: &tempfile::TempDir, clock: &Arc<AtomicU64>) -> Arc<Desk> {
    let time = clock.clone();
    let clock = Clock::new(move || time.load(Ordering::SeqCst));
    let config = StoreConfig::new(directory.path(), name("gw1"), BootId::new(START_MS, [1; 10]), clock);
    let log_keys = LogKeys::new(|_, origin| async move { Ok(format!("{origin}+00000000+AQ==")) });
    let origin = "gateway.example".into();
    Desk::new(Store::open(config).await.unwrap(), Terms { origin, log_keys })
}

impl Place {
    async fn empty(recordings: Recordings) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(AtomicU64::new(START_MS));
        let desk = desk_in(&directory, &clock).await;
        let config = Config {
            bind: "127.0.0.1:0".parse().unwrap(),
            origin: None,
        };
        let server = Server::bind(config, desk.clone(), recordings).await.unwrap();
        let address = server.address();
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(server.run(async {
            drop(stopped.await);
        }));
        Self {
            address,
            client: Client::builder().no_proxy().build().unwrap(),
            desk,
            clock,
            _directory: directory,
            _stop: stop,
        }
    }

    /// A server on which `acme` was founded, over HTTP.
    async fn founded() -> Self {
        let place = Self::empty(recordings()).await;
        place.found().await;
        place
    }

    async fn found(&self) {
        let recipients = vec![store::fresh_identity().1, store::fresh_identity().1];
        let (status, offer) = self
            .post(None, "/v1/environments/offer", &json!({"environment": "acme"}))
            .await;
        assert_eq!((status, &offer["origin"]), (StatusCode::OK, &json!(ORIGIN)));
        let world = World::blank(LogTerms {
            log_key: offer["log_key"].as_str().unwrap().into(),
            owner_recipients: recipients,
            ..LogTerms::default()
        });
        let mut genesis = world.genesis();
        genesis.gateway_host_ca = offer["gateway_host_ca"].as_str().unwrap().parse().unwrap();
        genesis.user_ca = offer["user_ca"].as_str().unwrap().parse().unwrap();
        let mut bodies = vec![Body::Genesis(signed(&[seed::OWNER_ROOT], ORIGIN, genesis))];
        bodies.extend(world.founding().into_iter().skip(1));
        let max = world.enrolment(30, "max", "Northwind MSP", vec![Role::Approve]);
        bodies.push(Body::Enrolled(signed(&[seed::OPERATOR_ROOT], ORIGIN, max)));
        for body in bodies.iter().filter(|body| !matches!(body, Body::NodeStarted(_))) {
            let (status, answer) = self.post(None, "/v1/trust", &founding(body)).await;
            assert_eq!(status, StatusCode::OK, "{answer}");
        }
    }

    async fn send(
        &self,
        method: Method,
        token: Option<&str>,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> (StatusCode, Value) {
        let mut request = self.client.request(method, format!("http://{}{path}", self.address));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        let kind = response.headers().get("content-type").cloned();
        let bytes = response.bytes().await.unwrap();
        if !status.is_success() {
            assert_eq!(kind.unwrap(), "application/problem+json");
        }
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    async fn get(&self, token: &str, path: &str) -> (StatusCode, Value) {
        self.send(Method::GET, Some(token), path, None).await
    }

    async fn post(&self, token: Option<&str>, path: &str, body: &Value) -> (StatusCode, Value) {
        self.send(Method::POST, token, path, Some(body.to_string().into_bytes()))
            .await
    }

    async fn challenge(&self) -> String {
        let (status, answer) = self.post(None, "/v1/sign-in/challenge", &json!({})).await;
        assert_eq!(status, StatusCode::OK);
        answer["challenge"].as_str().unwrap().to_owned()
    }

    async fn answer(&self, challenge: &str, signature: &str) -> (StatusCode, Value) {
        let body = json!({"challenge": challenge, "signature": signature});
        self.post(None, "/v1/sign-in", &body).await
    }

    async fn sign_in(&self, seed: u8) -> String {
        let challenge = self.challenge().await;
        let (status, answer) = self
            .answer(&challenge, &sign(seed, "sign-in@countersign", &challenge))
            .await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer["token"].as_str().unwrap().to_owned()
    }

    /// Alice asks for root on web1, over HTTP; gives the request's id.
    async fn ask(&self, token: &str) -> String {
        let (status, prepared) = self.post(Some(token), "/v1/requests/prepare", &wish()).await;
        assert_eq!(status, StatusCode::OK, "{prepared}");
        let (status, answer) = self
            .post(Some(token), "/v1/requests", &submission(&prepared, seed::ALICE))
            .await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        prepared["statement"]["request"].as_str().unwrap().to_owned()
    }

    /// The approval of `request` as `seed` signs it, from what the server shows.
    async fn approval(&self, token: &str, request: &str, seed: u8) -> Value {
        let (status, shown) = self.get(token, &format!("/v1/requests/{request}/approval")).await;
        assert_eq!(status, StatusCode::OK, "{shown}");
        let statement: model::statement::Approval = serde_json::from_value(shown["statement"].clone()).unwrap();
        json(&signed(&[seed], ORIGIN, statement))
    }

    async fn granted(&self) -> model::id::GrantId {
        let (alice, olga) = (self.sign_in(seed::ALICE).await, self.sign_in(seed::OLGA).await);
        let request = self.ask(&alice).await;
        let approval = self.approval(&olga, &request, seed::OLGA).await;
        let (status, decided) = self.post(Some(&olga), "/v1/approvals", &approval).await;
        assert_eq!(status, StatusCode::OK, "{decided}");
        decided["grant"].as_str().unwrap().parse().unwrap()
    }

    async fn opened(&self) -> model::id::SessionId {
        let grant = self.granted().await;
        let arrival = Arrival {
            wanted: Wanted {
                identity: identity(seed::ALICE),
                key: public(seed::ALICE),
                grant,
                resource: name("web1"),
                account: name("root"),
            },
            proof: log_in(seed::ALICE, "root+web1.acme", 1),
            client: "192.0.2.7:50022".into(),
            dek: [7; 32].into(),
            dek_commitment: Digest::of(b"key"),
            key: public(77),
            time: TimeBasis::Unwitnessed("no witness".into()),
        };
        open_session(&self.desk, &name("acme"), &arrival)
            .await
            .unwrap()
            .session()
            .id
    }
}

fn json<T: serde::Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap()
}

fn founding(body: &Body) -> Value {
    let inner = match body {
        Body::Genesis(signed) => json(signed),
        Body::Engagement(signed) => json(signed),
        Body::Enrolled(signed) => json(signed),
        Body::Disabled(signed) => json(signed),
        Body::Resource(signed) => json(signed),
        Body::Workflow(signed) => json(signed),
        other => panic!("{} founds nothing", other.kind()),
    };
    json!({"type": body.kind(), "body": inner})
}

fn sign(seed: u8, namespace: &str, text: &str) -> String {
    let signature = SshSig::sign(&private(seed), namespace, HashAlg::Sha512, text.as_bytes()).unwrap();
    signature.to_pem(LineEnding::LF).unwrap()
}

fn wish() -> Value {
    json!({"resources": ["web1.acme"], "accounts": ["root"], "reason": "openssl update", "ticket": "CHG123"})
}

fn submission(prepared: &Value, seed: u8) -> Value {
    let statement: Request = serde_json::from_value(prepared["statement"].clone()).unwrap();
    json!({
        "environment": prepared["environment"],
        "statement": prepared["statement"],
        "signature": fixture::signature(seed, ORIGIN, &statement),
        "openings": prepared["openings"],
    })
}

fn by<T: Statement>(seed: u8, statement: T) -> Value {
    json(&signed(&[seed], ORIGIN, statement))
}

#[test]
fn the_endpoints_are_those_of_the_golden_file() {
    let golden: Vec<&str> = include_str!("endpoints.txt").lines().collect();
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

#[tokio::test]
async fn what_is_on_record_is_read_by_those_concerned() {
    let place = Place::founded().await;
    let session = place.opened().await;
    let (alice, olga) = (place.sign_in(seed::ALICE).await, place.sign_in(seed::OLGA).await);
    let mallory = place.sign_in(seed::MALLORY).await;
    let (_, entries) = place.get(&olga, "/v1/environments/acme/entries?from=0&count=3").await;
    assert_eq!(entries["entries"].as_array().unwrap().len(), 3);
    let first = entries["entries"][0]["entry"].as_str().unwrap();
    assert_eq!(
        model::entry::Entry::parse(first.as_bytes()).unwrap().body.kind(),
        "environment.genesis"
    );
    let (status, answer) = place.get(&alice, "/v1/environments/acme/entries").await;
    assert_eq!((status, &answer["code"]), (StatusCode::FORBIDDEN, &json!("owner_only")));
    let (status, _) = place.get(&olga, "/v1/environments/globex/entries").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, answer) = place.get(&olga, "/v1/environments/acme/entries?from=x").await;
    assert_eq!(
        (status, &answer["field"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("from"))
    );
    let (_, entries) = place.get(&alice, &format!("/v1/sessions/{session}/entries")).await;
    let opening = entries["entries"][0]["entry"].as_str().unwrap();
    let opening = model::entry::Entry::parse(opening.as_bytes()).unwrap();
    for (token, wanted) in [
        (&alice, StatusCode::OK),
        (&olga, StatusCode::OK),
        (&mallory, StatusCode::NOT_FOUND),
    ] {
        let path = format!("/v1/environments/acme/blobs/{}", opening.blobs[1].sha256);
        assert_eq!(place.get(token, &path).await.0, wanted);
        assert_eq!(place.get(token, &format!("/v1/sessions/{session}")).await.0, wanted);
        assert_eq!(
            place.get(token, &format!("/v1/sessions/{session}/extents")).await.0,
            wanted
        );
    }
    let (_, none) = place.get(&mallory, "/v1/sessions").await;
    assert_eq!(none, json!([]));
    let (_, one) = place.get(&alice, "/v1/sessions").await;
    assert_eq!(one[0]["state"]["session"], json(&session));
    let url = format!("http://{}/v1/sessions/{session}/extents", place.address);
    let extents = place
        .client
        .get(url)
        .bearer_auth(&olga)
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    assert_eq!((extents.len(), extents[0], extents[1_999_999]), (2_000_000, 0, 19));
}

/// A recording that cannot be read to its end breaks off; nobody takes the part for the whole.
#[tokio::test]
async fn a_recording_that_breaks_off_is_seen_to() {
    let broken = Recordings::new(|_, _| {
        let pieces = [Ok(vec![1u8; 1000]), Err(std::io::Error::other("bad sector"))];
        Ok(Some(Box::new(pieces.into_iter()) as Extents))
    });
    let place = Place::empty(broken).await;
    place.found().await;
    let session = place.opened().await;
    let olga = place.sign_in(seed::OLGA).await;
    let url = format!("http://{}/v1/sessions/{session}/extents", place.address);
    let response = place.client.get(url).bearer_auth(&olga).send().await.unwrap();
    assert!(response.bytes().await.is_err());
}

#[tokio::test]
async fn signing_in_takes_an_enrolled_key_and_a_fresh_challenge() {
    let place = Place::founded().await;
    let nobody = |answer: (StatusCode, Value)| {
        assert_eq!(answer.0, StatusCode::UNAUTHORIZED);
        answer.1
    };
    let challenge = place.challenge().await;
    let shown: Value = serde_json::from_str(&challenge).unwrap();
    assert_eq!(shown["origin"], json!(format!("http://{}", place.address)));
    let good = sign(seed::ALICE, "sign-in@countersign", &challenge);
    // A stranger, another purpose, other bytes, another challenge, no signature: one answer for all.
    let refused = [
        nobody(
            place
                .answer(&challenge, &sign(99, "sign-in@countersign", &challenge))
                .await,
        ),
        nobody(
            place
                .answer(&challenge, &sign(seed::ALICE, "approve@countersign", &challenge))
                .await,
        ),
        nobody(
            place
                .answer(&challenge, &sign(seed::ALICE, "sign-in@countersign", "other"))
                .await,
        ),
        nobody(
            place
                .answer("{}", &sign(seed::ALICE, "sign-in@countersign", "{}"))
                .await,
        ),
        nobody(place.answer(&challenge, "not a signature").await),
    ];
    assert!(refused.iter().all(|answer| *answer == refused[0]), "{refused:?}");
    let (status, token) = place.answer(&challenge, &good).await;
    assert_eq!((status, &token["lasts_ms"]), (StatusCode::OK, &json!(600_000)));
    nobody(place.answer(&challenge, &good).await);
    let late = place.challenge().await;
    place.clock.fetch_add(60_000, Ordering::SeqCst);
    nobody(
        place
            .answer(&late, &sign(seed::ALICE, "sign-in@countersign", &late))
            .await,
    );
    // Strangers are counted, and entered in the log.
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
    let counts: Vec<(&str, u64)> = counted.counts.iter().map(|c| (c.code.as_str(), c.count)).collect();
    assert_eq!(
        counts,
        [
            ("bad_challenge", 2),
            ("bad_signature", 3),
            ("challenge_used", 1),
            ("unknown_key", 1)
        ]
    );
    // Signing out ends the token; so does the end of the identity.
    let alice = token["token"].as_str().unwrap();
    assert_eq!(place.get(alice, "/v1/whoami").await.0, StatusCode::OK);
    assert_eq!(
        place.send(Method::POST, Some(alice), "/v1/sign-out", None).await.0,
        StatusCode::NO_CONTENT
    );
    nobody(place.get(alice, "/v1/whoami").await);
    let alice = place.sign_in(seed::ALICE).await;
    let end = World::default().disablement(seed::OPERATOR_ROOT, seed::ALICE);
    assert_eq!(place.post(None, "/v1/trust", &founding(&end)).await.0, StatusCode::OK);
    let (status, answer) = place.get(&alice, "/v1/whoami").await;
    assert_eq!(
        (status, &answer["code"]),
        (StatusCode::FORBIDDEN, &json!("identity_ended"))
    );
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
            origin: None,
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

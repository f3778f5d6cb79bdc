//! A server on a real socket over a real store, and a client of it.

use api::{Config, Extents, Recordings, Server};
use desk::open::{Arrival, open_session};
use desk::{Desk, LogKeys, Terms};
use model::body::{Body, TimeBasis};
use model::bytes::Digest;
use model::fixture::{self, LogTerms, START_MS, World, identity, log_in, name, private, public, seed, signed};
use model::id::BootId;
use model::judge::Wanted;
use model::signature::Statement;
use model::statement::{Request, Role};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use ssh_key::{HashAlg, LineEnding, SshSig};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use store::{Clock, Store, StoreConfig};
use tokio::sync::oneshot;

pub(crate) const ORIGIN: &str = "acme.gateway.example";

pub(crate) struct Place {
    pub(crate) address: SocketAddr,
    pub(crate) client: Client,
    pub(crate) desk: Arc<Desk>,
    pub(crate) clock: Arc<AtomicU64>,
    _directory: tempfile::TempDir,
    _stop: oneshot::Sender<()>,
}

/// Pieces for one recording; then, for a broken one, an error.
pub(crate) fn recordings() -> Recordings {
    Recordings::new(|_, _| {
        let pieces = (0..20u8).map(|n| Ok(vec![n; 100_000]));
        Ok(Some(Box::new(pieces) as Extents))
    })
}

pub(crate) async fn desk_in(directory: &tempfile::TempDir, clock: &Arc<AtomicU64>) -> Arc<Desk> {
    let time = clock.clone();
    let clock = Clock::new(move || time.load(Ordering::SeqCst));
    let config = StoreConfig::new(directory.path(), name("gw1"), BootId::new(START_MS, [1; 10]), clock);
    let log_keys = LogKeys::new(|_, origin| async move { Ok(format!("{origin}+00000000+AQ==")) });
    let origin = "gateway.example".into();
    Desk::new(Store::open(config).await.unwrap(), Terms { origin, log_keys })
}

impl Place {
    pub(crate) async fn empty(recordings: Recordings) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(AtomicU64::new(START_MS));
        let desk = desk_in(&directory, &clock).await;
        let config = Config {
            bind: "127.0.0.1:0".parse().unwrap(),
            origins: vec![],
            unpublished: Box::new(|_| None),
            unrecorded: Box::new(|| None),
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
    pub(crate) async fn founded() -> Self {
        let place = Self::empty(recordings()).await;
        place.found().await;
        place
    }

    pub(crate) async fn found(&self) {
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

    pub(crate) async fn send(
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

    pub(crate) async fn get(&self, token: &str, path: &str) -> (StatusCode, Value) {
        self.send(Method::GET, Some(token), path, None).await
    }

    pub(crate) async fn post(&self, token: Option<&str>, path: &str, body: &Value) -> (StatusCode, Value) {
        self.send(Method::POST, token, path, Some(body.to_string().into_bytes()))
            .await
    }

    pub(crate) async fn challenge(&self) -> String {
        let (status, answer) = self.post(None, "/v1/sign-in/challenge", &json!({})).await;
        assert_eq!(status, StatusCode::OK);
        answer["challenge"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn answer(&self, challenge: &str, signature: &str) -> (StatusCode, Value) {
        let body = json!({"challenge": challenge, "signature": signature});
        self.post(None, "/v1/sign-in", &body).await
    }

    pub(crate) async fn sign_in(&self, seed: u8) -> String {
        let challenge = self.challenge().await;
        let (status, answer) = self
            .answer(&challenge, &sign(seed, "sign-in@countersign", &challenge))
            .await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer["token"].as_str().unwrap().to_owned()
    }

    /// Alice asks for root on web1, over HTTP; gives the request's id.
    pub(crate) async fn ask(&self, token: &str) -> String {
        let (status, prepared) = self.post(Some(token), "/v1/requests/prepare", &wish()).await;
        assert_eq!(status, StatusCode::OK, "{prepared}");
        let (status, answer) = self
            .post(Some(token), "/v1/requests", &submission(&prepared, seed::ALICE))
            .await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        prepared["statement"]["request"].as_str().unwrap().to_owned()
    }

    /// The approval of `request` as `seed` signs it, from what the server shows.
    pub(crate) async fn approval(&self, token: &str, request: &str, seed: u8) -> Value {
        let (status, shown) = self.get(token, &format!("/v1/requests/{request}/approval")).await;
        assert_eq!(status, StatusCode::OK, "{shown}");
        let statement: model::statement::Approval = serde_json::from_value(shown["statement"].clone()).unwrap();
        json(&signed(&[seed], ORIGIN, statement))
    }

    pub(crate) async fn granted(&self) -> model::id::GrantId {
        let (alice, olga) = (self.sign_in(seed::ALICE).await, self.sign_in(seed::OLGA).await);
        let request = self.ask(&alice).await;
        let approval = self.approval(&olga, &request, seed::OLGA).await;
        let (status, decided) = self.post(Some(&olga), "/v1/approvals", &approval).await;
        assert_eq!(status, StatusCode::OK, "{decided}");
        decided["grant"].as_str().unwrap().parse().unwrap()
    }

    pub(crate) async fn opened(&self) -> model::id::SessionId {
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

pub(crate) fn json<T: serde::Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap()
}

pub(crate) fn founding(body: &Body) -> Value {
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

pub(crate) fn sign(seed: u8, namespace: &str, text: &str) -> String {
    let signature = SshSig::sign(&private(seed), namespace, HashAlg::Sha512, text.as_bytes()).unwrap();
    signature.to_pem(LineEnding::LF).unwrap()
}

pub(crate) fn wish() -> Value {
    json!({"resources": ["web1.acme"], "accounts": ["root"], "reason": "openssl update", "ticket": "CHG123"})
}

pub(crate) fn submission(prepared: &Value, seed: u8) -> Value {
    let statement: Request = serde_json::from_value(prepared["statement"].clone()).unwrap();
    json!({
        "environment": prepared["environment"],
        "statement": prepared["statement"],
        "signature": fixture::signature(seed, ORIGIN, &statement),
        "openings": prepared["openings"],
    })
}

pub(crate) fn by<T: Statement>(seed: u8, statement: T) -> Value {
    json(&signed(&[seed], ORIGIN, statement))
}

//! A desk over a real store, and an environment founded through it. Keys are the fixture's; the clock stands still
//! until a test moves it.

use desk::attempt::Operation;
use desk::people::{self, Caller};
use desk::{Desk, LogKeys, Terms, approve, open, request, trust};
use model::body::{Body, RequestProof, TimeBasis};
use model::bytes::Digest;
use model::entry::Entry;
use model::fixture::{self, LogTerms, START_MS, World, log_in, name, public, seed, signed};
use model::id::{BootId, GrantId, RequestId};
use model::judge::Wanted;
use model::name::EnvironmentName;
use model::signature::Signed;
use model::statement::{Approval, Role};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use store::faults::Faults;
use store::{Clock, Store, StoreConfig};
use zeroize::Zeroizing;

pub(crate) const HOUR_MS: u64 = 3_600_000;
/// An approver of the operator.
pub(crate) const MAX: u8 = 30;

pub(crate) struct Place {
    pub(crate) desk: Arc<Desk>,
    pub(crate) directory: tempfile::TempDir,
    pub(crate) clock: Arc<AtomicU64>,
    pub(crate) faults: Faults,
    /// The key file of the owner's first recipient.
    pub(crate) owner_identity: Zeroizing<String>,
    connections: AtomicU64,
}

pub(crate) fn acme() -> EnvironmentName {
    name("acme")
}

pub(crate) async fn open_store(
    directory: &std::path::Path,
    clock: &Arc<AtomicU64>,
    faults: &Faults,
    boot: u8,
) -> Store {
    let clock = clock.clone();
    let clock = Clock::new(move || clock.load(Ordering::SeqCst));
    let config = StoreConfig {
        faults: faults.clone(),
        ..StoreConfig::new(directory, name("gw1"), BootId::new(START_MS, [boot; 10]), clock)
    };
    Store::open(config).await.unwrap()
}

pub(crate) fn desk_over(store: Store) -> Arc<Desk> {
    let log_keys = LogKeys::new(|_, origin| async move { Ok(format!("{origin}+00000000+AQ==")) });
    let terms = Terms {
        origin: "gateway.example".into(),
        log_keys,
    };
    Desk::new(store, terms)
}

impl Place {
    /// A server without environments.
    pub(crate) async fn empty() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(AtomicU64::new(START_MS));
        let faults = Faults::default();
        let desk = desk_over(open_store(directory.path(), &clock, &faults, 1).await);
        Self {
            desk,
            directory,
            clock,
            faults,
            owner_identity: Zeroizing::new(String::new()),
            connections: AtomicU64::new(0),
        }
    }

    /// A server with `acme`, its people, `web1` and the workflow `patching`.
    pub(crate) async fn founded() -> Self {
        let mut place = Self::empty().await;
        place.owner_identity = place.found("acme").await;
        place
    }

    /// Founds an environment like `acme`; gives the key file of its owner's first recipient.
    pub(crate) async fn found(&self, environment: &str) -> Zeroizing<String> {
        let (identity, recipient) = store::fresh_identity();
        let (_, second) = store::fresh_identity();
        let environment: EnvironmentName = name(environment);
        let offer = trust::offer(&self.desk, &environment).await.unwrap();
        let world = World::blank(LogTerms {
            origin: offer.origin.clone(),
            log_key: offer.log_key.clone(),
            owner_recipients: vec![recipient, second],
            ..LogTerms::default()
        });
        let origin = offer.origin.as_str();
        let mut genesis = world.genesis();
        genesis.environment = environment.clone();
        genesis.gateway_host_ca = offer.gateway_host_ca;
        genesis.user_ca = offer.user_ca;
        let mut bodies = vec![Body::Genesis(signed(&[seed::OWNER_ROOT], origin, genesis))];
        for body in world.founding().into_iter().skip(1) {
            bodies.push(for_environment(body, &environment, origin));
        }
        let mut max = world.enrolment(MAX, "max", "Northwind MSP", vec![Role::Approve]);
        max.environment = environment.clone();
        bodies.push(Body::Enrolled(signed(&[seed::OPERATOR_ROOT], origin, max)));
        for body in bodies.into_iter().filter(|body| !matches!(body, Body::NodeStarted(_))) {
            trust::submit(&self.desk, body).await.unwrap();
        }
        identity
    }

    pub(crate) fn pass(&self, ms: u64) {
        self.clock.fetch_add(ms, Ordering::SeqCst);
    }

    pub(crate) async fn callers(&self, seed: u8) -> Vec<Caller> {
        people::admit(&self.desk, &public(seed), Operation::SignIn)
            .await
            .unwrap()
    }

    pub(crate) async fn caller(&self, seed: u8) -> Caller {
        self.callers(seed).await.remove(0)
    }

    /// Alice asks as `wish` says.
    pub(crate) async fn ask(&self, wish: &request::Wish) -> RequestId {
        let callers = self.callers(seed::ALICE).await;
        let prepared = request::prepare(&self.desk, &callers, wish).await.unwrap();
        let id = prepared.statement.request;
        let signature = fixture::signature(seed::ALICE, &prepared.origin, &prepared.statement);
        let proof = RequestProof::Signature(signature);
        let caller = people::in_environment(&callers, &prepared.environment).unwrap();
        request::submit(&self.desk, caller, prepared.statement, proof, &prepared.openings)
            .await
            .unwrap();
        id
    }

    /// What `seed` signs to approve `request`.
    pub(crate) async fn approval(&self, seed: u8, request: RequestId) -> Signed<Approval> {
        let callers = self.callers(seed).await;
        let (view, approval) = approve::approval_statement(&self.desk, &callers, request)
            .await
            .unwrap();
        signed(&[seed], &view.origin, approval)
    }

    pub(crate) async fn approve(&self, seed: u8, request: RequestId) -> approve::Decided {
        let approval = self.approval(seed, request).await;
        approve::submit_approval(&self.desk, &self.callers(seed).await, approval)
            .await
            .unwrap()
    }

    /// Alice asks for root on web1, Olga approves.
    pub(crate) async fn granted(&self) -> GrantId {
        let request = self.ask(&wish()).await;
        self.approve(seed::OLGA, request).await.grant.unwrap()
    }

    pub(crate) fn arrival(&self, grant: GrantId) -> open::Arrival {
        let connection = self.connections.fetch_add(1, Ordering::SeqCst);
        open::Arrival {
            wanted: Wanted {
                identity: fixture::identity(seed::ALICE),
                key: public(seed::ALICE),
                grant,
                resource: name("web1"),
                account: name("root"),
            },
            proof: log_in(seed::ALICE, "root+web1.acme", connection),
            client: "192.0.2.7:50022".into(),
            dek: Zeroizing::new([7; 32]),
            dek_commitment: Digest::of(b"commitment"),
            key: public(77),
            time: TimeBasis::Unwitnessed("no witness".into()),
        }
    }

    /// Every entry of `acme`'s log.
    pub(crate) async fn log(&self) -> Vec<Entry> {
        let stored = self.desk.store().entries(&acme(), 0..u64::MAX, 1000).await.unwrap();
        stored.iter().map(|(_, bytes)| Entry::parse(bytes).unwrap()).collect()
    }

    /// Operation and code of each refused attempt on record.
    pub(crate) async fn attempts(&self) -> Vec<(String, String)> {
        let refused = |entry: Entry| match entry.body {
            Body::AttemptRefused(body) => Some((body.operation, body.code)),
            _ => None,
        };
        self.log().await.into_iter().filter_map(refused).collect()
    }

    /// Tries something that must be refused, and that the refusal is the newest on record.
    pub(crate) async fn refused<T: std::fmt::Debug>(
        &self,
        operation: &str,
        code: &str,
        result: Result<T, desk::Failure>,
    ) {
        let failure = result.expect_err("this must be refused");
        assert_eq!(failure.code(), code, "{failure}");
        let latest = self.attempts().await.pop();
        assert_eq!(latest, Some((operation.to_owned(), code.to_owned())));
    }
}

pub(crate) fn wish() -> request::Wish {
    request::Wish {
        resources: vec!["web1.acme".into()],
        accounts: vec![name("root")],
        reason: Some("openssl update".into()),
        ticket: Some("CHG123".into()),
        ..request::Wish::default()
    }
}

fn for_environment(body: Body, environment: &EnvironmentName, origin: &str) -> Body {
    let owner = [seed::OWNER_ROOT];
    macro_rules! moved {
        ($variant:ident, $signed:ident, $seeds:expr) => {{
            let mut statement = $signed.statement;
            statement.environment = environment.clone();
            Body::$variant(signed($seeds, origin, statement))
        }};
    }
    match body {
        Body::Engagement(s) => moved!(Engagement, s, &owner),
        Body::Enrolled(s) if s.statement.organisation == name("Northwind MSP") => {
            moved!(Enrolled, s, &[seed::OPERATOR_ROOT])
        }
        Body::Enrolled(s) => moved!(Enrolled, s, &owner),
        Body::Resource(s) => moved!(Resource, s, &owner),
        Body::Workflow(s) => moved!(Workflow, s, &owner),
        other => other,
    }
}

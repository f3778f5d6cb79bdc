//! Answers the relay's questions from rules that a test sets, and keeps what it was told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gateway::ssh::ask::{
    ActionEnd, Ask, HostIdentity, Intent, Opened, Opening, Person, Probe, Refusal, Refused, Said, SessionEnd, Wanted,
};
use gateway::ssh::refusal::Code;
use gateway::ssh::session::Order;
use gateway::ssh::session::check::Wrong;
use gateway::ssh::wire::Reachable;
use journal::{Journal, SessionStart};
use model::bytes::Digest;
use model::chain::Session;
use model::fixture::World;
use model::id::{ActionId, SessionId};
use model::judge::judge_open;
use model::signature::{Key, LogIn};
use model::statement::ActionClass;
use publisher::Cleared;
use recording::Dek;
use russh::keys::ssh_key::certificate::{Builder, CertType};
use russh::keys::{Certificate, PrivateKey, PublicKey};
use store::Receipt;
use tokio::sync::mpsc;

/// Tells time and address, as a check reads them.
const TELL_COMMAND: &str = "echo countersign-check 1; echo time $(date +%s); echo from ${SSH_CONNECTION%% *}; echo end";

/// What a test may change while the gateway runs.
pub(crate) struct Rules {
    pub(crate) people: BTreeMap<Key, String>,
    pub(crate) reachable: Vec<Reachable>,
    pub(crate) grant: Grant,
    pub(crate) window: Duration,
    pub(crate) actions: Vec<ActionClass>,
    /// What the target is pinned to.
    pub(crate) host_keys: Vec<PublicKey>,
    pub(crate) target_port: u16,
    /// From where certificates may be used; none: from anywhere.
    pub(crate) sources: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grant {
    Given,
    Pending,
    None,
}

/// What the desk was told and did.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) opened: Vec<Wanted>,
    pub(crate) certificates: usize,
    pub(crate) intents: Vec<Intent>,
    pub(crate) action_ends: Vec<ActionEnd>,
    pub(crate) refused: Vec<Refused>,
    pub(crate) session_ends: Vec<SessionEnd>,
    pub(crate) words: Vec<Vec<String>>,
    pub(crate) asked_who: usize,
}

pub(crate) struct State {
    pub(crate) rules: Mutex<Rules>,
    pub(crate) told: Mutex<Told>,
    pub(crate) orders: Mutex<Vec<mpsc::Sender<Order<Instant>>>>,
    pub(crate) journal: Journal,
    pub(crate) user_ca: PrivateKey,
    pub(crate) identity: Arc<HostIdentity>,
    sessions: Mutex<u64>,
}

impl State {
    pub(crate) fn new(rules: Rules, journal: Journal, user_ca: PrivateKey, identity: HostIdentity) -> Arc<Self> {
        Arc::new(Self {
            rules: Mutex::new(rules),
            told: Mutex::default(),
            orders: Mutex::default(),
            journal,
            user_ca,
            identity: Arc::new(identity),
            sessions: Mutex::new(0),
        })
    }

    pub(crate) fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap()
    }

    pub(crate) fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap()
    }

    /// Gives every live session an order.
    pub(crate) async fn order(&self, order: Order<Instant>) {
        let all: Vec<_> = self.orders.lock().unwrap().clone();
        for sender in all {
            drop(sender.send(order.clone()).await);
        }
    }

    pub(crate) async fn serve(self: Arc<Self>, mut asks: mpsc::Receiver<Ask>) {
        while let Some(ask) = asks.recv().await {
            self.answer(ask);
        }
    }

    fn answer(&self, ask: Ask) {
        match ask {
            Ask::Who(key, answer) => {
                self.told().asked_who += 1;
                answer.give(self.rules().people.get(&key).map(|name| Person { name: name.clone() }));
            }
            Ask::Reach(key, answer) => {
                let rules = self.rules();
                answer.give(if rules.people.contains_key(&key) {
                    rules.reachable.clone()
                } else {
                    vec![]
                });
            }
            Ask::HostIdentity(_, _, answer) => answer.give(Some(Arc::clone(&self.identity))),
            Ask::Open(wanted, answer) => answer.give(self.open(&wanted)),
            Ask::Intend(intent, answer) => answer.give(self.intend(intent)),
            Ask::Wrong(probe, answer) => answer.give(Ok(self.sign_wrong(&probe))),
            Ask::Now(answer) => answer.give(since_1970().as_millis().try_into().unwrap()),
            Ask::ActionEnded(end, answer) => {
                self.told().action_ends.push(end);
                answer.give(());
            }
            Ask::Refused(refused, answer) => {
                self.told().refused.push(refused);
                answer.give(());
            }
            Ask::Ended(end, answer) => {
                self.told().session_ends.push(*end);
                answer.give(());
            }
            Ask::Word(word, answer) => {
                self.told().words.push(word.words.clone());
                answer.give(Said {
                    out: format!("{}\n", word.words.join("|")),
                    err: String::new(),
                    status: 0,
                });
            }
        }
    }

    fn open(&self, wanted: &Wanted) -> Opening {
        check_proof(&wanted.proof, &wanted.key);
        let name = format!("{} on {}", wanted.account, wanted.reachable.full_name());
        let refusal = |because: &str| Refusal {
            by: Code::Grant,
            code: "no_grant".into(),
            because: format!("{because} for {name}"),
            next: format!(
                "ssh gateway request {}+{}",
                wanted.account,
                wanted.reachable.full_name()
            ),
        };
        match self.rules().grant {
            Grant::None => return Opening::Refused(refusal("no grant")),
            Grant::Pending => return Opening::Pending(refusal("approval is due")),
            Grant::Given => {}
        }
        let now = since_1970();
        let mut count = self.sessions.lock().unwrap();
        *count += 1;
        let session = SessionId::new(
            now.as_millis().try_into().unwrap(),
            [u8::try_from(*count % 256).unwrap(); 10],
        );
        let dek = Dek::from_bytes([3; 32]);
        let start = SessionStart {
            session: session.to_bytes(),
            origin: "example.com/acme",
            dek: &dek,
            opened_at_ms: now.as_millis().try_into().unwrap(),
        };
        let journal = match self.journal.session(&start) {
            Ok(journal) => journal,
            Err(error) => return Opening::Refused(refusal(&error.to_string())),
        };
        let (sender, orders) = mpsc::channel(8);
        self.orders.lock().unwrap().push(sender);
        self.told().opened.push(wanted.clone());
        let certificate = self.sign(session, &wanted.session_key.parsed().unwrap());
        let (opened, until) = (Instant::now(), Instant::now() + self.rules().window);
        Opening::Opened(Box::new(Opened {
            cleared: self.cleared(session, wanted),
            certificate,
            journal,
            opened,
            until,
            orders,
        }))
    }

    /// What the gate would have cleared. The terms are a fixed world's; where to dial is the test's.
    fn cleared(&self, session: SessionId, wanted: &Wanted) -> Cleared<Session> {
        let mut world = World::default();
        let grant = world.granted();
        let (terms, wants) = (world.opening(), world.wanted(grant));
        let permit = judge_open(&world.state, &wants, world.now_ms).unwrap();
        let (drafts, _, mut opened) = permit.open(terms).into_parts();
        opened.id = session;
        opened.facts.account = wanted.account.clone();
        let rules = self.rules();
        opened.resource.host = "127.0.0.1".into();
        opened.resource.port = rules.target_port;
        opened.resource.host_keys = rules.host_keys.iter().map(|key| Key::new(key).unwrap()).collect();
        let receipt = Receipt {
            index: 7,
            id: drafts[0].id,
            hash: Digest([0; 32]),
            time_ms: world.now_ms,
        };
        Cleared::double("acme".parse().unwrap(), receipt, opened)
    }

    fn sign(&self, session: SessionId, key: &PublicKey) -> Certificate {
        self.told().certificates += 1;
        let now = since_1970().as_secs();
        let mut builder = Builder::new(vec![9; 32], key, now - 90, now + 120).unwrap();
        builder.cert_type(CertType::User).unwrap();
        builder.key_id(session.to_string()).unwrap();
        builder.valid_principal("cs:acme:web1:root").unwrap();
        let sources = self.rules().sources.join(",");
        if !sources.is_empty() {
            builder.critical_option("source-address", sources).unwrap();
        }
        for extension in ["permit-pty", "permit-port-forwarding"] {
            builder.extension(extension, "").unwrap();
        }
        builder.sign(&self.user_ca).unwrap()
    }

    /// As the desk does it: for an action that was intended and has not ended.
    fn sign_wrong(&self, probe: &Probe) -> Certificate {
        let told = self.told();
        let intended = told.intents.len() > told.action_ends.len();
        assert!(intended && !told.action_ends.iter().any(|end| end.action == probe.action));
        drop(told);
        let now = since_1970().as_secs();
        let (from, to) = match probe.wrong {
            Wrong::Expired => (now - 3900, now - 3600),
            Wrong::Earlier => (0, now + 120),
            Wrong::Later => (now - 90, now + 86_400),
            _ => (now - 90, now + 120),
        };
        let mut builder = Builder::new(vec![9; 32], &probe.key, from, to).unwrap();
        builder.cert_type(CertType::User).unwrap();
        builder.key_id(format!("{} probe", probe.session)).unwrap();
        let principal = match probe.wrong {
            Wrong::OtherHost => "cs:acme:ANOTHER-HOST:root",
            _ => "cs:acme:web1:root",
        };
        builder.valid_principal(principal).unwrap();
        if probe.wrong == Wrong::OtherSource {
            builder.critical_option("source-address", "192.0.2.1/32").unwrap();
        }
        let command = match probe.wrong {
            Wrong::Earlier | Wrong::Later => TELL_COMMAND,
            _ => "exit 1",
        };
        builder.critical_option("force-command", command).unwrap();
        builder.sign(&self.user_ca).unwrap()
    }

    fn intend(&self, intent: Intent) -> Result<ActionId, Refusal> {
        if !self.rules().actions.contains(&intent.class) {
            return Err(Refusal {
                by: Code::Grant,
                code: "action_not_granted".into(),
                because: format!("the grant does not cover {:?}", intent.class),
                next: "ask again with `request`".into(),
            });
        }
        let mut told = self.told();
        let id = ActionId::new(told.intents.len() as u64, [0; 10]);
        told.intents.push(intent);
        Ok(id)
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "certificates are valid by the clock of a real sshd"
)]
fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// What a stranger can check: the proof verifies, and it is this key's.
fn check_proof(proof: &LogIn, key: &Key) {
    assert_eq!(&proof.verify().unwrap().key, key);
}

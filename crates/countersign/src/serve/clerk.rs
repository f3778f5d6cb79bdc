//! Answers what the gateway asks: each question becomes a use case of the desk, a look at the publisher's gate, a
//! recording in the journal. The gateway decides nothing by itself, and this decides nothing either: it carries.
//!
//! INVARIANT (evidence first): an opening is answered with yes only after it was committed, the publisher cleared it and
//! its recording began. What was committed and is not answered with yes is ended on record.

mod action;
mod live;
mod opening;
mod recorder;
mod word;

pub(crate) use live::Sessions;

use crate::exit::Failure;
use desk::Desk;
use desk::people::{self, Caller};
use desk::reach;
use gateway::ssh::ask::{Ask, HostIdentity, Person};
use gateway::ssh::wire::Reachable;
use journal::Journal;
use model::name::{EnvironmentName, ResourceName};
use model::signature::Key;
use opening::Waiting;
use publisher::Publisher;
use recorder::Recorder;
use ssh_key::PrivateKey;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};

/// Questions that are answered at once; more wait in the gateway's queue.
const ANSWERED_AT_ONCE: usize = 512;
/// How long a host certificate is given out before a fresh one is signed; new resources are in it after this.
const HOST_IDENTITY_FOR: Duration = Duration::from_secs(30);

/// What it takes to answer.
pub(crate) struct Clerk {
    pub(crate) desk: Arc<Desk>,
    pub(crate) publisher: Publisher,
    pub(crate) journal: Journal,
    /// The gateway's own host key.
    pub(crate) host_key: PrivateKey,
    /// Where people reach the gateway, as `ssh` takes it: `-p 2222 gw.example`.
    address: String,
    pub(crate) sessions: Sessions,
    recorder: Recorder,
    waiting: Waiting,
    identities: Mutex<HashMap<EnvironmentName, (crate::clock::Stopwatch, Arc<HostIdentity>)>>,
}

impl Clerk {
    pub(crate) fn new(
        (desk, publisher, journal): (Arc<Desk>, Publisher, Journal),
        host_key: PrivateKey,
        address: String,
    ) -> Self {
        let sessions = Sessions::default();
        Self {
            recorder: Recorder::start(Arc::clone(&desk), journal.clone(), sessions.clone()),
            desk,
            publisher,
            journal,
            host_key,
            address,
            sessions,
            waiting: Waiting::default(),
            identities: Mutex::default(),
        }
    }

    /// Answers until nobody can ask any more.
    pub(crate) async fn serve(self: Arc<Self>, mut questions: mpsc::Receiver<Ask>) {
        let hands = Arc::new(Semaphore::new(ANSWERED_AT_ONCE));
        while let Some(ask) = questions.recv().await {
            let Ok(hand) = Arc::clone(&hands).acquire_owned().await else {
                return;
            };
            let clerk = Arc::clone(&self);
            tokio::spawn(async move {
                clerk.answer(ask).await;
                drop(hand);
            });
        }
    }

    async fn answer(self: Arc<Self>, ask: Ask) {
        match ask {
            Ask::Who(key, answer) => answer.give(self.who(&key).await),
            Ask::Reach(key, answer) => answer.give(self.reach(&key).await),
            Ask::HostIdentity(environment, resource, answer) => {
                answer.give(self.host_identity(&environment, &resource).await);
            }
            Ask::Open(wanted, answer) => answer.give(self.open(&wanted).await),
            Ask::Intend(intent, answer) => answer.give(self.intend(intent).await),
            Ask::Wrong(probe, answer) => answer.give(self.wrong_certificate(&probe).await),
            Ask::Now(answer) => answer.give(self.desk.now_ms()),
            Ask::ActionEnded(end, answer) => {
                self.action_ended(end).await;
                answer.give(());
            }
            Ask::Refused(refused, answer) => {
                self.refused(refused).await;
                answer.give(());
            }
            Ask::Ended(end, answer) => {
                self.ended(*end).await;
                answer.give(());
            }
            Ask::Word(word, answer) => answer.give(self.word(word).await),
        }
    }

    /// The identities of a key; nobody where the store cannot be read.
    async fn callers(&self, key: &Key) -> Vec<Caller> {
        people::find(&self.desk, key).await.unwrap_or_else(|failure| {
            tracing::warn!(%failure, "nobody can be looked up");
            vec![]
        })
    }

    async fn who(&self, key: &Key) -> Option<Person> {
        let callers = self.callers(key).await;
        let first = callers.first()?;
        Some(Person {
            name: format!("{} of {}", first.handle, first.organisation),
        })
    }

    async fn reach(&self, key: &Key) -> Vec<Reachable> {
        let callers = self.callers(key).await;
        let grounds = reach::ls(&self.desk, &callers).await.unwrap_or_else(|failure| {
            tracing::warn!(%failure, "what may be reached cannot be read");
            vec![]
        });
        let places = grounds.into_iter().flat_map(|ground| {
            let environment = ground.caller.environment;
            ground.places.into_iter().map(move |place| Reachable {
                environment: environment.clone(),
                resource: place.name,
                host: place.host,
            })
        });
        places.collect()
    }

    async fn host_identity(&self, environment: &EnvironmentName, _: &ResourceName) -> Option<Arc<HostIdentity>> {
        if let Some(known) = self.known_identity(environment) {
            return Some(known);
        }
        let key = Key::new(self.host_key.public_key()).ok()?;
        match desk::certificate::sign_host_certificate(&self.desk, environment, &key).await {
            Ok(certificate) => {
                let identity = Arc::new(HostIdentity {
                    key: self.host_key.clone(),
                    certificate,
                });
                let mut identities = self.identities.lock().unwrap_or_else(PoisonError::into_inner);
                identities.insert(
                    environment.clone(),
                    (crate::clock::Stopwatch::start(), Arc::clone(&identity)),
                );
                Some(identity)
            }
            Err(failure) => {
                tracing::warn!(%environment, %failure, "no host certificate");
                None
            }
        }
    }

    fn known_identity(&self, environment: &EnvironmentName) -> Option<Arc<HostIdentity>> {
        let identities = self.identities.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, identity) = identities.get(environment)?;
        (since.elapsed() < HOST_IDENTITY_FOR).then(|| Arc::clone(identity))
    }
}

/// The gateway's host key, made at the first start.
pub(crate) fn host_key(folder: &std::path::Path) -> Result<PrivateKey, Failure> {
    let path = folder.join("host_key");
    if !path.exists() {
        crate::roots::make_key(&path, "countersign gateway")?;
    }
    let text = crate::file::read_text(&path)?;
    PrivateKey::from_openssh(&text)
        .map_err(|error| Failure::unavailable(format!("`{}` is not a host key: {error}", path.display())))
}

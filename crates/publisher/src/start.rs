//! One task per environment: follows the commits, signs each new head once, has it cosigned, and publishes it.

use crate::cosign::{NotCosigned, Witness, cosign};
use crate::head::{Cosigned, Head, Status};
use crate::key;
use crate::tree::{LogTree, TreeError};
use ledger::consistency;
use ledger::{Checkpoint, KeyName, NoteKey, SignedCheckpoint, VerifierKey};
use model::body::TimeBasis;
use model::name::EnvironmentName;
use model::statement::{Gate, Genesis};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};
use store::{DatabaseError, HeadError, SignedHead, Store};
use tokio::sync::{Notify, mpsc, watch};

/// Entries that are read from the store at once.
const READ_AT_ONCE: u32 = 1000;
/// The longest wait between two looks at the store.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long an entry that nobody waits for may wait for others, so that they share a head.
const GATHER_FOR: Duration = Duration::from_millis(50);
/// The wait after a failed cosigning.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// How often a trouble that lasts is logged.
const LOG_AGAIN_AFTER: Duration = Duration::from_mins(5);

/// Where a witness listens.
#[derive(Debug, Clone)]
pub struct WitnessAddress {
    /// Its verifier key, as the genesis names it.
    pub key: VerifierKey,
    /// Its address, such as `http://127.0.0.1:7879`.
    pub url: String,
}

/// What the publisher needs to know.
#[derive(Debug, Clone)]
pub struct PublisherConfig {
    /// Where tiles go; everything in it is derived.
    pub tiles: PathBuf,
    /// Witnesses of all environments; which of them count is in each genesis.
    pub witnesses: Vec<WitnessAddress>,
    /// Where each head goes that covers more than the one before, once it is cosigned: none is left out. While nobody
    /// takes them, nothing further is published.
    pub heads: Option<mpsc::Sender<(EnvironmentName, Cosigned)>>,
}

/// Why publishing cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log key is missing or is another than the genesis names.
    #[error("log key of `{environment}`: {why}")]
    Key {
        /// The environment.
        environment: EnvironmentName,
        /// What is wrong.
        why: String,
    },
    /// The genesis cannot be read.
    #[error("genesis of `{environment}`: {why}")]
    Genesis {
        /// The environment.
        environment: EnvironmentName,
        /// What is wrong.
        why: String,
    },
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] DatabaseError),
    /// The HTTP client could not be made.
    #[error("http client: {0}")]
    Client(String),
}

struct Log {
    head: watch::Receiver<Head>,
    genesis: Genesis,
    nudge: Arc<Notify>,
    live: Arc<AtomicUsize>,
    /// Somebody needs a head that is fresher than the newest.
    asked: AtomicBool,
    tree: Arc<RwLock<LogTree>>,
}

/// All environments' logs. A cheap handle.
#[derive(Clone)]
pub struct Publisher {
    store: Store,
    config: Arc<PublisherConfig>,
    client: reqwest::Client,
    logs: Arc<Mutex<BTreeMap<EnvironmentName, Arc<Log>>>>,
}

/// While held, the log's head is cosigned again each third of its lag bound.
pub struct Freshness(Arc<AtomicUsize>);

impl Drop for Freshness {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Publisher {
    /// Begins to publish every environment that the store holds.
    ///
    /// # Errors
    /// When a log's key or genesis cannot be read.
    pub async fn start(store: Store, config: PublisherConfig) -> Result<Self, StartError> {
        let client = reqwest::Client::builder()
            .tcp_nodelay(true)
            .no_proxy()
            .build()
            .map_err(|error| StartError::Client(error.to_string()))?;
        let publisher = Self {
            store,
            config: Arc::new(config),
            client,
            logs: Arc::default(),
        };
        for environment in publisher.store.environments().await? {
            publisher.publish(&environment).await?;
        }
        Ok(publisher)
    }

    /// Begins to publish an environment, if that has not begun.
    ///
    /// # Errors
    /// When its key or genesis cannot be read.
    pub async fn publish(&self, environment: &EnvironmentName) -> Result<(), StartError> {
        if self.log(environment).is_some() {
            return Ok(());
        }
        let genesis = self
            .store
            .gather(environment, |state| state.genesis().cloned())
            .await
            .map_err(|error| StartError::Genesis {
                environment: environment.clone(),
                why: error.to_string(),
            })?;
        let key = self.key(environment, &genesis).await?;
        let witnesses = self.witnesses_of(environment, &genesis)?;
        let (sender, head) = watch::channel(Head {
            status: Status::Starting,
            cosigned: None,
        });
        let tree = Arc::new(RwLock::new(LogTree::new(&self.config.tiles.join(environment.as_str()))));
        let log = Arc::new(Log {
            head,
            genesis: genesis.clone(),
            nudge: Arc::default(),
            live: Arc::default(),
            asked: AtomicBool::default(),
            tree,
        });
        let task = Task {
            store: self.store.clone(),
            client: self.client.clone(),
            environment: environment.clone(),
            origin: key.verifier().name().clone(),
            key,
            witnesses,
            log: log.clone(),
            sender,
            heads: self.config.heads.clone(),
            signed: None,
            logged: None,
        };
        self.lock().insert(environment.clone(), log);
        tokio::spawn(task.run());
        Ok(())
    }

    async fn key(&self, environment: &EnvironmentName, genesis: &Genesis) -> Result<NoteKey, StartError> {
        let wrong = |why: String| StartError::Key {
            environment: environment.clone(),
            why,
        };
        let key = key::find(&self.store, environment)
            .await
            .map_err(|error| wrong(error.to_string()))?;
        if key.verifier().to_string() != genesis.log_key || key.verifier().name().as_str() != genesis.origin {
            return Err(wrong(format!(
                "the vault holds `{}`, the genesis names `{}`",
                key.verifier(),
                genesis.log_key
            )));
        }
        Ok(key)
    }

    fn witnesses_of(&self, environment: &EnvironmentName, genesis: &Genesis) -> Result<Vec<Witness>, StartError> {
        let mut found = vec![];
        for text in &genesis.witnesses {
            let wrong = |why: String| StartError::Genesis {
                environment: environment.clone(),
                why,
            };
            let key: VerifierKey = text
                .parse()
                .map_err(|_| wrong(format!("`{text}` is not a verifier key")))?;
            let address = self.config.witnesses.iter().find(|w| w.key.to_string() == *text);
            match address {
                Some(address) => found.push(Witness {
                    key,
                    url: address.url.clone(),
                    known: 0,
                }),
                None => {
                    tracing::warn!(%environment, witness = %key.name(), "no address is configured for this witness")
                }
            }
        }
        Ok(found)
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<EnvironmentName, Arc<Log>>> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self, environment: &EnvironmentName) -> Option<Arc<Log>> {
        self.lock().get(environment).cloned()
    }

    pub(crate) fn head(&self, environment: &EnvironmentName) -> Option<watch::Receiver<Head>> {
        self.log(environment).map(|log| log.head.clone())
    }

    /// Somebody waits for the next head.
    pub(crate) fn nudge(&self, environment: &EnvironmentName) {
        if let Some(log) = self.log(environment) {
            log.nudge.notify_one();
        }
    }

    pub(crate) fn tree(&self, environment: &EnvironmentName) -> Option<Arc<RwLock<LogTree>>> {
        self.log(environment).map(|log| log.tree.clone())
    }

    /// Whether the log of `environment` can be signed and cosigned.
    #[must_use]
    pub fn status(&self, environment: &EnvironmentName) -> Option<Status> {
        self.log(environment).map(|log| log.head.borrow().status.clone())
    }

    /// As [`Publisher::status`], once the first is known; `Starting` where none is after `wait`.
    pub async fn first_status(&self, environment: &EnvironmentName, wait: Duration) -> Option<Status> {
        let mut head = self.log(environment)?.head.clone();
        let known = head.wait_for(|head| head.status != Status::Starting);
        // Its task has ended, or it takes longer: then the newest is all that there is.
        drop(tokio::time::timeout(wait, known).await);
        self.status(environment)
    }

    /// The newest checkpoint with the cosignatures that the gate asks for.
    #[must_use]
    pub fn newest(&self, environment: &EnvironmentName) -> Option<Cosigned> {
        self.log(environment).and_then(|log| log.head.borrow().cosigned.clone())
    }

    /// How old the newest cosigned head is, by the monotonic clock; absent before the first.
    #[must_use]
    pub fn lag(&self, environment: &EnvironmentName) -> Option<Duration> {
        self.newest(environment).map(|cosigned| cosigned.since.elapsed())
    }

    /// Keeps the log's head fresh while the value lives: one for each live session.
    #[must_use]
    pub fn keep_fresh(&self, environment: &EnvironmentName) -> Option<Freshness> {
        let log = self.log(environment)?;
        log.live.fetch_add(1, Ordering::SeqCst);
        log.nudge.notify_one();
        Some(Freshness(log.live.clone()))
    }

    /// What vouches for the time of an opening made now: the newest cosigned checkpoint, cosigned again first if it is
    /// older than half the lag bound.
    pub async fn time_basis(&self, environment: &EnvironmentName) -> TimeBasis {
        let Some(log) = self.log(environment) else {
            return TimeBasis::Unwitnessed("the log is not published".into());
        };
        if log.genesis.witnesses.is_empty() {
            return TimeBasis::Unwitnessed("the environment has no witness".into());
        }
        let bound = Duration::from_millis(log.genesis.lag_bound_ms) / 2;
        let mut head = log.head.clone();
        let is_fresh = |head: &Head| {
            head.cosigned
                .as_ref()
                .is_some_and(|c| c.time_s.is_some() && c.since.elapsed() < bound)
        };
        if !is_fresh(&head.borrow()) {
            log.asked.store(true, Ordering::SeqCst);
            log.nudge.notify_one();
            drop(tokio::time::timeout(Duration::from_secs(5), head.wait_for(is_fresh)).await);
        }
        let newest = head.borrow().cosigned.clone();
        match newest {
            Some(cosigned) if cosigned.time_s.is_some() && cosigned.since.elapsed() < bound => {
                TimeBasis::Checkpoint(cosigned.checkpoint.to_string())
            }
            _ => TimeBasis::Unwitnessed(format!("no cosignature within {} ms", bound.as_millis())),
        }
    }
}

struct Task {
    store: Store,
    client: reqwest::Client,
    environment: EnvironmentName,
    origin: KeyName,
    key: NoteKey,
    witnesses: Vec<Witness>,
    log: Arc<Log>,
    sender: watch::Sender<Head>,
    heads: Option<mpsc::Sender<(EnvironmentName, Cosigned)>>,
    /// The head that was made durable last.
    signed: Option<consistency::Head>,
    /// The trouble that was logged last, and when.
    logged: Option<(String, Instant)>,
}

/// Why a round of publishing failed.
#[derive(Debug, thiserror::Error)]
enum RoundError {
    /// It will be tried again.
    #[error("{0}")]
    Again(String),
    /// A witness has seen more than there is.
    #[error("witness `{witness}` has seen {seen} entries")]
    Behind { witness: String, seen: u64 },
    /// Two histories, or a log that cannot be kept.
    #[error("{0}")]
    Stop(String),
}

impl From<TreeError> for RoundError {
    fn from(error: TreeError) -> Self {
        Self::Stop(error.to_string())
    }
}

impl Task {
    async fn run(mut self) {
        let mut changes = self.store.committed();
        loop {
            let wait = match self.round().await {
                Ok(()) => {
                    self.logged = None;
                    LOOK_EVERY
                }
                Err(RoundError::Again(why)) => {
                    if self.is_news(&why) {
                        tracing::warn!(environment = %self.environment, %why, "the head is not cosigned");
                    }
                    self.say(Status::Uncosigned(why));
                    RETRY_AFTER
                }
                Err(RoundError::Behind { witness, seen }) => {
                    if self.is_news(&witness) {
                        tracing::error!(environment = %self.environment, %witness, seen, "unsigned: the witness has seen more of this log");
                    }
                    self.say(Status::Behind { witness, seen });
                    RETRY_AFTER * 10
                }
                Err(RoundError::Stop(why)) => {
                    tracing::error!(environment = %self.environment, %why, "publishing has stopped for good");
                    self.say(Status::Stopped(why));
                    return;
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.log.nudge.notified() => {}
                changed = changes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.gather().await;
                }
            }
        }
    }

    /// Whether a trouble is to be logged: at first, when it changes, and from time to time while it lasts.
    fn is_news(&mut self, why: &str) -> bool {
        let is_old = |(logged, at): &(String, Instant)| logged == why && at.elapsed() < LOG_AGAIN_AFTER;
        let news = !self.logged.as_ref().is_some_and(is_old);
        if news {
            self.logged = Some((why.to_owned(), Instant::now()));
        }
        news
    }

    /// What is committed within a moment goes into one head, unless somebody waits for it.
    async fn gather(&self) {
        tokio::select! {
            () = tokio::time::sleep(GATHER_FOR) => {}
            () = self.log.nudge.notified() => {}
        }
    }

    fn say(&self, status: Status) {
        self.sender.send_if_modified(|head| {
            let changed = head.status != status;
            head.status = status;
            changed
        });
    }

    /// A head that covers all entries and is fresh enough needs no round.
    fn is_due(&self, size: u64) -> bool {
        let head = self.log.head.borrow();
        let Some(cosigned) = head
            .cosigned
            .as_ref()
            .filter(|c| c.size == size && head.status == Status::Ready)
        else {
            return true;
        };
        let third = Duration::from_millis(self.log.genesis.lag_bound_ms) / 3;
        let live = self.log.live.load(Ordering::SeqCst) > 0;
        !self.witnesses.is_empty() && live && cosigned.since.elapsed() >= third
    }

    async fn round(&mut self) -> Result<(), RoundError> {
        let unreadable = |error: DatabaseError| RoundError::Again(error.to_string());
        let size = self.store.size(&self.environment).await.map_err(unreadable)?;
        if size == 0 || !(self.log.asked.swap(false, Ordering::SeqCst) || self.is_due(size)) {
            return Ok(());
        }
        self.grow(size).await?;
        let since = Instant::now();
        let head = self.tree().head();
        self.remember(&head).await?;
        let signed = Checkpoint::new(self.origin.clone(), head)
            .sign(&self.key)
            .map_err(|error| RoundError::Stop(error.to_string()))?;
        let cosigned = self.cosigned(signed, since).await?;
        let before = self.sender.send_replace(Head {
            status: Status::Ready,
            cosigned: Some(cosigned.clone()),
        });
        if before.cosigned.is_none_or(|before| before.size < cosigned.size) {
            self.hand_on(cosigned).await;
        }
        Ok(())
    }

    async fn hand_on(&self, cosigned: Cosigned) {
        if let Some(heads) = &self.heads {
            // Nobody takes them any more when the server stops.
            drop(heads.send((self.environment.clone(), cosigned)).await);
        }
    }

    /// Makes the head durable before its signature can leave. The same head again needs no second write.
    async fn remember(&mut self, head: &consistency::Head) -> Result<(), RoundError> {
        if self.signed.as_ref() == Some(head) {
            return Ok(());
        }
        match self
            .store
            .put_signed_head(
                &self.environment,
                SignedHead {
                    size: head.size,
                    root: head.root,
                },
            )
            .await
        {
            Ok(()) => self.signed = Some(*head),
            Err(HeadError::Database(error)) => return Err(RoundError::Again(error.to_string())),
            Err(error) => return Err(RoundError::Stop(error.to_string())),
        }
        Ok(())
    }

    fn tree(&self) -> std::sync::RwLockReadGuard<'_, LogTree> {
        self.log.tree.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends what the store has and the tree has not.
    async fn grow(&self, size: u64) -> Result<(), RoundError> {
        loop {
            let from = self.tree().size();
            if from >= size {
                return Ok(());
            }
            let until = size.min(from + u64::from(READ_AT_ONCE));
            let entries = self
                .store
                .entries(&self.environment, from..until, READ_AT_ONCE)
                .await
                .map_err(|e| RoundError::Again(e.to_string()))?;
            if entries.is_empty() {
                return Err(RoundError::Stop(format!("entry {from} is missing from the database")));
            }
            let mut tree = self.log.tree.write().unwrap_or_else(PoisonError::into_inner);
            for (index, bytes) in entries {
                if index != tree.size() {
                    return Err(RoundError::Stop(format!(
                        "entry {} is missing from the database",
                        tree.size()
                    )));
                }
                tree.append(&bytes)?;
            }
        }
    }

    async fn cosigned(&mut self, mut signed: SignedCheckpoint, since: Instant) -> Result<Cosigned, RoundError> {
        let needed = match self.log.genesis.gate {
            Gate::None => 0,
            Gate::Witnesses(count) => usize::from(count),
        };
        let mut failures = vec![];
        let mut times: HashMap<String, u64> = HashMap::new();
        for witness in &mut self.witnesses {
            let answer = cosign(&self.client, witness, &self.log.tree, &signed).await;
            match answer {
                Ok(signature) => {
                    signed
                        .add(signature)
                        .map_err(|error| RoundError::Stop(error.to_string()))?;
                    if let Ok(Some(time)) = signed.cosigned_at(&witness.key) {
                        times.insert(witness.key.to_string(), time);
                    }
                }
                Err(NotCosigned::Behind { witness, seen, .. }) => return Err(RoundError::Behind { witness, seen }),
                Err(error @ (NotCosigned::Forked(_) | NotCosigned::Tree(_))) => {
                    return Err(RoundError::Stop(error.to_string()));
                }
                Err(error) => failures.push(error.to_string()),
            }
        }
        if times.len() < needed {
            let known: Vec<String> = self.witnesses.iter().map(|w| w.key.to_string()).collect();
            let lost = self.log.genesis.witnesses.iter().filter(|key| !known.contains(key));
            failures.extend(lost.map(|key| {
                let name = key.split('+').next().unwrap_or_default();
                format!(
                    "no address is configured for witness `{name}` (the operator gives it with `serve --witness URL`)"
                )
            }));
            failures.push(format!("{} of {needed} cosignatures", times.len()));
            return Err(RoundError::Again(failures.join("; ")));
        }
        let size = signed.checkpoint().head().size;
        Ok(Cosigned {
            size,
            time_s: times.values().min().copied(),
            checkpoint: signed,
            since,
        })
    }
}

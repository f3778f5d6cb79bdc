//! The one task that writes. Steps that wait share one transaction and one sync; everything else has its own.
//!
//! After an error the connection is given up with all that was remembered, and nothing is written until a fresh one has
//! shown that writing works. INVARIANT (told the truth): a step is answered as stored only when its commit succeeded
//! or was found afterwards, and as not stored only when it can never appear any more.

use crate::cache::Cache;
use crate::commit::{CommitError, Receipt, Why};
use crate::faults::{Guard, Point};
use crate::head::{self, HeadError, SignedHead};
use crate::image::Image;
use crate::lock::Lock;
use crate::open::Ticker;
use crate::place::{self, Batch, Growth, Head, Placer};
use crate::project::project;
use crate::rebuild::{self, Rebuilt};
use crate::sql::{DatabaseError, array, number, signed};
use crate::{blob, cosigned, vault};
use model::bytes::Digest;
use model::chain::Draft;
use model::entity::EntityKey;
use model::id::{BootId, EntryId};
use model::name::{EnvironmentName, NodeName};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Row, SqliteConnection};
use std::collections::HashMap;
use tokio::sync::{mpsc, oneshot, watch};

/// Jobs that wait, at most; whoever comes later waits outside.
const QUEUE_MAX: usize = 1024;
/// Steps in one transaction, at most.
const BATCH_MAX: usize = 256;
/// Logs whose end is remembered.
const HEADS_MAX: usize = 4096;
/// Bytes of entries after which the write-ahead log is moved into the database.
const CHECKPOINT_BYTES: u64 = 2 * 1024 * 1024;

/// A step that waits.
pub(crate) struct Pending {
    pub(crate) environment: EnvironmentName,
    pub(crate) ids: Vec<EntryId>,
    pub(crate) drafts: Vec<Draft>,
    pub(crate) basis: Vec<(EntityKey, u64)>,
    pub(crate) answer: Box<dyn FnOnce(Answer) + Send>,
}

pub(crate) type Answer = Result<Vec<Receipt>, CommitError>;
type Reply<T> = oneshot::Sender<T>;

pub(crate) enum Job {
    Commit(Pending),
    SignedHead(EnvironmentName, SignedHead, Reply<Result<(), HeadError>>),
    Cosigned(EnvironmentName, cosigned::Kept, Reply<Result<(), DatabaseError>>),
    /// Answers whether the name was free.
    Secret(String, Vec<u8>, Reply<Result<bool, DatabaseError>>),
    Erase(EnvironmentName, Digest, Reply<Result<u64, DatabaseError>>),
    Rebuild(EnvironmentName, Reply<Result<Rebuilt, DatabaseError>>),
    Settle(EnvironmentName, EntryId, Reply<Result<Option<Receipt>, DatabaseError>>),
    Close(Reply<()>),
}

/// The sending side.
pub(crate) struct Handle(mpsc::Sender<Job>);

impl Handle {
    /// Hands a step over at once. When the queue is full, a task of its own waits for room, so that dropping whoever
    /// asked does not lose the step.
    pub(crate) fn commit(&self, pending: Pending) {
        match self.0.try_send(Job::Commit(pending)) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Closed(job)) => closed(job),
            Err(mpsc::error::TrySendError::Full(job)) => {
                let sender = self.0.clone();
                tokio::spawn(async move {
                    if let Err(mpsc::error::SendError(job)) = sender.send(job).await {
                        closed(job);
                    }
                });
            }
        }
    }

    /// Asks for anything else, and waits.
    pub(crate) async fn ask<T>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.0.send(job(answer)).await.ok()?;
        answered.await.ok()
    }

    pub(crate) async fn close(&self) {
        // Already closed is closed.
        let _: Option<()> = self.ask(Job::Close).await;
    }
}

fn closed(job: Job) {
    if let Job::Commit(pending) = job {
        (pending.answer)(Err(CommitError::NotStored(Why::Closed)));
    }
}

/// What is remembered between transactions; dropped after any failure.
#[derive(Default)]
pub(crate) struct State {
    heads: HashMap<EnvironmentName, Head>,
    cache: Cache,
    unmoved_bytes: u64,
}

pub(crate) struct Writer {
    pub(crate) db: Option<SqliteConnection>,
    pub(crate) options: SqliteConnectOptions,
    pub(crate) node: NodeName,
    pub(crate) boot: BootId,
    pub(crate) ticker: Ticker,
    pub(crate) committed: watch::Sender<u64>,
    pub(crate) image: Image,
    pub(crate) guard: Guard,
    pub(crate) lock: Lock,
    pub(crate) state: State,
}

pub(crate) fn start(writer: Writer) -> Handle {
    let (sender, jobs) = mpsc::channel(QUEUE_MAX);
    tokio::spawn(writer.run(jobs));
    Handle(sender)
}

/// Makes what can be seen durable, whatever became of earlier syncs, and makes what cannot be seen impossible.
///
/// A commit whose sync failed may have left its frames in the write-ahead log. Moving all visible frames into the
/// database and emptying the log takes them away; the write after that gives the log a new salt on disk, so that the
/// old frames count for nothing even if the truncation is undone by a power failure.
pub(crate) async fn fence(db: &mut SqliteConnection) -> Result<(), DatabaseError> {
    empty_wal(db).await?;
    sqlx::query("UPDATE side_store SET fence = fence + 1")
        .execute(db)
        .await?;
    Ok(())
}

async fn empty_wal(db: &mut SqliteConnection) -> Result<(), DatabaseError> {
    let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(db).await?;
    match row.try_get::<i64, _>(0)? {
        0 => Ok(()),
        _ => Err(DatabaseError::content(
            "a reader keeps the write-ahead log from being emptied",
        )),
    }
}

/// Why a transaction failed, and how to find out whether it is stored.
struct Failed {
    error: DatabaseError,
    /// The first entry of the transaction, if its commit was asked for.
    probe: Option<Probe>,
    answers: Vec<Answer>,
}

struct Probe {
    log: i64,
    seq: u64,
    id: EntryId,
}

impl From<DatabaseError> for Failed {
    fn from(error: DatabaseError) -> Self {
        Self {
            error,
            probe: None,
            answers: vec![],
        }
    }
}

impl Writer {
    async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut next = None;
        let mut closing = vec![];
        loop {
            let job = match next.take() {
                Some(job) => job,
                None => match jobs.recv().await {
                    Some(job) => job,
                    None => break,
                },
            };
            match job {
                Job::Commit(first) => {
                    let (batch, other) = gather(first, &mut jobs);
                    next = other;
                    self.commit(batch).await;
                    self.checkpoint().await;
                }
                Job::Close(done) => {
                    // What was handed over before is still written.
                    jobs.close();
                    closing.push(done);
                }
                job => self.aside(job).await,
            }
        }
        self.give_up().await;
        drop(self.lock);
        for done in closing {
            // Nobody may be waiting any more.
            done.send(()).unwrap_or_default();
        }
    }

    async fn commit(&mut self, mut batch: Vec<Pending>) {
        let answers = match self.attempt(&mut batch).await {
            Ok(answers) => answers,
            Err(failed) => self.settle_batch(failed, &mut batch).await,
        };
        for (pending, answer) in batch.into_iter().zip(answers) {
            (pending.answer)(answer);
        }
    }

    async fn attempt(&mut self, batch: &mut [Pending]) -> Result<Vec<Answer>, Failed> {
        self.begin().await?;
        let Some(db) = &mut self.db else {
            return Err(DatabaseError::content("no connection").into());
        };
        let mut placer = Placer {
            db,
            cache: &mut self.state.cache,
            heads: &self.state.heads,
            ticker: &self.ticker,
            node: &self.node,
            boot: self.boot,
            batch: Batch::default(),
        };
        let ids = batch.iter().flat_map(|pending| pending.ids.iter().copied()).collect();
        placer.look_up(ids).await?;
        let mut answers = Vec::with_capacity(batch.len());
        for pending in batch.iter_mut() {
            answers.push(placer.step(pending).await?);
        }
        let mut placed = placer.batch;
        if placed.is_empty() {
            sqlx::query("ROLLBACK").execute(db).await.map_err(DatabaseError::from)?;
            return Ok(answers);
        }
        let probe = placed.probe();
        for (environment, growth) in &mut placed.logs {
            let append = place::append(db, environment, self.boot, growth);
            self.guard.run(Point::Append, append).await?;
            let entries = growth.rows.iter().map(|row| (row.index, row.touched.as_slice()));
            let projection = project(db, growth.head.log, entries, &growth.overlay);
            self.guard.run(Point::Project, projection).await?;
        }
        match self.guard.run(Point::Commit, make_durable(db)).await {
            Ok(()) => {
                self.image.advance(placed.logs.iter());
                self.state.absorb(placed, &self.committed);
                Ok(answers)
            }
            Err(error) => Err(Failed { error, probe, answers }),
        }
    }

    /// Finds out what became of a failed transaction and answers each step truthfully.
    async fn settle_batch(&mut self, failed: Failed, batch: &mut [Pending]) -> Vec<Answer> {
        tracing::error!(error = %failed.error, "a commit failed");
        self.give_up().await;
        let stored = match &failed.probe {
            None => Ok(false),
            Some(probe) => self.is_stored(probe).await,
        };
        match stored {
            Ok(true) => failed.answers,
            Ok(false) => {
                let why = Why::Database(failed.error);
                batch.iter().map(|_| Err(CommitError::NotStored(why.clone()))).collect()
            }
            Err(error) => {
                tracing::error!(%error, "and its outcome is not known");
                let unknown = |(pending, answer): (&mut Pending, Answer)| match answer {
                    Ok(_) => Err(CommitError::Unknown(std::mem::take(&mut pending.ids))),
                    // Refused because of something that may not be there.
                    Err(_) => Err(CommitError::NotStored(Why::Stopped)),
                };
                batch.iter_mut().zip(failed.answers).map(unknown).collect()
            }
        }
    }

    async fn is_stored(&mut self, probe: &Probe) -> Result<bool, DatabaseError> {
        self.ready().await?;
        let Some(db) = &mut self.db else {
            return Err(DatabaseError::content("no connection"));
        };
        let look_up = async {
            let row = sqlx::query("SELECT id FROM log_entry WHERE log = ? AND boot = ? AND writer_seq = ?")
                .bind(probe.log)
                .bind(self.boot.to_bytes().to_vec())
                .bind(signed(probe.seq)?)
                .fetch_optional(db)
                .await?;
            let found = row.map(|row| array(&row, 0)).transpose()?;
            Ok(found.map(EntryId::from_bytes) == Some(probe.id))
        };
        let found = self.guard.run(Point::LookUp, look_up).await;
        if found.is_err() {
            self.give_up().await;
        }
        found
    }

    /// A connection that has shown that it can write.
    async fn ready(&mut self) -> Result<(), DatabaseError> {
        if self.db.is_some() {
            return Ok(());
        }
        let connect = async { Ok(self.options.connect().await?) };
        let mut db = self.guard.run(Point::Reconnect, connect).await?;
        self.guard.run(Point::Fence, fence(&mut db)).await?;
        let row = sqlx::query("SELECT COALESCE(MAX(cursor), 0) FROM log_entry")
            .fetch_one(&mut db)
            .await?;
        let cursor = number(&row, 0)?;
        self.image.begin(cursor);
        self.committed.send_replace(cursor);
        self.db = Some(db);
        Ok(())
    }

    async fn begin(&mut self) -> Result<(), DatabaseError> {
        self.ready().await?;
        let Some(db) = &mut self.db else {
            return Err(DatabaseError::content("no connection"));
        };
        let begin = async {
            sqlx::query("BEGIN IMMEDIATE").execute(db).await?;
            Ok(())
        };
        let begun = self.guard.run(Point::Begin, begin).await;
        if begun.is_err() {
            self.give_up().await;
        }
        begun
    }

    /// Closes the connection, which rolls back what is under way, and forgets what was remembered.
    async fn give_up(&mut self) {
        self.state = State::default();
        self.image.forget();
        if let Some(db) = self.db.take()
            && let Err(error) = db.close().await
        {
            tracing::warn!(%error, "the database connection did not close well");
        }
    }

    /// Moves the write-ahead log into the database when enough was written, after the answers went out.
    async fn checkpoint(&mut self) {
        let Some(db) = &mut self.db else { return };
        if self.state.unmoved_bytes < CHECKPOINT_BYTES {
            return;
        }
        self.state.unmoved_bytes = 0;
        if let Err(error) = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(db).await {
            tracing::error!(%error, "the write-ahead log was not moved into the database");
            self.give_up().await;
        }
    }

    async fn aside(&mut self, job: Job) {
        // Whoever asked may not be waiting any more; what was asked is done all the same.
        match job {
            Job::SignedHead(environment, head, answer) => {
                drop(answer.send(self.signed_head(&environment, head).await));
            }
            Job::Cosigned(environment, head, answer) => {
                drop(answer.send(self.keep_cosigned(&environment, head).await));
            }
            Job::Secret(name, sealed, answer) => drop(answer.send(self.secret(&name, sealed).await)),
            Job::Erase(environment, sha256, answer) => drop(answer.send(self.erase(&environment, sha256).await)),
            Job::Rebuild(environment, answer) => drop(answer.send(self.rebuild(&environment).await)),
            Job::Settle(environment, id, answer) => drop(answer.send(self.find(&environment, id).await)),
            Job::Commit(_) | Job::Close(_) => {}
        }
    }

    async fn signed_head(&mut self, environment: &EnvironmentName, head: SignedHead) -> Result<(), HeadError> {
        self.begin().await?;
        let (Some(db), now_ms) = (&mut self.db, self.ticker.now_ms()) else {
            return Err(DatabaseError::content("no connection").into());
        };
        let put = self
            .guard
            .run(Point::Side, head::put(db, environment, head, now_ms))
            .await;
        self.end(put).await?
    }

    async fn keep_cosigned(
        &mut self,
        environment: &EnvironmentName,
        head: cosigned::Kept,
    ) -> Result<(), DatabaseError> {
        self.begin().await?;
        let Some(db) = &mut self.db else {
            return Err(DatabaseError::content("no connection"));
        };
        let kept = self.guard.run(Point::Side, cosigned::keep(db, environment, head)).await;
        self.end(kept).await
    }

    async fn secret(&mut self, name: &str, sealed: Vec<u8>) -> Result<bool, DatabaseError> {
        self.begin().await?;
        let Some(db) = &mut self.db else {
            return Err(DatabaseError::content("no connection"));
        };
        let put = self.guard.run(Point::Side, vault::put(db, name, sealed)).await;
        self.end(put).await
    }

    async fn erase(&mut self, environment: &EnvironmentName, sha256: Digest) -> Result<u64, DatabaseError> {
        self.begin().await?;
        let (Some(db), now_ms) = (&mut self.db, self.ticker.now_ms()) else {
            return Err(DatabaseError::content("no connection"));
        };
        let erased = self
            .guard
            .run(Point::Side, blob::erase(db, environment, sha256, now_ms))
            .await;
        let erased = self.end(erased).await?;
        // The write-ahead log still holds pages from before.
        if let Some(db) = &mut self.db {
            empty_wal(db).await?;
        }
        Ok(erased)
    }

    async fn rebuild(&mut self, environment: &EnvironmentName) -> Result<Rebuilt, DatabaseError> {
        self.begin().await?;
        let Some(db) = &mut self.db else {
            return Err(DatabaseError::content("no connection"));
        };
        let rebuilt = self.guard.run(Point::Project, rebuild::rebuild(db, environment)).await;
        let rebuilt = self.end(rebuilt).await;
        self.state = State::default();
        self.image.forget_entities();
        rebuilt
    }

    async fn find(&mut self, environment: &EnvironmentName, id: EntryId) -> Result<Option<Receipt>, DatabaseError> {
        self.ready().await?;
        match &mut self.db {
            Some(db) => crate::read::receipt(db, environment, id).await,
            None => Err(DatabaseError::content("no connection")),
        }
    }

    async fn end<T>(&mut self, outcome: Result<T, DatabaseError>) -> Result<T, DatabaseError> {
        let ended = match (outcome, &mut self.db) {
            (Ok(value), Some(db)) => self.guard.run(Point::Commit, make_durable(db)).await.map(|()| value),
            (Ok(_), None) => Err(DatabaseError::content("no connection")),
            (Err(error), _) => Err(error),
        };
        if ended.is_err() {
            self.give_up().await;
        }
        ended
    }
}

/// With `synchronous=FULL` SQLite syncs the write-ahead log before it answers.
async fn make_durable(db: &mut SqliteConnection) -> Result<(), DatabaseError> {
    sqlx::query("COMMIT").execute(db).await?;
    Ok(())
}

/// `first` and what waits behind it, up to the first job of another kind.
fn gather(first: Pending, jobs: &mut mpsc::Receiver<Job>) -> (Vec<Pending>, Option<Job>) {
    let mut batch = vec![first];
    while batch.len() < BATCH_MAX {
        match jobs.try_recv() {
            Ok(Job::Commit(pending)) => batch.push(pending),
            Ok(other) => return (batch, Some(other)),
            Err(_) => break,
        }
    }
    (batch, None)
}

impl Batch {
    fn probe(&self) -> Option<Probe> {
        self.logs.values().find_map(|growth| {
            let first = growth.rows.first()?;
            Some(Probe {
                log: growth.head.log,
                seq: first.seq,
                id: first.id,
            })
        })
    }
}

impl State {
    /// Remembers what a transaction left, now that it is durable.
    fn absorb(&mut self, placed: Batch, committed: &watch::Sender<u64>) {
        let mut count = 0;
        if self.heads.len() >= HEADS_MAX {
            self.heads.clear();
        }
        for (environment, growth) in placed.logs {
            let Growth {
                head, overlay, rows, ..
            } = growth;
            for (key, touched) in overlay {
                self.cache.put(head.log, key, touched.value);
            }
            count += rows.len() as u64;
            self.unmoved_bytes += rows.iter().map(|row| row.size).sum::<u64>();
            self.heads.insert(environment, head);
        }
        committed.send_modify(|cursor| *cursor += count);
    }
}

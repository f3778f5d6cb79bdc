//! One transaction's worth of steps: each is given its place in log, writer and session, and applied to what the
//! transaction holds so far. Nothing is written here; a step that is refused leaves no trace.
//!
//! INVARIANT (all or none): the entries of a step enter [`Batch`] together, after the last of them was accepted.

use crate::cache::Cache;
use crate::commit::{CommitError, Receipt};
use crate::follow::{Overlay, Sources, Touched};
use crate::open::Ticker;
use crate::sql::{Bulk, DatabaseError, Query, number, signed};
use crate::writer::Pending;
use model::apply::{Refused, Snapshot};
use model::body::{Body, RequestProof};
use model::bytes::Digest;
use model::chain::{Attachment, Draft};
use model::entity::{Entity, EntityKey};
use model::entry::{BlobRef, Entry, EntryError, Placed, SessionLink, Writer};
use model::id::{BootId, EntryId, SessionId};
use model::name::{EnvironmentName, NodeName};
use sqlx::{Row as _, SqliteConnection};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Bytes of one blob beside an entry, at most.
const BLOB_LENGTH_MAX: usize = 256 * 1024;

/// Where a log ends, and what its next entry is numbered by this start of this node.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) log: i64,
    pub(crate) size: u64,
    pub(crate) seq: u64,
}

/// An entry as it will be stored.
pub(crate) struct Row {
    pub(crate) index: u64,
    pub(crate) id: EntryId,
    pub(crate) seq: u64,
    pub(crate) time_ms: u64,
    pub(crate) kind: &'static str,
    pub(crate) session: Option<SessionId>,
    pub(crate) hash: Digest,
    /// Taken when they are written.
    pub(crate) bytes: Vec<u8>,
    /// Their number, with the blobs'.
    pub(crate) size: u64,
    pub(crate) touched: Vec<EntityKey>,
    pub(crate) blobs: Vec<(BlobRef, Vec<u8>)>,
}

/// What the transaction adds to one log.
pub(crate) struct Growth {
    pub(crate) head: Head,
    /// The origin, when the transaction creates the log.
    pub(crate) born: Option<String>,
    pub(crate) overlay: Overlay,
    pub(crate) rows: Vec<Row>,
}

#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) logs: BTreeMap<EnvironmentName, Growth>,
    taken: HashSet<EntryId>,
}

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.logs.values().all(|growth| growth.rows.is_empty())
    }
}

/// The writer's side of a transaction.
pub(crate) struct Placer<'a> {
    pub(crate) db: &'a mut SqliteConnection,
    pub(crate) cache: &'a mut Cache,
    pub(crate) heads: &'a HashMap<EnvironmentName, Head>,
    pub(crate) ticker: &'a Ticker,
    pub(crate) node: &'a NodeName,
    pub(crate) boot: BootId,
    pub(crate) batch: Batch,
}

type Placing<T> = Result<Result<T, CommitError>, DatabaseError>;

macro_rules! accepted {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(refused) => return Ok(Err(refused.into())),
        }
    };
}

impl From<Refused> for CommitError {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl Placer<'_> {
    /// Remembers which of these ids are in some log already.
    pub(crate) async fn look_up(&mut self, ids: Vec<EntryId>) -> Result<(), DatabaseError> {
        for chunk in ids.chunks(64) {
            let marks = vec!["?"; chunk.len().next_power_of_two()].join(",");
            let sql = format!("SELECT id FROM log_entry WHERE id IN ({marks})");
            let query = sqlx::query(sqlx::AssertSqlSafe(sql));
            // Missing values are NULL, which is equal to nothing.
            let query = chunk.iter().fold(query, |query, id| query.bind(id.to_bytes().to_vec()));
            for row in query.fetch_all(&mut *self.db).await? {
                self.batch
                    .taken
                    .insert(EntryId::from_bytes(crate::sql::array(&row, 0)?));
            }
        }
        Ok(())
    }

    /// Accepts all entries of a step, or none.
    pub(crate) async fn step(&mut self, pending: &mut Pending) -> Placing<Vec<Receipt>> {
        let drafts = std::mem::take(&mut pending.drafts);
        let mut growth = match self.batch.logs.remove(&pending.environment) {
            Some(growth) => growth,
            None => accepted!(self.growth(&pending.environment, &drafts).await?),
        };
        let taken = self.stage(&mut growth, &pending.basis, drafts).await;
        if !growth.rows.is_empty() {
            self.batch.logs.insert(pending.environment.clone(), growth);
        }
        taken
    }

    async fn stage(
        &mut self,
        growth: &mut Growth,
        basis: &[(EntityKey, u64)],
        drafts: Vec<Draft>,
    ) -> Placing<Vec<Receipt>> {
        let mut stage = Stage {
            sources: Sources {
                db: self.db,
                cache: self.cache,
                log: growth.head.log,
                overlay: &growth.overlay,
            },
            before: Snapshot::partial(),
            writer: Writer {
                node: self.node.clone(),
                boot: self.boot,
                seq: growth.head.seq,
            },
            index: growth.head.size,
            time_ms: self.ticker.now_ms(),
            rows: vec![],
        };
        accepted!(stage.check(basis).await?);
        for draft in drafts {
            let twice = self.batch.taken.contains(&draft.id) || stage.rows.iter().any(|row| row.id == draft.id);
            if twice {
                return Ok(Err(rule("entry_twice", "an entry of this id exists").into()));
            }
            accepted!(stage.take(draft).await?);
        }
        let Stage { before, rows, .. } = stage;
        self.batch.taken.extend(rows.iter().map(|row| row.id));
        Ok(Ok(growth.accept(&before, rows)))
    }

    /// The log as it stands before this transaction.
    async fn growth(&mut self, environment: &EnvironmentName, drafts: &[Draft]) -> Placing<Growth> {
        let (head, born) = match self.heads.get(environment) {
            Some(head) => (head.clone(), None),
            None => match find_head(self.db, environment, self.boot).await? {
                Some(head) => (head, None),
                None => {
                    let origin = accepted!(self.origin(environment, drafts).await?);
                    (self.unborn().await?, Some(origin))
                }
            },
        };
        Ok(Ok(Growth {
            head,
            born,
            overlay: Overlay::new(),
            rows: vec![],
        }))
    }

    /// A log begins with the genesis of its own environment, and no two logs have one origin.
    async fn origin(&mut self, environment: &EnvironmentName, drafts: &[Draft]) -> Placing<String> {
        let Some(Body::Genesis(signed)) = drafts.first().map(|draft| &draft.body) else {
            return Ok(Err(Refused::Absent(EntityKey::environment()).into()));
        };
        let genesis = &signed.statement;
        if genesis.environment != *environment {
            return Ok(Err(
                rule("other_environment", "the genesis is of another environment").into()
            ));
        }
        let known = sqlx::query("SELECT 1 FROM log_environment WHERE origin = ?")
            .bind(genesis.origin.as_str())
            .fetch_optional(&mut *self.db)
            .await?;
        let staged = self
            .batch
            .logs
            .values()
            .any(|growth| growth.born.as_ref() == Some(&genesis.origin));
        if known.is_some() || staged {
            return Ok(Err(rule("origin_twice", "another environment has this origin").into()));
        }
        Ok(Ok(genesis.origin.clone()))
    }

    async fn unborn(&mut self) -> Result<Head, DatabaseError> {
        let row = sqlx::query("SELECT COALESCE(MAX(log), 0) FROM log_environment")
            .fetch_one(&mut *self.db)
            .await?;
        let stored: i64 = row.try_get(0)?;
        let staged = self.batch.logs.values().map(|growth| growth.head.log).max();
        Ok(Head {
            log: stored.max(staged.unwrap_or(0)) + 1,
            size: 0,
            seq: 0,
        })
    }
}

/// A step on its way in.
struct Stage<'a> {
    sources: Sources<'a>,
    before: Snapshot,
    writer: Writer,
    index: u64,
    time_ms: u64,
    rows: Vec<Row>,
}

impl Stage<'_> {
    /// INVARIANT (basis): a step is taken only while every entity it rests on has the version that was judged.
    async fn check(&mut self, basis: &[(EntityKey, u64)]) -> Placing<()> {
        for (key, judged) in basis {
            self.sources.know(&mut self.before, key).await?;
            if accepted!(self.before.version(key)) != *judged {
                return Ok(Err(CommitError::Conflict(key.clone())));
            }
        }
        Ok(Ok(()))
    }

    async fn take(&mut self, draft: Draft) -> Placing<()> {
        for key in foreseen(&draft) {
            self.sources.know(&mut self.before, &key).await?;
        }
        let session = draft.session;
        let blobs: Vec<BlobRef> = draft.attachments.iter().map(blob_ref).collect();
        if blobs.iter().any(|blob| blob.size > BLOB_LENGTH_MAX as u64) {
            return Ok(Err(
                rule("blob_too_long", "a blob beside an entry has at most 256 KiB").into()
            ));
        }
        let entry = Entry {
            id: draft.id,
            time_ms: self.time_ms,
            writer: self.writer.clone(),
            session: accepted!(session.map(|id| self.link(id)).transpose()),
            blobs: blobs.clone(),
            body: draft.body,
        };
        let bytes = accepted!(entry.encode().map_err(unwritable));
        let placed = Placed {
            index: self.index,
            hash: Digest::of(&bytes),
            entry,
        };
        let touched = accepted!(self.sources.follow(&mut self.before, &placed).await?);
        self.rows.push(Row {
            index: self.index,
            id: placed.entry.id,
            seq: self.writer.seq,
            time_ms: self.time_ms,
            kind: placed.entry.body.kind(),
            session,
            hash: placed.hash,
            size: bytes.len() as u64 + blobs.iter().map(|blob| blob.size).sum::<u64>(),
            bytes,
            touched,
            blobs: blobs
                .into_iter()
                .zip(draft.attachments.into_iter().map(|a| a.bytes))
                .collect(),
        });
        self.index += 1;
        self.writer.seq += 1;
        Ok(Ok(()))
    }

    /// The next place in a session; `apply` checks it again.
    fn link(&self, id: SessionId) -> Result<SessionLink, Refused> {
        Ok(match self.before.find(&EntityKey::session(id))? {
            Some(Entity::Session(known)) => SessionLink {
                id,
                seq: known.seq + 1,
                prev: Some(known.tip),
            },
            _ => SessionLink { id, seq: 0, prev: None },
        })
    }
}

impl Growth {
    fn accept(&mut self, after: &Snapshot, rows: Vec<Row>) -> Vec<Receipt> {
        for row in &rows {
            for key in &row.touched {
                if let Ok(Some(value)) = after.versioned(key) {
                    let touched = Touched {
                        value: value.clone(),
                        index: row.index,
                    };
                    self.overlay.insert(key.clone(), touched);
                }
            }
        }
        let receipts = rows.iter().map(Row::receipt).collect();
        self.head.size += rows.len() as u64;
        self.head.seq += rows.len() as u64;
        self.rows.extend(rows);
        receipts
    }
}

impl Row {
    fn receipt(&self) -> Receipt {
        Receipt {
            index: self.index,
            id: self.id,
            hash: self.hash,
            time_ms: self.time_ms,
        }
    }
}

fn rule(code: &'static str, because: &str) -> Refused {
    Refused::Rule {
        code,
        because: because.to_owned(),
    }
}

fn unwritable(error: EntryError) -> Refused {
    match error {
        EntryError::Json(error) => Refused::Json(error),
        EntryError::TooLong => rule(
            "entry_too_long",
            "an entry has at most 16 KiB; larger things go by digest",
        ),
        other => rule("entry_unwritable", &other.to_string()),
    }
}

fn blob_ref(attachment: &Attachment) -> BlobRef {
    BlobRef {
        kind: attachment.kind,
        sha256: Digest::of(&attachment.bytes),
        size: attachment.bytes.len() as u64,
    }
}

/// What `apply` will ask for. Loading it first spares a second look at signatures; what is missing here is loaded on
/// demand.
fn foreseen(draft: &Draft) -> Vec<EntityKey> {
    let mut keys = vec![EntityKey::environment()];
    keys.extend(draft.session.map(EntityKey::session));
    match &draft.body {
        Body::Requested(body) => {
            keys.push(EntityKey::identity(body.statement.requester));
            keys.push(EntityKey::request(body.statement.request));
            keys.push(EntityKey::workflow(&body.statement.scope.workflow));
            if let RequestProof::LogIn(proof) = &body.proof {
                keys.push(EntityKey::proof(Digest::of(&proof.signed.0)));
            }
        }
        Body::Approved(signed) => {
            keys.push(EntityKey::request(signed.statement.request));
            keys.push(EntityKey::identity(signed.statement.approver));
            keys.push(EntityKey::workflow(&signed.statement.scope.workflow));
        }
        Body::Denied(signed) => {
            keys.push(EntityKey::request(signed.statement.request));
            keys.push(EntityKey::identity(signed.statement.approver));
        }
        Body::Revoked(signed) => {
            keys.push(EntityKey::grant(signed.statement.grant));
            keys.push(EntityKey::identity(signed.statement.by));
        }
        Body::Opened(body) => {
            keys.push(EntityKey::proof(Digest::of(&body.proof.signed.0)));
            keys.push(EntityKey::grant(body.grant));
            keys.push(EntityKey::identity(body.identity));
            keys.push(EntityKey::resource(&body.resource));
        }
        _ => {}
    }
    keys
}

/// The head of an environment's log, if the log exists.
pub(crate) async fn find_head(
    db: &mut SqliteConnection,
    environment: &EnvironmentName,
    boot: BootId,
) -> Result<Option<Head>, DatabaseError> {
    let found = sqlx::query(
        "SELECT log,
            (SELECT COALESCE(MAX(idx) + 1, 0) FROM log_entry e WHERE e.log = v.log),
            (SELECT COALESCE(MAX(writer_seq) + 1, 0) FROM log_entry e WHERE e.log = v.log AND boot = ?)
         FROM log_environment v WHERE name = ?",
    )
    .bind(boot.to_bytes().to_vec())
    .bind(environment.as_str())
    .fetch_optional(db)
    .await?;
    let head = |row: sqlx::sqlite::SqliteRow| {
        Ok(Head {
            log: row.try_get(0)?,
            size: number(&row, 1)?,
            seq: number(&row, 2)?,
        })
    };
    found.map(head).transpose()
}

const ENTRIES: Bulk = Bulk {
    into: "INSERT INTO log_entry (log, idx, id, boot, writer_seq, time_ms, kind, session, hash, bytes)",
    columns: 10,
    tail: "",
};

/// Writes what was accepted, except for the projections.
pub(crate) async fn append(
    db: &mut SqliteConnection,
    environment: &EnvironmentName,
    boot: BootId,
    growth: &mut Growth,
) -> Result<(), DatabaseError> {
    let log = growth.head.log;
    if let Some(origin) = &growth.born {
        sqlx::query("INSERT INTO log_environment (log, name, origin) VALUES (?, ?, ?)")
            .bind(log)
            .bind(environment.as_str())
            .bind(origin.as_str())
            .execute(&mut *db)
            .await?;
    }
    let rows = growth
        .rows
        .iter_mut()
        .map(|row| {
            Ok(Columns {
                log,
                index: signed(row.index)?,
                id: row.id,
                boot,
                seq: signed(row.seq)?,
                time_ms: signed(row.time_ms)?,
                kind: row.kind,
                session: row.session,
                hash: row.hash,
                bytes: std::mem::take(&mut row.bytes),
            })
        })
        .collect::<Result<Vec<_>, DatabaseError>>()?;
    ENTRIES.insert(db, rows, Columns::bind).await?;
    crate::blob::insert(db, log, &mut growth.rows).await
}

struct Columns {
    log: i64,
    index: i64,
    id: EntryId,
    boot: BootId,
    seq: i64,
    time_ms: i64,
    kind: &'static str,
    session: Option<SessionId>,
    hash: Digest,
    bytes: Vec<u8>,
}

impl Columns {
    fn bind(query: Query<'_>, row: Self) -> Query<'_> {
        query
            .bind(row.log)
            .bind(row.index)
            .bind(row.id.to_bytes().to_vec())
            .bind(row.boot.to_bytes().to_vec())
            .bind(row.seq)
            .bind(row.time_ms)
            .bind(row.kind)
            .bind(row.session.map(|id| id.to_bytes().to_vec()))
            .bind(row.hash.0.to_vec())
            .bind(row.bytes)
    }
}

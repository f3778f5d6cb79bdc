//! Where evidence is read from: a running server, as somebody who may read it, or the folder of one that is stopped.
//! Both give the same: entries, blobs, recordings, cosigned heads.

use crate::client::Api;
use crate::config::{Person, PersonArgs};
use crate::exit::Failure;
use crate::fresh;
use crate::serve::heads;
use clap::Args;
use journal::{Journal, ReadOnlyJournal};
use ledger::SignedCheckpoint;
use model::bytes::Digest;
use model::id::{BootId, SessionId};
use model::name::{EnvironmentName, NodeName};
use serde::Deserialize;
use std::path::PathBuf;
use store::{Clock, OpenError, Store, StoreConfig};

/// Entries in one answer of the server.
const PAGE: u64 = 256;

/// Where a server's log is published unless told otherwise.
pub(crate) const LOG_DEFAULT: &str = "http://127.0.0.1:7880";

/// The newest head of a log, from where it is published to everybody.
pub(crate) async fn published(log: &str, environment: &EnvironmentName) -> Result<Vec<u8>, Failure> {
    let found = Api::open(log)?.bytes(&format!("/{environment}/checkpoint")).await;
    found.map_err(|failure| {
        failure
            .about(&format!("the log of `{environment}`"))
            .next("is that the environment's name, and its server's log address (--log; printed at its start)?")
    })
}

/// Which of the two.
#[derive(Debug, Clone, Args)]
pub(crate) struct SourceArgs {
    /// Read the folder of a stopped server instead of asking a running one
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where the server's log is published
    #[arg(
        long,
        value_name = "URL",
        env = "COUNTERSIGN_LOG_SERVER",
        default_value = LOG_DEFAULT
    )]
    log: String,
    #[command(flatten)]
    person: PersonArgs,
}

/// An open source.
pub(crate) enum Source {
    Server { api: Box<Api>, log: Box<Api> },
    Folder(Box<Folder>),
}

/// A stopped server's folder.
pub(crate) struct Folder {
    store: Store,
    journal: ReadOnlyJournal,
}

/// One recording, piece by piece: each an extent in export form.
pub(crate) enum Pieces {
    Server {
        answer: reqwest::Response,
        buffer: Vec<u8>,
    },
    Folder(Box<journal::Extents>),
    /// Nothing is recorded.
    None,
}

impl Source {
    pub(crate) async fn open(args: &SourceArgs) -> Result<Self, Failure> {
        match &args.data {
            Some(data) => Folder::open(data).await.map(|folder| Self::Folder(Box::new(folder))),
            None => {
                let (api, _) = Api::sign_in(&Person::read(&args.person)?).await?;
                let log = Api::open(&crate::config::checked_url(&args.log)?)?;
                Ok(Self::Server {
                    api: Box::new(api),
                    log: Box::new(log),
                })
            }
        }
    }

    /// The environment in which a session took place.
    pub(crate) async fn environment_of(&self, session: SessionId) -> Result<EnvironmentName, Failure> {
        #[derive(Deserialize)]
        struct Line {
            environment: EnvironmentName,
        }
        match self {
            Self::Server { api, .. } => {
                let line: Line = api.get(&format!("/v1/sessions/{session}")).await?;
                Ok(line.environment)
            }
            Self::Folder(folder) => folder.environment_of(session).await,
        }
    }

    /// The origin of an environment's log.
    pub(crate) async fn origin(&self, environment: &EnvironmentName) -> Result<String, Failure> {
        match self {
            Self::Server { api, .. } => {
                let callers: Vec<crate::command::access::Caller> = api.get("/v1/whoami").await?;
                let caller = callers.into_iter().find(|caller| caller.environment == *environment);
                caller
                    .map(|caller| caller.origin)
                    .ok_or_else(|| Failure::refused(format!("you are not known in `{environment}`")))
            }
            Self::Folder(folder) => {
                let genesis = folder.store.gather(environment, |state| state.genesis().cloned()).await;
                Ok(genesis.map_err(Failure::unavailable)?.origin)
            }
        }
    }

    /// The entries of one session, in order.
    pub(crate) async fn session_entries(
        &self,
        environment: &EnvironmentName,
        session: SessionId,
    ) -> Result<Vec<Vec<u8>>, Failure> {
        match self {
            Self::Server { api, .. } => {
                let lines = api.session_entries(session).await?;
                Ok(lines.into_iter().map(|line| line.entry.into_bytes()).collect())
            }
            Self::Folder(folder) => {
                let mut all: Vec<Vec<u8>> = vec![];
                let mut from = 0;
                loop {
                    let page = folder.store.session_entries(environment, session, from).await;
                    let page = page.map_err(Failure::unavailable)?;
                    let Some((last, _)) = page.last() else { return Ok(all) };
                    from = last.saturating_add(1);
                    all.extend(page.into_iter().map(|(_, bytes)| bytes));
                }
            }
        }
    }

    /// Entries from an index on: at most `count`, at least one if there is one.
    pub(crate) async fn entries(
        &self,
        environment: &EnvironmentName,
        from: u64,
        count: u64,
    ) -> Result<Vec<Vec<u8>>, Failure> {
        let count = count.min(PAGE);
        match self {
            Self::Server { api, .. } => {
                let page = api.entries(environment, (from, count)).await?;
                let in_order = page.iter().zip(from..).all(|(line, index)| line.index == index);
                if !in_order || page.len() as u64 > count {
                    return Err(Failure::refused(format!("the server left out entries after {from}")));
                }
                Ok(page.into_iter().map(|line| line.entry.into_bytes()).collect())
            }
            Self::Folder(folder) => {
                let limit = u32::try_from(count).unwrap_or(u32::MAX);
                let found = folder
                    .store
                    .entries(environment, from..from.saturating_add(count), limit)
                    .await
                    .map_err(Failure::unavailable)?;
                Ok(found.into_iter().map(|(_, bytes)| bytes).collect())
            }
        }
    }

    /// A blob's ciphertext; none when it was erased.
    pub(crate) async fn blob(&self, environment: &EnvironmentName, digest: Digest) -> Result<Option<Vec<u8>>, Failure> {
        match self {
            Self::Server { api, .. } => match api
                .bytes(&format!("/v1/environments/{environment}/blobs/{digest}"))
                .await
            {
                Ok(bytes) => Ok(Some(bytes)),
                Err(failure) if failure.is_absent() => Ok(None),
                Err(failure) => Err(failure),
            },
            Self::Folder(folder) => {
                let found = folder
                    .store
                    .blob(environment, digest)
                    .await
                    .map_err(Failure::unavailable)?;
                Ok(found.and_then(|blob| blob.bytes))
            }
        }
    }

    /// A session's recording.
    pub(crate) async fn recording(&self, session: SessionId) -> Result<Pieces, Failure> {
        match self {
            Self::Server { api, .. } => match api.stream(&format!("/v1/sessions/{session}/extents")).await {
                Ok(answer) => Ok(Pieces::Server { answer, buffer: vec![] }),
                Err(failure) if failure.is_absent() => Ok(Pieces::None),
                Err(failure) => Err(failure),
            },
            Self::Folder(folder) => match folder.journal.extents(&session.to_bytes()) {
                Ok(extents) => Ok(Pieces::Folder(Box::new(extents))),
                Err(journal::ReadError::Unknown) => Ok(Pieces::None),
                Err(error) => Err(Failure::unavailable(error)),
            },
        }
    }

    /// The newest cosigned head, or the first over an entry.
    pub(crate) async fn head(
        &self,
        environment: &EnvironmentName,
        over: Option<u64>,
    ) -> Result<SignedCheckpoint, Failure> {
        let note = match (self, over) {
            (Self::Server { log, .. }, Some(index)) => log.bytes(&format!("/{environment}/cosigned/{index}")).await?,
            (Self::Server { log, .. }, None) => log.bytes(&format!("/{environment}/checkpoint")).await?,
            (Self::Folder(folder), over) => {
                let found = heads::kept(&folder.store, environment, over).await?;
                return found.ok_or_else(|| Failure::unavailable("no cosigned head was kept"));
            }
        };
        SignedCheckpoint::parse(&note)
            .map_err(|error| Failure::unavailable(format!("what the log published is no checkpoint: {error}")))
    }
}

/// The store of a server that is stopped.
pub(crate) async fn open_stopped(data: &std::path::Path) -> Result<Store, Failure> {
    if !data.join("store.db").exists() {
        return Err(Failure::unavailable(format!(
            "`{}` is not a server's folder",
            data.display()
        )));
    }
    let node: NodeName = "reader".parse().map_err(Failure::unavailable)?;
    let clock = Clock::new(crate::clock::now_ms);
    let config = StoreConfig::new(data, node, fresh::id(BootId::new)?, clock);
    Store::open(config).await.map_err(|error| match error {
        OpenError::InUse { .. } => {
            Failure::refused(&error).next("stop that server first; to read evidence, ask it: leave --data out")
        }
        _ => Failure::unavailable(&error),
    })
}

impl Folder {
    async fn open(data: &std::path::Path) -> Result<Self, Failure> {
        let store = open_stopped(data).await?;
        let (journal, _) = Journal::open_read_only(&data.join("journal")).map_err(Failure::unavailable)?;
        Ok(Self { store, journal })
    }

    async fn environment_of(&self, session: SessionId) -> Result<EnvironmentName, Failure> {
        for environment in self.store.environments().await.map_err(Failure::unavailable)? {
            let entries = self.store.session_entries(&environment, session, 0).await;
            if !entries.map_err(Failure::unavailable)?.is_empty() {
                return Ok(environment);
            }
        }
        Err(Failure::refused(format!(
            "there is no session `{session}` in this folder"
        )))
    }
}

impl Pieces {
    /// The next extent.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        match self {
            Self::None => Ok(None),
            Self::Folder(extents) => match extents.next() {
                Some(Ok(extent)) => Ok(Some(extent.bytes)),
                Some(Err(error)) => Err(Failure::unavailable(error)),
                None => Ok(None),
            },
            Self::Server { answer, buffer } => next_framed(answer, buffer).await,
        }
    }
}

/// One extent with its length before it.
async fn next_framed(answer: &mut reqwest::Response, buffer: &mut Vec<u8>) -> Result<Option<Vec<u8>>, Failure> {
    loop {
        if let Some((head, rest)) = buffer.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*head) as usize;
            if length > recording::MAX_EXPORT_BYTES {
                return Err(Failure::unavailable("the server sent an extent that is too long"));
            }
            if let Some((extent, rest)) = rest.split_at_checked(length) {
                let (extent, rest) = (extent.to_vec(), rest.to_vec());
                *buffer = rest;
                return Ok(Some(extent));
            }
        }
        match answer.chunk().await {
            Ok(Some(piece)) => buffer.extend_from_slice(&piece),
            Ok(None) if buffer.is_empty() => return Ok(None),
            Ok(None) => return Err(Failure::unavailable("the recording broke off")),
            Err(error) => return Err(Failure::unavailable(format!("the recording broke off: {error}"))),
        }
    }
}

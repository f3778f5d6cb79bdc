//! `countersign serve`: everything that runs in one server, put together, and taken apart again in the right order.
//!
//! INVARIANT (last to go): sessions end and are on record before the journal and the store close.

mod clerk;
mod descriptors;
pub(crate) mod heads;
mod public;
mod recovery;
mod witnesses;

use crate::config::{ServeArgs, Server};
use crate::exit::Failure;
use crate::stop::{self, Stop};
use crate::{file, fresh, paint};
use api::Recordings;
use clerk::Clerk;
use desk::{Desk, LogKeys, Terms};
use gateway::ssh::ask::Desk as Questions;
use gateway::ssh::relay::{Gateway, Settings};
use journal::{Journal, ReadError, State};
use model::id::BootId;
use model::name::EnvironmentName;
use model::signature::Key;
use publisher::{Cosigned, Publisher, PublisherConfig};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use store::{Clock, OpenError, Store, StoreConfig};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

/// How long sessions have to end and be put on record when the server stops.
const FAREWELL: Duration = Duration::from_secs(20);
/// How often refusals of strangers are handed on to be entered.
const COUNT_EVERY: Duration = Duration::from_secs(10);

pub(crate) const HELP: &str = "Examples:
  countersign serve                                        # in ./countersign-data, on loopback
  countersign serve --data /var/lib/countersign --ssh 0.0.0.0:2222 --public gw.example \\
      --witness http://witness.acme.example:7879

An empty folder is enough: keys and database are made at the first start. Flags may also stand in
DATA/server.toml (ssh, api, api_origin, log, public, node, witness). There, [journal] says how
recordings use their disk: segment_mib (64), low_water_mib (1024; below it no session begins) and
stop_water_mib (256; below it every session is stopped). COUNTERSIGN_LOG=debug shows more. SIGTERM
ends sessions, then the server.";

pub(crate) fn run(args: ServeArgs) -> Result<(), Failure> {
    let server = Server::read(args)?;
    stop::diagnostics();
    file::keep_private();
    file::private_folder(&server.data)?;
    file::tighten(&server.data)?;
    stop::block_on(serve(server))
}

/// What the parts have in common.
struct Parts {
    server: Server,
    store: Store,
    journal: Journal,
    publisher: Publisher,
    desk: Arc<Desk>,
    clerk: Arc<Clerk>,
}

async fn serve(server: Server) -> Result<(), Failure> {
    let mut stop = Stop::listen()?;
    let files = descriptors::raise();
    let is_new = !server.data.join("store.db").exists();
    let store = open_store(&server).await?;
    let (journal, recovery) = Journal::open(server.journal.clone()).map_err(Failure::unavailable)?;
    let host_key = clerk::host_key(&server.data)?;
    let ssh = listen(server.ssh).await?;
    let log = listen(server.log).await?;
    let (publisher, heads) = start_publisher(&server, &store).await?;
    let desk = Desk::new(
        store.clone(),
        Terms {
            origin: server.public.clone(),
            log_keys: log_keys(store.clone()),
        },
    );
    recovery::settle((&desk, &publisher), &recovery).await?;
    let parts = (desk.clone(), publisher.clone(), journal.clone());
    let address = server.ssh_address(ssh.local_addr().map_err(Failure::unavailable)?);
    let clerk = Arc::new(Clerk::new(parts, host_key, address));
    let api = api::Config {
        bind: server.api,
        origins: server.api_origins.clone(),
        unpublished: unpublished(publisher.clone()),
        unrecorded: unrecorded(journal.clone()),
    };
    let api = api::Server::bind(api, desk.clone(), recordings(journal.clone()))
        .await
        .map_err(|error| match error {
            api::BindError::NotLoopback(_) => Failure::usage(&error),
            _ => Failure::unavailable(&error),
        })?;
    let parts = Parts {
        server,
        store,
        journal,
        publisher,
        desk,
        clerk,
    };
    warn_of_space(&parts);
    tell(&parts, is_new, (&ssh, api.address(), &log))?;
    let (ending, ended) = watch::channel(false);
    let running = start(&parts, (files, heads), (ssh, api, log), &ended);
    stop.told().await;
    tracing::info!("stopping: sessions are ended and put on record; a second signal stops at once");
    tokio::select! {
        () = farewell(parts, running, ending) => Ok(()),
        () = stop.told() => Err(Failure::refused("stopped at once; sessions that were live will be marked as lost")),
    }
}

async fn open_store(server: &Server) -> Result<Store, Failure> {
    let boot = fresh::id(BootId::new)?;
    let started = crate::clock::Stopwatch::start();
    let clock = Clock::steadied(crate::clock::now_ms, move || started.elapsed_ms());
    let config = StoreConfig::new(&server.data, server.node.clone(), boot, clock);
    Store::open(config).await.map_err(|error| match error {
        OpenError::InUse { .. } => {
            Failure::refused(&error).next("stop that server first, or name another folder with --data")
        }
        _ => Failure::unavailable(&error),
    })
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address)
        .await
        .map_err(|error| Failure::unavailable(format!("cannot listen on `{address}`: {error}")))
}

/// The publisher, and the heads that it has cosigned, to be kept.
async fn start_publisher(server: &Server, store: &Store) -> Result<(Publisher, NewHeads), Failure> {
    let (heads, new) = mpsc::channel(heads::QUEUE);
    let config = PublisherConfig {
        tiles: server.data.join("tiles"),
        witnesses: witnesses::find(&server.data, &server.witnesses).await?,
        heads: Some(heads),
    };
    let publisher = Publisher::start(store.clone(), config).await;
    Ok((publisher.map_err(Failure::unavailable)?, new))
}

type NewHeads = mpsc::Receiver<(EnvironmentName, Cosigned)>;

/// Log keys are made in the vault, under the name where the publisher looks for them.
fn log_keys(store: Store) -> LogKeys {
    LogKeys::new(move |environment, origin| {
        let store = store.clone();
        async move {
            let key = publisher::log_key(&store, &environment, &origin).await;
            key.map(|key| key.to_string()).map_err(|error| error.to_string())
        }
    })
}

fn unpublished(publisher: Publisher) -> api::Unpublished {
    Box::new(move |environment| publisher.status(environment).and_then(|status| status.trouble()))
}

fn unrecorded(journal: Journal) -> api::Unrecorded {
    Box::new(move || journal.health().state.trouble())
}

/// Recordings as the API sends them: each extent in export form, with its length before it (four bytes, big endian).
fn recordings(journal: Journal) -> Recordings {
    Recordings::new(move |_, session| match journal.extents(&session.to_bytes()) {
        Ok(extents) => Ok(Some(Box::new(extents.map(|extent| {
            let extent = extent.map_err(io::Error::other)?;
            let length = u32::try_from(extent.bytes.len()).map_err(io::Error::other)?;
            Ok([&length.to_be_bytes(), extent.bytes.as_slice()].concat())
        })))),
        Err(ReadError::Unknown) => Ok(None),
        Err(error) => Err(io::Error::other(error)),
    })
}

/// Begins everything that runs until the end.
fn start(
    parts: &Parts,
    (files, new_heads): (u64, NewHeads),
    (ssh, api, log): (TcpListener, api::Server, TcpListener),
    ended: &watch::Receiver<bool>,
) -> tokio::task::JoinSet<()> {
    let mut running = tokio::task::JoinSet::new();
    let (questions, asked) = Questions::new();
    let settings = Settings {
        strangers_max: descriptors::strangers_max(files),
        ..Settings::new(vec![parts.clerk.host_key.clone()])
    };
    let gateway = Gateway::new(settings, questions, ended.clone());
    running.spawn(Arc::clone(&parts.clerk).serve(asked));
    running.spawn(count_strangers(parts.desk.clone(), Arc::clone(&gateway)));
    running.spawn(gateway.serve(ssh));
    running.spawn(desk::watch::run(parts.desk.clone()));
    running.spawn(publish_new(parts.store.clone(), parts.publisher.clone()));
    running.spawn(heads::keep(parts.store.clone(), new_heads));
    running.spawn(public::serve(log, parts.publisher.clone(), parts.store.clone()));
    let (strangers, mut told) = (parts.desk.clone(), ended.clone());
    running.spawn(async move { desk::stranger::run(&strangers).await });
    running.spawn(api.run(async move {
        // A sender that is gone has ended, too.
        drop(told.wait_for(|ended| *ended).await);
    }));
    running
}

/// Environments that are founded while the server runs are published from then on.
async fn publish_new(store: Store, publisher: Publisher) {
    let mut committed = store.committed();
    while committed.changed().await.is_ok() {
        match store.environments().await {
            Ok(environments) => {
                for environment in environments {
                    if let Err(error) = publisher.publish(&environment).await {
                        tracing::error!(%environment, %error, "the environment cannot be published");
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "the environments cannot be read"),
        }
    }
}

async fn count_strangers(desk: Arc<Desk>, gateway: Arc<Gateway>) {
    let mut tick = tokio::time::interval(COUNT_EVERY);
    loop {
        tick.tick().await;
        for (code, count) in gateway.refusals.take() {
            (0..count).for_each(|_| desk::stranger::count(&desk, "ssh", code));
        }
    }
}

/// Ends sessions, waits until they are on record, then closes what they were recorded in.
async fn farewell(parts: Parts, mut running: tokio::task::JoinSet<()>, ending: watch::Sender<bool>) {
    ending.send_replace(true);
    let sessions = parts.clerk.sessions.clone();
    let none_left = async {
        while sessions.count() > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    if tokio::time::timeout(FAREWELL, none_left).await.is_err() {
        tracing::error!(
            sessions = sessions.count(),
            "sessions did not end; they will be marked as lost"
        );
    }
    running.shutdown().await;
    let synced = tokio::task::spawn_blocking(move || parts.journal.sync_blocking().is_ok());
    if !synced.await.unwrap_or(false) {
        tracing::error!("the journal could not be synced");
    }
    parts.store.close().await;
    // Whoever started it may not listen any more.
    drop(writeln!(io::stdout(), "stopped"));
}

/// Whoever starts a server on a small disk is told now, not by the first session that is refused.
fn warn_of_space(parts: &Parts) {
    let health = parts.journal.health();
    if health.state == State::LowDisk {
        tracing::warn!(
            free_mib = health.available_bytes >> 20,
            low_water_mib = parts.server.journal.low_water_bytes >> 20,
            "no session can begin: the recordings' disk has too little space; make room, or set `low_water_mib` of \
             [journal] in server.toml"
        );
    }
}

fn tell(parts: &Parts, is_new: bool, (ssh, api, log): (&TcpListener, SocketAddr, &TcpListener)) -> Result<(), Failure> {
    let paint = paint::Paint::of_output();
    let at = |listener: &TcpListener| listener.local_addr().map_err(Failure::unavailable);
    let data = parts.server.data.display();
    if is_new {
        println!("made      {data}: database and journal (0700), master.key, host_key (back these two up, apart)");
    }
    let host_key = Key::new(parts.clerk.host_key.public_key()).map_err(Failure::unavailable)?;
    println!("gateway   {} known as {}", paint.bold(at(ssh)?), parts.server.public);
    println!("api       {}", paint.bold(format!("http://{api}")));
    println!("log       {}", paint.bold(format!("http://{}", at(log)?)));
    println!("host key  {host_key}");
    if is_new {
        println!(
            "next: an owner needs an offer: countersign environment offer NAME --server http://{api} > offer.json"
        );
    }
    Ok(())
}

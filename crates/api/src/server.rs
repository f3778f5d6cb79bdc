//! Listening, and what one client may hold: connections, header time, request time, body length.
//!
//! INVARIANT (loopback): the API speaks plain HTTP and its tokens are secrets, so it binds to loopback only.

use crate::endpoint;
use crate::problem::Problem;
use crate::recordings::Recordings;
use crate::sign_in::SignIn;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use desk::Desk;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use model::name::EnvironmentName;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// Connections at once; more wait to be accepted.
const CONNECTIONS_MAX: usize = 256;
/// How long a client may take for a request's head, and between requests.
const HEAD: Duration = Duration::from_secs(10);
/// How long a request may take, its body included.
const REQUEST: Duration = Duration::from_secs(30);
/// Bytes of a request's body.
const BODY_LENGTH_MAX: usize = 64 * 1024;
/// How long requests may finish after the order to stop.
const GRACE: Duration = Duration::from_secs(2);

/// What the API is started with.
pub struct Config {
    /// Where it listens; a loopback address.
    pub bind: SocketAddr,
    /// How clients name this server, one of which is part of every challenge; beside them `http://` and the address,
    /// or `localhost` and its port.
    pub origins: Vec<String>,
    /// Why the log of an environment is not published, if it is not.
    pub unpublished: Unpublished,
    /// Why nothing can be recorded, if so.
    pub unrecorded: Unrecorded,
}

/// Asks why the log of an environment is not published; `None` when it is.
pub type Unpublished = Box<dyn Fn(&EnvironmentName) -> Option<String> + Send + Sync>;
/// Asks why nothing can be recorded; `None` when it can.
pub type Unrecorded = Box<dyn Fn() -> Option<String> + Send + Sync>;

/// Why the API does not listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Its tokens would cross a network in the clear.
    #[error(
        "`{0}` is not a loopback address: the API speaks plain HTTP, so it listens on loopback only; put a TLS proxy or an SSH tunnel in front of 127.0.0.1"
    )]
    NotLoopback(SocketAddr),
    /// The system said no.
    #[error("`{0}`: {1}")]
    Io(SocketAddr, #[source] io::Error),
    /// No key for challenges could be made.
    #[error("no randomness can be had: {0}")]
    Randomness(getrandom::Error),
}

pub(crate) type Shared = Arc<Api>;

pub(crate) struct Api {
    pub(crate) desk: Arc<Desk>,
    pub(crate) recordings: Recordings,
    pub(crate) sign_in: SignIn,
    pub(crate) unpublished: Unpublished,
    pub(crate) unrecorded: Unrecorded,
}

/// An API that listens.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
}

impl Server {
    /// Binds, and refuses what is not loopback.
    ///
    /// # Errors
    /// See [`BindError`].
    pub async fn bind(config: Config, desk: Arc<Desk>, recordings: Recordings) -> Result<Self, BindError> {
        if !config.bind.ip().is_loopback() {
            return Err(BindError::NotLoopback(config.bind));
        }
        let bound = TcpListener::bind(config.bind).await;
        let listener = bound.map_err(|error| BindError::Io(config.bind, error))?;
        let address = listener
            .local_addr()
            .map_err(|error| BindError::Io(config.bind, error))?;
        let own = [
            format!("http://{address}"),
            format!("http://localhost:{}", address.port()),
        ];
        let origins = config.origins.into_iter().chain(own).collect();
        let api = Arc::new(Api {
            desk,
            recordings,
            unpublished: config.unpublished,
            unrecorded: config.unrecorded,
            sign_in: SignIn::new(origins).map_err(BindError::Randomness)?,
        });
        let router = endpoint::router(api)
            .layer(DefaultBodyLimit::max(BODY_LENGTH_MAX))
            .layer(middleware::from_fn(in_time));
        Ok(Self {
            listener,
            address,
            router,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is ready, then lets requests finish for a moment.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let (stopping, stopped) = watch::channel(());
        let mut connections = JoinSet::new();
        let mut stop = pin!(stop);
        loop {
            while connections.try_join_next().is_some() {}
            let next = async {
                let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
                let (stream, _) = self.listener.accept().await?;
                Ok::<_, io::Error>((stream, place))
            };
            let accepted = tokio::select! {
                () = &mut stop => break,
                accepted = next => accepted,
            };
            match accepted {
                Ok((stream, place)) => {
                    let serving = serve(stream, self.router.clone(), stopped.clone());
                    connections.spawn(async move {
                        serving.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(stopping);
        let finished = async { while connections.join_next().await.is_some() {} };
        // Whoever is left after that is cut.
        drop(tokio::time::timeout(GRACE, finished).await);
    }
}

async fn serve(stream: TcpStream, router: Router, mut stopped: watch::Receiver<()>) {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(64 * 1024);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    let result = tokio::select! {
        result = &mut connection => result,
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection broke off");
    }
}

async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(StatusCode::REQUEST_TIMEOUT, "too_slow", "the request took too long").into_response(),
    }
}

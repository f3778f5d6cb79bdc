//! The witness over HTTP: `POST /add-checkpoint`, and for people `GET /` and `GET /vkey`.
//!
//! Status codes are those of C2SP `tlog-witness`. Requests carry no authentication beyond the checkpoint's signature, so
//! everything a stranger can hold open is bounded: connections, time for a header, time and size of a body.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use ledger::note::NoteSignature;
use ledger::submission::SUBMISSION_BYTES_MAX;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use super::{Refusal, Witness};

const TEXT: &str = "text/plain; charset=utf-8";
/// The content type of an answer that is a tree size.
const SIZE: &str = "text/x.tlog.size";
/// How long requests that have begun may take once the server is told to stop.
const DRAIN: Duration = Duration::from_secs(5);

/// What strangers may hold open.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once; more wait to be accepted.
    pub connections: usize,
    /// For the header of a request, also of the next one on an open connection.
    pub header: Duration,
    /// For the body of a request.
    pub body: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            header: Duration::from_secs(10),
            body: Duration::from_secs(10),
        }
    }
}

/// The endpoints, with the default time for a body.
pub fn router(witness: Arc<Witness>) -> Router {
    routes(witness, Limits::default().body)
}

fn routes(witness: Arc<Witness>, body: Duration) -> Router {
    Router::new()
        .route("/", get(about))
        .route("/vkey", get(vkey))
        .route(
            "/add-checkpoint",
            post(move |witness, request| add_checkpoint(witness, request, body)),
        )
        .with_state(witness)
}

/// Serves until `shutdown`, then gives requests that have begun five seconds.
pub async fn serve(
    listener: TcpListener,
    witness: Arc<Witness>,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let routes = routes(witness, limits.body);
    let places = Arc::new(Semaphore::new(limits.connections));
    let (stop, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let (stream, place) = tokio::select! {
            () = &mut shutdown => break,
            next = next(&listener, &places) => next?,
        };
        while connections.try_join_next().is_some() {}
        connections.spawn(converse(stream, routes.clone(), limits.header, stopped.clone(), place));
    }
    drop(stop);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        tracing::warn!("requests were cut off");
    }
    Ok(())
}

/// The next connection, once there is a place for it.
async fn next(listener: &TcpListener, places: &Arc<Semaphore>) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return Ok((stream, place)),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(
    stream: TcpStream,
    routes: Router,
    header: Duration,
    mut stopped: watch::Receiver<()>,
    _place: OwnedSemaphorePermit,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "the connection is gone");
    }
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(header)
        .max_headers(64)
        .max_buf_size(16 * 1024);
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "the connection ended");
    }
}

async fn add_checkpoint(State(witness): State<Arc<Witness>>, request: Request, limit: Duration) -> Response {
    let body = match tokio::time::timeout(limit, read(request.into_body())).await {
        Ok(Some(body)) => body,
        Ok(None) => return (StatusCode::PAYLOAD_TOO_LARGE, "the submission is too long\n").into_response(),
        Err(_) => return (StatusCode::REQUEST_TIMEOUT, "the submission takes too long\n").into_response(),
    };
    match tokio::task::spawn_blocking(move || witness.add_checkpoint(&body)).await {
        Ok(answer) => answer_of(answer),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The body, unless it is too long or breaks off.
async fn read(body: Body) -> Option<Vec<u8>> {
    axum::body::to_bytes(body, SUBMISSION_BYTES_MAX)
        .await
        .ok()
        .map(Into::into)
}

fn answer_of(answer: Result<NoteSignature, Refusal>) -> Response {
    let refusal = match answer {
        Ok(signature) => return ([(CONTENT_TYPE, TEXT)], signature.to_string()).into_response(),
        Err(refusal) => refusal,
    };
    let status = match &refusal {
        Refusal::Malformed(_) => StatusCode::BAD_REQUEST,
        Refusal::UnknownOrigin(_) => StatusCode::NOT_FOUND,
        Refusal::NotSigned(_) | Refusal::Signature(_) => StatusCode::FORBIDDEN,
        Refusal::OldSize { latest: size } | Refusal::Fork { size, .. } => {
            return (StatusCode::CONFLICT, [(CONTENT_TYPE, SIZE)], format!("{size}\n")).into_response();
        }
        Refusal::NotConsistent => StatusCode::UNPROCESSABLE_ENTITY,
        Refusal::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, [(CONTENT_TYPE, TEXT)], format!("{refusal}\n")).into_response()
}

async fn vkey(State(witness): State<Arc<Witness>>) -> Response {
    ([(CONTENT_TYPE, TEXT)], format!("{}\n", witness.verifier())).into_response()
}

async fn about(State(witness): State<Arc<Witness>>) -> Response {
    // Heads are behind locks that are held while a record is written.
    match tokio::task::spawn_blocking(move || page(&witness)).await {
        Ok(page) => ([(CONTENT_TYPE, TEXT), (CACHE_CONTROL, "no-store")], page).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn page(witness: &Witness) -> String {
    let key = witness.verifier();
    let logs = witness.latest().into_iter().map(|(origin, head)| match head {
        Some(head) => format!("{origin}: {} entries, root {}\n", head.size, head.root),
        None => format!("{origin}: nothing cosigned yet\n"),
    });
    let logs: String = logs.collect();
    format!(
        "{}: a transparency log witness (c2sp.org/tlog-witness)\n\n{key}\n\n{logs}",
        key.name()
    )
}

//! The public side of the logs over HTTP: checkpoints and hash tiles, for anybody. Nothing confidential is here; what a
//! stranger can hold open is bounded.

use super::heads;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use publisher::Publisher;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Connections at once; more wait to be accepted.
const CONNECTIONS_MAX: usize = 256;
/// For the header of a request, also of the next one on an open connection.
const HEADER: Duration = Duration::from_secs(10);

/// Serves until it is dropped.
pub(super) async fn serve(listener: TcpListener, publisher: Publisher, store: Store) {
    let routes = publisher::router(publisher).merge(heads::router(store));
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let routes = routes.clone();
        tokio::spawn(async move {
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new())
                .header_read_timeout(HEADER)
                .max_headers(64);
            let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the connection ended");
            }
            drop(place);
        });
    }
}

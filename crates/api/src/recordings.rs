//! Sealed extents of recordings on their way to a client. Where they lie is the binary's knowledge; it hands in a
//! function that finds them.

use bytes::Bytes;
use hyper::body::{Body, Frame};
use model::id::SessionId;
use model::name::EnvironmentName;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;

/// Pieces that wait for a slow client.
const WAITING_MAX: usize = 4;
/// How long a client may take for one piece.
const PIECE: Duration = Duration::from_secs(60);

/// The ciphertext of one recording, piece by piece in its order.
pub type Extents = Box<dyn Iterator<Item = io::Result<Vec<u8>>> + Send>;

type Find = dyn Fn(&EnvironmentName, SessionId) -> io::Result<Option<Extents>> + Send + Sync;

/// Finds recordings.
#[derive(Clone)]
pub struct Recordings(Arc<Find>);

impl Recordings {
    /// Recordings that `find` knows; `None`: it has none of that session.
    pub fn new(
        find: impl Fn(&EnvironmentName, SessionId) -> io::Result<Option<Extents>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(find))
    }

    /// The pieces of one recording, read off the runtime's threads, no faster than the client takes them.
    pub(crate) async fn stream(&self, environment: &EnvironmentName, session: SessionId) -> io::Result<Option<Stream>> {
        let (find, environment) = (self.0.clone(), environment.clone());
        let found = tokio::task::spawn_blocking(move || find(&environment, session))
            .await
            .map_err(io::Error::other)??;
        let Some(extents) = found else { return Ok(None) };
        let (pieces, waiting) = mpsc::channel(WAITING_MAX);
        tokio::spawn(send(extents, pieces));
        Ok(Some(Stream(waiting)))
    }
}

/// One piece, or the end of the recording.
type Piece = Option<io::Result<Bytes>>;

async fn send(mut extents: Extents, pieces: mpsc::Sender<Piece>) {
    loop {
        let next = tokio::task::spawn_blocking(move || {
            let piece = extents.next();
            (extents, piece)
        });
        let Ok((rest, piece)) = next.await else { return };
        extents = rest;
        let last = !matches!(piece, Some(Ok(_)));
        let sent = pieces
            .send_timeout(piece.map(|piece| piece.map(Bytes::from)), PIECE)
            .await;
        if last || sent.is_err() {
            return;
        }
    }
}

/// A response's body. Without the piece that says the end, it breaks off: a client never takes a part for the whole.
pub(crate) struct Stream(mpsc::Receiver<Piece>);

impl Body for Stream {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(context).map(|received| match received {
            Some(piece) => piece.map(|piece| piece.map(Frame::data)),
            None => Some(Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the recording was not sent to its end",
            ))),
        })
    }
}

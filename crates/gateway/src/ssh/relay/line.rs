//! A connection's socket with two switches: whoever has not logged in by the deadline is cut, and a connection can be
//! cut at any time, also in the middle of a key exchange or while its peer reads nothing.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// The outside of a [`Line`].
#[derive(Debug, Default)]
pub(super) struct Switch {
    logged_in: AtomicBool,
    cut: AtomicBool,
    late: AtomicBool,
    gave_way: AtomicBool,
    reader: Mutex<Option<Waker>>,
    writer: Mutex<Option<Waker>>,
}

impl Switch {
    /// The deadline does not count any more.
    pub(super) fn log_in(&self) {
        self.logged_in.store(true, SeqCst);
    }

    pub(super) fn is_logged_in(&self) -> bool {
        self.logged_in.load(SeqCst)
    }

    /// Whether the deadline has cut it.
    pub(super) fn was_late(&self) -> bool {
        self.late.load(SeqCst)
    }

    /// Cuts it, to make room for others.
    pub(super) fn give_way(&self) {
        self.gave_way.store(true, SeqCst);
        self.cut();
    }

    pub(super) fn gave_way(&self) -> bool {
        self.gave_way.load(SeqCst)
    }

    /// Nothing is read or written from now on.
    pub(super) fn cut(&self) {
        self.cut.store(true, SeqCst);
        wake(&self.reader);
        wake(&self.writer);
    }

    fn check(&self, waker: &Mutex<Option<Waker>>, cx: &Context<'_>) -> io::Result<()> {
        *waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        if self.cut.load(SeqCst) {
            Err(io::ErrorKind::ConnectionAborted.into())
        } else {
            Ok(())
        }
    }
}

fn wake(waker: &Mutex<Option<Waker>>) {
    if let Some(waker) = waker.lock().unwrap_or_else(PoisonError::into_inner).take() {
        waker.wake();
    }
}

/// A stream that its [`Switch`] can end.
pub(super) struct Line<S> {
    stream: S,
    switch: Arc<Switch>,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> Line<S> {
    pub(super) fn new(stream: S, switch: Arc<Switch>, log_in_max: Duration) -> Self {
        Self {
            stream,
            switch,
            deadline: Some(Box::pin(tokio::time::sleep(log_in_max))),
        }
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) {
        let Some(deadline) = &mut self.deadline else { return };
        if self.switch.is_logged_in() {
            self.deadline = None;
        } else if deadline.as_mut().poll(cx).is_ready() {
            self.switch.late.store(true, SeqCst);
            self.switch.cut();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Line<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_deadline(cx);
        self.switch.check(&self.switch.reader, cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Line<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_deadline(cx);
        self.switch.check(&self.switch.writer, cx)?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.switch.check(&self.switch.writer, cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const SHORT: Duration = Duration::from_millis(30);

    #[tokio::test]
    async fn who_does_not_log_in_is_cut_at_the_deadline() {
        let switch = Arc::new(Switch::default());
        let (_far, near) = tokio::io::duplex(64);
        let mut line = Line::new(near, Arc::clone(&switch), SHORT);
        assert!(line.read_u8().await.is_err());
        assert!(switch.was_late() && line.write_all(b"x").await.is_err());
    }

    #[tokio::test]
    async fn who_logged_in_stays() {
        let switch = Arc::new(Switch::default());
        let (mut far, near) = tokio::io::duplex(64);
        let mut line = Line::new(near, Arc::clone(&switch), SHORT);
        switch.log_in();
        tokio::time::sleep(2 * SHORT).await;
        far.write_all(b"x").await.unwrap();
        assert_eq!(line.read_u8().await.unwrap(), b'x');
        assert!(!switch.was_late());
    }

    #[tokio::test]
    async fn a_cut_wakes_reader_and_writer() {
        let switch = Arc::new(Switch::default());
        let (_far, near) = tokio::io::duplex(4);
        let (mut read, mut write) = tokio::io::split(Line::new(near, Arc::clone(&switch), Duration::from_secs(60)));
        switch.log_in();
        let reading = tokio::spawn(async move { read.read_u8().await.is_err() });
        let writing = tokio::spawn(async move { write.write_all(&[0; 64]).await.is_err() });
        tokio::time::sleep(SHORT).await;
        assert!(!reading.is_finished() && !writing.is_finished());
        switch.cut();
        assert!(reading.await.unwrap() && writing.await.unwrap());
    }
}

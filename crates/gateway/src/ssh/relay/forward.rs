//! The only module that writes to either side. Bytes, requests and endings are taken only as [`Journaled`]; what the
//! gateway itself says is its own.

use bytes::Bytes;
use journal::Journaled;
use recording::{Exit, Resize};
use russh::{ChannelWriteHalf, client, server};

use super::request::{Described, Request, Size, signal_of};

/// The other side is gone.
#[derive(Debug)]
pub(super) struct Gone;

type Written = Result<(), Gone>;

fn written(result: Result<(), russh::Error>) -> Written {
    result.map_err(|_| Gone)
}

/// A channel's writing end at the target.
pub(super) struct ToTarget(ChannelWriteHalf<client::Msg>);

impl ToTarget {
    pub(super) const fn new(write: ChannelWriteHalf<client::Msg>) -> Self {
        Self(write)
    }

    /// What the person typed or sent.
    pub(super) async fn data(&self, data: Journaled<Bytes>) -> Written {
        written(self.0.data_bytes(data.release()).await)
    }

    /// A request; the answer comes by itself.
    pub(super) async fn request(&self, request: Journaled<Described>, want_reply: bool) -> Written {
        let write = &self.0;
        written(match request.release().request {
            Request::Pty { term, size, modes } => {
                let Size {
                    columns,
                    rows,
                    width,
                    height,
                } = size;
                write
                    .request_pty(want_reply, &term, columns, rows, width, height, &modes)
                    .await
            }
            Request::Env { name, value } => write.set_env(want_reply, name, value).await,
            Request::Shell => write.request_shell(want_reply).await,
            Request::Exec(command) => write.exec(want_reply, command).await,
            Request::Subsystem(name) => write.request_subsystem(want_reply, name).await,
            Request::Resize(size) => {
                write
                    .window_change(size.columns, size.rows, size.width, size.height)
                    .await
            }
            Request::Signal(signal) => write.signal(signal).await,
            Request::Named { name, data } => write.request(&name, want_reply, data).await,
        })
    }

    /// A terminal's new size.
    pub(super) async fn resize(&self, recorded: Journaled<Resize>, size: Size) -> Written {
        let Resize { .. } = recorded.release();
        written(
            self.0
                .window_change(size.columns, size.rows, size.width, size.height)
                .await,
        )
    }

    /// The person sends no more.
    pub(super) async fn eof(&self) -> Written {
        written(self.0.eof().await)
    }

    /// The channel is closed.
    pub(super) async fn close(&self) -> Written {
        written(self.0.close().await)
    }
}

/// A channel's writing end at the client.
pub(super) struct ToClient(ChannelWriteHalf<server::Msg>);

impl ToClient {
    pub(super) const fn new(write: ChannelWriteHalf<server::Msg>) -> Self {
        Self(write)
    }

    /// What the target printed.
    pub(super) async fn output(&self, data: Journaled<Bytes>) -> Written {
        written(self.0.data_bytes(data.release()).await)
    }

    /// What the target printed as an error.
    pub(super) async fn error_output(&self, data: Journaled<Bytes>) -> Written {
        written(self.0.extended_data_bytes(1, data.release()).await)
    }

    /// A request of the target that wants no answer.
    pub(super) async fn request(&self, request: Journaled<Described>) -> Written {
        match request.release().request {
            Request::Named { name, data } => written(self.0.request(&name, false, data).await),
            _ => Ok(()),
        }
    }

    /// How the program ended.
    pub(super) async fn exit(&self, exit: Journaled<Exit>) -> Written {
        match exit.release() {
            Exit::Status(status) => written(self.0.exit_status(status).await),
            Exit::Signal(name) => written(
                self.0
                    .exit_signal(signal_of(&name), false, String::new(), String::new())
                    .await,
            ),
            Exit::Unsaid => Ok(()),
        }
    }

    /// The answer to the oldest request that wants one.
    pub(super) async fn answer(&self, success: bool) -> Written {
        written(self.0.answer(success).await)
    }

    /// Words of the gateway on a terminal or, without one, on standard error.
    pub(super) async fn say(&self, text: &str, terminal: bool) -> Written {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        written(match terminal {
            true => self.0.data_bytes(bytes).await,
            false => self.0.extended_data_bytes(1, bytes).await,
        })
    }

    /// Words of the gateway on standard output: only for a channel that has no target, or asked for them.
    pub(super) async fn print(&self, text: &str) -> Written {
        written(self.0.data_bytes(Bytes::copy_from_slice(text.as_bytes())).await)
    }

    /// The report of a check, on standard output.
    pub(super) async fn report(&self, report: Journaled<&String>) -> Written {
        self.print(report.release()).await
    }

    /// The gateway's own exit status.
    pub(super) async fn status(&self, status: u32) -> Written {
        written(self.0.exit_status(status).await)
    }

    /// No more data.
    pub(super) async fn eof(&self) -> Written {
        written(self.0.eof().await)
    }

    /// The channel is closed.
    pub(super) async fn close(&self) -> Written {
        written(self.0.close().await)
    }
}

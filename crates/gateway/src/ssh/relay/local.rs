//! A `session` channel before it has a target, or without one: its requests are accepted and kept, whoever has a
//! terminal is told and may wait, everybody else gets one line on standard error and status 254.
//!
//! INVARIANT (clean output): nothing is written to the standard output of a channel without a terminal.

use std::time::{Duration, Instant};

use bytes::Bytes;
use russh::{ChannelMsg, ChannelReadHalf};

use crate::ssh::refusal::Code;
use crate::ssh::session::check::Form;

use super::channel::Stop;
use super::check;
use super::forward::{Gone, ToClient};
use super::live::{Barred, Session, Stage};
use super::request::{Request, Size};

/// The exit status of everything that the gateway itself ends.
const STATUS: u32 = 254;
/// Requests that are kept before the one that begins.
const KEPT_MAX: usize = 64;
/// What may be typed ahead.
const EARLY_BYTES_MAX: usize = 64 * 1024;
/// How often who waits sees that time passes.
const PROGRESS: Duration = Duration::from_secs(5);
const INTERRUPT: u8 = 0x03;

/// What a channel asked for until something began.
pub(super) struct Begun {
    /// What begins: shell, exec or subsystem.
    pub(super) request: Request,
    pub(super) want_reply: bool,
    /// The terminal's size, if one was asked for.
    pub(super) pty: Option<Size>,
    /// What came before it; already accepted.
    pub(super) before: Vec<Request>,
    /// What was sent ahead.
    pub(super) early: Vec<Bytes>,
    /// No more is sent.
    pub(super) eof: bool,
}

/// Reads and accepts requests until one begins something. Nothing when the client leaves or goes too far.
pub(super) async fn begun(read: &mut ChannelReadHalf, client: &ToClient) -> Option<Begun> {
    let (mut before, mut pty, mut early, mut eof) = (Vec::new(), None, Early::default(), false);
    loop {
        let msg = match read.wait().await? {
            ChannelMsg::Data { data } => {
                early.keep(data).ok()?;
                continue;
            }
            ChannelMsg::Eof => {
                eof = true;
                continue;
            }
            ChannelMsg::Close => return None,
            msg => msg,
        };
        let Some((request, want_reply)) = Request::read(msg) else {
            continue;
        };
        let accepted = match &request {
            Request::Shell | Request::Exec(_) | Request::Subsystem(_) => {
                return Some(Begun {
                    request,
                    want_reply,
                    pty,
                    before,
                    early: early.kept,
                    eof,
                });
            }
            Request::Pty { size, .. } => {
                pty = Some(*size);
                true
            }
            Request::Env { .. } | Request::Resize(_) => true,
            Request::Signal(_) | Request::Named { .. } => false,
        };
        if accepted {
            before.push(request);
        }
        if before.len() > KEPT_MAX || (want_reply && client.answer(accepted).await.is_err()) {
            return None;
        }
    }
}

#[derive(Default)]
struct Early {
    kept: Vec<Bytes>,
    bytes: usize,
}

impl Early {
    fn keep(&mut self, data: Bytes) -> Result<(), Gone> {
        self.bytes = self.bytes.saturating_add(data.len());
        if self.bytes > EARLY_BYTES_MAX {
            return Err(Gone);
        }
        self.kept.push(data);
        Ok(())
    }
}

/// What became of a channel that began without a target.
pub(super) enum Outcome {
    /// It is over.
    Over,
    /// There is a target now: replay this on it.
    Replay(Begun),
}

/// Serves a channel while its session has no target.
pub(super) async fn serve(
    session: &mut Session,
    number: u32,
    read: &mut ChannelReadHalf,
    client: &ToClient,
) -> Outcome {
    let Some(begun) = begun(read, client).await else {
        return Outcome::Over;
    };
    if begun.want_reply && client.answer(true).await.is_err() {
        return Outcome::Over;
    }
    let terminal = begun.pty.is_some() && matches!(begun.request, Request::Shell);
    let waited = match session.stage() {
        Stage::Live(_) => return Outcome::Replay(begun),
        Stage::Waiting(text) if terminal => wait(session, read, client, begun, &text).await,
        Stage::Waiting(text) | Stage::Refused(text) | Stage::Over(text) => Err(text),
        Stage::Barred(barred) => match check_wanted(&begun) {
            Some(form) => explain(session, &barred, number, (client, form)).await,
            None => Err(barred.text.clone()),
        },
        Stage::Asking => Err(Code::Gate.says("the gateway cannot decide now; try again")),
    };
    match waited {
        Ok(outcome) => outcome,
        Err(text) => {
            drop(refuse(client, &text, terminal).await);
            Outcome::Over
        }
    }
}

fn check_wanted(begun: &Begun) -> Option<Form> {
    match &begun.request {
        Request::Subsystem(name) => Form::of(name),
        _ => None,
    }
}

/// A check of a target that refuses the session: it finds out why.
async fn explain(session: &Session, barred: &Barred, number: u32, to: (&ToClient, Form)) -> Result<Outcome, String> {
    match check::barred(session, barred, number, to).await {
        Err(Stop::Shut) => Err(match session.stage() {
            Stage::Over(text) => text,
            _ => barred.text.clone(),
        }),
        _ => Ok(Outcome::Over),
    }
}

/// Says why, with status 254, and closes.
pub(super) async fn refuse(client: &ToClient, text: &str, terminal: bool) -> Result<(), Gone> {
    let end = if terminal { "\r\n" } else { "\n" };
    client.say(&format!("{text}{end}"), terminal).await?;
    client.status(STATUS).await?;
    client.eof().await?;
    client.close().await
}

/// Waits on a terminal until there is a target. Ctrl-C stops waiting; what else is typed is kept for the target.
async fn wait(
    session: &mut Session,
    read: &mut ChannelReadHalf,
    client: &ToClient,
    mut begun: Begun,
    text: &str,
) -> Result<Outcome, String> {
    let _attending = session.attend();
    let since = Instant::now();
    let mut early = Early {
        bytes: begun.early.iter().map(Bytes::len).sum(),
        kept: std::mem::take(&mut begun.early),
    };
    let mut progress = tokio::time::interval(PROGRESS);
    progress.tick().await;
    let gone = |_| String::new();
    client
        .say(&format!("{text}\r\nwaiting; Ctrl-C stops"), true)
        .await
        .map_err(gone)?;
    loop {
        tokio::select! {
            changed = session.stage.changed() => {
                let stage = if changed.is_ok() { session.stage() } else { Stage::Over("the session is over".to_owned()) };
                match stage {
                    Stage::Live(_) => {
                        client.say("\r\napproved\r\n", true).await.map_err(gone)?;
                        begun.early = early.kept;
                        return Ok(Outcome::Replay(begun));
                    }
                    Stage::Refused(text) | Stage::Over(text) => return Err(format!("\r\n{text}")),
                    Stage::Barred(barred) => return Err(format!("\r\n{}", barred.text)),
                    Stage::Asking | Stage::Waiting(_) => {}
                }
            }
            _ = progress.tick() => {
                client.say(&format!("\r\x1b[Kwaiting for {} s; Ctrl-C stops", since.elapsed().as_secs()), true).await.map_err(gone)?;
            }
            msg = read.wait() => match msg {
                Some(ChannelMsg::Data { data }) if data.contains(&INTERRUPT) => return Err("\r\nstopped waiting".to_owned()),
                Some(ChannelMsg::Data { data }) => early.keep(data).map_err(|_| "\r\ntoo much was typed ahead".to_owned())?,
                Some(ChannelMsg::Eof) => begun.eof = true,
                Some(ChannelMsg::Close) | None => return Ok(Outcome::Over),
                Some(ChannelMsg::WindowChange { col_width, row_height, pix_width, pix_height }) => {
                    resize(&mut begun, Size { columns: col_width, rows: row_height, width: pix_width, height: pix_height });
                }
                Some(_) => {}
            },
        }
    }
}

/// The terminal that is replayed has the newest size.
fn resize(begun: &mut Begun, new: Size) {
    begun.pty = Some(new);
    for request in &mut begun.before {
        if let Request::Pty { size, .. } = request {
            *size = new;
        }
    }
}

//! The check of a target, on a channel of an ordinary session: facts are read by a script, wrong certificates are tried,
//! and what came of it is judged by `session/check`.
//!
//! INVARIANT (on record first): the script and each log-in are actions of their own, begun and ended in the log; that the
//! session was dialed is the proof that the right certificate is accepted.

use std::time::{Duration, Instant};

use bytes::Bytes;
use model::id::ActionId;
use model::statement::ActionClass;
use recording::{Exit, Kind as Frame};
use russh::{ChannelMsg, ChannelReadHalf};
use tokio::time::timeout;

use crate::ssh::ask::{ActionEnd, Ask, Intent, Probe};
use crate::ssh::session::check::facts::{HEARD_BYTES_MAX, command};
use crate::ssh::session::check::{Clock, Facts, Findings, Heard, Knock, Knocked, Report, Wrong};

use super::channel::{Stop, unanswered};
use super::forward::ToTarget;
use super::live::{Live, Session};
use super::passage::Shut;
use super::request::{Request, signal_name};

/// The longest time to a channel at the target.
const OPEN_MAX: Duration = Duration::from_secs(10);
/// The longest time to the script's end.
const SCRIPT_MAX: Duration = Duration::from_secs(30);

/// Checks the target of a live session.
pub(super) async fn run(session: &Session, live: &Live, channel: u32) -> Result<Report, Stop> {
    let asked = Instant::now();
    let now_ms = session.desk.ask(Ask::Now).await;
    let check = Check {
        session,
        live,
        channel,
        began_ms: now_ms.ok_or_else(|| Stop::Refused(unanswered()))?,
        began: asked,
    };
    // First: refused log-ins may make a target slow, or deaf.
    let (facts, clock) = check.facts().await?;
    let mut knocks = vec![];
    for wrong in Wrong::ALL {
        knocks.push(check.knock(wrong).await?);
    }
    Ok(Report::new(&Findings {
        right: live.again.right.clone(),
        knocks,
        facts,
        clock,
        key_id: live.id.to_string(),
    }))
}

struct Check<'a> {
    session: &'a Session,
    live: &'a Live,
    channel: u32,
    /// What the log's clock said, and when.
    began_ms: u64,
    began: Instant,
}

/// What the script left behind.
#[derive(Default)]
struct Ran {
    heard: Heard,
    /// When the first of it came.
    first_ms: Option<u64>,
    bytes: u64,
    exit: Option<Exit>,
}

impl Check<'_> {
    fn now_ms(&self) -> u64 {
        let since = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.began_ms.saturating_add(since)
    }

    // Facts.

    async fn facts(&self) -> Result<(Result<Facts, String>, Option<Clock>), Stop> {
        let command = command(self.live.id);
        let action = self.begin(&command).await?;
        let asked_ms = self.now_ms();
        let mut ran = Ran::default();
        let why = tokio::select! {
            () = self.live.passage.is_shut() => Err(Stop::Shut),
            ran = timeout(SCRIPT_MAX, self.script(command, &mut ran)) => ran.unwrap_or(Ok(Some("did not end in time"))),
        };
        let exit = ran.exit.clone().unwrap_or(Exit::Unsaid);
        self.end(action, exit.clone(), ran.bytes).await;
        let why = why?;
        let facts = ran.heard.read();
        let heard = ran.first_ms.zip(facts.time_s);
        let clock = heard.map(|(heard_ms, said_s)| Clock::between(asked_ms, heard_ms, said_s));
        if facts != Facts::default() {
            return Ok((Ok(facts), clock));
        }
        let ended = match exit {
            Exit::Status(status) => format!(" (exit status {status})"),
            _ => String::new(),
        };
        let why = why.unwrap_or("gave no answer");
        Ok((Err(format!("what reads facts on the target {why}{ended}")), None))
    }

    /// Runs it to its end; otherwise says why not.
    async fn script(&self, command: String, ran: &mut Ran) -> Result<Option<&'static str>, Stop> {
        let opening = timeout(OPEN_MAX, self.live.target.channel_open_session());
        let Ok(Ok(target)) = opening.await else {
            return Ok(Some("was given no channel"));
        };
        let (mut read, write) = target.split();
        let target = ToTarget::new(write);
        let request = Request::Exec(command.into_bytes()).described();
        let journaled = self.live.passage.record(Frame::Opened, self.channel, request).await?;
        let said = async {
            target.request(journaled, true).await?;
            target.eof().await?;
            self.listen(&mut read, ran).await
        };
        let said = said.await;
        drop(target.close().await);
        said
    }

    async fn listen(&self, read: &mut ChannelReadHalf, ran: &mut Ran) -> Result<Option<&'static str>, Stop> {
        loop {
            match read.wait().await {
                Some(ChannelMsg::Data { data }) => {
                    ran.first_ms.get_or_insert_with(|| self.now_ms());
                    let bearable = ran.heard.hear(&data);
                    self.keep(Frame::Output, data, ran).await?;
                    if !bearable {
                        return Ok(Some("said too much"));
                    }
                }
                Some(ChannelMsg::ExtendedData { data, .. }) => {
                    self.keep(Frame::ErrorOutput, data, ran).await?;
                    if ran.bytes > HEARD_BYTES_MAX {
                        return Ok(Some("said too much"));
                    }
                }
                Some(ChannelMsg::Failure) => return Ok(Some("was not run")),
                Some(ChannelMsg::ExitStatus { exit_status }) => ran.exit = Some(Exit::Status(exit_status)),
                Some(ChannelMsg::ExitSignal {
                    signal_name: signal, ..
                }) => ran.exit = Some(Exit::Signal(signal_name(&signal))),
                Some(ChannelMsg::Close) | None => break,
                Some(_) => {}
            }
        }
        if let Some(exit) = ran.exit.clone() {
            drop(self.live.passage.exit(self.channel, exit).await?); // it goes nowhere
        }
        Ok(None)
    }

    /// Output is recorded, and goes nowhere: the report alone does.
    async fn keep(&self, frame: Frame, data: Bytes, ran: &mut Ran) -> Result<(), Shut> {
        ran.bytes += data.len() as u64;
        drop(self.live.passage.record(frame, self.channel, data).await?);
        Ok(())
    }

    // Wrong certificates.

    async fn knock(&self, wrong: Wrong) -> Result<Knock, Stop> {
        let action = self.begin(wrong.command()).await?;
        let began = self.mark(Frame::Opened, wrong.command()).await;
        let answer = match began {
            Ok(()) => tokio::select! {
                () = self.live.passage.is_shut() => Err(Stop::Shut),
                answer = self.try_wrong(action, wrong) => Ok(answer),
            },
            Err(shut) => Err(shut.into()),
        };
        let (exit, said) = match &answer {
            Ok(Knocked::Refused) => (Exit::Status(0), "refused"),
            Ok(Knocked::Accepted) => (Exit::Status(1), "ACCEPTED"),
            Ok(Knocked::Unclear(_)) | Err(_) => (Exit::Unsaid, "unclear"),
        };
        let at_ms = self.now_ms();
        let marked = self.mark(Frame::Mark, &format!("{}: {said}", wrong.command())).await;
        self.end(action, exit, 0).await;
        let answer = answer?;
        marked?;
        Ok(Knock { wrong, answer, at_ms })
    }

    async fn try_wrong(&self, action: ActionId, wrong: Wrong) -> Knocked {
        let probe = Probe {
            session: self.live.id,
            action,
            key: self.live.again.key().clone(),
            wrong,
        };
        let signed = self.session.desk.ask(|answer| Ask::Wrong(probe, answer)).await;
        match signed.unwrap_or_else(|| Err("nobody signs".to_owned())) {
            Ok(certificate) => self.live.again.knock(certificate).await,
            Err(why) => Knocked::Unclear(why),
        }
    }

    // On record.

    async fn mark(&self, frame: Frame, text: &str) -> Result<(), Shut> {
        drop(self.live.passage.record(frame, self.channel, text).await?); // it goes nowhere
        Ok(())
    }

    async fn begin(&self, command: &str) -> Result<ActionId, Stop> {
        let intent = Intent {
            session: self.live.id,
            channel: self.channel,
            class: ActionClass::Exec,
            command: Some(command.as_bytes().to_vec()),
            pty: false,
            frame: self.live.passage.next_frame(),
            offset_us: self.live.passage.now_us(),
        };
        let intended = self.session.desk.ask(|answer| Ask::Intend(intent, answer)).await;
        let action = intended.unwrap_or_else(|| Err(unanswered())).map_err(Stop::Refused)?;
        let what = "a check of this target".to_owned();
        self.live.tallies.began(self.channel, what);
        Ok(action)
    }

    async fn end(&self, action: ActionId, exit: Exit, bytes_out: u64) {
        let end = ActionEnd {
            action,
            exit,
            bytes_in: 0,
            bytes_out,
            frame: self.live.passage.next_frame(),
        };
        if self
            .session
            .desk
            .ask(|answer| Ask::ActionEnded(end, answer))
            .await
            .is_none()
        {
            tracing::error!(session = %self.live.id, %action, "the end of an action could not be recorded");
        }
        self.live.tallies.ended(self.channel);
    }
}

//! The check of a target, on a channel of an ordinary session: facts are read by a script, wrong certificates are tried,
//! and what came of it is judged by `session/check`. Where the target refuses the session's own certificate, one that is
//! bound to less finds out why.
//!
//! INVARIANT (on record first): the script and each log-in are actions of their own, begun and ended in the log; that the
//! session is live is the proof that the right certificate is accepted.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use bytes::Bytes;
use model::id::{ActionId, SessionId};
use model::statement::ActionClass;
use recording::{Exit, Kind as Frame};
use russh::client::Handle;
use russh::{ChannelMsg, ChannelReadHalf};
use tokio::time::timeout;

use crate::ssh::ask::{ActionEnd, Ask, Intent, Probe};
use crate::ssh::session::check::facts::{HEARD_BYTES_MAX, command};
use crate::ssh::session::check::{Clock, Facts, Findings, Form, Heard, Knock, Knocked, Report, Wrong};

use super::channel::{Stop, unanswered};
use super::dial::{self, Again, Side};
use super::forward::{ToClient, ToTarget};
use super::live::{Barred, Live, Session, Tallies};
use super::local;
use super::passage::{Passage, Shut};
use super::request::{Request, signal_name};

/// The longest time to a channel at the target.
const OPEN_MAX: Duration = Duration::from_secs(10);
/// The longest time to the script's end.
const SCRIPT_MAX: Duration = Duration::from_secs(30);

/// Checks the target of a live session, and answers with the report.
pub(super) async fn run(
    session: &Session,
    live: &Live,
    channel: u32,
    (client, form): (&ToClient, Form),
) -> Result<(), Stop> {
    let place = Place {
        id: live.id,
        again: &live.again,
        passage: &live.passage,
        tallies: &live.tallies,
        channel,
    };
    let report = match Check::begun(session, place).await {
        Ok(check) => check.live(&live.target).await,
        Err(stop) => Err(stop),
    };
    tell(client, form, &live.passage, channel, report).await
}

/// Finds out why the target of a session refuses it, and answers with the report.
pub(super) async fn barred(
    session: &Session,
    barred: &Barred,
    channel: u32,
    (client, form): (&ToClient, Form),
) -> Result<(), Stop> {
    barred.passage.checking(true);
    barred.tallies.channels_opened.fetch_add(1, Relaxed);
    let place = Place {
        id: barred.id,
        again: &barred.again,
        passage: &barred.passage,
        tallies: &barred.tallies,
        channel,
    };
    let report = match Check::begun(session, place).await {
        Ok(check) => check.barred().await,
        Err(stop) => Err(stop),
    };
    let told = tell(client, form, &barred.passage, channel, report).await;
    barred.passage.checking(false);
    barred.tallies.channels_closed.fetch_add(1, Relaxed);
    drop(barred.passage.record(Frame::Closed, channel, "").await?); // it goes nowhere
    told
}

async fn tell(
    client: &ToClient,
    form: Form,
    passage: &Passage,
    channel: u32,
    report: Result<Report, Stop>,
) -> Result<(), Stop> {
    let report = match report {
        Err(Stop::Refused(refusal)) => return Ok(local::refuse(client, &refusal.line(), false).await?),
        report => report?,
    };
    let text = report.print(form);
    let journaled = passage.record(Frame::Mark, channel, &text).await?;
    client.report(journaled).await?;
    client.status(report.status()).await?;
    client.eof().await?;
    Ok(client.close().await?)
}

/// What of a session a check needs.
#[derive(Clone, Copy)]
struct Place<'a> {
    id: SessionId,
    again: &'a Again,
    passage: &'a Passage,
    tallies: &'a Tallies,
    channel: u32,
}

struct Check<'a> {
    session: &'a Session,
    place: Place<'a>,
    /// What the log's clock said, and when.
    began_ms: u64,
    began: Instant,
}

/// What a target says of itself, and its clock.
type Told = (Result<Facts, String>, Option<Clock>);

/// A log-in with another certificate than the session's own.
struct Tried {
    answer: Knocked,
    /// The connection, as long as it stands.
    target: Option<Handle<Side>>,
    /// What the certificate lets sshd run.
    runs: String,
}

impl Tried {
    fn unclear(why: String) -> Self {
        Self {
            answer: Knocked::Unclear(why),
            target: None,
            runs: String::new(),
        }
    }
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

impl Ran {
    /// What it said; `why` it ended, where that was not by itself.
    fn told(&self, asked_ms: u64, why: Option<&'static str>) -> Told {
        let facts = self.heard.read();
        let heard = self.first_ms.zip(facts.time_s);
        let clock = heard.map(|(heard_ms, said_s)| Clock::between(asked_ms, heard_ms, said_s));
        if facts != Facts::default() {
            return (Ok(facts), clock);
        }
        let ended = match self.exit {
            Some(Exit::Status(status)) => format!(" (exit status {status})"),
            _ => String::new(),
        };
        let why = why.unwrap_or("gave no answer");
        (Err(format!("what reads facts on the target {why}{ended}")), None)
    }
}

impl<'a> Check<'a> {
    async fn begun(session: &'a Session, place: Place<'a>) -> Result<Self, Stop> {
        let began = Instant::now();
        let now_ms = session.desk.ask(Ask::Now).await;
        Ok(Self {
            session,
            place,
            began_ms: now_ms.ok_or_else(|| Stop::Refused(unanswered()))?,
            began,
        })
    }

    async fn live(&self, target: &Handle<Side>) -> Result<Report, Stop> {
        // First: refused log-ins may make a target slow, or deaf.
        let (facts, clock) = self.facts(target).await?;
        let mut knocks = vec![];
        for wrong in Wrong::REFUSED {
            knocks.push(self.knock(wrong).await?);
        }
        Ok(Report::new(&self.findings(knocks, facts, clock)))
    }

    async fn barred(&self) -> Result<Report, Stop> {
        let mut knocks: Vec<Knock> = vec![];
        for wrong in Wrong::TELLING {
            let (knock, told) = self.ask_why(wrong).await?;
            knocks.push(knock);
            if let Some((facts, clock)) = told {
                return Ok(Report::barred(&self.findings(knocks, facts, clock)));
            }
        }
        let nothing = Err("the target says nothing about itself to whom it refuses".to_owned());
        Ok(Report::barred(&self.findings(knocks, nothing, None)))
    }

    fn findings(&self, knocks: Vec<Knock>, facts: Result<Facts, String>, clock: Option<Clock>) -> Findings {
        Findings {
            right: self.place.again.right.clone(),
            knocks,
            facts,
            clock,
            key_id: self.place.id.to_string(),
        }
    }

    fn now_ms(&self) -> u64 {
        let since = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.began_ms.saturating_add(since)
    }

    // Facts.

    async fn facts(&self, target: &Handle<Side>) -> Result<Told, Stop> {
        let command = command(self.place.id);
        let action = self.begin(&command).await?;
        let asked_ms = self.now_ms();
        let mut ran = Ran::default();
        let why = self.bounded(target, command, &mut ran).await;
        self.end(action, ran.exit.clone().unwrap_or(Exit::Unsaid), ran.bytes)
            .await;
        Ok(ran.told(asked_ms, why?))
    }

    async fn bounded(
        &self,
        target: &Handle<Side>,
        command: String,
        ran: &mut Ran,
    ) -> Result<Option<&'static str>, Stop> {
        tokio::select! {
            () = self.place.passage.is_shut() => Err(Stop::Shut),
            ran = timeout(SCRIPT_MAX, self.script(target, command, ran)) => ran.unwrap_or(Ok(Some("did not end in time"))),
        }
    }

    /// Runs it to its end; otherwise says why not.
    async fn script(
        &self,
        target: &Handle<Side>,
        command: String,
        ran: &mut Ran,
    ) -> Result<Option<&'static str>, Stop> {
        let opening = timeout(OPEN_MAX, target.channel_open_session());
        let Ok(Ok(target)) = opening.await else {
            return Ok(Some("was given no channel"));
        };
        let (mut read, write) = target.split();
        let target = ToTarget::new(write);
        let request = Request::Exec(command.into_bytes()).described();
        let place = self.place;
        let journaled = place.passage.record(Frame::Opened, place.channel, request).await?;
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
            drop(self.place.passage.exit(self.place.channel, exit).await?); // it goes nowhere
        }
        Ok(None)
    }

    /// Output is recorded, and goes nowhere: the report alone does.
    async fn keep(&self, frame: Frame, data: Bytes, ran: &mut Ran) -> Result<(), Shut> {
        ran.bytes += data.len() as u64;
        drop(self.place.passage.record(frame, self.place.channel, data).await?);
        Ok(())
    }

    // Other certificates.

    async fn knock(&self, wrong: Wrong) -> Result<Knock, Stop> {
        let action = self.begin(wrong.command()).await?;
        let began = self.mark(Frame::Opened, wrong.command()).await;
        let answer = match began {
            Ok(()) => self.try_wrong(action, wrong).await,
            Err(shut) => Err(shut.into()),
        };
        let answer = match answer {
            Ok(Tried { answer, target, .. }) => {
                dial::leave(target).await;
                Ok(answer)
            }
            Err(stop) => Err(stop),
        };
        let (exit, said) = match &answer {
            Ok(Knocked::Refused) => (Exit::Status(0), "refused"),
            Ok(Knocked::Accepted | Knocked::Partly(_)) => (Exit::Status(1), "ACCEPTED"),
            Ok(Knocked::Unclear(_)) | Err(_) => (Exit::Unsaid, "unclear"),
        };
        let at_ms = self.now_ms();
        let marked = self.mark(Frame::Mark, &format!("{}: {said}", wrong.command())).await;
        self.end(action, exit, 0).await;
        let answer = answer?;
        marked?;
        Ok(Knock { wrong, answer, at_ms })
    }

    /// Tries a certificate that the target accepts if what refused the session's own was its clock or where we come from;
    /// then it tells both.
    async fn ask_why(&self, wrong: Wrong) -> Result<(Knock, Option<Told>), Stop> {
        let action = self.begin(wrong.command()).await?;
        let (mut ran, mut told) = (Ran::default(), None);
        let tried = self.try_wrong(action, wrong).await;
        let answer = match tried {
            Ok(Tried {
                answer,
                target: Some(target),
                runs,
            }) if answer == Knocked::Accepted => {
                let asked_ms = self.now_ms();
                let why = self.bounded(&target, runs, &mut ran).await;
                dial::leave(Some(target)).await;
                why.map(|why| {
                    told = Some(ran.told(asked_ms, why));
                    answer
                })
            }
            Ok(Tried { answer, target, .. }) => {
                dial::leave(target).await;
                Ok(answer)
            }
            Err(stop) => Err(stop),
        };
        let at_ms = self.now_ms();
        self.end(action, ran.exit.clone().unwrap_or(Exit::Unsaid), ran.bytes)
            .await;
        let answer = answer?;
        Ok((Knock { wrong, answer, at_ms }, told))
    }

    async fn try_wrong(&self, action: ActionId, wrong: Wrong) -> Result<Tried, Stop> {
        let probe = Probe {
            session: self.place.id,
            action,
            key: self.place.again.key().clone(),
            wrong,
        };
        let tried = async {
            let signed = self.session.desk.ask(|answer| Ask::Wrong(probe, answer)).await;
            let certificate = match signed.unwrap_or_else(|| Err("nobody signs".to_owned())) {
                Ok(certificate) => certificate,
                Err(why) => return Tried::unclear(why),
            };
            let runs = certificate.critical_options().get("force-command").cloned();
            let (answer, target) = self.place.again.knock(certificate).await;
            Tried {
                answer,
                target,
                runs: runs.unwrap_or_default(),
            }
        };
        tokio::select! {
            () = self.place.passage.is_shut() => Err(Stop::Shut),
            tried = tried => Ok(tried),
        }
    }

    // On record.

    async fn mark(&self, frame: Frame, text: &str) -> Result<(), Shut> {
        drop(self.place.passage.record(frame, self.place.channel, text).await?); // it goes nowhere
        Ok(())
    }

    async fn begin(&self, command: &str) -> Result<ActionId, Stop> {
        let intent = Intent {
            session: self.place.id,
            channel: self.place.channel,
            class: ActionClass::Exec,
            command: Some(command.as_bytes().to_vec()),
            pty: false,
            frame: self.place.passage.next_frame(),
            offset_us: self.place.passage.now_us(),
        };
        let intended = self.session.desk.ask(|answer| Ask::Intend(intent, answer)).await;
        let action = intended.unwrap_or_else(|| Err(unanswered())).map_err(Stop::Refused)?;
        let what = "a check of this target".to_owned();
        self.place.tallies.began(self.place.channel, what);
        Ok(action)
    }

    async fn end(&self, action: ActionId, exit: Exit, bytes_out: u64) {
        let end = ActionEnd {
            action,
            exit,
            bytes_in: 0,
            bytes_out,
            frame: self.place.passage.next_frame(),
        };
        if self
            .session
            .desk
            .ask(|answer| Ask::ActionEnded(end, answer))
            .await
            .is_none()
        {
            tracing::error!(session = %self.place.id, %action, "the end of an action could not be recorded");
        }
        self.place.tallies.ended(self.place.channel);
    }
}

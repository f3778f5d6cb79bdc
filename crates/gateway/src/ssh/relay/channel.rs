//! One channel with a target: two pumps over one recording. Requests, data and endings keep their order in each
//! direction; one direction never waits for the other.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use model::id::ActionId;
use model::statement::ActionClass;
use recording::{Exit, Kind as Frame};
use russh::{Channel, ChannelMsg, ChannelOpenFailure, ChannelReadHalf, client, server};
use tokio::time::timeout;

use crate::ssh::ask::{ActionEnd, Ask, Intent, Refusal, Refused};
use crate::ssh::refusal::Code;
use crate::ssh::session::channel::{Last, Ruling};
use crate::ssh::session::check::Form;
use crate::ssh::session::{Answers, Ending, Intake, Screen};
use crate::ssh::wire::disposition::{self, Disposition, Kind, Side};

use super::check;
use super::forward::{Gone, ToClient, ToTarget};
use super::live::{Live, Session, Stage};
use super::local::{self, Begun, Outcome};
use super::passage::Shut;
use super::request::{Request, signal_name};

/// The longest time to a channel at the target.
const OPEN_MAX: Duration = Duration::from_secs(30);
/// How long the target has to close after the client has.
const CLOSE_MAX: Duration = Duration::from_secs(10);
/// How long, once the session is over.
const LINGER: Duration = Duration::from_millis(300);

/// Why a pump stopped.
pub(super) enum Stop {
    /// Its side is done.
    Done,
    /// The action was refused; what to say.
    Refused(Refusal),
    /// The target is to be checked.
    Check(Form),
    /// The session is over.
    Shut,
}

impl From<Gone> for Stop {
    fn from(_: Gone) -> Self {
        Self::Done
    }
}

impl From<Shut> for Stop {
    fn from(_: Shut) -> Self {
        Self::Shut
    }
}

/// Serves one `session` channel of a client, from its opening to its end.
pub(super) async fn serve(mut session: Session, channel: Channel<server::Msg>) {
    let present = session.enter();
    let number = session.channel();
    let (mut read, write) = channel.split();
    let client = ToClient::new(write);
    let (live, begun) = match session.decided().await {
        Stage::Live(live) => (live, None),
        _ => match Box::pin(local::serve(&mut session, number, &mut read, &client)).await {
            Outcome::Over => return,
            Outcome::Replay(begun) => match session.stage() {
                Stage::Live(live) => (live, Some(begun)),
                _ => return,
            },
        },
    };
    let Ok(Ok(target)) = timeout(OPEN_MAX, live.target.channel_open_session()).await else {
        let terminal = begun.as_ref().is_some_and(|begun| begun.pty.is_some());
        if begun.is_some() || local::begun(&mut read, &client).await.is_some() {
            drop(
                local::refuse(
                    &client,
                    &Code::Target.says("the target opens no further channel"),
                    terminal,
                )
                .await,
            );
        }
        return;
    };
    let relay = Relay::new(session, live, number, client, Ending::new(true));
    relay.run(read, target, begun).await;
    drop(present);
}

/// Serves one `direct-tcpip` channel within a session: an action of its own.
pub(super) async fn tunnel(
    mut session: Session,
    channel: Channel<server::Msg>,
    reply: server::ChannelOpenHandle,
    to: To,
) {
    let Some(present) = session.enter() else { return };
    let number = session.channel();
    let live = match session.decided().await {
        Stage::Live(live) => live,
        Stage::Waiting(text) | Stage::Refused(text) | Stage::Over(text) => return reply.reject(prohibited(text)).await,
        Stage::Barred(barred) => return reply.reject(prohibited(barred.text.clone())).await,
        Stage::Asking => return reply.reject(ChannelOpenFailure::ConnectFailed).await,
    };
    let class = if to.is_loopback() {
        ActionClass::TunnelLocal
    } else {
        ActionClass::Forward
    };
    let destination = format!("{}:{}", to.host, to.port);
    let intent = Intent {
        session: live.id,
        channel: number,
        class,
        command: Some(destination.clone().into_bytes()),
        pty: false,
        frame: live.passage.next_frame(),
        offset_us: live.passage.now_us(),
    };
    let intended = session.desk.ask(|answer| Ask::Intend(intent, answer)).await;
    let action = match intended.unwrap_or_else(|| Err(unanswered())) {
        Ok(action) => action,
        Err(refusal) => return reply.reject(prohibited(refusal.line())).await,
    };
    let (read, write) = channel.split();
    let relay = Relay::new(session, live, number, ToClient::new(write), Ending::new(false));
    relay.begin(action, format!("tunnel {destination}"));
    let opening = relay
        .live
        .target
        .channel_open_direct_tcpip(to.host, to.port, to.from, to.from_port);
    match timeout(OPEN_MAX, opening).await {
        Ok(Ok(target)) if relay.opened(&format!("tunnel {destination}")).await.is_ok() => {
            reply.accept().await;
            relay.run(read, target, None).await;
        }
        Ok(Err(russh::Error::ChannelOpenFailure(reason))) => {
            reply.reject(reason).await;
            relay.finish().await;
        }
        _ => {
            reply.reject(ChannelOpenFailure::ConnectFailed).await;
            relay.finish().await;
        }
    }
    drop(present);
}

/// Where a tunnel goes, as the client said it.
pub(super) struct To {
    pub(super) host: String,
    pub(super) port: u32,
    pub(super) from: String,
    pub(super) from_port: u32,
}

impl To {
    /// Whether it ends on the target itself. A name that only the target resolves to itself is not seen from here.
    fn is_loopback(&self) -> bool {
        let host = self.host.trim_matches(['[', ']']);
        let address = host.parse::<std::net::IpAddr>();
        address.is_ok_and(|address| address.to_canonical().is_loopback() || address.is_unspecified())
            || host.eq_ignore_ascii_case("localhost")
    }
}

pub(super) fn prohibited(reason: String) -> ChannelOpenFailure {
    ChannelOpenFailure::Other { code: 1, reason }
}

pub(super) fn unanswered() -> Refusal {
    Refusal {
        by: Code::Gate,
        code: "no_answer".to_owned(),
        because: "the gateway cannot decide now".to_owned(),
        next: "try again".to_owned(),
    }
}

/// What both pumps share.
struct Relay {
    session: Session,
    live: Arc<Live>,
    number: u32,
    client: ToClient,
    ending: Mutex<Ending>,
    answers: Mutex<Answers>,
    action: Mutex<Option<ActionId>>,
    exit: Mutex<Exit>,
    terminal: AtomicBool,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

fn locked<T>(value: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Relay {
    fn new(session: Session, live: Arc<Live>, number: u32, client: ToClient, ending: Ending) -> Self {
        live.tallies.channels_opened.fetch_add(1, Relaxed);
        Self {
            session,
            live,
            number,
            client,
            ending: Mutex::new(ending),
            answers: Mutex::default(),
            action: Mutex::new(None),
            exit: Mutex::new(Exit::Unsaid),
            terminal: AtomicBool::new(false),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
        }
    }

    /// What is rare or soon over waits in memory of its own: a channel that idles has room for its two pumps alone.
    async fn run(self, mut read: ChannelReadHalf, target: Channel<client::Msg>, begun: Option<Begun>) {
        let (mut from_target, write) = target.split();
        let to_target = ToTarget::new(write);
        let up = async {
            let stop = self.up(&mut read, &to_target, begun).await;
            drop(to_target.close().await);
            stop
        };
        let down = self.down(&mut from_target);
        tokio::pin!(up, down);
        let stop = tokio::select! {
            () = self.live.passage.is_shut() => Stop::Shut,
            stop = &mut down => stop,
            stop = &mut up => {
                if let Stop::Refused(refusal) = &stop {
                    let (line, terminal) = (refusal.line(), self.terminal.load(Relaxed));
                    drop(Box::pin(local::refuse(&self.client, &line, terminal)).await);
                }
                if !matches!(stop, Stop::Shut | Stop::Check(_)) {
                    // The client has gone first: what the target still says about its end goes on record.
                    let shut = async {
                        self.live.passage.is_shut().await;
                        tokio::time::sleep(LINGER).await;
                    };
                    tokio::select! {
                        _ = timeout(CLOSE_MAX, down) => {}
                        () = shut => {}
                    }
                }
                stop
            }
        };
        let stop = match stop {
            Stop::Check(form) => Box::pin(self.check(form)).await.err().unwrap_or(Stop::Done),
            stop => stop,
        };
        if matches!(stop, Stop::Shut) {
            Box::pin(self.goodbye()).await;
        }
        Box::pin(self.finish()).await;
    }

    /// The target is checked instead of used: the report is all that leaves here.
    async fn check(&self, form: Form) -> Result<(), Stop> {
        check::run(&self.session, &self.live, self.number, (&self.client, form)).await
    }

    // From the client.

    async fn up(&self, read: &mut ChannelReadHalf, target: &ToTarget, begun: Option<Begun>) -> Stop {
        match self.pump_up(read, target, begun).await {
            Err(stop) => stop,
            Ok(()) => Stop::Done,
        }
    }

    async fn pump_up(&self, read: &mut ChannelReadHalf, target: &ToTarget, begun: Option<Begun>) -> Result<(), Stop> {
        let mut intake = Intake::default();
        if let Some(begun) = begun {
            Box::pin(self.replay(&mut intake, target, begun)).await?;
        }
        while let Some(msg) = read.wait().await {
            match msg {
                ChannelMsg::Data { data } => self.send(target, data).await?,
                ChannelMsg::Eof => target.eof().await?,
                ChannelMsg::Close => break,
                msg => {
                    if let Some((request, want_reply)) = Request::read(msg) {
                        Box::pin(self.request(&mut intake, target, request, want_reply)).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// What was accepted before there was a target; the client has its answers already.
    async fn replay(&self, intake: &mut Intake, target: &ToTarget, begun: Begun) -> Result<(), Stop> {
        for request in begun.before.into_iter().chain([begun.request]) {
            self.request(intake, target, request, false).await?;
        }
        for data in begun.early {
            self.send(target, data).await?;
        }
        if begun.eof { Ok(target.eof().await?) } else { Ok(()) }
    }

    async fn send(&self, target: &ToTarget, data: Bytes) -> Result<(), Stop> {
        self.bytes_in.fetch_add(data.len() as u64, Relaxed);
        let journaled = self.live.passage.record(Frame::Input, self.number, data).await?;
        Ok(target.data(journaled).await?)
    }

    async fn request(
        &self,
        intake: &mut Intake,
        target: &ToTarget,
        request: Request,
        want_reply: bool,
    ) -> Result<(), Stop> {
        match intake.judge(request.name(), request.subsystem()) {
            Ruling::Refuse(code) => self.refuse(request, want_reply, code).await,
            Ruling::Begin(class) => {
                self.intend(class, &request, intake.has_pty(), want_reply).await?;
                self.pass(target, Frame::Opened, request, want_reply).await
            }
            Ruling::Check(form) => {
                let asked = self.live.passage.record(Frame::Mark, self.number, request.described());
                drop(asked.await?); // it goes nowhere
                if want_reply {
                    self.answer(|answers| answers.decided(true)).await?;
                }
                Err(Stop::Check(form))
            }
            Ruling::Forward => self.forward(target, request, want_reply).await,
        }
    }

    async fn forward(&self, target: &ToTarget, request: Request, want_reply: bool) -> Result<(), Stop> {
        let size = match &request {
            Request::Resize(size) => {
                let recorded = self.live.passage.resize(self.number, size.recorded()).await?;
                return Ok(target.resize(recorded, *size).await?);
            }
            Request::Pty { size, .. } => Some(*size),
            _ => None,
        };
        if let Some(size) = size {
            self.terminal.store(true, Relaxed);
            drop(self.live.passage.resize(self.number, size.recorded()).await?);
        }
        self.pass(target, Frame::Mark, request, want_reply).await
    }

    async fn pass(&self, target: &ToTarget, kind: Frame, request: Request, want_reply: bool) -> Result<(), Stop> {
        let journaled = self.live.passage.record(kind, self.number, request.described()).await?;
        if want_reply && !locked(&self.answers).forwarded() {
            return Err(Stop::Done);
        }
        Ok(target.request(journaled, want_reply).await?)
    }

    async fn intend(&self, class: ActionClass, request: &Request, pty: bool, want_reply: bool) -> Result<(), Stop> {
        let intent = Intent {
            session: self.live.id,
            channel: self.number,
            class,
            command: request.command(),
            pty,
            frame: self.live.passage.next_frame(),
            offset_us: self.live.passage.now_us(),
        };
        let intended = self.session.desk.ask(|answer| Ask::Intend(intent, answer)).await;
        match intended.unwrap_or_else(|| Err(unanswered())) {
            Ok(action) => {
                self.begin(action, described(request));
                Ok(())
            }
            Err(refusal) => {
                // Accepted, so that the reason can be read: text of a refused request is never shown.
                if want_reply {
                    self.answer(|answers| answers.decided(true)).await?;
                }
                Err(Stop::Refused(refusal))
            }
        }
    }

    async fn refuse(&self, request: Request, want_reply: bool, code: &'static str) -> Result<(), Stop> {
        let refused = Refused {
            key: self.session.key.clone(),
            session: Some(self.live.id),
            wanted: request.name().to_owned(),
            command: request.command(),
            code,
        };
        if self
            .session
            .desk
            .ask(|answer| Ask::Refused(refused, answer))
            .await
            .is_none()
        {
            tracing::error!(session = %self.live.id, "a refusal could not be recorded");
        }
        if want_reply {
            self.answer(|answers| answers.decided(false)).await?;
        }
        Ok(())
    }

    async fn answer(&self, decide: impl FnOnce(&mut Answers) -> Vec<bool>) -> Result<(), Gone> {
        let due = decide(&mut locked(&self.answers));
        for success in due {
            self.client.answer(success).await?;
        }
        Ok(())
    }

    // From the target.

    async fn down(&self, read: &mut ChannelReadHalf) -> Stop {
        match self.pump_down(read).await {
            Err(stop) => stop,
            Ok(()) => Stop::Done,
        }
    }

    async fn pump_down(&self, read: &mut ChannelReadHalf) -> Result<(), Stop> {
        let mut notices = self.live.notices.subscribe();
        let mut screen = Screen::default();
        loop {
            let msg = tokio::select! {
                biased;
                msg = read.wait() => msg,
                Ok(()) = notices.changed() => {
                    let text = notices.borrow_and_update().clone();
                    if self.terminal.load(Relaxed) && screen.takes_lines() {
                        self.client.say(&format!("\r\n\x1b[7m countersign: {text} \x1b[m\r\n"), true).await?;
                    }
                    continue;
                }
            };
            match msg {
                Some(ChannelMsg::Data { data }) => {
                    if self.terminal.load(Relaxed) {
                        screen.read(&data);
                    }
                    self.bytes_out.fetch_add(data.len() as u64, Relaxed);
                    let journaled = self.live.passage.record(Frame::Output, self.number, data).await?;
                    self.client.output(journaled).await?;
                }
                Some(ChannelMsg::ExtendedData { data, ext: 1 }) => {
                    self.bytes_out.fetch_add(data.len() as u64, Relaxed);
                    let journaled = self.live.passage.record(Frame::ErrorOutput, self.number, data).await?;
                    self.client.error_output(journaled).await?;
                }
                Some(ChannelMsg::Close) | None => {
                    self.live.tallies.ended(self.number);
                    let last = locked(&self.ending).close();
                    return self.tell(last).await;
                }
                Some(msg) => self.news(msg).await?,
            }
        }
    }

    /// Everything of the target that is not data.
    async fn news(&self, msg: ChannelMsg) -> Result<(), Stop> {
        let last = match msg {
            ChannelMsg::Success => return Ok(self.answer(|answers| answers.answered(true)).await?),
            ChannelMsg::Failure => return Ok(self.answer(|answers| answers.answered(false)).await?),
            ChannelMsg::Eof => locked(&self.ending).eof(),
            ChannelMsg::ExitStatus { exit_status } => self.exited(Exit::Status(exit_status)),
            ChannelMsg::ExitSignal {
                signal_name: signal, ..
            } => self.exited(Exit::Signal(signal_name(&signal))),
            ChannelMsg::Request { name, data, .. } => return self.tell_request(name, data).await,
            ChannelMsg::XonXoff { client_can_do } => {
                let data = Bytes::copy_from_slice(&[u8::from(client_can_do)]);
                return self.tell_request("xon-xoff".to_owned(), data).await;
            }
            _ => return Ok(()),
        };
        self.tell(last).await
    }

    /// A request of the target; only those that want no answer come here.
    async fn tell_request(&self, name: String, data: Bytes) -> Result<(), Stop> {
        if disposition::of(Kind::ChannelRequest, Side::Target, &name) != Disposition::Forward {
            return Ok(());
        }
        let request = Request::Named { name, data }.described();
        let journaled = self.live.passage.record(Frame::Mark, self.number, request).await?;
        Ok(self.client.request(journaled).await?)
    }

    /// Before the client learns of it: whoever leaves at once leaves nothing running.
    fn exited(&self, exit: Exit) -> Vec<Last> {
        self.live.tallies.ended(self.number);
        *locked(&self.exit) = exit.clone();
        locked(&self.ending).exit(exit)
    }

    async fn tell(&self, last: Vec<Last>) -> Result<(), Stop> {
        for word in last {
            match word {
                Last::Exit(exit) => {
                    let journaled = self.live.passage.exit(self.number, exit).await?;
                    self.client.exit(journaled).await?;
                }
                Last::Eof => self.client.eof().await?,
                Last::Close => self.client.close().await?,
            }
        }
        Ok(())
    }

    // Begin and end.

    fn begin(&self, action: ActionId, what: String) {
        *locked(&self.action) = Some(action);
        self.live.tallies.began(self.number, what);
    }

    async fn opened(&self, what: &str) -> Result<(), Shut> {
        drop(self.live.passage.record(Frame::Opened, self.number, what).await?);
        Ok(())
    }

    /// The session is over: say why, and close.
    async fn goodbye(&self) {
        let mut session = self.session.clone();
        let over = session.stage.wait_for(|stage| matches!(stage, Stage::Over(_)));
        let text = match timeout(CLOSE_MAX, over).await {
            Ok(Ok(stage)) => match &*stage {
                Stage::Over(text) => text.clone(),
                _ => return,
            },
            _ => return,
        };
        let terminal = self.terminal.load(Relaxed);
        let text = if terminal {
            format!("\r\ncountersign: {text}")
        } else {
            format!("countersign: {text}")
        };
        drop(timeout(CLOSE_MAX, local::refuse(&self.client, &text, terminal)).await);
    }

    async fn finish(&self) {
        self.live.tallies.channels_closed.fetch_add(1, Relaxed);
        self.live.tallies.ended(self.number);
        let ended = locked(&self.action).take();
        if let Ok(closed) = self.live.passage.record(Frame::Closed, self.number, "").await {
            drop(closed); // it goes nowhere
        }
        let Some(action) = ended else { return };
        let end = ActionEnd {
            action,
            exit: locked(&self.exit).clone(),
            bytes_in: self.bytes_in.load(Relaxed),
            bytes_out: self.bytes_out.load(Relaxed),
            frame: self.live.passage.next_frame(),
        };
        if self.live_ended(end).await.is_none() {
            tracing::error!(session = %self.live.id, %action, "the end of an action could not be recorded");
        }
    }

    async fn live_ended(&self, end: ActionEnd) -> Option<()> {
        self.session.desk.ask(|answer| Ask::ActionEnded(end, answer)).await
    }
}

/// What runs, in a few words for the person.
fn described(request: &Request) -> String {
    let text = match request {
        Request::Exec(command) => String::from_utf8_lossy(command).into_owned(),
        Request::Subsystem(name) => name.clone(),
        other => other.name().to_owned(),
    };
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}

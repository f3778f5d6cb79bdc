//! One session's task: it owns the state machine, asks, dials, and ends. Channels watch its stage and pass bytes by
//! themselves.
//!
//! INVARIANT (no orphan): whatever was opened is ended with an entry, also when the client left before the answer.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use model::id::SessionId;
use model::signature::{Key, LogIn};
use publisher::Cleared;
use russh::client::Handle;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{Certificate, PrivateKey, PublicKey};
use russh::{Disconnect, server};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::{sleep_until, timeout};
use zeroize::Zeroizing;

use crate::ssh::ask::{Ask, Came, Desk, Opened, Opening, Refusal, SessionEnd, Wanted};
use crate::ssh::refusal::Code;
use crate::ssh::session::{Effect, End, Input, Life, Order};
use crate::ssh::wire::{Account, Place, Reachable, resolve};

use super::dial::{self, Again, Reached, Side, Unreached};
use super::gateway::Gateway;
use super::line::Switch;
use super::passage::{Passage, Passed};

/// Inputs that may wait; each kind comes rarely.
const QUEUE: usize = 64;
/// How long channels have to say why it is over.
const GOODBYE: Duration = Duration::from_secs(2);
/// How long the client has to read it and leave.
const LINGER: Duration = Duration::from_secs(1);
/// How long its disconnection has to get out.
const FLUSH: Duration = Duration::from_millis(200);
/// How often an idle session looks whether its recording could go on.
const CHECK: Duration = Duration::from_millis(500);

/// Where a connection wants to go, as far as it is known.
pub(super) enum Destination {
    /// As it was typed.
    Typed(Place),
    /// Behind `-J`, where the name has been looked up for the host certificate.
    Known(Reachable),
}

/// What a connection brings to a session.
pub(super) struct Start {
    pub(super) key: Key,
    pub(super) proof: LogIn,
    pub(super) client: SocketAddr,
    pub(super) account: Account,
    pub(super) destination: Destination,
    pub(super) connection: server::Handle,
    pub(super) switch: Arc<Switch>,
    pub(super) came: Came,
}

/// What channels see.
#[derive(Clone)]
pub(super) enum Stage {
    Asking,
    Waiting(String),
    Refused(String),
    Barred(Arc<Barred>),
    Live(Arc<Live>),
    Over(String),
}

/// A session as its connection and channels hold it.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) desk: Desk,
    pub(super) key: Key,
    pub(super) stage: watch::Receiver<Stage>,
    channels: Arc<AtomicU32>,
    attending: Arc<AtomicU32>,
    present: mpsc::WeakSender<()>,
}

/// A terminal that waits for an approval.
pub(super) struct Attending(Arc<AtomicU32>);

impl Drop for Attending {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Held by each channel's task: the session's end waits until none is left.
pub(super) struct Present {
    _sender: mpsc::Sender<()>,
}

impl Session {
    /// Enters the session; nothing once it ends.
    pub(super) fn enter(&self) -> Option<Present> {
        self.present.upgrade().map(|sender| Present { _sender: sender })
    }

    /// To be held while a terminal waits for an approval.
    pub(super) fn attend(&self) -> Attending {
        self.attending.fetch_add(1, Relaxed);
        Attending(Arc::clone(&self.attending))
    }

    /// The next channel's number.
    pub(super) fn channel(&self) -> u32 {
        self.channels.fetch_add(1, Relaxed)
    }

    /// The stage now.
    pub(super) fn stage(&self) -> Stage {
        self.stage.borrow().clone()
    }

    /// The first stage from now on that is not `Asking`.
    pub(super) async fn decided(&mut self) -> Stage {
        let decided = self.stage.wait_for(|stage| !matches!(stage, Stage::Asking)).await;
        decided.map_or_else(|_| Stage::Over("the session is over".to_owned()), |stage| stage.clone())
    }
}

/// A session whose bytes may pass.
pub(super) struct Live {
    pub(super) id: SessionId,
    pub(super) target: Handle<Side>,
    /// For the check of the target.
    pub(super) again: Box<Again>,
    pub(super) passage: Arc<Passage>,
    pub(super) tallies: Arc<Tallies>,
    /// The newest warning.
    pub(super) notices: watch::Sender<String>,
}

/// A session whose target was reached and refuses its log-in.
pub(super) struct Barred {
    pub(super) id: SessionId,
    /// What to say.
    pub(super) text: String,
    /// For a check, which finds out why.
    pub(super) again: Box<Again>,
    pub(super) passage: Arc<Passage>,
    pub(super) tallies: Arc<Tallies>,
}

/// What channels leave behind for the session's end.
#[derive(Default)]
pub(super) struct Tallies {
    pub(super) channels_opened: AtomicU64,
    pub(super) channels_closed: AtomicU64,
    running: Mutex<BTreeMap<u32, String>>,
}

impl Tallies {
    pub(super) fn began(&self, channel: u32, what: String) {
        self.running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(channel, what);
    }

    /// As soon as it has ended, not once that is on record.
    pub(super) fn ended(&self, channel: u32) {
        self.running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&channel);
    }

    /// What is running, in a few words.
    fn running(&self) -> String {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let mut words: Vec<String> = running.values().take(3).cloned().collect();
        if running.len() > words.len() {
            words.push(format!("{} more", running.len() - words.len()));
        }
        words.join(", ")
    }
}

enum Done {
    Opening(Option<Opening>),
    Reached(Result<Reached, Unreached>),
}

/// An open session and what holds its journal.
struct Standing {
    session: SessionId,
    passage: Arc<Passage>,
}

struct Task {
    gateway: Arc<Gateway>,
    epoch: Instant,
    wanted: Option<Arc<Wanted>>,
    session_key: Option<PrivateKey>,
    stage: watch::Sender<Stage>,
    /// How many terminals wait for an approval.
    attending: Arc<AtomicU32>,
    inputs: mpsc::Sender<Input>,
    done: mpsc::Sender<Done>,
    orders: Option<mpsc::Receiver<Order<Instant>>>,
    standing: Option<Standing>,
    /// What the gate cleared, until it is dialed.
    cleared: Option<Box<(Cleared<model::chain::Session>, Certificate)>>,
    tallies: Arc<Tallies>,
    host_key: Option<PublicKey>,
    asking: bool,
    dialing: Option<AbortHandle>,
    connection: server::Handle,
    switch: Arc<Switch>,
}

/// Begins a session: it asks at once. The second value, dropped, says that the client has gone.
pub(super) fn begin(gateway: Arc<Gateway>, start: Start) -> (Session, oneshot::Sender<()>) {
    let (stage, seen) = watch::channel(Stage::Asking);
    let (present, absent) = mpsc::channel(1);
    let (connected, gone) = oneshot::channel();
    let session = Session {
        desk: gateway.desk.clone(),
        key: start.key.clone(),
        stage: seen,
        channels: Arc::default(),
        attending: Arc::default(),
        present: present.downgrade(),
    };
    let shown = (stage, Arc::clone(&session.attending));
    tokio::spawn(run(gateway, start, shown, gone, (Present { _sender: present }, absent)));
    (session, connected)
}

async fn run(
    gateway: Arc<Gateway>,
    start: Start,
    (stage, attending): (watch::Sender<Stage>, Arc<AtomicU32>),
    mut gone: oneshot::Receiver<()>,
    (present, absent): (Present, mpsc::Receiver<()>),
) {
    let (inputs, mut happened) = mpsc::channel(QUEUE);
    let (done, mut results) = mpsc::channel(4);
    let mut shutdown = gateway.shutdown.clone();
    let mut task = Task {
        gateway,
        epoch: Instant::now(),
        wanted: None,
        session_key: None,
        stage,
        attending,
        inputs,
        done,
        orders: None,
        standing: None,
        cleared: None,
        tallies: Arc::default(),
        host_key: None,
        asking: false,
        dialing: None,
        connection: start.connection.clone(),
        switch: Arc::clone(&start.switch),
    };
    let mut life = Life::default();
    let mut left = false;
    // In memory of their own: what is asked first and done last would leave its room in each idle session.
    let mut next = Box::pin(task.prepare(start)).await;
    let end = 'life: loop {
        if let Some(input) = next.take() {
            for effect in life.handle(input, task.epoch.elapsed()) {
                match effect {
                    Effect::Cut(end) => break 'life end,
                    effect => task.perform(effect),
                }
            }
        }
        let wake = life.wake_at().map(|at| task.epoch + at);
        let check = task.standing.is_some().then(|| Instant::now() + CHECK);
        let wake = [wake, check].into_iter().flatten().min();
        next = tokio::select! {
            Some(input) = happened.recv() => Some(input),
            Some(done) = results.recv() => task.finished(done),
            order = ordered(&mut task.orders) => Some(task.order(order)),
            _ = &mut gone, if !left => { left = true; Some(Input::ClientGone) },
            Ok(()) = shutdown.changed() => Some(Input::Order(Order::Shutdown)),
            () = at(wake) => { task.check(); Some(Input::Tick) },
        };
    };
    drop(present);
    let client = (!left).then_some(gone);
    Box::pin(task.end(end, results, absent, client)).await;
}

/// The next order; never, where there is nobody to give one.
async fn ordered(orders: &mut Option<mpsc::Receiver<Order<Instant>>>) -> Option<Order<Instant>> {
    match orders {
        Some(orders) => orders.recv().await,
        None => std::future::pending().await,
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}

impl Task {
    /// Finds the one resource that is meant, makes the session's key, and asks.
    async fn prepare(&mut self, start: Start) -> Option<Input> {
        let reachable = match start.destination {
            Destination::Known(reachable) => reachable,
            Destination::Typed(place) => {
                let all = self
                    .gateway
                    .desk
                    .ask(|answer| Ask::Reach(start.key.clone(), answer))
                    .await;
                match resolve(&place, &all.unwrap_or_default()) {
                    Ok(reachable) => reachable.clone(),
                    Err(unresolved) => return Some(Input::Refused(Code::Name.says(unresolved))),
                }
            }
        };
        let Some((session_key, public)) = fresh_key() else {
            return Some(Input::Refused(
                Code::Gate.says("no randomness for the session's key; try again"),
            ));
        };
        self.session_key = Some(session_key);
        self.wanted = Some(Arc::new(Wanted {
            key: start.key,
            proof: start.proof,
            client: start.client,
            reachable,
            account: start.account.account,
            hint: start.account.hint,
            session_key: public,
            came: start.came,
        }));
        self.perform(Effect::Ask);
        None
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Ask => self.ask(),
            Effect::Wait(text) => self.show(Stage::Waiting(text)),
            Effect::Refuse(text) => self.show(Stage::Refused(text)),
            Effect::Dial => self.dial(),
            Effect::Tell(text) => self.tell(text),
            Effect::Hold => self.standing.iter().for_each(|standing| standing.passage.hold()),
            Effect::Resume => self.standing.iter().for_each(|standing| standing.passage.resume()),
            // `Begin` and `Bar` came with the target (`reached`); `Cut` ends the loop.
            Effect::Begin | Effect::Bar(_) | Effect::Cut(_) => {}
        }
    }

    fn show(&self, stage: Stage) {
        self.stage.send_replace(stage);
    }

    fn ask(&mut self) {
        let Some(wanted) = self.wanted.clone() else { return };
        self.asking = true;
        let (desk, done) = (self.gateway.desk.clone(), self.done.clone());
        tokio::spawn(async move {
            let opening = desk.ask(|answer| Ask::Open(wanted, answer)).await;
            drop(done.send(Done::Opening(opening)).await);
        });
    }

    fn dial(&mut self) {
        let (Some(cleared), Some(key)) = (self.cleared.take(), self.session_key.take()) else {
            return;
        };
        let (cleared, certificate) = *cleared;
        let gateway = Arc::clone(&self.gateway);
        let (done, inputs) = (self.done.clone(), self.inputs.clone());
        let dialing = tokio::spawn(async move {
            let reached = dial::dial(&gateway.settings, cleared, key, certificate, inputs).await;
            drop(done.send(Done::Reached(reached)).await);
        });
        self.dialing = Some(dialing.abort_handle());
    }

    fn tell(&self, text: String) {
        if let Some(standing) = &self.standing {
            standing.passage.remark(0, &text);
        }
        if let Stage::Live(live) = &*self.stage.borrow() {
            live.notices.send_replace(text);
        }
    }

    fn finished(&mut self, done: Done) -> Option<Input> {
        match done {
            Done::Opening(opening) => Some(self.answered(opening)),
            Done::Reached(Ok(reached)) => self.reached(reached),
            Done::Reached(Err(unreached)) => Some(Input::Unreachable(Code::Target.says(unreached))),
        }
    }

    fn reached(&mut self, reached: Reached) -> Option<Input> {
        let standing = self.standing.as_ref()?;
        let (id, again) = (standing.session, reached.again);
        let (passage, tallies) = (Arc::clone(&standing.passage), Arc::clone(&self.tallies));
        self.host_key = Some(reached.host_key);
        let Some(target) = reached.handle else {
            let text = Code::Target.says(again.refusal());
            self.show(Stage::Barred(Arc::new(Barred {
                id,
                text: text.clone(),
                again,
                passage,
                tallies,
            })));
            return Some(Input::Barred(text));
        };
        let (notices, _) = watch::channel(String::new());
        self.show(Stage::Live(Arc::new(Live {
            id,
            target,
            again,
            passage,
            tallies,
            notices,
        })));
        Some(Input::Connected)
    }

    fn answered(&mut self, opening: Option<Opening>) -> Input {
        self.asking = false;
        let line = |refusal: Refusal| refusal.line();
        match opening {
            None => Input::Refused(Code::Gate.says("the gateway cannot decide now; try again")),
            Some(Opening::Refused(refusal)) => Input::Refused(line(refusal)),
            Some(Opening::Pending(refusal)) => Input::Pending {
                text: line(refusal),
                attended: self.attending.load(Relaxed) > 0,
            },
            Some(Opening::Opened(opened)) => self.opened(*opened),
        }
    }

    fn opened(&mut self, opened: Opened) -> Input {
        let Opened {
            cleared,
            certificate,
            journal,
            opened,
            until,
            orders,
        } = opened;
        let passage = Arc::new(Passage::new(journal, opened, self.inputs.clone()));
        self.orders = Some(orders);
        self.standing = Some(Standing {
            session: cleared.session().id,
            passage,
        });
        self.cleared = Some(Box::new((cleared, certificate)));
        Input::Opened {
            until: until.saturating_duration_since(self.epoch),
        }
    }

    fn order(&mut self, order: Option<Order<Instant>>) -> Input {
        match order {
            Some(order) => Input::Order(order.map(|at| at.saturating_duration_since(self.epoch))),
            // Whoever could revoke it has gone: it may not go on.
            None => {
                self.orders = None;
                Input::Order(Order::Stop("the session lost its log".to_owned()))
            }
        }
    }

    fn check(&self) {
        self.standing.iter().for_each(|standing| standing.passage.check());
    }

    /// Nothing passes any more; then everybody is told, and the session's end goes on record.
    async fn end(
        self,
        end: End,
        mut results: mpsc::Receiver<Done>,
        mut absent: mpsc::Receiver<()>,
        client: Option<oneshot::Receiver<()>>,
    ) {
        let passed = self.standing.as_ref().map(|standing| standing.passage.shut());
        self.dialing.iter().for_each(AbortHandle::abort);
        let running = self.tallies.running();
        let running = if running.is_empty() {
            running
        } else {
            format!("; it was running: {running}")
        };
        let text = format!("{}{running}", end.text);
        if let Some(standing) = &self.standing {
            standing.passage.remark(0, &text);
        }
        let before = self.stage.send_replace(Stage::Over(text.clone()));
        // `None` once no channel's task is left.
        drop(timeout(GOODBYE, absent.recv()).await);
        if let Stage::Live(live) = before {
            drop(live.target.disconnect(Disconnect::ByApplication, "", "").await);
        }
        let closing = self.close_connection(client, text);
        let recording = self.record(end, passed, &mut results);
        tokio::join!(closing, recording);
    }

    /// A client leaves by itself once its channels are closed; one that was disconnected first would lose what was said.
    async fn close_connection(&self, client: Option<oneshot::Receiver<()>>, text: String) {
        let Some(client) = client else { return };
        if timeout(LINGER, client).await.is_err() {
            let told = self
                .connection
                .disconnect(Disconnect::ByApplication, text, String::new());
            drop(timeout(LINGER, told).await);
            tokio::time::sleep(FLUSH).await;
        }
        self.switch.cut();
    }

    async fn record(&self, end: End, passed: Option<Passed>, results: &mut mpsc::Receiver<Done>) {
        let mut late_opening = None;
        if self.asking
            && let Some(Done::Opening(Some(Opening::Opened(opened)))) = results.recv().await
        {
            let Opened {
                cleared,
                journal,
                opened,
                ..
            } = *opened;
            let session = cleared.session().id;
            let passage = Passage::new(journal, opened, self.inputs.clone());
            late_opening = Some((session, passage.shut(), passage.finish().await));
        }
        if let Some((standing, passed)) = self.standing.as_ref().zip(passed) {
            late_opening = Some((standing.session, passed, standing.passage.finish().await));
        }
        let Some((session, passed, Some(recording))) = late_opening else {
            return;
        };
        let due = end.due.map(|due| self.epoch + due);
        let ended = SessionEnd {
            session,
            cause: end.cause,
            due,
            late: due.map(|due| passed.last.saturating_duration_since(due)),
            recording,
            bytes_in: passed.bytes_in,
            bytes_out: passed.bytes_out,
            bytes_journaled: passed.journaled,
            channels_opened: self.tallies.channels_opened.load(Relaxed),
            channels_closed: self.tallies.channels_closed.load(Relaxed),
            host_key: self.host_key.clone(),
        };
        if self
            .gateway
            .desk
            .ask(|answer| Ask::Ended(Box::new(ended), answer))
            .await
            .is_none()
        {
            tracing::error!(%session, "the end of a session could not be recorded");
        }
    }
}

/// The session's own key: made here, used once, never written.
fn fresh_key() -> Option<(PrivateKey, Key)> {
    let mut seed = Zeroizing::new([0_u8; 32]);
    getrandom::fill(seed.as_mut()).ok()?;
    let key = PrivateKey::from(Ed25519Keypair::from_seed(&seed));
    let public = Key::new(key.public_key()).ok()?;
    Some((key, public))
}

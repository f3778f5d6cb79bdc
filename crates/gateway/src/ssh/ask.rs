//! All that the relay wants to know or have done outside itself, as messages over a bounded queue. Whoever serves the
//! queue judges, commits, signs; the relay only asks.
//!
//! INVARIANT (fail closed): no answer in time, or nobody there, is a no.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use journal::SessionJournal;
use model::body::EndCause;
use model::chain::Session;
use model::id::{ActionId, SessionId};
use model::name::{AccountName, EnvironmentName, ResourceName};
use model::signature::{Key, LogIn};
use model::statement::ActionClass;
use publisher::Cleared;
use recording::Exit;
use russh::keys::{Certificate, PrivateKey, PublicKey};
use tokio::sync::{mpsc, oneshot};

use super::refusal::Code;
use super::session::Order;
use super::session::check::Wrong;
use super::wire::{Hint, Reachable};

/// Questions that may wait at once.
pub const QUEUE: usize = 256;
/// The user name by which `countersign ssh-config` lets people log in to the gateway itself.
pub const ALIAS_USER: &str = "countersign";
/// The longest time to an answer.
pub const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Where one answer goes.
#[derive(Debug)]
pub struct Answer<T>(oneshot::Sender<T>);

impl<T> Answer<T> {
    /// Gives it. Whoever asked may have gone: then it is dropped.
    pub fn give(self, answer: T) {
        drop(self.0.send(answer));
    }
}

/// A question, or something to be done.
pub enum Ask {
    /// Whose key is this? Asked for offered keys too: nothing may follow from it but the answer.
    Who(Key, Answer<Option<Person>>),
    /// What may this key's owner reach or ask for?
    Reach(Key, Answer<Vec<Reachable>>),
    /// With what does the gateway show that it stands for this resource?
    HostIdentity(EnvironmentName, ResourceName, Answer<Option<Arc<HostIdentity>>>),
    /// May this session begin? Committed and cleared before it is answered with yes.
    Open(Arc<Wanted>, Answer<Opening>),
    /// May this action begin? Committed before it is answered with yes.
    Intend(Intent, Answer<Result<ActionId, Refusal>>),
    /// Sign a certificate that differs from the session's own, for an action that tries it.
    Wrong(Probe, Answer<Result<Certificate, String>>),
    /// What time is it, in Unix milliseconds, by the clock of the log?
    Now(Answer<u64>),
    /// It is over.
    ActionEnded(ActionEnd, Answer<()>),
    /// It was refused by the gateway itself; committed before it is answered.
    Refused(Refused, Answer<()>),
    /// A session is over.
    Ended(Box<SessionEnd>, Answer<()>),
    /// One of the gateway's own words.
    Word(Word, Answer<Said>),
}

/// Who logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// How messages call them.
    pub name: String,
}

/// The gateway's key and certificate for one resource, behind `-J`.
pub struct HostIdentity {
    /// The gateway's own host key.
    pub key: PrivateKey,
    /// Its certificate by the environment's gateway host CA.
    pub certificate: Certificate,
}

/// An opening that is wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The key that logged in.
    pub key: Key,
    /// Proof that it did.
    pub proof: LogIn,
    /// From where.
    pub client: SocketAddr,
    /// Where to.
    pub reachable: Reachable,
    /// As whom.
    pub account: AccountName,
    /// Which of several grants, if it was said.
    pub hint: Option<Hint>,
    /// The session's own key, made for it and used once.
    pub session_key: Key,
    /// How they came.
    pub came: Came,
}

/// How somebody came to a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// By a user name that names the target, at the gateway itself.
    Direct,
    /// Behind `-J`.
    Jump,
    /// By the `Host` that `countersign ssh-config` wrote for them.
    Alias,
}

/// Whether a session may begin.
pub enum Opening {
    /// It may.
    Opened(Box<Opened>),
    /// Not yet: an approval is due. What to tell.
    Pending(Refusal),
    /// It may not.
    Refused(Refusal),
}

/// A session that may be dialed. Not Clone: one opening, one dial.
pub struct Opened {
    /// What the gate cleared: the session and its target. Dialing consumes it.
    pub cleared: Cleared<Session>,
    /// For the session's one log-in there, with the session's own key.
    pub certificate: Certificate,
    /// Its recording.
    pub journal: SessionJournal,
    /// When the recording's time began.
    pub opened: Instant,
    /// When the window ends.
    pub until: Instant,
    /// What others order while it lives.
    pub orders: mpsc::Receiver<Order<Instant>>,
}

/// A no, as a person reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What stands in the way.
    pub by: Code,
    /// Why, as a code for programs.
    pub code: String,
    /// Why, as a sentence.
    pub because: String,
    /// What to do next.
    pub next: String,
}

impl Refusal {
    /// The one line: `CS-GRANT because; next`.
    #[must_use]
    pub fn line(&self) -> String {
        let next = if self.next.is_empty() { "" } else { "; " };
        self.by.says(format_args!("{}{next}{}", self.because, self.next))
    }
}

/// An action that is about to begin.
#[derive(Debug, Clone)]
pub struct Intent {
    /// Its session.
    pub session: SessionId,
    /// Its channel, from 0 in order of opening.
    pub channel: u32,
    /// What it is.
    pub class: ActionClass,
    /// The command, subsystem or destination.
    pub command: Option<Vec<u8>>,
    /// Whether a terminal was asked for.
    pub pty: bool,
    /// The recording's next frame.
    pub frame: u64,
    /// Microseconds since the session opened.
    pub offset_us: u64,
}

/// A log-in that finds out what a target refuses.
#[derive(Debug, Clone)]
pub struct Probe {
    /// Its session.
    pub session: SessionId,
    /// The action that it is.
    pub action: ActionId,
    /// The session's own key.
    pub key: PublicKey,
    /// What is to be wrong in the certificate.
    pub wrong: Wrong,
}

/// How an action ended.
#[derive(Debug, Clone)]
pub struct ActionEnd {
    /// The action.
    pub action: ActionId,
    /// How its program ended.
    pub exit: Exit,
    /// Bytes to the target.
    pub bytes_in: u64,
    /// Bytes from the target.
    pub bytes_out: u64,
    /// The recording's next frame at its end.
    pub frame: u64,
}

/// Something that a known person asked for and the gateway refused by itself.
#[derive(Debug, Clone)]
pub struct Refused {
    /// Whose key.
    pub key: Key,
    /// In which session, if in one.
    pub session: Option<SessionId>,
    /// The channel or request type, as the protocol names it.
    pub wanted: String,
    /// The command, subsystem or destination.
    pub command: Option<Vec<u8>>,
    /// Why, as a code.
    pub code: &'static str,
}

/// How a session ended.
#[derive(Debug)]
pub struct SessionEnd {
    /// The session.
    pub session: SessionId,
    /// Why.
    pub cause: EndCause,
    /// When it had to end.
    pub due: Option<Instant>,
    /// From then to the last byte that passed.
    pub late: Option<Duration>,
    /// The recording.
    pub recording: journal::Closed,
    /// Bytes that went to the target.
    pub bytes_in: u64,
    /// Bytes that came from the target.
    pub bytes_out: u64,
    /// Bytes journaled, both ways.
    pub bytes_journaled: u64,
    /// Channels opened.
    pub channels_opened: u64,
    /// Channels closed.
    pub channels_closed: u64,
    /// The host key that the target showed.
    pub host_key: Option<PublicKey>,
}

/// One of the gateway's own words: `ssh gateway ls`.
#[derive(Debug, Clone)]
pub struct Word {
    /// Whose key.
    pub key: Key,
    /// Proof that it logged in.
    pub proof: LogIn,
    /// From where.
    pub client: SocketAddr,
    /// The word and its arguments; never empty.
    pub words: Vec<String>,
}

/// What is said to a word.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// To standard output.
    pub out: String,
    /// To standard error.
    pub err: String,
    /// The exit status.
    pub status: u32,
}

/// The asking end. Clones ask the same one.
#[derive(Clone)]
pub struct Desk(mpsc::Sender<Ask>);

impl Desk {
    /// A queue with both ends.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<Ask>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self(sender), receiver)
    }

    /// Asks and waits; nothing when nobody answers in time.
    pub async fn ask<T>(&self, ask: impl FnOnce(Answer<T>) -> Ask) -> Option<T> {
        let (sender, receiver) = oneshot::channel();
        let asked = async {
            self.0.send(ask(Answer(sender))).await.ok()?;
            receiver.await.ok()
        };
        tokio::time::timeout(ANSWER_MAX, asked).await.ok().flatten()
    }
}

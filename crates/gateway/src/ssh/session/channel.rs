//! One channel of a session: which of its requests go on, in which order answers leave, and how its end is told.

use std::collections::VecDeque;

use model::statement::ActionClass;
use recording::Exit;

use crate::ssh::wire::disposition::{self, Disposition, Kind, Side};

use super::check::Form;

/// What becomes of a request of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling {
    /// It goes on, and the target answers.
    Forward,
    /// It begins an action: it goes on once the action's intent is committed.
    Begin(ActionClass),
    /// It asks the gateway to check the target.
    Check(Form),
    /// It does not go on; the code says why.
    Refuse(&'static str),
}

/// Judges the requests of one `session` channel. One channel begins one action at most.
#[derive(Debug, Clone, Copy, Default)]
pub struct Intake {
    pty: bool,
    begun: bool,
}

impl Intake {
    /// A request by its name; `subsystem` is the subsystem's name where it is one.
    pub fn judge(&mut self, name: &str, subsystem: Option<&str>) -> Ruling {
        if disposition::of(Kind::ChannelRequest, Side::Client, name) != Disposition::Forward {
            return Ruling::Refuse("request_not_supported");
        }
        let begins = match (name, subsystem) {
            ("shell", _) => Ruling::Begin(ActionClass::Shell),
            ("exec", _) => Ruling::Begin(ActionClass::Exec),
            ("subsystem", Some("sftp")) => Ruling::Begin(ActionClass::Sftp),
            ("subsystem", name) => match name.and_then(Form::of) {
                Some(form) => Ruling::Check(form),
                None => return Ruling::Refuse("subsystem_not_supported"),
            },
            ("pty-req", _) if self.begun => return Ruling::Refuse("too_late"),
            ("pty-req", _) => {
                self.pty = true;
                return Ruling::Forward;
            }
            _ => return Ruling::Forward,
        };
        if std::mem::replace(&mut self.begun, true) {
            return Ruling::Refuse("second_action");
        }
        begins
    }

    /// Whether a terminal was asked for.
    #[must_use]
    pub const fn has_pty(&self) -> bool {
        self.pty
    }
}

/// The order of answers on one channel: some come from the target, some from here; none overtakes another.
#[derive(Debug, Clone, Default)]
pub struct Answers(VecDeque<Option<bool>>);

impl Answers {
    /// Requests that may wait for an answer at once; a client that sends more is cut.
    pub const WAITING_MAX: usize = 256;

    /// A request that wants an answer went on to the target. False: too many wait.
    pub fn forwarded(&mut self) -> bool {
        self.0.push_back(None);
        self.0.len() <= Self::WAITING_MAX
    }

    /// A request was answered here. Gives the answers that may leave now.
    pub fn decided(&mut self, success: bool) -> Vec<bool> {
        self.0.push_back(Some(success));
        self.due()
    }

    /// The target has answered the oldest request. Gives the answers that may leave now; none if nothing was asked.
    pub fn answered(&mut self, success: bool) -> Vec<bool> {
        if let Some(oldest) = self.0.front_mut().filter(|oldest| oldest.is_none()) {
            *oldest = Some(success);
        }
        self.due()
    }

    fn due(&mut self) -> Vec<bool> {
        std::iter::from_fn(|| self.0.pop_front_if(|answer| answer.is_some()).flatten()).collect()
    }
}

/// What is told to the client at a channel's end, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Last {
    /// How the program ended.
    Exit(Exit),
    /// No more data.
    Eof,
    /// It is closed.
    Close,
}

/// Holds back the end of data until the exit status is there: sshd sends the status before all data is out, and a client
/// that has seen the end of data closes without waiting for the status.
///
/// INVARIANT (exit status): exit status or signal leaves before the end of data, and the end of data after all data.
#[derive(Debug, Clone)]
pub struct Ending {
    /// Whether an exit status is to be expected at all.
    program: bool,
    exit: Option<Exit>,
    eof: Told,
    closed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    No,
    Held,
    Yes,
}

impl Ending {
    /// For a program (`session`) or for a mere connection.
    #[must_use]
    pub const fn new(program: bool) -> Self {
        Self {
            program,
            exit: None,
            eof: Told::No,
            closed: false,
        }
    }

    /// The target says how the program ended. Only the first word counts.
    pub fn exit(&mut self, exit: Exit) -> Vec<Last> {
        if self.eof == Told::Yes || self.exit.is_some() {
            return vec![];
        }
        self.exit = Some(exit);
        if self.eof == Told::Held { self.tell() } else { vec![] }
    }

    /// The target has no more data.
    pub fn eof(&mut self) -> Vec<Last> {
        match self.eof {
            Told::No if self.program && self.exit.is_none() => {
                self.eof = Told::Held;
                vec![]
            }
            Told::No => self.tell(),
            _ => vec![],
        }
    }

    /// The target has closed, or is gone.
    pub fn close(&mut self) -> Vec<Last> {
        if std::mem::replace(&mut self.closed, true) {
            return vec![];
        }
        let mut last = if self.eof == Told::Yes { vec![] } else { self.tell() };
        last.push(Last::Close);
        last
    }

    fn tell(&mut self) -> Vec<Last> {
        self.eof = Told::Yes;
        self.exit
            .take()
            .map(Last::Exit)
            .into_iter()
            .chain([Last::Eof])
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_channel_begins_one_action() {
        let mut intake = Intake::default();
        assert_eq!(intake.judge("env", None), Ruling::Forward);
        assert_eq!(intake.judge("pty-req", None), Ruling::Forward);
        assert!(intake.has_pty());
        assert_eq!(intake.judge("shell", None), Ruling::Begin(ActionClass::Shell));
        assert_eq!(intake.judge("exec", None), Ruling::Refuse("second_action"));
        assert_eq!(intake.judge("pty-req", None), Ruling::Refuse("too_late"));
        assert_eq!(intake.judge("window-change", None), Ruling::Forward);
    }

    #[test]
    fn what_no_grant_covers_is_refused() {
        let mut intake = Intake::default();
        for name in [
            "x11-req",
            "auth-agent-req@openssh.com",
            "exit-status",
            "new@example.com",
        ] {
            assert_eq!(
                intake.judge(name, None),
                Ruling::Refuse("request_not_supported"),
                "{name}"
            );
        }
        assert_eq!(
            intake.judge("subsystem", Some("netconf")),
            Ruling::Refuse("subsystem_not_supported")
        );
        assert_eq!(
            intake.judge("subsystem", Some("sftp")),
            Ruling::Begin(ActionClass::Sftp)
        );
    }

    #[test]
    fn a_check_is_what_its_channel_begins() {
        let mut intake = Intake::default();
        let check = Some("countersign-check --json");
        assert_eq!(intake.judge("subsystem", check), Ruling::Check(Form::Json));
        assert_eq!(intake.judge("subsystem", check), Ruling::Refuse("second_action"));
    }

    #[test]
    fn an_answer_from_here_waits_for_older_ones_from_the_target() {
        let mut answers = Answers::default();
        assert_eq!(answers.decided(false), [false]);
        assert!(answers.forwarded());
        assert_eq!(answers.decided(false), Vec::<bool>::new());
        assert!(answers.forwarded());
        assert_eq!(answers.answered(true), [true, false]);
        assert_eq!(answers.answered(false), [false]);
        assert_eq!(answers.answered(true), Vec::<bool>::new(), "nothing was asked");
    }

    #[test]
    fn requests_without_answers_are_bounded() {
        let mut answers = Answers::default();
        assert!((0..Answers::WAITING_MAX).all(|_| answers.forwarded()));
        assert!(!answers.forwarded());
    }

    fn status() -> Last {
        Last::Exit(Exit::Status(3))
    }

    /// In whatever order the target says it, the client hears status, end of data, close.
    #[test]
    fn the_exit_status_is_never_after_the_end_of_data() {
        let mut early = Ending::new(true);
        assert_eq!(early.exit(Exit::Status(3)), []);
        assert_eq!(early.eof(), [status(), Last::Eof]);
        assert_eq!(early.close(), [Last::Close]);
        let mut late = Ending::new(true);
        assert_eq!(late.eof(), []);
        assert_eq!(late.exit(Exit::Status(3)), [status(), Last::Eof]);
        assert_eq!(late.close(), [Last::Close]);
        let mut only_closed = Ending::new(true);
        assert_eq!(only_closed.close(), [Last::Eof, Last::Close]);
        assert_eq!(
            (only_closed.close(), only_closed.eof(), only_closed.exit(Exit::Unsaid)),
            (vec![], vec![], vec![])
        );
    }

    #[test]
    fn a_second_word_about_the_end_does_not_count() {
        let mut ending = Ending::new(true);
        assert_eq!(ending.exit(Exit::Status(3)), []);
        assert_eq!(ending.exit(Exit::Status(0)), []);
        assert_eq!(ending.eof(), [status(), Last::Eof]);
        assert_eq!((ending.eof(), ending.exit(Exit::Status(0))), (vec![], vec![]));
    }

    #[test]
    fn a_connection_without_a_program_ends_its_data_at_once() {
        let mut ending = Ending::new(false);
        assert_eq!(ending.eof(), [Last::Eof]);
        assert_eq!(ending.close(), [Last::Close]);
    }
}

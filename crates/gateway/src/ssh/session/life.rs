//! The life of one session: asked, waiting, dialing, live, over.
//!
//! Time is a [`Duration`] since the machine was made, by a clock that only goes forward. INVARIANT (end): after
//! [`Effect::Cut`] there is no further effect, and at or after the window's end every input leads to it.

use std::time::Duration;

use model::body::EndCause;

/// How long before the end a warning is given.
pub const WARNINGS: [Duration; 3] = [minutes(15), minutes(5), minutes(1)];
/// How often a session that waits for approval asks again.
pub const ASK_EVERY: Duration = Duration::from_secs(1);
/// How long a session may be held before it is ended.
pub const HELD_MAX: Duration = minutes(15);
/// How long a session stays that is refused, or not approved yet, while nobody waits for it on a terminal: for its
/// channels to say why, and for a check to find out why a target refuses it.
pub const BARRED_MAX: Duration = Duration::from_secs(5);
/// How long, where one does.
pub const CHECK_MAX: Duration = Duration::from_secs(90);

const fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

/// What happens to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Not yet: an approval is due.
    Pending {
        /// What to tell who waits.
        text: String,
        /// Whether somebody waits on a terminal.
        attended: bool,
    },
    /// No. What to tell.
    Refused(String),
    /// It may begin, until then.
    Opened {
        /// The window's end.
        until: Duration,
    },
    /// The target was reached.
    Connected,
    /// The target was not reached, or is not who it should be. What to tell.
    Unreachable(String),
    /// The target was reached and refuses the log-in. What to tell.
    Barred(String),
    /// A check begins or ends to find out why.
    Checking(bool),
    /// The client has gone.
    ClientGone,
    /// The target has gone.
    TargetGone,
    /// The recording has stopped. What to tell.
    Halted(String),
    /// An order from outside.
    Order(Order),
    /// Time has passed.
    Tick,
}

/// What others may order while a session lives; `T` is how they say when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order<T = Duration> {
    /// The grant was withdrawn, at this time.
    Revoked(T),
    /// Somebody entitled ended it, at this time.
    Killed(T),
    /// The window was lengthened to then.
    Extended(T),
    /// Nothing may pass for now: cosignatures are late.
    Hold,
    /// It may go on.
    Resume,
    /// The log cannot be kept any more. Why.
    Stop(String),
    /// The gateway shuts down.
    Shutdown,
}

impl<T> Order<T> {
    /// The same order with another kind of time.
    pub fn map<U>(self, time: impl FnOnce(T) -> U) -> Order<U> {
        match self {
            Self::Revoked(at) => Order::Revoked(time(at)),
            Self::Killed(at) => Order::Killed(time(at)),
            Self::Extended(at) => Order::Extended(time(at)),
            Self::Hold => Order::Hold,
            Self::Resume => Order::Resume,
            Self::Stop(why) => Order::Stop(why),
            Self::Shutdown => Order::Shutdown,
        }
    }
}

/// What has to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Ask again whether it may begin.
    Ask,
    /// Tell those who wait.
    Wait(String),
    /// Tell that there is no session, and why.
    Refuse(String),
    /// Reach the target.
    Dial,
    /// No target, and what to tell; a check may find out why.
    Bar(String),
    /// Bytes may pass.
    Begin,
    /// A line on each terminal that takes one.
    Tell(String),
    /// Bytes may not pass for now.
    Hold,
    /// Bytes may pass again.
    Resume,
    /// It is over: nothing passes from here on.
    Cut(End),
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Why, for the log.
    pub cause: EndCause,
    /// When it had to end, where that was ordered or due.
    pub due: Option<Duration>,
    /// Why, for the person.
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Asking { again: Option<Duration> },
    Dialing,
    Live,
    Over,
}

/// One session's state.
#[derive(Debug, Clone)]
pub struct Life {
    stage: Stage,
    until: Option<Duration>,
    /// Warnings not yet given, the largest first.
    warnings: Vec<Duration>,
    held_since: Option<Duration>,
    /// What a refusal ends with, and when.
    barred: Option<(Duration, String)>,
}

impl Default for Life {
    fn default() -> Self {
        Self {
            stage: Stage::Asking { again: None },
            until: None,
            warnings: vec![],
            held_since: None,
            barred: None,
        }
    }
}

impl Life {
    /// Takes what happened at `now` and says what has to be done.
    pub fn handle(&mut self, input: Input, now: Duration) -> Vec<Effect> {
        if self.stage == Stage::Over {
            return vec![];
        }
        match self.due(now) {
            Some(end) => self.cut(end),
            None => self.happened(input, now),
        }
    }

    /// When [`Input::Tick`] is next due; none while nothing depends on time.
    #[must_use]
    pub fn wake_at(&self) -> Option<Duration> {
        let again = match self.stage {
            Stage::Over => return None,
            Stage::Asking { again } => again,
            _ => None,
        };
        let warning = self
            .until
            .zip(self.warnings.first())
            .map(|(until, before)| until.saturating_sub(*before));
        let held = self.held_since.map(|since| since.saturating_add(HELD_MAX));
        let barred = self.barred.as_ref().map(|(at, _)| *at);
        [again, warning, self.until, held, barred].into_iter().flatten().min()
    }

    /// The window's end, once it is known.
    #[must_use]
    pub const fn until(&self) -> Option<Duration> {
        self.until
    }

    fn happened(&mut self, input: Input, now: Duration) -> Vec<Effect> {
        match (self.stage, input) {
            (Stage::Asking { .. }, Input::Pending { text, attended }) => {
                let leaves = self
                    .barred
                    .take()
                    .unwrap_or((now.saturating_add(BARRED_MAX), text.clone()));
                self.barred = (!attended).then_some(leaves);
                self.stage = Stage::Asking {
                    again: Some(now.saturating_add(ASK_EVERY)),
                };
                vec![Effect::Wait(text)]
            }
            (Stage::Asking { .. }, Input::Refused(text)) => {
                self.stage = Stage::Asking { again: None };
                self.barred = Some((now.saturating_add(BARRED_MAX), text.clone()));
                vec![Effect::Refuse(text)]
            }
            (Stage::Asking { .. }, Input::Opened { until }) => {
                self.set_until(until, now);
                self.barred = None;
                self.stage = Stage::Dialing;
                self.due(now).map_or_else(|| vec![Effect::Dial], |end| self.cut(end))
            }
            (Stage::Dialing, Input::Connected) => {
                self.stage = Stage::Live;
                vec![Effect::Begin]
            }
            (Stage::Dialing, Input::Unreachable(text)) => self.cut(ended(EndCause::TargetRefused, None, text)),
            (Stage::Dialing, Input::Barred(text)) => {
                self.barred = Some((now.saturating_add(BARRED_MAX), text.clone()));
                vec![Effect::Bar(text)]
            }
            (Stage::Dialing, Input::Checking(begins)) => {
                let stays = now.saturating_add(if begins { CHECK_MAX } else { BARRED_MAX });
                self.barred.iter_mut().for_each(|(at, _)| *at = stays);
                vec![]
            }
            (_, Input::ClientGone) => {
                let left = || ended(EndCause::ClientClosed, None, "the client has closed the connection");
                let barred = self.barred.take();
                self.cut(barred.map_or_else(left, |(_, text)| ended(EndCause::TargetRefused, None, text)))
            }
            (_, Input::TargetGone) => self.cut(ended(
                EndCause::TargetClosed,
                None,
                "the target has closed the connection",
            )),
            (_, Input::Halted(text)) => self.cut(ended(EndCause::RecorderStopped, None, text)),
            (_, Input::Order(order)) => self.ordered(order, now),
            (_, Input::Tick) => self.passed(now),
            _ => vec![],
        }
    }

    fn ordered(&mut self, order: Order, now: Duration) -> Vec<Effect> {
        match order {
            Order::Revoked(due) => self.cut(ended(EndCause::Revoked, Some(due), "the grant was revoked")),
            Order::Killed(due) => self.cut(ended(EndCause::Killed, Some(due), "the session was ended by order")),
            Order::Stop(why) => self.cut(ended(EndCause::LedgerStopped, None, why)),
            Order::Shutdown => self.cut(ended(EndCause::Shutdown, None, "the gateway is shutting down")),
            Order::Extended(until) if self.until.is_some_and(|known| until > known) => {
                self.set_until(until, now);
                vec![Effect::Tell(format!(
                    "this session now ends in {}",
                    spoken(until.saturating_sub(now))
                ))]
            }
            Order::Hold if self.held_since.is_none() => {
                self.held_since = Some(now);
                vec![Effect::Hold]
            }
            Order::Resume if self.held_since.take().is_some() => vec![Effect::Resume],
            Order::Extended(_) | Order::Hold | Order::Resume => vec![],
        }
    }

    fn passed(&mut self, now: Duration) -> Vec<Effect> {
        if let Stage::Asking { again: Some(at) } = self.stage
            && at <= now
        {
            self.stage = Stage::Asking { again: None };
            return vec![Effect::Ask];
        }
        let Some(left) = self.until.map(|until| until.saturating_sub(now)) else {
            return vec![];
        };
        let before = self.warnings.len();
        self.warnings.retain(|warning| *warning < left);
        if self.warnings.len() == before || self.stage != Stage::Live {
            return vec![];
        }
        vec![Effect::Tell(format!("this session ends in {}", spoken(left)))]
    }

    /// Whether time alone ends it.
    fn due(&self, now: Duration) -> Option<End> {
        if let Some(until) = self.until.filter(|until| now >= *until) {
            return Some(ended(EndCause::Expired, Some(until), "the grant's window has ended"));
        }
        if let Some((_, text)) = self.barred.as_ref().filter(|(at, _)| now >= *at) {
            return Some(ended(EndCause::TargetRefused, None, text.as_str()));
        }
        let held = self
            .held_since
            .is_some_and(|since| now.saturating_sub(since) >= HELD_MAX);
        held.then(|| {
            ended(
                EndCause::LedgerStopped,
                None,
                "the session was held too long without cosignatures",
            )
        })
    }

    fn set_until(&mut self, until: Duration, now: Duration) {
        self.until = Some(until);
        let left = until.saturating_sub(now);
        self.warnings = WARNINGS.into_iter().filter(|warning| *warning < left).collect();
    }

    fn cut(&mut self, end: End) -> Vec<Effect> {
        self.stage = Stage::Over;
        vec![Effect::Cut(end)]
    }
}

fn ended(cause: EndCause, due: Option<Duration>, text: impl Into<String>) -> End {
    End {
        cause,
        due,
        text: text.into(),
    }
}

/// `5 minutes`, `1 minute`, `40 seconds`; rounded to what is still true.
fn spoken(left: Duration) -> String {
    let (number, unit) = match left.as_secs() + u64::from(left.subsec_millis() >= 500) {
        seconds @ 0..60 => (seconds, "second"),
        seconds => (seconds / 60, "minute"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn live(until: Duration) -> Life {
        let mut life = Life::default();
        assert_eq!(life.handle(Input::Opened { until }, Duration::ZERO), [Effect::Dial]);
        assert_eq!(life.handle(Input::Connected, S), [Effect::Begin]);
        life
    }

    fn cause(effects: &[Effect]) -> Option<EndCause> {
        match effects {
            [Effect::Cut(end)] => Some(end.cause),
            _ => None,
        }
    }

    #[test]
    fn who_waits_is_asked_for_each_second_until_it_opens() {
        let mut life = Life::default();
        assert_eq!(life.wake_at(), None);
        assert_eq!(life.handle(pending(true), S), [Effect::Wait("due".into())]);
        assert_eq!(life.wake_at(), Some(2 * S));
        assert_eq!(life.handle(Input::Tick, S), []);
        assert_eq!(life.handle(Input::Tick, 2 * S), [Effect::Ask]);
        assert_eq!(life.wake_at(), None, "not twice before it is answered");
        assert_eq!(life.handle(Input::Opened { until: minutes(9) }, 3 * S), [Effect::Dial]);
    }

    fn pending(attended: bool) -> Input {
        Input::Pending {
            text: "due".into(),
            attended,
        }
    }

    #[test]
    fn what_nobody_waits_for_ends_and_says_why() {
        let over = Effect::Cut(ended(EndCause::TargetRefused, None, "due"));
        let mut life = Life::default();
        for second in 1..6 {
            assert_eq!(life.handle(pending(false), second * S), [Effect::Wait("due".into())]);
        }
        assert_eq!(life.handle(pending(false), 6 * S), *from_ref(&over));
        let mut attended = Life::default();
        attended.handle(pending(false), S);
        attended.handle(pending(true), 5 * S);
        assert_eq!(attended.handle(pending(true), 90 * S), [Effect::Wait("due".into())]);
        attended.handle(pending(false), 91 * S);
        assert_eq!(attended.handle(Input::Tick, 96 * S), [over]);
        let mut opened = Life::default();
        opened.handle(pending(false), S);
        opened.handle(Input::Opened { until: minutes(9) }, 2 * S);
        assert_eq!(
            (opened.handle(Input::Connected, 20 * S), opened.wake_at()),
            (vec![Effect::Begin], Some(minutes(4)))
        );
    }

    #[test]
    fn a_refused_opening_does_not_dial() {
        let mut life = Life::default();
        assert_eq!(
            life.handle(Input::Refused("no".into()), S),
            [Effect::Refuse("no".into())]
        );
        assert_eq!(life.handle(Input::Connected, S), []);
        // Whoever opens no channel hears of it at the end.
        assert_eq!(life.wake_at(), Some(6 * S));
        let over = Effect::Cut(ended(EndCause::TargetRefused, None, "no"));
        assert_eq!(life.handle(Input::Tick, 6 * S), [over]);
    }

    #[test]
    fn a_refused_log_in_leaves_time_to_find_out_why() {
        let barred = || {
            let mut life = Life::default();
            life.handle(Input::Opened { until: minutes(9) }, Duration::ZERO);
            let effects = life.handle(Input::Barred("no".into()), S);
            assert_eq!((effects, life.wake_at()), (vec![Effect::Bar("no".into())], Some(6 * S)));
            life
        };
        let over = Effect::Cut(ended(EndCause::TargetRefused, None, "no"));
        assert_eq!(barred().handle(Input::Tick, 6 * S), *from_ref(&over));
        assert_eq!(barred().handle(Input::ClientGone, 2 * S), *from_ref(&over));
        let mut checked = barred();
        assert_eq!(checked.handle(Input::Checking(true), 2 * S), []);
        assert_eq!(
            (checked.handle(Input::Tick, 60 * S), checked.wake_at()),
            (vec![], Some(92 * S))
        );
        let mut done = checked.clone();
        assert_eq!(*from_ref(&over), *checked.handle(Input::Tick, 92 * S));
        assert_eq!(
            (done.handle(Input::Checking(false), 61 * S), done.wake_at()),
            (vec![], Some(66 * S))
        );
        let mut revoked = barred();
        let effects = revoked.handle(Input::Order(Order::Revoked(S)), 2 * S);
        assert_eq!(cause(&effects), Some(EndCause::Revoked));
    }

    #[test]
    fn warnings_come_at_fifteen_five_and_one() {
        let mut life = live(minutes(60));
        let mut said = vec![];
        while let Some(at) = life.wake_at() {
            for effect in life.handle(Input::Tick, at) {
                said.push((at, effect));
            }
        }
        let tell = |at, text: &str| (minutes(at), Effect::Tell(format!("this session ends in {text}")));
        assert_eq!(
            said[..3],
            [tell(45, "15 minutes"), tell(55, "5 minutes"), tell(59, "1 minute")]
        );
        assert_eq!(cause(&[said[3].1.clone()]), Some(EndCause::Expired));
        assert_eq!((said.len(), said[3].0), (4, minutes(60)));
    }

    #[test]
    fn a_short_window_has_only_the_warnings_that_fit() {
        let mut life = live(minutes(3));
        assert_eq!(life.wake_at(), Some(minutes(2)));
        assert_eq!(
            life.handle(Input::Tick, minutes(2)),
            [Effect::Tell("this session ends in 1 minute".into())]
        );
        assert_eq!(life.wake_at(), Some(minutes(3)));
    }

    #[test]
    fn a_late_tick_says_what_is_still_true() {
        let mut life = live(minutes(60));
        let left = Effect::Tell("this session ends in 40 seconds".into());
        assert_eq!(life.handle(Input::Tick, minutes(60) - 40 * S), [left]);
        assert_eq!(life.wake_at(), Some(minutes(60)));
    }

    /// R022: at the end nothing else counts, whatever happens to come first.
    #[test]
    fn every_input_at_the_end_is_the_end_r022() {
        for input in [
            Input::Tick,
            Input::TargetGone,
            Input::Order(Order::Hold),
            Input::Order(Order::Extended(minutes(9))),
        ] {
            let mut life = live(minutes(5));
            let effects = life.handle(input, minutes(5));
            assert_eq!(cause(&effects), Some(EndCause::Expired));
            let [Effect::Cut(end)] = effects.as_slice() else {
                panic!("no cut")
            };
            assert_eq!(end.due, Some(minutes(5)));
            assert_eq!((life.handle(Input::Tick, minutes(6)), life.wake_at()), (vec![], None));
        }
    }

    #[test]
    fn a_window_that_has_passed_is_not_dialed() {
        let mut life = Life::default();
        assert_eq!(
            cause(&life.handle(Input::Opened { until: S }, 2 * S)),
            Some(EndCause::Expired)
        );
    }

    #[test]
    fn orders_end_it_and_say_when_it_was_due() {
        for (order, wanted) in [
            (Order::Revoked(S), EndCause::Revoked),
            (Order::Killed(S), EndCause::Killed),
            (Order::Stop("full".into()), EndCause::LedgerStopped),
            (Order::Shutdown, EndCause::Shutdown),
        ] {
            let mut life = live(minutes(30));
            assert_eq!(cause(&life.handle(Input::Order(order), 2 * S)), Some(wanted));
        }
        let mut waiting = Life::default();
        assert_eq!(
            cause(&waiting.handle(Input::ClientGone, S)),
            Some(EndCause::ClientClosed)
        );
    }

    #[test]
    fn only_a_later_end_extends() {
        let mut life = live(minutes(10));
        assert_eq!(life.handle(Input::Order(Order::Extended(minutes(9))), S), []);
        let told = Effect::Tell("this session now ends in 59 minutes".into());
        assert_eq!(life.handle(Input::Order(Order::Extended(minutes(60))), S), [told]);
        assert_eq!((life.until(), life.wake_at()), (Some(minutes(60)), Some(minutes(45))));
    }

    #[test]
    fn held_too_long_is_the_end_and_a_blip_is_not() {
        let mut life = live(minutes(120));
        assert_eq!(life.handle(Input::Order(Order::Hold), 10 * S), [Effect::Hold]);
        assert_eq!(life.handle(Input::Order(Order::Hold), 11 * S), []);
        assert_eq!(life.handle(Input::Order(Order::Resume), 22 * S), [Effect::Resume]);
        assert_eq!(life.handle(Input::Order(Order::Resume), 23 * S), []);
        assert_eq!(life.handle(Input::Order(Order::Hold), 30 * S), [Effect::Hold]);
        assert_eq!(life.wake_at(), Some(30 * S + HELD_MAX));
        assert_eq!(
            cause(&life.handle(Input::Tick, 30 * S + HELD_MAX)),
            Some(EndCause::LedgerStopped)
        );
    }

    /// Any sequence of inputs: never an effect after the end, never bytes without an opening before, and the machine
    /// always asks to be woken no later than its end.
    #[test]
    fn random_lives_end_once_and_in_time() {
        let mut seed = 0x853c_49e6_748f_ea9b_u64;
        let mut random = move |below: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed % below
        };
        for _ in 0..2000 {
            let (mut life, mut now, mut opened, mut over) = (Life::default(), Duration::ZERO, false, false);
            for _ in 0..60 {
                now += Duration::from_secs(random(90));
                let input = match random(16) {
                    0 => pending(now.as_secs().is_multiple_of(2)),
                    1 => Input::Refused(String::new()),
                    2 => Input::Opened {
                        until: now + Duration::from_secs(random(3000)),
                    },
                    3 | 4 => Input::Connected,
                    5 => Input::Order(Order::Hold),
                    6 => Input::Order(Order::Resume),
                    7 => Input::Order(Order::Extended(now + Duration::from_secs(random(3000)))),
                    14 => Input::Barred(String::new()),
                    15 => Input::Checking(random(2) == 0),
                    8 if random(9) == 0 => Input::TargetGone,
                    9 if random(9) == 0 => Input::Order(Order::Revoked(now)),
                    _ => Input::Tick,
                };
                opened |= matches!(input, Input::Opened { .. });
                for effect in life.handle(input, now) {
                    assert!(!over, "an effect after the end: {effect:?}");
                    assert!(
                        opened || !matches!(effect, Effect::Dial | Effect::Begin),
                        "{effect:?} before an opening"
                    );
                    over |= matches!(effect, Effect::Cut(_));
                }
                if let Some(until) = life.until().filter(|_| !over) {
                    assert!(now < until && life.wake_at().is_some_and(|at| at <= until));
                }
            }
        }
    }
}

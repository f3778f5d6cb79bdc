//! Why nothing more is released, in words for the user; and how the journal is, in figures for the operator.

use std::time::Duration;

use recording::{Gap, GapReason, SessionId};

/// Why a session was stopped by its recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[repr(u8)]
pub enum HaltReason {
    /// A sync reported failure.
    #[error("the recording could not be made durable")]
    SyncFailed = 1,
    /// A sync took longer than allowed.
    #[error("the recording's disk does not answer in time")]
    SlowSync = 2,
    /// No space left, or less than the stop mark.
    #[error("the recording's disk is full")]
    NoSpace = 3,
    /// The file system became read-only.
    #[error("the recording's disk has become read-only")]
    ReadOnly = 4,
    /// A write failed.
    #[error("the recording could not be written")]
    WriteFailed = 5,
    /// A write took fewer bytes than given.
    #[error("the recording was written only in part")]
    ShortWrite = 6,
    /// The journal was closed while the session lived.
    #[error("the recorder was shut down")]
    Closed = 7,
    /// The session's frames could not be sealed any more.
    #[error("the recording has ended")]
    Ended = 8,
}

impl HaltReason {
    const ALL: [Self; 8] = [
        Self::SyncFailed,
        Self::SlowSync,
        Self::NoSpace,
        Self::ReadOnly,
        Self::WriteFailed,
        Self::ShortWrite,
        Self::Closed,
        Self::Ended,
    ];

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| *reason as u8 == code)
    }

    pub(crate) const fn gap(self) -> GapReason {
        match self {
            Self::SyncFailed => GapReason::SyncFailed,
            Self::SlowSync => GapReason::SlowSync,
            Self::NoSpace => GapReason::NoSpace,
            Self::ReadOnly | Self::WriteFailed => GapReason::WriteFailed,
            Self::ShortWrite => GapReason::ShortWrite,
            Self::Closed | Self::Ended => GapReason::Stopped,
        }
    }
}

/// The session may not go on; its text is what to tell the user. A session that saw one sees it for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this session was stopped because it can no longer be recorded: {reason}")]
pub struct Halt {
    reason: HaltReason,
}

impl Halt {
    pub(crate) const fn new(reason: HaltReason) -> Self {
        Self { reason }
    }

    /// Why.
    #[must_use]
    pub const fn reason(&self) -> HaltReason {
        self.reason
    }
}

/// Whether sessions are admitted and served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// All is well.
    Ok,
    /// New sessions are refused; live ones go on.
    LowDisk,
    /// Nothing is released.
    Stopped(HaltReason),
}

impl State {
    /// Why no session may begin; none where one may.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        match self {
            Self::Ok => None,
            Self::LowDisk => Some("the recording's disk is almost full".to_owned()),
            Self::Stopped(reason) => Some(reason.to_string()),
        }
    }
}

/// The journal's figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether sessions are admitted and served.
    pub state: State,
    /// Free bytes where the segments are, as of the last look.
    pub available_bytes: u64,
    /// Bytes written and not yet synced.
    pub unsynced_bytes: u64,
    /// How long the running sync has taken so far.
    pub sync_running: Option<Duration>,
    /// How long the last sync took.
    pub last_sync: Duration,
    /// How long the slowest sync took.
    pub slowest_sync: Duration,
    /// Syncs so far.
    pub syncs: u64,
    /// Sessions that are open.
    pub sessions: usize,
}

/// What happened since the notices were last taken. Counts and sets, so nothing is lost by being late.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notices {
    /// Segments whose sync failed.
    pub poisoned_segments: u64,
    /// Gaps of sessions that go on, in the order in which they were written. What a halt leaves in doubt is in
    /// [`crate::Closed`], so each is told once.
    pub gaps: Vec<(SessionId, Gap)>,
    /// Times that everything was stopped, with the last reason.
    pub stops: u64,
    /// The reason of the last stop.
    pub last_stop: Option<HaltReason>,
    /// Times that the journal came back after a stop.
    pub recoveries: u64,
    /// Sessions that were dropped without being finished.
    pub dropped: Vec<SessionId>,
}

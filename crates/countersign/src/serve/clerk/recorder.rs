//! What the journal knows of live sessions, on its way to the log: gaps as they happen, progress every two seconds.
//!
//! INVARIANT (said once): one task takes the journal's notices and enters each gap once, in the journal's order. A
//! session's end is entered after its gaps.

use super::Sessions;
use desk::{Desk, Failure};
use journal::Journal;
use model::body::{GapCause, ProgressLine, Recorded};
use model::bytes::Digest;
use model::id::{EntryId, SessionId};
use model::name::EnvironmentName;
use recording::{Gap, GapReason};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;

/// How often progress is entered, and what could not be entered before is tried again.
const EVERY: Duration = Duration::from_secs(2);
/// Ends of sessions that may wait for their gaps.
const QUEUE: usize = 64;

/// The task's handle; dropped, it ends the task.
pub(super) struct Recorder(mpsc::Sender<oneshot::Sender<()>>);

impl Recorder {
    pub(super) fn start(desk: Arc<Desk>, journal: Journal, sessions: Sessions) -> Self {
        let (sender, asked) = mpsc::channel(QUEUE);
        let task = Task {
            desk,
            journal,
            sessions,
            due: VecDeque::new(),
        };
        tokio::spawn(task.run(asked));
        Self(sender)
    }

    /// Returns once every gap of which the journal has told so far was entered, or could not be.
    pub(super) async fn caught_up(&self) {
        let (sender, done) = oneshot::channel();
        if self.0.send(sender).await.is_ok() {
            drop(done.await);
        }
    }
}

/// A gap that is not on record yet.
struct Due {
    session: SessionId,
    gap: Gap,
    /// Its entry, when it is not known whether that is stored.
    unknown: Option<EntryId>,
}

struct Task {
    desk: Arc<Desk>,
    journal: Journal,
    sessions: Sessions,
    due: VecDeque<Due>,
}

impl Task {
    async fn run(mut self, mut asked: mpsc::Receiver<oneshot::Sender<()>>) {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                asked = asked.recv() => {
                    let Some(answer) = asked else { return };
                    self.enter_gaps().await;
                    // That it is dropped is the answer.
                    drop(answer);
                }
                () = self.journal.noticed() => self.enter_gaps().await,
                _ = tick.tick() => {
                    self.enter_gaps().await;
                    self.enter_progress().await;
                }
            }
        }
    }

    /// Enters what is due. A session whose gap has to wait keeps its later ones back, too.
    async fn enter_gaps(&mut self) {
        let told = self.journal.notices().gaps.into_iter().map(|(session, gap)| Due {
            session: SessionId::from_bytes(session),
            gap,
            unknown: None,
        });
        let due: Vec<Due> = std::mem::take(&mut self.due).into_iter().chain(told).collect();
        for due in due {
            let waits = self.due.iter().any(|before| before.session == due.session);
            let again = if waits { Some(due) } else { self.enter_gap(due).await };
            self.due.extend(again);
        }
    }

    /// Enters one gap; gives it back when that has to be tried again.
    async fn enter_gap(&self, due: Due) -> Option<Due> {
        let session = due.session;
        let Some(standing) = self.sessions.find(session) else {
            tracing::error!(%session, from = due.gap.from, "a gap was told of a session that is not live here");
            return None;
        };
        if let Some(id) = due.unknown {
            match self.desk.store().settle(&standing.environment, id).await {
                Ok(Some(_)) => return None,
                Ok(None) => {}
                Err(_) => return Some(due),
            }
        }
        let range = (due.gap.from, Some(due.gap.from.saturating_add(due.gap.frames)));
        let cause = cause(due.gap.reason);
        tracing::warn!(%session, from = range.0, frames = due.gap.frames, "frames are in doubt");
        match desk::session::gap(&self.desk, &standing.environment, session, range, cause).await {
            Ok(_) => None,
            Err(Failure::Unavailable(_)) => Some(Due { unknown: None, ..due }),
            Err(Failure::Unknown(id)) => Some(Due {
                unknown: Some(id),
                ..due
            }),
            Err(failure) => {
                tracing::error!(%session, %failure, "a gap could not be recorded");
                None
            }
        }
    }

    async fn enter_progress(&self) {
        let mut lines: BTreeMap<EnvironmentName, Vec<ProgressLine>> = BTreeMap::new();
        for progress in self.journal.progress() {
            let session = SessionId::from_bytes(progress.session);
            let Some(standing) = self.sessions.find(session) else {
                continue;
            };
            let of_environment = lines.entry(standing.environment.clone()).or_default();
            of_environment.push(ProgressLine {
                session,
                recorded: Recorded {
                    frames: progress.newest.last.saturating_add(1),
                    extents: progress.newest.number.saturating_add(1),
                    chain: Digest(progress.newest.chain),
                },
            });
        }
        for (environment, lines) in lines {
            if let Err(failure) = desk::session::progress(&self.desk, &environment, &lines).await {
                tracing::warn!(%environment, %failure, "progress could not be entered");
            }
        }
    }
}

/// Why frames are in doubt, as entries say it.
pub(super) fn cause(reason: GapReason) -> GapCause {
    match reason {
        GapReason::SyncFailed => GapCause::SyncFailed,
        GapReason::SlowSync => GapCause::SyncSlow,
        GapReason::NoSpace => GapCause::NoSpace,
        GapReason::WriteFailed | GapReason::ShortWrite | GapReason::Stopped => GapCause::WriteFailed,
    }
}

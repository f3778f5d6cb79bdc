//! What is entered while a session lives: actions, progress, gaps, its end; and the starts of this node, with the
//! sessions that an earlier start left behind.
//!
//! Not here: the opening (see `open`) and the orders that end a session (see `stop`, `watch`).

use crate::desk::{Desk, Listing, failure};
use crate::failure::Failure;
use crate::{open, sealing};
use model::apply::{Refused, Snapshot};
use model::body::{ActionEnded, ActionRefused, Body, Ended, Gap, GapCause, Lost, NodeStarted, Progress, ProgressLine};
use model::chain::{Action, Draft, Intent, Permit, refused_action};
use model::commitment::{Commitment, Opening, Openings};
use model::entity::{EntityKey, SessionState, SessionStatus};
use model::entry::BlobKind;
use model::id::{ActionId, EntryId, SessionId};
use model::judge::{ActionFacts, JudgeError, Refusal, judge_action};
use model::name::EnvironmentName;
use model::statement::ActionClass;
use store::{CommitError, Committed, Receipt};

/// How often an action is judged in all, when what it rests on changes under it.
const JUDGEMENTS_MAX: usize = 4;
/// Bytes of a command. A longer one cannot be put on record and is refused.
const COMMAND_LENGTH_MAX: usize = 40 * 1024;
/// Bytes of a refused command that are kept; a longer one is cut.
const REFUSED_LENGTH_MAX: usize = 4096;
/// Characters of a protocol's word for what was wanted.
const WANTED_CHARS_MAX: usize = 128;

/// What is about to be done in a session.
#[derive(Debug, Clone)]
pub struct Doing<'a> {
    /// What it is.
    pub class: ActionClass,
    /// The command, subsystem or destination.
    pub command: Option<&'a [u8]>,
    /// Whether a terminal was asked for.
    pub pty: bool,
    /// Channel number in the session, in the order of opening.
    pub channel: u32,
    /// The recording's next frame.
    pub frame: u64,
    /// Microseconds since the session opened.
    pub offset_us: u64,
}

/// Puts the intent of an action on record, judged again by the facts of this moment.
///
/// # Errors
/// A refusal, on record in the session; or why nothing was stored.
pub async fn intend(
    desk: &Desk,
    environment: &EnvironmentName,
    session: SessionId,
    doing: &Doing<'_>,
) -> Result<Committed<Action>, Failure> {
    match try_intend(desk, environment, session, doing).await {
        Err(Failure::Refused {
            code,
            because,
            candidates,
        }) => {
            let wanted = word(doing.class);
            record_refusal(
                desk,
                environment,
                session,
                (Some(doing.class), wanted),
                doing.command,
                code,
            )
            .await?;
            Err(Failure::Refused {
                code,
                because,
                candidates,
            })
        }
        other => other,
    }
}

/// Settles an intent that was answered with [`Failure::Unknown`]; asks until the store answers. One that is stored after
/// all has an end on record at once: it never began, so nothing exited, nothing passed and no frame was taken.
///
/// # Errors
/// When its end could not be stored.
pub async fn settle_intent(desk: &Desk, environment: &EnvironmentName, entry: EntryId) -> Result<(), Failure> {
    let Some((session, Body::Intended(intended))) = open::settled(desk, environment, entry).await else {
        return Ok(());
    };
    let ended = ActionEnded {
        action: intended.action,
        exit_status: None,
        exit_signal: None,
        bytes_in: 0,
        bytes_out: 0,
        frame: intended.frame,
    };
    let draft = Draft::new(desk.entry_id()?, Body::ActionEnded(ended)).in_session(session);
    desk.record_one(environment, draft).await.map(drop)
}

async fn try_intend(
    desk: &Desk,
    environment: &EnvironmentName,
    session: SessionId,
    doing: &Doing<'_>,
) -> Result<Committed<Action>, Failure> {
    for _ in 0..JUDGEMENTS_MAX {
        let now_ms = desk.now_ms();
        let permit = desk
            .gather(environment, |state| judge(state, session, doing.class, now_ms))
            .await??;
        let entry = desk.entry_id()?;
        let intent = Intent {
            action: ActionId::new(now_ms, desk.fresh()?),
            entry,
            channel: doing.channel,
            command: hidden(desk, environment, entry, doing.command).await?,
            pty: doing.pty,
            frame: doing.frame,
            offset_us: doing.offset_us,
        };
        match desk.commit(environment, permit.intend(intent)).await {
            Ok(committed) => return Ok(committed),
            Err(CommitError::Conflict(_)) => {}
            Err(error) => return Err(failure(error)),
        }
    }
    Err(Failure::Unavailable("what the action rests on keeps changing".into()))
}

fn judge(
    state: &Snapshot,
    session: SessionId,
    class: ActionClass,
    now_ms: u64,
) -> Result<Result<Permit<ActionFacts>, Refusal>, Refused> {
    match judge_action(state, session, class, now_ms) {
        Ok(permit) => Ok(Ok(permit)),
        Err(JudgeError::Refusal(refusal)) => Ok(Err(refusal)),
        Err(JudgeError::State(refused)) => Err(refused),
    }
}

fn word(class: ActionClass) -> &'static str {
    match class {
        ActionClass::Shell => "shell",
        ActionClass::Exec => "exec",
        ActionClass::Sftp => "sftp",
        ActionClass::Forward => "forward",
        ActionClass::TunnelLocal => "tunnel_local",
    }
}

/// Puts an action on record that the gateway refuses by itself: a channel or request that no grant can cover.
///
/// # Errors
/// When it could not be stored.
pub async fn refuse_action(
    desk: &Desk,
    environment: &EnvironmentName,
    session: SessionId,
    wanted: &str,
    command: Option<&[u8]>,
    code: &'static str,
) -> Result<Receipt, Failure> {
    record_refusal(desk, environment, session, (None, wanted), command, code).await
}

async fn record_refusal(
    desk: &Desk,
    environment: &EnvironmentName,
    session: SessionId,
    (class, wanted): (Option<ActionClass>, &str),
    command: Option<&[u8]>,
    code: &'static str,
) -> Result<Receipt, Failure> {
    let entry = desk.entry_id()?;
    let command = command.map(|command| command.get(..REFUSED_LENGTH_MAX).unwrap_or(command));
    let (command, sealed) = hidden(desk, environment, entry, command).await?.unzip();
    let body = ActionRefused {
        action: ActionId::new(desk.now_ms(), desk.fresh()?),
        class,
        wanted: wanted.chars().take(WANTED_CHARS_MAX).collect(),
        command,
        code: code.into(),
    };
    let mut draft = refused_action(entry, session, body);
    if let Some(sealed) = sealed {
        draft = draft.with(BlobKind::Openings, sealed);
    }
    desk.record_one(environment, draft).await
}

/// A command's commitment, and its opening for those who may read it.
async fn hidden(
    desk: &Desk,
    environment: &EnvironmentName,
    entry: EntryId,
    command: Option<&[u8]>,
) -> Result<Option<(Commitment, Vec<u8>)>, Failure> {
    let Some(command) = command else { return Ok(None) };
    if command.len() > COMMAND_LENGTH_MAX {
        return Err(Failure::refused(
            "command_too_long",
            format!(
                "a command of {} bytes is longer than can be put on record",
                command.len()
            ),
        ));
    }
    let opening = Opening::new("command", desk.fresh()?, command);
    let commitment = opening.commitment(entry);
    let openings = Openings {
        entry,
        fields: vec![opening],
    };
    Ok(Some((commitment, sealing::seal(desk, environment, &openings).await?)))
}

/// Puts the end of an action on record.
///
/// # Errors
/// When it could not be stored.
pub async fn end_action(
    desk: &Desk,
    environment: &EnvironmentName,
    action: &Action,
    body: ActionEnded,
) -> Result<Receipt, Failure> {
    desk.record_one(environment, action.ended(desk.entry_id()?, body)).await
}

/// Puts on record how far the sessions of this node in one environment are recorded and synced. Lines of sessions that
/// have ended meanwhile are left out.
///
/// # Errors
/// When it could not be stored.
pub async fn progress(desk: &Desk, environment: &EnvironmentName, lines: &[ProgressLine]) -> Result<(), Failure> {
    for lines in lines.chunks(Progress::LINES_MAX) {
        match record_progress(desk, environment, lines.to_vec()).await {
            Err(Failure::Refused { .. }) => {
                let open = desk.gather(environment, |state| still_open(state, lines)).await?;
                record_progress(desk, environment, open).await?;
            }
            other => other?,
        }
    }
    Ok(())
}

async fn record_progress(desk: &Desk, environment: &EnvironmentName, lines: Vec<ProgressLine>) -> Result<(), Failure> {
    if lines.is_empty() {
        return Ok(());
    }
    let draft = Draft::new(desk.entry_id()?, Body::Progress(Progress { sessions: lines }));
    desk.record_one(environment, draft).await.map(drop)
}

fn still_open(state: &Snapshot, lines: &[ProgressLine]) -> Result<Vec<ProgressLine>, Refused> {
    let mut open = vec![];
    for line in lines {
        let key = EntityKey::session(line.session);
        if state.find(&key)?.is_some() && state.session(&key)?.status == SessionStatus::Open {
            open.push(line.clone());
        }
    }
    Ok(open)
}

/// Puts frames on record that may be missing.
///
/// # Errors
/// When it could not be stored.
pub async fn gap(
    desk: &Desk,
    environment: &EnvironmentName,
    session: SessionId,
    (first, next): (u64, Option<u64>),
    cause: GapCause,
) -> Result<Receipt, Failure> {
    let body = Gap {
        session,
        first,
        next,
        cause,
    };
    let draft = Draft::new(desk.entry_id()?, Body::Gap(body)).in_session(session);
    desk.record_one(environment, draft).await
}

/// Puts the end of a session on record.
///
/// # Errors
/// When it could not be stored.
pub async fn end_session(
    desk: &Desk,
    environment: &EnvironmentName,
    session: SessionId,
    ended: Ended,
) -> Result<Receipt, Failure> {
    let draft = Draft::new(desk.entry_id()?, Body::Ended(ended)).in_session(session);
    desk.record_one(environment, draft).await
}

/// Sessions of earlier starts of this node that nobody ended: their gateway died under them.
///
/// # Errors
/// When the store cannot be read.
pub async fn left_behind(desk: &Desk, environment: &EnvironmentName) -> Result<Vec<SessionState>, Failure> {
    let ours = |state: &SessionState| state.node == *desk.store().node() && state.boot != desk.store().boot();
    desk.list(environment, Listing::ALL.in_status("open"), ours).await
}

/// Puts on record that a session was lost, with what the journal holds of it, after the gaps in that: all or nothing,
/// so that a start that dies meanwhile enters nothing twice.
///
/// # Errors
/// When it could not be stored, or there are more than 15 gaps.
pub async fn lose(
    desk: &Desk,
    environment: &EnvironmentName,
    session: SessionId,
    gaps: Vec<Gap>,
    lost: Lost,
) -> Result<(), Failure> {
    let bodies = gaps.into_iter().map(Body::Gap).chain([Body::Lost(lost)]);
    let drafts = bodies.map(|body| Ok(Draft::new(desk.entry_id()?, body).in_session(session)));
    let drafts: Vec<Draft> = drafts.collect::<Result<_, Failure>>()?;
    desk.record(environment, drafts).await.map(drop)
}

/// Announces this start of the node in one environment's log.
///
/// # Errors
/// When it could not be stored.
pub async fn node_started(desk: &Desk, environment: &EnvironmentName) -> Result<Receipt, Failure> {
    let body = NodeStarted {
        boot: desk.store().boot(),
        software: env!("CARGO_PKG_VERSION").into(),
    };
    desk.record_one(environment, Draft::new(desk.entry_id()?, Body::NodeStarted(body)))
        .await
}

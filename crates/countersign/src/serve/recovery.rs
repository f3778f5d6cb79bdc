//! The first thing after a start: sessions that an earlier start left behind are marked as lost, with what the journal
//! holds of them, and this start announces itself in each log. Nothing is entered in a log of which a witness has seen
//! more, or other entries: an old copy stays one, and can be put aside for the newest.

use crate::exit::Failure;
use desk::Desk;
use desk::session;
use journal::{RecoveredSession, Recovery};
use model::body::{Body, Gap, GapCause, Lost, Recorded};
use model::bytes::Digest;
use model::entity::SessionState;
use model::entry::Entry;
use model::name::EnvironmentName;
use publisher::{Publisher, Status};
use recording::{Kind, chain_start};
use std::time::Duration;

/// How long witnesses have to say what they have seen, before a log is written to.
const FIRST_WORD: Duration = Duration::from_secs(3);

pub(super) async fn settle((desk, publisher): (&Desk, &Publisher), recovery: &Recovery) -> Result<(), Failure> {
    for damage in &recovery.damage {
        tracing::error!(segment = damage.segment, offset = damage.offset, kind = ?damage.kind, "the journal is damaged here");
    }
    for environment in desk.environments().await.map_err(Failure::unavailable)? {
        let status = publisher.first_status(&environment, FIRST_WORD).await;
        if let Some(status @ (Status::Behind { .. } | Status::Stopped(_))) = status {
            let why = status.trouble().unwrap_or_default();
            tracing::error!(%environment, %why, "nothing is entered at this start");
            continue;
        }
        session::node_started(desk, &environment)
            .await
            .map_err(Failure::unavailable)?;
        for state in session::left_behind(desk, &environment)
            .await
            .map_err(Failure::unavailable)?
        {
            lose(desk, &environment, &state, recovery).await?;
        }
    }
    Ok(())
}

async fn lose(
    desk: &Desk,
    environment: &EnvironmentName,
    state: &SessionState,
    recovery: &Recovery,
) -> Result<(), Failure> {
    let held = recovery
        .sessions
        .iter()
        .find(|held| held.session == state.session.to_bytes());
    let lost = match held.and_then(|held| lost_of(held, state)) {
        Some(lost) => lost,
        None => Lost {
            seen_ms: state.opened_ms,
            recorded: match state.recorded.clone() {
                Some(recorded) => recorded,
                None => nothing_recorded(desk, environment, state).await?,
            },
        },
    };
    let gaps = gaps(state, held, &lost.recorded);
    tracing::warn!(session = %state.session, %environment, gaps = gaps.len(), frames = lost.recorded.frames, "a session was lost with its gateway");
    session::lose(desk, environment, state.session, gaps, lost)
        .await
        .map_err(Failure::unavailable)
}

/// Frames that are not on disk any more though they were numbered or put on record, and those that were in doubt when
/// the gateway died before it could say so.
fn gaps(state: &SessionState, held: Option<&RecoveredSession>, recorded: &Recorded) -> Vec<Gap> {
    let known = state.recorded.as_ref().map_or(0, |known| known.frames);
    let unsaid = held.and_then(|held| {
        let unsaid = held.totals.of(Kind::Gap).frames > state.gaps;
        held.newest_gap.filter(|_| unsaid).map(|at| (known.min(at), Some(at)))
    });
    let missing = held.iter().flat_map(|held| &held.missing);
    let missing = missing.map(|frames| (frames.start, Some(frames.end)));
    let here = held.map_or(0, |held| held.next_index);
    let cut = (here < recorded.frames).then_some((here, None));
    let ranges = unsaid.into_iter().chain(missing).chain(cut);
    let gap = |(first, next)| Gap {
        session: state.session,
        first,
        next,
        cause: GapCause::SyncFailed,
    };
    ranges.map(gap).collect()
}

/// What the journal holds; nothing where it holds no frame, or less than is on record already.
fn lost_of(held: &RecoveredSession, state: &SessionState) -> Option<Lost> {
    let seal = held.tail.as_ref().or(held.newest.as_ref())?;
    let recorded = Recorded {
        frames: seal.last.saturating_add(1),
        extents: seal.number.saturating_add(1),
        chain: Digest(seal.chain),
    };
    let known = state.recorded.as_ref();
    let enough = known.is_none_or(|known| known.frames <= recorded.frames && known.extents <= recorded.extents);
    enough.then_some(Lost {
        seen_ms: held.opened_at_ms.saturating_add(seal.last_us / 1000),
        recorded,
    })
}

async fn nothing_recorded(
    desk: &Desk,
    environment: &EnvironmentName,
    state: &SessionState,
) -> Result<Recorded, Failure> {
    let store = desk.store();
    let genesis = store
        .gather(environment, |known| known.genesis().cloned())
        .await
        .map_err(Failure::unavailable)?;
    let (at, only) = (state.opened_at, 1);
    let found = store
        .entries(environment, at..at.saturating_add(1), only)
        .await
        .map_err(Failure::unavailable)?;
    let opened = found
        .into_iter()
        .next()
        .and_then(|(_, bytes)| Entry::parse(&bytes).ok())
        .map(|entry| entry.body);
    let Some(Body::Opened(opened)) = opened else {
        return Err(Failure::unavailable(format!(
            "the opening of {} cannot be read",
            state.session
        )));
    };
    Ok(Recorded {
        frames: 0,
        extents: 0,
        chain: Digest(chain_start(&genesis.origin, &state.session.to_bytes(), &opened.dek.0)),
    })
}

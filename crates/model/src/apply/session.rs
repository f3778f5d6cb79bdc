//! What was done: openings, actions, progress, ends. Each entry of a session names the one before it.

use super::access::{check_engaged, check_may_stop, check_speaker, only_signer};
use super::{Changes, Refused, Snapshot, ensure, rule};
use crate::body::{ActionEnded, Body, EndCause, Ended, Gap, Intended, Lost, NodeStarted, Opened, Progress, Recorded};
use crate::bytes::Digest;
use crate::entity::{Entity, EntityKey, GrantState, NodeState, SessionState, SessionStatus};
use crate::entry::Placed;
use crate::id::SessionId;
use crate::signature::Signed;
use crate::statement::{Kill, Role};

/// Actions of one session that may be under way at once.
pub const LIVE_MAX: usize = 256;
/// How far before the opening a certificate may begin, for slow clocks, seconds.
const CERTIFICATE_EARLY_S: u64 = 300;
/// The longest life of a session's certificate, seconds.
const CERTIFICATE_LIFE_S_MAX: u64 = 600;

pub(super) fn opened(before: &Snapshot, placed: &Placed, body: &Opened) -> Result<Changes, Refused> {
    let id = session_of(placed)?;
    let key = EntityKey::session(id);
    ensure(
        before.find(&key)?.is_none(),
        "session_twice",
        "a session of this id exists",
    )?;
    let time_ms = placed.entry.time_ms;
    let grant = live_grant(before, &EntityKey::grant(body.grant), time_ms)?;
    check_covers(before, grant, body)?;
    check_uses(before, grant, body, time_ms)?;
    check_certificate(before, body, time_ms)?;
    let proof = EntityKey::proof(Digest::of(&body.proof.signed.0));
    ensure(
        before.find(&proof)?.is_none(),
        "proof_reused",
        "the log-in proof belongs to another session",
    )?;
    let session = SessionState::opened(placed, id, body);
    Ok(Changes(vec![
        (proof, Entity::Proof(id)),
        (key, Entity::Session(Box::new(session))),
    ]))
}

/// The opening stays inside the grant and repeats what it pins.
fn check_covers(before: &Snapshot, grant: &GrantState, body: &Opened) -> Result<(), Refused> {
    let scope = &grant.granted.scope;
    ensure(
        scope.resources.contains(&body.resource),
        "resource_not_granted",
        "the grant does not cover this resource",
    )?;
    ensure(
        scope.accounts.contains(&body.account),
        "account_not_granted",
        "the grant does not cover this account",
    )?;
    let resource = before.resource(&EntityKey::resource(&body.resource))?;
    ensure(
        resource.hash == body.resource_hash,
        "resource_changed",
        "the resource has changed",
    )?;
    let on_resource = resource.statement.accounts.contains(&body.account);
    ensure(
        on_resource,
        "account_not_on_resource",
        "the resource has no such account",
    )?;
    let granted = &grant.granted;
    let pinned = body.level == granted.level && body.gate == granted.gate && body.controls == granted.controls;
    let repeats = pinned && body.until_ms == scope.until_ms;
    ensure(
        repeats,
        "pins_differ",
        "the opening does not repeat what the grant pins",
    )?;
    ensure(
        body.decision.policy == scope.policy,
        "policy_changed",
        "the decision names another policy than the grant",
    )
}

/// The grant's own requester uses it, in force, engaged, and proved by a log-in.
fn check_uses(before: &Snapshot, grant: &GrantState, body: &Opened, time_ms: u64) -> Result<(), Refused> {
    ensure(
        grant.granted.requester == body.identity,
        "other_person",
        "the grant is another person's",
    )?;
    let identity = before.identity(&EntityKey::identity(body.identity))?;
    check_speaker(identity, &body.proof.verify()?.key)?;
    ensure(
        identity.may(Role::Request),
        "may_not_request",
        "the identity may not use access",
    )?;
    check_engaged(before, identity, time_ms)
}

fn check_certificate(before: &Snapshot, body: &Opened, time_ms: u64) -> Result<(), Refused> {
    let plan = &body.certificate;
    let principal = format!(
        "cs:{}:{}:{}",
        before.genesis()?.environment,
        body.resource,
        body.account
    );
    ensure(
        plan.principal == principal,
        "principal",
        "the certificate is for another principal",
    )?;
    let serial_ok = plan.serial.len() == 16 && plan.serial.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    ensure(serial_ok, "serial", "a serial is 16 hex digits")?;
    let now_s = time_ms / 1000;
    let fits = plan.valid_after_s + CERTIFICATE_EARLY_S >= now_s
        && plan.valid_after_s <= now_s
        && plan.valid_before_s > plan.valid_after_s
        && plan.valid_before_s - plan.valid_after_s <= CERTIFICATE_LIFE_S_MAX;
    ensure(
        fits,
        "certificate_window",
        "the certificate is valid for longer than its one log-in needs",
    )
}

/// The grant, if it is in force at `time_ms`.
fn live_grant<'a>(before: &'a Snapshot, key: &EntityKey, time_ms: u64) -> Result<&'a GrantState, Refused> {
    let grant = before.grant(key)?;
    ensure(grant.revoked.is_none(), "grant_revoked", "the grant has been revoked")?;
    let scope = &grant.granted.scope;
    ensure(
        time_ms >= scope.from_ms,
        "grant_not_begun",
        "the grant's window has not begun",
    )?;
    ensure(
        time_ms < scope.until_ms,
        "grant_expired",
        "the grant's window has ended",
    )?;
    let workflow = before.workflow(&EntityKey::workflow(&scope.workflow))?;
    ensure(
        workflow.hash == scope.policy,
        "policy_changed",
        "the workflow has changed since the grant was issued",
    )?;
    Ok(grant)
}

pub(super) fn killed(before: &Snapshot, placed: &Placed, signed: &Signed<Kill>) -> Result<Changes, Refused> {
    let kill = &signed.statement;
    ensure(
        session_of(placed)? == kill.session,
        "other_session",
        "the order is for another session",
    )?;
    let (key, mut session) = open_session(before, placed)?;
    let grant = before.grant(&EntityKey::grant(session.grant))?;
    check_may_stop(before, &only_signer(before, signed)?, kill.by, grant)?;
    session.killed_at = session.killed_at.or(Some(placed.index));
    Ok(one(key, session))
}

pub(super) fn progress(before: &Snapshot, body: &Progress) -> Result<Changes, Refused> {
    ensure(
        (1..=Progress::LINES_MAX).contains(&body.sessions.len()),
        "progress_size",
        "a progress entry has 1 to 64 lines",
    )?;
    let mut changes = Changes::default();
    for line in &body.sessions {
        let key = EntityKey::session(line.session);
        let mut session = before.session(&key)?.clone();
        ensure(
            session.status == SessionStatus::Open,
            "session_closed",
            "the session has ended",
        )?;
        ensure(
            !changes.0.iter().any(|(k, _)| *k == key),
            "progress_twice",
            "a session is listed twice",
        )?;
        check_growth(&session, &line.recorded)?;
        session.recorded = Some(line.recorded.clone());
        changes.0.push((key, Entity::Session(Box::new(session))));
    }
    Ok(changes)
}

fn check_growth(session: &SessionState, now: &Recorded) -> Result<(), Refused> {
    let Some(known) = &session.recorded else { return Ok(()) };
    let grown = now.frames >= known.frames && now.extents >= known.extents;
    ensure(
        grown && (now.extents > known.extents || now == known),
        "recording_shrank",
        "less is recorded than was said before",
    )
}

pub(super) fn gap(before: &Snapshot, placed: &Placed, body: &Gap) -> Result<Changes, Refused> {
    ensure(
        session_of(placed)? == body.session,
        "other_session",
        "the gap is of another session",
    )?;
    let (key, mut session) = open_session(before, placed)?;
    session.gaps += 1;
    Ok(one(key, session))
}

pub(super) fn ended(before: &Snapshot, placed: &Placed, body: &Ended) -> Result<Changes, Refused> {
    let (key, mut session) = open_session(before, placed)?;
    check_growth(&session, &body.recorded)?;
    check_cause(before, &session, body)?;
    session.recorded = Some(body.recorded.clone());
    finish(&mut session, placed, SessionStatus::Ended(body.cause));
    Ok(one(key, session))
}

/// An end that names a revocation, a kill or the window's end says when it was due.
fn check_cause(before: &Snapshot, session: &SessionState, body: &Ended) -> Result<(), Refused> {
    let forced = matches!(body.cause, EndCause::Expired | EndCause::Revoked | EndCause::Killed);
    ensure(
        !forced || (body.due_ms.is_some() && body.late_ms.is_some()),
        "due_missing",
        "a forced end says when it was due and how late it was",
    )?;
    match body.cause {
        EndCause::Killed => ensure(session.killed_at.is_some(), "not_killed", "nobody ordered this end"),
        EndCause::Revoked => ensure(
            is_withdrawn(before, session)?,
            "not_revoked",
            "neither grant nor identity nor policy has been withdrawn",
        ),
        _ => Ok(()),
    }
}

/// What the session rests on is not in force any more: its grant, its identity, or the policy of its grant.
fn is_withdrawn(before: &Snapshot, session: &SessionState) -> Result<bool, Refused> {
    let grant = before.grant(&EntityKey::grant(session.grant))?;
    let identity = before.identity(&EntityKey::identity(session.identity))?;
    let scope = &grant.granted.scope;
    let workflow = before.workflow(&EntityKey::workflow(&scope.workflow))?;
    Ok(grant.revoked.is_some() || identity.disabled_at.is_some() || workflow.hash != scope.policy)
}

pub(super) fn lost(before: &Snapshot, placed: &Placed, body: &Lost) -> Result<Changes, Refused> {
    let (key, mut session) = open_session(before, placed)?;
    check_growth(&session, &body.recorded)?;
    session.recorded = Some(body.recorded.clone());
    finish(&mut session, placed, SessionStatus::Lost);
    Ok(one(key, session))
}

fn finish(session: &mut SessionState, placed: &Placed, status: SessionStatus) {
    session.status = status;
    session.live.clear();
    session.ended_at = Some(placed.index);
    session.ended_ms = Some(placed.entry.time_ms);
}

pub(super) fn intended(before: &Snapshot, placed: &Placed, body: &Intended) -> Result<Changes, Refused> {
    let (key, mut session) = open_session(before, placed)?;
    let grant = live_grant(before, &EntityKey::grant(session.grant), placed.entry.time_ms)?;
    ensure(
        grant.granted.scope.actions.contains(&body.class),
        "action_not_granted",
        "the grant does not cover this kind of action",
    )?;
    ensure(
        body.decision.policy == grant.granted.scope.policy,
        "policy_changed",
        "the decision names another policy than the grant",
    )?;
    ensure(
        session.killed_at.is_none(),
        "session_killed",
        "the session's end has been ordered",
    )?;
    let identity = before.identity(&EntityKey::identity(session.identity))?;
    ensure(
        identity.disabled_at.is_none(),
        "identity_ended",
        "the identity has ended",
    )?;
    ensure(
        !session.has_live(body.action),
        "action_twice",
        "an action of this id is under way",
    )?;
    ensure(
        session.live.len() < LIVE_MAX,
        "too_many_actions",
        "too many actions are under way",
    )?;
    session.live.insert(body.action, body.class);
    session.actions += 1;
    Ok(one(key, session))
}

pub(super) fn action_refused(before: &Snapshot, placed: &Placed) -> Result<Changes, Refused> {
    let (key, mut session) = open_session(before, placed)?;
    session.refused += 1;
    Ok(one(key, session))
}

pub(super) fn action_ended(before: &Snapshot, placed: &Placed, body: &ActionEnded) -> Result<Changes, Refused> {
    let (key, mut session) = open_session(before, placed)?;
    ensure(
        session.live.remove(&body.action).is_some(),
        "action_unknown",
        "no such action is under way",
    )?;
    Ok(one(key, session))
}

pub(super) fn node_started(before: &Snapshot, placed: &Placed, body: &NodeStarted) -> Result<Changes, Refused> {
    before.genesis()?;
    ensure(
        placed.entry.writer.boot == body.boot,
        "other_boot",
        "a node announces its own start",
    )?;
    let state = NodeState {
        boot: body.boot,
        started_at: placed.index,
    };
    Ok(Changes(vec![(
        EntityKey::node(&placed.entry.writer.node),
        Entity::Node(state),
    )]))
}

fn session_of(placed: &Placed) -> Result<SessionId, Refused> {
    match &placed.entry.session {
        Some(link) => Ok(link.id),
        None => rule("no_session", "this type of entry belongs to a session"),
    }
}

fn open_session(before: &Snapshot, placed: &Placed) -> Result<(EntityKey, Box<SessionState>), Refused> {
    let key = EntityKey::session(session_of(placed)?);
    let session = Box::new(before.session(&key)?.clone());
    ensure(
        session.status == SessionStatus::Open,
        "session_closed",
        "the session has ended",
    )?;
    Ok((key, session))
}

fn one(key: EntityKey, session: Box<SessionState>) -> Changes {
    Changes(vec![(key, Entity::Session(session))])
}

/// INVARIANT (session chain): the n-th entry of a session carries sequence n and the hash of the one before it.
pub(super) fn link(before: &Snapshot, placed: &Placed, changes: &mut Changes) -> Result<(), Refused> {
    let own = matches!(
        placed.entry.body,
        Body::Opened(_)
            | Body::Killed(_)
            | Body::Gap(_)
            | Body::Ended(_)
            | Body::Lost(_)
            | Body::Intended(_)
            | Body::ActionRefused(_)
            | Body::ActionEnded(_)
    );
    let Some(link) = &placed.entry.session else {
        return Ok(());
    };
    ensure(own, "session_unasked", "this type of entry belongs to no session")?;
    let key = EntityKey::session(link.id);
    if let Some(Entity::Session(known)) = before.find(&key)? {
        ensure(
            link.seq == known.seq + 1,
            "session_sequence",
            "the session's sequence is broken",
        )?;
        ensure(
            link.prev == Some(known.tip),
            "session_chain",
            "the entry does not follow the session's latest",
        )?;
    } else {
        ensure(
            link.seq == 0 && link.prev.is_none(),
            "session_sequence",
            "a session begins at 0 with nothing before it",
        )?;
    }
    for (_, entity) in changes.0.iter_mut().filter(|(k, _)| *k == key) {
        if let Entity::Session(session) = entity {
            session.seq = link.seq;
            session.tip = placed.hash;
        }
    }
    Ok(())
}

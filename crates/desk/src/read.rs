//! Reading what is on record: sessions, requests, grants, entries, blobs.
//!
//! People of the environment's owner read all of it; everybody else reads their own requests, grants and sessions.
//! Content leaves as ciphertext, but for what approvers are shown (see `approve`).

use crate::approve;
use crate::attempt::{self, Operation};
use crate::desk::{Desk, Listing};
use crate::failure::Failure;
use crate::people::{self, Caller};
use model::body::Body;
use model::bytes::Digest;
use model::entity::{EntityKey, GrantState, RequestState, SessionState};
use model::entry::Entry;
use model::id::{GrantId, IdentityId, SessionId};
use model::name::{EnvironmentName, Handle};
use model::statement::Role;
use serde::{Deserialize, Serialize};

/// Entries in one answer.
pub const ENTRIES_MAX: u32 = 256;
/// Sessions or requests of one environment in one answer, the newest.
const LINES_MAX: usize = 500;

/// A session in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SessionLine {
    /// Where.
    pub environment: EnvironmentName,
    /// Who, by short name.
    pub handle: Handle,
    /// How it stands.
    pub state: SessionState,
}

/// A request in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RequestLine {
    /// Where.
    pub environment: EnvironmentName,
    /// Who asks, by short name.
    pub handle: Handle,
    /// How it stands.
    pub state: RequestState,
}

/// A grant, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantLine {
    /// Where.
    pub environment: EnvironmentName,
    /// Who asked for it, by short name.
    pub handle: Handle,
    /// How it stands.
    pub state: GrantState,
}

/// An entry at its place, as its bytes came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredEntry {
    /// Its place in the log.
    pub index: u64,
    /// The canonical JSON, to be hashed as it is.
    pub entry: String,
}

/// The sessions that these callers may see, newest first.
///
/// # Errors
/// When the store cannot be read.
pub async fn sessions(desk: &Desk, callers: &[Caller]) -> Result<Vec<SessionLine>, Failure> {
    let mut lines = vec![];
    for caller in callers {
        let listing = Listing::ALL.at_most(LINES_MAX);
        for state in desk
            .list(&caller.environment, listing, |state| may_see(caller, state))
            .await?
        {
            lines.push(SessionLine {
                environment: caller.environment.clone(),
                handle: handle(desk, &caller.environment, state.identity).await?,
                state,
            });
        }
    }
    lines.sort_by_key(|line| std::cmp::Reverse(line.state.session));
    Ok(lines)
}

/// The requests that these callers may see, newest first: people of the owner all of them, approvers those that they
/// may have to decide, everybody their own.
///
/// # Errors
/// When the store cannot be read.
pub async fn requests(desk: &Desk, callers: &[Caller]) -> Result<Vec<RequestLine>, Failure> {
    let mut lines = vec![];
    for caller in callers {
        let all = caller.of_owner || caller.may(Role::Approve);
        let listing = if all {
            Listing::ALL
        } else {
            Listing::of(caller.identity)
        };
        let states: Vec<RequestState> = desk
            .list(&caller.environment, listing.at_most(LINES_MAX), |_| true)
            .await?;
        for state in states {
            if !caller.of_owner && !approve::may_view(desk, caller, state.statement.request).await? {
                continue;
            }
            lines.push(RequestLine {
                environment: caller.environment.clone(),
                handle: handle(desk, &caller.environment, state.statement.requester).await?,
                state,
            });
        }
    }
    lines.sort_by_key(|line| std::cmp::Reverse(line.state.statement.request));
    Ok(lines)
}

async fn handle(desk: &Desk, environment: &EnvironmentName, identity: IdentityId) -> Result<Handle, Failure> {
    let key = EntityKey::identity(identity);
    desk.gather(environment, |state| Ok(state.identity(&key)?.enrolment.handle.clone()))
        .await
}

fn may_see(caller: &Caller, session: &SessionState) -> bool {
    caller.of_owner || session.identity == caller.identity
}

/// One session that these callers may see.
///
/// # Errors
/// When there is none, or it is not theirs to see: that is on record.
pub async fn session(desk: &Desk, callers: &[Caller], id: SessionId) -> Result<SessionLine, Failure> {
    let key = EntityKey::session(id);
    for caller in callers {
        let found = desk.gather(&caller.environment, |state| match state.find(&key)? {
            Some(_) => Ok(Some(state.session(&key)?.clone())),
            None => Ok(None),
        });
        let Some(state) = found.await? else { continue };
        if may_see(caller, &state) {
            return Ok(SessionLine {
                environment: caller.environment.clone(),
                handle: handle(desk, &caller.environment, state.identity).await?,
                state,
            });
        }
        let foreign = Failure::refused("not_yours", "this session is not yours to see");
        return Err(attempt::hide(desk, caller, Operation::Read, &id.to_string(), foreign, "session").await);
    }
    Err(Failure::Absent("session"))
}

/// One grant that these callers may see: people of the environment's owner, and its requester.
///
/// # Errors
/// When there is none, or it is not theirs to see: that is on record.
pub async fn grant(desk: &Desk, callers: &[Caller], id: GrantId) -> Result<GrantLine, Failure> {
    let key = EntityKey::grant(id);
    for caller in callers {
        let found = desk.gather(&caller.environment, |state| match state.find(&key)? {
            Some(_) => Ok(Some(state.grant(&key)?.clone())),
            None => Ok(None),
        });
        let Some(state) = found.await? else { continue };
        let requester = state.granted.requester;
        if caller.of_owner || requester == caller.identity {
            return Ok(GrantLine {
                environment: caller.environment.clone(),
                handle: handle(desk, &caller.environment, requester).await?,
                state,
            });
        }
        let foreign = Failure::refused("not_yours", "this grant is not yours to see");
        return Err(attempt::hide(desk, caller, Operation::Read, &id.to_string(), foreign, "grant").await);
    }
    Err(Failure::Absent("grant"))
}

/// The entries of one session from the log's index `from` on, in order; at most 1,000.
///
/// # Errors
/// As [`session`].
pub async fn session_entries(
    desk: &Desk,
    callers: &[Caller],
    id: SessionId,
    from: u64,
) -> Result<Vec<StoredEntry>, Failure> {
    let line = session(desk, callers, id).await?;
    let entries = desk.session_entries(&line.environment, id, from).await?;
    Ok(entries.into_iter().map(stored).collect())
}

fn stored((index, bytes): (u64, Vec<u8>)) -> StoredEntry {
    StoredEntry {
        index,
        entry: String::from_utf8_lossy(&bytes).into_owned(),
    }
}

/// Entries `from` and on, at most [`ENTRIES_MAX`]: for people of the environment's owner.
///
/// # Errors
/// For everybody else, on record.
pub async fn entries(
    desk: &Desk,
    callers: &[Caller],
    environment: &EnvironmentName,
    (from, count): (u64, u32),
) -> Result<Vec<StoredEntry>, Failure> {
    let caller = people::in_environment(callers, environment)?;
    if !caller.of_owner {
        let answer = Failure::refused("owner_only", "the whole log is for people of the environment's owner");
        return Err(attempt::refuse(desk, environment, caller.identity, Operation::Read, "entries", answer).await);
    }
    let entries = desk.entries(environment, from, count.min(ENTRIES_MAX)).await?;
    Ok(entries.into_iter().map(stored).collect())
}

/// The ciphertext of a blob: of any for people of the environment's owner, of their own requests and sessions for
/// everybody else.
///
/// # Errors
/// When there is none or it was erased, or it is not theirs to read: that is on record.
pub async fn blob(
    desk: &Desk,
    callers: &[Caller],
    environment: &EnvironmentName,
    digest: Digest,
) -> Result<Vec<u8>, Failure> {
    let caller = people::in_environment(callers, environment)?;
    let stored = desk.blob(environment, digest).await?.ok_or(Failure::Absent("blob"))?;
    let entry = desk.parsed(environment, stored.index).await?;
    if !caller.of_owner && !own(desk, caller, &entry).await? {
        let foreign = Failure::refused("not_yours", "this is not yours to read");
        return Err(attempt::hide(desk, caller, Operation::Read, &digest.to_string(), foreign, "blob").await);
    }
    stored.bytes.ok_or(Failure::Absent("blob"))
}

/// Whether an entry belongs to a request or session of this caller.
async fn own(desk: &Desk, caller: &Caller, entry: &Entry) -> Result<bool, Failure> {
    if let Body::Requested(body) = &entry.body {
        return Ok(body.statement.requester == caller.identity);
    }
    let Some(link) = &entry.session else { return Ok(false) };
    let key = EntityKey::session(link.id);
    desk.gather(&caller.environment, |state| {
        Ok(state.session(&key)?.identity == caller.identity)
    })
    .await
}

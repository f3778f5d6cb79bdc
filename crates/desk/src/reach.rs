//! What a person may reach or ask for, and what a typed target means: exactly one grant to be used, or a refusal that
//! lists what could have been meant.
//!
//! Not here: opening the session, where the same rules judge again (see `open`).

use crate::attempt::{self, Operation};
use crate::desk::{Desk, Listing};
use crate::failure::Failure;
use crate::people::Caller;
use crate::sealing;
use model::apply::missing_approval;
use model::entity::{EntityKey, GrantState, RequestState, RequestStatus, ResourceState, WorkflowState};
use model::id::{GrantId, RequestId};
use model::judge::{JudgeError, Refusal, Wanted, judge_open};
use model::name::{AccountName, EnvironmentName, ResourceName, WorkflowName};
use model::statement::{Role, Scope};
use serde::Serialize;
use std::fmt;

/// The rule by which one of several grants must be named.
pub const SEVERAL_GRANTS: &str = "several_grants";
/// Names in a list of candidates.
const CANDIDATES_MAX: usize = 20;
/// Grants or requests of one person that are looked at, the newest.
const OWN_MAX: usize = 1000;

/// A resource that this person may ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Its name in the environment.
    pub name: ResourceName,
    /// Its full name, `<resource>.<environment>`.
    pub full_name: String,
    /// Its address.
    #[serde(skip)]
    pub host: String,
    /// Accounts that may be asked for.
    pub accounts: Vec<AccountName>,
    /// Workflows under which.
    pub workflows: Vec<WorkflowName>,
}

impl Place {
    /// Whether somebody who typed `text` may have meant this: by full name, short name or address.
    #[must_use]
    pub fn answers_to(&self, text: &str) -> bool {
        text == self.full_name || text == self.name.as_str() || text == self.host
    }
}

/// One environment as one person finds it.
pub(crate) struct Ground {
    pub(crate) caller: Caller,
    pub(crate) places: Vec<Place>,
    pub(crate) workflows: Vec<WorkflowState>,
}

impl Ground {
    /// The places that somebody who typed `text` may have meant.
    fn answering<'a>(&'a self, text: &'a str) -> impl Iterator<Item = (&'a Self, &'a Place)> {
        let places = self.places.iter().filter(move |place| place.answers_to(text));
        places.map(move |place| (self, place))
    }
}

/// A grant that could be used now or later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LiveGrant {
    /// The grant.
    pub grant: GrantId,
    /// The request it answers.
    pub request: RequestId,
    /// What it permits.
    pub scope: Scope,
}

/// A request that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenRequest {
    /// The request.
    pub request: RequestId,
    /// What is asked.
    pub scope: Scope,
}

/// What one person may reach or ask for in one environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reach {
    /// Who, and where.
    pub caller: Caller,
    /// What may be asked for.
    pub places: Vec<Place>,
    /// Grants whose window has not ended.
    pub grants: Vec<LiveGrant>,
    /// Requests that wait for approvals.
    pub requests: Vec<OpenRequest>,
}

/// What may this person reach or ask for?
///
/// # Errors
/// When the store cannot be read.
pub async fn ls(desk: &Desk, callers: &[Caller]) -> Result<Vec<Reach>, Failure> {
    let now_ms = desk.now_ms();
    let mut reach = vec![];
    for ground in grounds(desk, callers).await? {
        let environment = &ground.caller.environment;
        let grants = grants_of(desk, &ground.caller).await?.into_iter();
        let grants = grants.filter(|grant| grant.revoked.is_none() && now_ms < grant.granted.scope.until_ms);
        let requests = requests_of(desk, &ground.caller).await?.into_iter();
        let requests = requests
            .filter(|request| request.status == RequestStatus::Pending && now_ms < request.statement.scope.until_ms);
        tracing::trace!(%environment, "listed");
        reach.push(Reach {
            places: ground.places,
            grants: grants.map(live_grant).collect(),
            requests: requests.map(open_request).collect(),
            caller: ground.caller,
        });
    }
    Ok(reach)
}

fn live_grant(state: GrantState) -> LiveGrant {
    LiveGrant {
        grant: state.granted.grant,
        request: state.granted.request,
        scope: state.granted.scope,
    }
}

fn open_request(state: RequestState) -> OpenRequest {
    OpenRequest {
        request: state.statement.request,
        scope: state.statement.scope,
    }
}

/// The workflows that serve this person in each environment, and the places that they cover.
pub(crate) async fn grounds(desk: &Desk, callers: &[Caller]) -> Result<Vec<Ground>, Failure> {
    let mut grounds = vec![];
    for caller in callers {
        let workflows = workflows(desk, caller).await?;
        let resources: Vec<ResourceState> = desk.list(&caller.environment, Listing::ALL, |_| true).await?;
        let places = resources
            .iter()
            .filter_map(|resource| place(caller, &workflows, resource))
            .collect();
        grounds.push(Ground {
            caller: caller.clone(),
            places,
            workflows,
        });
    }
    Ok(grounds)
}

/// The workflows that serve `caller`: as requester, or because the environment is its organisation's.
///
/// # Errors
/// When the store cannot be read.
pub async fn workflows(desk: &Desk, caller: &Caller) -> Result<Vec<WorkflowState>, Failure> {
    let serves = |state: &WorkflowState| state.statement.requesters.contains(&caller.organisation);
    desk.list(&caller.environment, Listing::ALL, serves).await
}

fn place(caller: &Caller, workflows: &[WorkflowState], resource: &ResourceState) -> Option<Place> {
    let name = &resource.statement.name;
    let covering: Vec<&WorkflowState> = workflows
        .iter()
        .filter(|workflow| caller.may(Role::Request) && workflow.statement.resources.contains(name))
        .collect();
    if covering.is_empty() {
        return None;
    }
    let offered = |account: &&AccountName| {
        covering
            .iter()
            .any(|workflow| workflow.statement.accounts.contains(account))
    };
    Some(Place {
        name: name.clone(),
        full_name: format!("{name}.{}", caller.environment),
        host: resource.statement.host.to_ascii_lowercase(),
        accounts: resource.statement.accounts.iter().filter(offered).cloned().collect(),
        workflows: covering
            .iter()
            .map(|workflow| workflow.statement.name.clone())
            .collect(),
    })
}

pub(crate) fn full_names<'a>(grounds: impl IntoIterator<Item = &'a Ground>) -> Vec<String> {
    let names = grounds.into_iter().flat_map(|ground| ground.places.iter());
    names
        .map(|place| place.full_name.clone())
        .take(CANDIDATES_MAX)
        .collect()
}

/// Where somebody wants to go, as they named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// As whom.
    pub account: AccountName,
    /// The resource's full name, a short name, or an address.
    pub place: String,
    /// Which of several grants: its id, its request's id, or the ticket's text.
    pub pick: Option<String>,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.account, self.place)?;
        self.pick.as_ref().map_or(Ok(()), |pick| write!(f, "+{pick}"))
    }
}

/// What a target means: one environment, and exactly one grant to be used there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where.
    pub environment: EnvironmentName,
    /// What is to be judged at the opening.
    pub wanted: Wanted,
}

/// Finds what `target` means to this person.
///
/// # Errors
/// A refusal, on record: no such resource, no grant and why, or several of which one must be named.
pub async fn resolve(desk: &Desk, callers: &[Caller], target: &Target) -> Result<Found, Failure> {
    let typed = target.place.to_ascii_lowercase();
    let mut grounds = grounds_near(desk, callers, &typed).await?;
    if grounds.is_empty() {
        grounds = self::grounds(desk, callers).await?;
    }
    let mut places = grounds.iter().flat_map(|ground| ground.answering(&typed));
    let (ground, place) = match (places.next(), places.next()) {
        (Some(only), None) => only,
        (None, _) => return Err(unresolved(desk, &grounds, target, UNKNOWN).await),
        (Some(_), Some(_)) => return Err(unresolved(desk, &grounds, target, NOT_UNIQUE).await),
    };
    let caller = &ground.caller;
    match pick_grant(desk, caller, place, target).await {
        Ok(wanted) => Ok(Found {
            environment: caller.environment.clone(),
            wanted,
        }),
        Err(answer) => {
            let object = target.to_string();
            Err(attempt::refuse(
                desk,
                &caller.environment,
                caller.identity,
                Operation::Open,
                &object,
                answer,
            )
            .await)
        }
    }
}

/// The one environment whose resource has `typed` as its full name, so that people of many environments wait for one.
async fn grounds_near(desk: &Desk, callers: &[Caller], typed: &str) -> Result<Vec<Ground>, Failure> {
    let named = |caller: &&Caller| {
        typed
            .strip_suffix(caller.environment.as_str())
            .is_some_and(|rest| rest.ends_with('.'))
    };
    let near: Vec<Caller> = callers.iter().filter(named).cloned().collect();
    let mut grounds = grounds(desk, &near).await?;
    grounds.retain(|ground| ground.places.iter().any(|place| place.full_name == typed));
    Ok(grounds)
}

const UNKNOWN: (&str, &str) = (
    "resource_unknown",
    "you may not ask for it, or it does not exist; see `ls`",
);
const NOT_UNIQUE: (&str, &str) = ("name_not_unique", "it is more than one resource; use a full name");

/// Refuses a name that stands for no one place. It goes on record where this person is known; another environment's
/// names are nobody else's business, so with several the text is left out.
async fn unresolved(
    desk: &Desk,
    grounds: &[Ground],
    target: &Target,
    (code, because): (&'static str, &str),
) -> Failure {
    let mut answer = Failure::Refused {
        code,
        because: format!("`{}`: {because}", target.place),
        candidates: full_names(grounds),
    };
    let typed = target.to_string();
    for ground in grounds {
        let caller = &ground.caller;
        let here = grounds.len() == 1 || target.place.ends_with(&format!(".{}", caller.environment));
        let object = if here {
            typed.as_str()
        } else {
            "a name that stands for no one resource here"
        };
        answer = attempt::refuse(
            desk,
            &caller.environment,
            caller.identity,
            Operation::Open,
            object,
            answer,
        )
        .await;
    }
    answer
}

/// The one grant that the opening's rules allow now; or the reason why there is none.
async fn pick_grant(desk: &Desk, caller: &Caller, place: &Place, target: &Target) -> Result<Wanted, Failure> {
    let mut usable = vec![];
    let mut refusals: Vec<(GrantState, Refusal)> = vec![];
    for state in grants_of(desk, caller).await? {
        if !state.granted.scope.resources.contains(&place.name) || !picked(desk, caller, &state, target).await? {
            continue;
        }
        let wanted = Wanted {
            identity: caller.identity,
            key: caller.key.clone(),
            grant: state.granted.grant,
            resource: place.name.clone(),
            account: target.account.clone(),
        };
        match judge(desk, &caller.environment, &wanted).await? {
            Ok(()) => usable.push((state, wanted)),
            Err(refusal) => refusals.push((state, refusal)),
        }
    }
    if usable.len() > 1 {
        return Err(Failure::Refused {
            code: SEVERAL_GRANTS,
            because: "several grants cover this".into(),
            candidates: usable
                .iter()
                .map(|(state, _)| state.granted.request.to_string())
                .collect(),
        });
    }
    match usable.pop() {
        Some((_, wanted)) => Ok(wanted),
        None => Err(no_grant(desk, caller, place, target, refusals).await?),
    }
}

async fn judge(desk: &Desk, environment: &EnvironmentName, wanted: &Wanted) -> Result<Result<(), Refusal>, Failure> {
    let now_ms = desk.now_ms();
    let judged = desk.gather(environment, |state| match judge_open(state, wanted, now_ms) {
        Ok(_) => Ok(Ok(())),
        Err(JudgeError::Refusal(refusal)) => Ok(Err(refusal)),
        Err(JudgeError::State(refused)) => Err(refused),
    });
    judged.await
}

/// Whether the grant is the one that the target's last part names, if it names one.
async fn picked(desk: &Desk, caller: &Caller, state: &GrantState, target: &Target) -> Result<bool, Failure> {
    let Some(pick) = &target.pick else { return Ok(true) };
    let granted = &state.granted;
    if *pick == granted.grant.to_string() || *pick == granted.request.to_string() {
        return Ok(true);
    }
    if pick.parse::<RequestId>().is_ok() || pick.parse::<GrantId>().is_ok() {
        return Ok(false);
    }
    Ok(sealing::ticket(desk, &caller.environment, granted.request)
        .await?
        .is_some_and(|ticket| ticket == *pick))
}

/// Says why there is no grant, as exactly as is known: a request that waits and for whom, one that was denied, a grant
/// that has ended.
async fn no_grant(
    desk: &Desk,
    caller: &Caller,
    place: &Place,
    target: &Target,
    refusals: Vec<(GrantState, Refusal)>,
) -> Result<Failure, Failure> {
    let covers = |scope: &Scope| scope.resources.contains(&place.name) && scope.accounts.contains(&target.account);
    let requests = requests_of(desk, caller).await?.into_iter();
    let latest = requests
        .filter(|request| covers(&request.statement.scope) && desk.now_ms() < request.statement.scope.until_ms)
        .max_by_key(|request| request.made_at);
    let refused = !refusals.is_empty();
    let mut refusals = refusals;
    refusals.retain(|(state, _)| state.granted.scope.accounts.contains(&target.account));
    let ended = refusals.into_iter().max_by_key(|(state, _)| state.issued_at);
    match (latest, ended) {
        (Some(request), ended)
            if ended
                .as_ref()
                .is_none_or(|(state, _)| state.issued_at < request.made_at) =>
        {
            waiting(desk, caller, &request).await
        }
        (_, Some((_, refusal))) => Ok(refusal.into()),
        (_, None) if refused => Ok(Failure::refused(
            "account_not_granted",
            format!(
                "no grant of yours for {} covers account `{}`; ask for one that does with `request`",
                place.full_name, target.account
            ),
        )),
        (_, None) => Ok(Failure::refused(
            "no_grant",
            format!("you have no grant for {}; ask for one with `request`", place.full_name),
        )),
    }
}

async fn waiting(desk: &Desk, caller: &Caller, request: &RequestState) -> Result<Failure, Failure> {
    let id = request.statement.request;
    if request.status == RequestStatus::Denied {
        return Ok(Failure::refused("request_denied", format!("request {id} was denied")));
    }
    let missing = desk
        .gather(&caller.environment, |state| {
            let request = state.request(&EntityKey::request(id))?;
            let workflow = state.workflow(&EntityKey::workflow(&request.statement.scope.workflow))?;
            let owner = state.genesis()?.owner.clone();
            Ok(missing_approval(state, &workflow.statement.approvals, request)?.map(|quorum| (quorum, owner)))
        })
        .await?;
    Ok(match missing {
        Some((quorum, owner)) if quorum.organisation == owner => Failure::refused(
            "customer_approval_missing",
            format!("request {id} waits for the approval of {owner}, who owns the environment"),
        ),
        Some((quorum, _)) => Failure::refused(
            "approval_missing",
            format!("request {id} waits for the approval of {}", quorum.organisation),
        ),
        None => Failure::refused(
            "no_grant",
            format!("request {id} has no grant; ask again with `request`"),
        ),
    })
}

async fn grants_of(desk: &Desk, caller: &Caller) -> Result<Vec<GrantState>, Failure> {
    let listing = Listing::of(caller.identity).at_most(OWN_MAX);
    desk.list(&caller.environment, listing, |_| true).await
}

async fn requests_of(desk: &Desk, caller: &Caller) -> Result<Vec<RequestState>, Failure> {
    let listing = Listing::of(caller.identity).at_most(OWN_MAX);
    desk.list(&caller.environment, listing, |_| true).await
}

//! What is known of one session: its entries as they stand in the log, accepted or not, and the state at its opening.

use super::World;
use super::decision::{self, DecisionCheck};
use model::apply::Refused;
use model::body::{Body, Ended, Gap, Intended, Opened, Recorded};
use model::bytes::Digest;
use model::entity::{
    Entity, EntityKey, EntityKind, GrantState, Identity, Organisation, RequestState, ResourceState, WorkflowState,
};
use model::entry::Placed;
use model::id::{IdentityId, SessionId};
use model::signature::{BadSignature, Key};
use model::statement::{Genesis, Role};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One session.
#[derive(Debug, Clone)]
pub struct Dossier {
    /// Its id.
    pub session: SessionId,
    /// Every entry that names it, in the log's order, refused ones too.
    pub entries: Vec<Arc<Placed>>,
    /// Progress lines of it, with the index of their entry.
    pub progress: Vec<(u64, Recorded)>,
    /// Its first opening and what was true then; none when it was never opened.
    pub opening: Option<Box<AtOpening>>,
    /// For each action's intent, by index, the decision made again.
    pub decisions: BTreeMap<u64, DecisionCheck>,
}

/// What was true just before a session's opening.
#[derive(Debug, Clone)]
pub struct AtOpening {
    /// The entry.
    pub placed: Arc<Placed>,
    /// The environment, if the log has a valid genesis.
    pub genesis: Option<Genesis>,
    /// The key that logged in, if the proof holds.
    pub proof: Result<Key, BadSignature>,
    /// Another session that used the same proof before.
    pub proof_used_by: Option<SessionId>,
    /// Who opened it, if enrolled.
    pub identity: Option<Identity>,
    /// That identity's organisation.
    pub organisation: Option<Organisation>,
    /// The grant, accepted or not.
    pub grant: Option<GrantState>,
    /// The request it answers, accepted or not.
    pub request: Option<RequestState>,
    /// Approvers of the request who were in force and entitled.
    pub entitled: Vec<IdentityId>,
    /// The workflow of the grant's name that was in force.
    pub workflow: Option<WorkflowState>,
    /// The workflow's owner, if in force then.
    pub owner: Option<Identity>,
    /// The workflow's backup, if in force then.
    pub backup: Option<Identity>,
    /// The resource in force.
    pub resource: Option<ResourceState>,
    /// Operators that the owner had engaged.
    pub operators: Vec<Organisation>,
    /// The decision that allowed it, made again.
    pub decision: DecisionCheck,
}

impl Dossier {
    pub(super) fn new(session: SessionId) -> Self {
        Self {
            session,
            entries: Vec::new(),
            progress: Vec::new(),
            opening: None,
            decisions: BTreeMap::new(),
        }
    }

    /// The end, with its entry.
    #[must_use]
    pub fn ended(&self) -> Option<(&Arc<Placed>, &Ended)> {
        self.entries.iter().find_map(|placed| match &placed.entry.body {
            Body::Ended(ended) => Some((placed, ended)),
            _ => None,
        })
    }

    /// The entry that says its gateway died.
    #[must_use]
    pub fn lost(&self) -> Option<&Arc<Placed>> {
        self.entries
            .iter()
            .find(|placed| matches!(placed.entry.body, Body::Lost(_)))
    }

    /// What is recorded, by the latest entry that says so.
    #[must_use]
    pub fn recorded(&self) -> Option<&Recorded> {
        let last = self.entries.iter().rev().find_map(|placed| match &placed.entry.body {
            Body::Ended(ended) => Some(&ended.recorded),
            Body::Lost(lost) => Some(&lost.recorded),
            _ => None,
        });
        last.or_else(|| self.progress.last().map(|(_, recorded)| recorded))
    }

    /// Gaps in the recording, with their entries.
    pub fn gaps(&self) -> impl Iterator<Item = (&Arc<Placed>, &Gap)> {
        self.entries.iter().filter_map(|placed| match &placed.entry.body {
            Body::Gap(gap) => Some((placed, gap)),
            _ => None,
        })
    }

    /// How many actions were asked for and refused.
    #[must_use]
    pub fn refused_actions(&self) -> usize {
        let refused = |placed: &&Arc<Placed>| matches!(placed.entry.body, Body::ActionRefused(_));
        self.entries.iter().filter(refused).count()
    }

    /// Intents of actions, with their entries.
    pub fn intents(&self) -> impl Iterator<Item = (&Arc<Placed>, &Intended)> {
        self.entries.iter().filter_map(|placed| match &placed.entry.body {
            Body::Intended(intended) => Some((placed, intended)),
            _ => None,
        })
    }
}

impl AtOpening {
    /// The opening's body.
    #[must_use]
    pub fn body(&self) -> Option<&Opened> {
        match &self.placed.entry.body {
            Body::Opened(opened) => Some(opened),
            _ => None,
        }
    }

    pub(super) fn gather(world: &World, placed: &Arc<Placed>, opened: &Opened) -> Self {
        let state = &world.state;
        let proof = opened.proof.verify().map(|facts| facts.key);
        let identity = state.identity(&EntityKey::identity(opened.identity)).ok().cloned();
        let organisation = identity.as_ref().and_then(|identity| {
            let key = EntityKey::organisation(&identity.enrolment.organisation);
            state.organisation(&key).ok().cloned()
        });
        let grant_key = EntityKey::grant(opened.grant);
        let grant = either(state.grant(&grant_key), world.shadow.grant(&grant_key));
        let request = grant.as_ref().and_then(|grant| {
            let key = EntityKey::request(grant.granted.request);
            either(state.request(&key), world.shadow.request(&key))
        });
        let workflow = grant.as_ref().and_then(|grant| {
            let key = EntityKey::workflow(&grant.granted.scope.workflow);
            state.workflow(&key).ok().cloned()
        });
        let decision = match &proof {
            Ok(key) => decision::check_opening(world, opened, key, placed.entry.time_ms),
            Err(error) => DecisionCheck::NoFacts {
                code: "bad_signature",
                because: error.to_string(),
            },
        };
        Self {
            placed: placed.clone(),
            genesis: state.genesis().ok().cloned(),
            proof_used_by: proof_user(world, opened),
            entitled: entitled(world, request.as_ref()),
            owner: workflow.as_ref().and_then(|w| in_force(world, w.statement.owner)),
            backup: workflow.as_ref().and_then(|w| in_force(world, w.statement.backup)),
            resource: state.resource(&EntityKey::resource(&opened.resource)).ok().cloned(),
            operators: operators(world),
            proof,
            identity,
            organisation,
            grant,
            request,
            workflow,
            decision,
        }
    }
}

fn either<T: Clone>(accepted: Result<&T, Refused>, shadow: Option<&T>) -> Option<T> {
    accepted.ok().or(shadow).cloned()
}

fn proof_user(world: &World, opened: &Opened) -> Option<SessionId> {
    let key = EntityKey::proof(Digest::of(&opened.proof.signed.0));
    match world.state.find(&key) {
        Ok(Some(Entity::Proof(session))) => Some(*session),
        _ => None,
    }
}

fn entitled(world: &World, request: Option<&RequestState>) -> Vec<IdentityId> {
    let approvals = request.map(|r| r.approvals.as_slice()).unwrap_or_default();
    let may = |id: &IdentityId| {
        let identity = world.state.identity(&EntityKey::identity(*id));
        identity.is_ok_and(|identity| identity.may(Role::Approve))
    };
    approvals.iter().map(|a| a.approver).filter(may).collect()
}

fn in_force(world: &World, id: IdentityId) -> Option<Identity> {
    let identity = world.state.identity(&EntityKey::identity(id)).ok()?;
    identity.may(Role::Own).then(|| identity.clone())
}

fn operators(world: &World) -> Vec<Organisation> {
    // Entities come in the order of their kinds, so organisations stand at the front.
    let front = world
        .state
        .entities()
        .take_while(|(key, _)| key.kind() <= EntityKind::Organisation);
    let organisations = front.filter_map(|(_, v)| match &v.entity {
        Entity::Organisation(organisation) if !organisation.owner => Some(organisation.as_ref().clone()),
        _ => None,
    });
    organisations.collect()
}

//! One session as one ordered list: who the actor is, what was asked and approved, what was done, how it ended; each line
//! with its entry, its hash and its place in the recording, so that nothing has to be put together by hand.

use crate::explain::ExplainError;
use crate::reading::{Person, Reading};
use crate::render::counted;
use crate::replay::Dossier;
use model::body::{Body, Recorded};
use model::bytes::{Digest, Octets};
use model::entry::Placed;
use model::id::{EntryId, SessionId};
use model::name::{Purpose, ResourceName};
use serde::Serialize;
use std::collections::BTreeMap;

/// A session from enrolment to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Timeline {
    /// The session.
    pub session: SessionId,
    /// Who answers for its purpose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Person>,
    /// What it was for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Purpose>,
    /// The lines, in the log's order.
    pub lines: Vec<Line>,
    /// What a timeline would hold that this version of the format has no entries for.
    pub absent: Vec<&'static str>,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The entry's index.
    pub index: u64,
    /// The entry.
    pub entry: EntryId,
    /// SHA-256 of its bytes.
    pub hash: Digest,
    /// The hash of the session's entry before it, in the entries of a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prev: Option<Digest>,
    /// Its time, by the writer's clock, Unix milliseconds.
    pub time_ms: u64,
    /// Its type.
    pub kind: &'static str,
    /// The session.
    pub session: SessionId,
    /// Who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<Person>,
    /// On which resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<ResourceName>,
    /// Who answers for the purpose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Person>,
    /// What for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Purpose>,
    /// Microseconds since the session opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset_us: Option<u64>,
    /// The recording's frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame: Option<u64>,
    /// What happened, in words.
    pub text: String,
    /// Disclosed values by path.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<&'static str, Octets>,
    /// Why the rules give it no effect, if they do not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<&'static str>,
}

impl Timeline {
    /// Tells one session.
    ///
    /// # Errors
    /// When the evidence has no such session.
    pub fn of(reading: &Reading<'_>, session: SessionId) -> Result<Self, ExplainError> {
        let dossier = reading.world.dossier(session).ok_or(ExplainError::NoSession(session))?;
        let at = dossier.opening.as_ref();
        let workflow = at.and_then(|at| at.workflow.as_ref());
        let teller = Teller {
            reading,
            dossier,
            owner: workflow.map(|w| reading.person(w.statement.owner)),
            purpose: at
                .and_then(|at| at.grant.as_ref())
                .map(|g| g.granted.scope.purpose.clone()),
        };
        Ok(Self {
            session,
            owner: teller.owner.clone(),
            purpose: teller.purpose.clone(),
            lines: teller.lines(),
            absent: vec!["elevation", "alerts", "review"],
        })
    }
}

struct Teller<'a> {
    reading: &'a Reading<'a>,
    dossier: &'a Dossier,
    owner: Option<Person>,
    purpose: Option<Purpose>,
}

impl Teller<'_> {
    fn lines(&self) -> Vec<Line> {
        let mut lines: BTreeMap<u64, Line> = BTreeMap::new();
        for placed in self
            .before()
            .into_iter()
            .chain(self.dossier.entries.iter().map(AsRef::as_ref))
        {
            lines.insert(placed.index, self.line(placed));
        }
        for (index, recorded) in &self.dossier.progress {
            if let Some(line) = self.progress(*index, recorded) {
                lines.insert(*index, line);
            }
        }
        lines.into_values().collect()
    }

    /// What led to the session: enrolment, policy, request, what was decided on it, grant, revocation.
    fn before(&self) -> Vec<&Placed> {
        let world = self.reading.world;
        let Some(at) = self.dossier.opening.as_ref() else {
            return Vec::new();
        };
        let Some(opened) = at.body() else { return Vec::new() };
        let mut found: Vec<&Placed> = self.reading.enrolment(opened.identity).into_iter().collect();
        let indices = [
            at.workflow.as_ref().map(|w| w.set_at),
            at.grant.as_ref().map(|g| g.issued_at),
            at.request.as_ref().map(|r| r.made_at),
        ];
        found.extend(
            indices
                .into_iter()
                .flatten()
                .filter_map(|i| world.entry(i))
                .map(AsRef::as_ref),
        );
        let request = at.request.as_ref().map(|r| r.statement.request);
        let about = world.entries().filter(|placed| match &placed.entry.body {
            Body::Approved(signed) => Some(signed.statement.request) == request,
            Body::Denied(signed) => Some(signed.statement.request) == request,
            Body::Revoked(signed) => signed.statement.grant == opened.grant,
            _ => false,
        });
        found.extend(about.map(AsRef::as_ref));
        found
    }

    fn line(&self, placed: &Placed) -> Line {
        let body = &placed.entry.body;
        let opened = self.dossier.opening.as_ref().and_then(|at| at.body());
        let own = placed.entry.session.is_some();
        let actor = self.reading.actor(body).or(opened.filter(|_| own).map(|o| o.identity));
        let (offset_us, frame) = match body {
            Body::Opened(_) => (Some(0), Some(0)),
            Body::Intended(intended) => (Some(intended.offset_us), Some(intended.frame)),
            Body::ActionEnded(ended) => (None, Some(ended.frame)),
            Body::Gap(gap) => (None, Some(gap.first)),
            Body::Ended(ended) => (None, Some(ended.recorded.frames)),
            _ => (None, None),
        };
        let values = self.reading.values(placed).into_iter();
        Line {
            index: placed.index,
            entry: placed.entry.id,
            hash: placed.hash,
            prev: placed.entry.session.as_ref().and_then(|link| link.prev),
            time_ms: placed.entry.time_ms,
            kind: body.kind(),
            session: self.dossier.session,
            actor: actor.map(|id| self.reading.person(id)),
            resource: opened.filter(|_| own).map(|o| o.resource.clone()),
            owner: self.owner.clone(),
            purpose: self.purpose.clone(),
            offset_us: offset_us.or_else(|| self.since_opening_us(placed)),
            frame,
            text: text(body),
            values: values.map(|(path, value)| (path, value.clone())).collect(),
            refused: self.reading.world.refusal(placed.index).map(|finding| finding.code),
        }
    }

    /// By the writer's clock, where the entry has no offset of its own.
    fn since_opening_us(&self, placed: &Placed) -> Option<u64> {
        let opened_ms = self.dossier.opening.as_ref()?.placed.entry.time_ms;
        let link = placed.entry.session.as_ref()?;
        (link.id == self.dossier.session).then(|| placed.entry.time_ms.saturating_sub(opened_ms).saturating_mul(1000))
    }

    fn progress(&self, index: u64, recorded: &Recorded) -> Option<Line> {
        // Progress entries speak of many sessions, so they are not kept whole.
        let stated = self.reading.world.progress_entry(index)?;
        Some(Line {
            index,
            entry: stated.0,
            hash: stated.1,
            prev: None,
            time_ms: stated.2,
            kind: "session.progress",
            session: self.dossier.session,
            actor: None,
            resource: None,
            owner: self.owner.clone(),
            purpose: self.purpose.clone(),
            offset_us: None,
            frame: Some(recorded.frames),
            text: format!(
                "synced so far: {} in {}",
                counted(recorded.frames, "frame"),
                counted(recorded.extents, "extent")
            ),
            values: BTreeMap::new(),
            refused: self.reading.world.refusal(index).map(|finding| finding.code),
        })
    }
}

fn text(body: &Body) -> String {
    match body {
        Body::Enrolled(signed) => format!("`{}` was enrolled", signed.statement.handle),
        Body::Workflow(signed) => format!("workflow `{}` was set", signed.statement.name),
        Body::Requested(body) => {
            let scope = &body.statement.scope;
            format!(
                "asked for {} as {} ({})",
                list(&scope.resources),
                list(&scope.accounts),
                scope.purpose
            )
        }
        Body::Approved(_) => "approved, word for word".into(),
        Body::Denied(_) => "denied".into(),
        Body::Granted(body) => format!("granted on {}", counted(body.approvals.len(), "approval")),
        Body::Revoked(_) => "revoked the grant".into(),
        Body::Opened(body) => format!("opened {} on {}", body.account, body.resource),
        Body::Killed(_) => "ordered the end".into(),
        Body::Gap(gap) => {
            let until = gap.next.map_or_else(String::new, |next| format!(" up to {next}"));
            format!("frames from {}{until} are in doubt: {}", gap.first, word(&gap.cause))
        }
        Body::Ended(ended) => format!("ended: {}", word(&ended.cause)),
        Body::Lost(_) => "lost: its gateway died".into(),
        Body::Intended(intended) => format!("{} allowed on channel {}", word(&intended.class), intended.channel),
        Body::ActionRefused(refused) => format!("{} refused: {}", refused.wanted, refused.code),
        Body::ActionEnded(ended) => match (ended.exit_status, &ended.exit_signal) {
            (Some(status), _) => format!("done, status {status}"),
            (None, Some(signal)) => format!("done, signal {signal}"),
            (None, None) => "done".into(),
        },
        body => body.kind().to_owned(),
    }
}

/// The word by which a value stands in an entry.
pub(crate) fn word<T: Serialize>(value: &T) -> String {
    let word = serde_json::to_value(value).ok();
    let word = word.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default();
    word.replace('_', " ")
}

fn list<T: ToString>(names: &[T]) -> String {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    names.join(", ")
}

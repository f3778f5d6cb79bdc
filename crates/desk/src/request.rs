//! Asking for access: a wish becomes one exact statement, the requester signs it, and it is put on record.
//!
//! Not here: who says yes (see `approve`). INVARIANT (explicit): a selector is resolved to a list of resources before
//! anything is signed; what is added to the environment later is in no request made earlier.

use crate::attempt::{self, Operation};
use crate::desk::Desk;
use crate::failure::Failure;
use crate::people::Caller;
use crate::reach::{self, Ground, Place};
use crate::sealing;
use model::body::{Body, RequestProof, Requested};
use model::chain::Draft;
use model::commitment::{Opening, Openings};
use model::entity::WorkflowState;
use model::entry::BlobKind;
use model::id::RequestId;
use model::name::{AccountName, EnvironmentName, Purpose, ResourceName, WorkflowName};
use model::statement::{ActionClass, Request, Scope};
use serde::{Deserialize, Serialize};
use store::Receipt;

/// The window of a request that names none.
const WINDOW_MS: u64 = 60 * 60 * 1000;
/// Bytes of a reason.
const REASON_LENGTH_MAX: usize = 4096;
/// Bytes of a ticket's text.
const TICKET_LENGTH_MAX: usize = 1024;

/// What somebody would like, as far as they said it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Wish {
    /// Where; needed only when the resources' names do not say it.
    pub environment: Option<EnvironmentName>,
    /// Under which workflow; needed only when several would do.
    pub workflow: Option<WorkflowName>,
    /// For which of the workflow's purposes; needed only when it has several.
    pub purpose: Option<Purpose>,
    /// Resources: names, full names, addresses, or selectors that end in `*`.
    pub resources: Vec<String>,
    /// Accounts.
    pub accounts: Vec<AccountName>,
    /// What is to be done; empty: all that the workflow allows.
    pub actions: Vec<ActionClass>,
    /// Why.
    pub reason: Option<String>,
    /// The ticket's text.
    pub ticket: Option<String>,
    /// Begin, Unix milliseconds; absent: now.
    pub from_ms: Option<u64>,
    /// Length, milliseconds; absent: an hour, or the workflow's longest window if that is shorter.
    pub length_ms: Option<u64>,
}

/// A request that only needs its requester's proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prepared {
    /// Where.
    pub environment: EnvironmentName,
    /// The log's origin; part of what is signed.
    pub origin: String,
    /// What is signed.
    pub statement: Request,
    /// What its commitments hide.
    pub openings: Openings,
}

/// Turns a wish into a statement with fresh ids and commitments. Nothing is put on record.
///
/// # Errors
/// The field that is missing or wrong; or a refusal with what could have been meant.
pub async fn prepare(desk: &Desk, callers: &[Caller], wish: &Wish) -> Result<Prepared, Failure> {
    let reason = text("reason", wish.reason.as_deref(), REASON_LENGTH_MAX)?.ok_or(Failure::missing("reason"))?;
    let ticket = text("ticket", wish.ticket.as_deref(), TICKET_LENGTH_MAX)?;
    if wish.resources.is_empty() {
        return Err(Failure::missing("resources"));
    }
    if wish.accounts.is_empty() {
        return Err(Failure::missing("accounts"));
    }
    let grounds = reach::grounds(desk, callers).await?;
    let (ground, resources) = choose(&grounds, wish)?;
    let workflow = workflow(ground, wish, &resources)?;
    let scope = scope(desk.now_ms(), workflow, wish, resources)?;
    let entry = desk.entry_id()?;
    let mut fields = vec![Opening::new("reason", desk.fresh()?, reason.as_bytes())];
    if let Some(ticket) = ticket {
        fields.push(Opening::new("ticket", desk.fresh()?, ticket.as_bytes()));
    }
    let commitment = |path: &str| {
        fields
            .iter()
            .find(|field| field.path == path)
            .map(|field| field.commitment(entry))
    };
    let statement = Request {
        request: RequestId::new(desk.now_ms(), desk.fresh()?),
        entry,
        requester: ground.caller.identity,
        scope,
        reason: commitment("reason").ok_or(Failure::missing("reason"))?,
        ticket: commitment("ticket"),
    };
    Ok(Prepared {
        environment: ground.caller.environment.clone(),
        origin: ground.caller.origin.clone(),
        statement,
        openings: Openings { entry, fields },
    })
}

fn text<'a>(field: &'static str, text: Option<&'a str>, length_max: usize) -> Result<Option<&'a str>, Failure> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    if text.len() > length_max {
        return Err(Failure::field(field, format!("is longer than {length_max} bytes")));
    }
    Ok(Some(text))
}

/// The one environment in which everything that is named lies, and the resources there.
fn choose<'a>(grounds: &'a [Ground], wish: &Wish) -> Result<(&'a Ground, Vec<ResourceName>), Failure> {
    let fits = |ground: &&Ground| {
        wish.environment
            .as_ref()
            .is_none_or(|name| *name == ground.caller.environment)
    };
    let grounds: Vec<&Ground> = grounds.iter().filter(fits).collect();
    if grounds.is_empty() {
        return Err(Failure::field(
            "environment",
            "there is none in which you may ask for access",
        ));
    }
    let mut chosen: Option<(&Ground, Vec<ResourceName>)> = None;
    for typed in &wish.resources {
        let (ground, found) = select(&grounds, typed)?;
        let (first, resources) = chosen.get_or_insert_with(|| (ground, vec![]));
        if first.caller.environment != ground.caller.environment {
            return Err(Failure::field(
                "resources",
                "a request is for one environment; ask in each by itself",
            ));
        }
        resources.extend(found);
    }
    let (ground, mut resources) = chosen.ok_or(Failure::missing("resources"))?;
    resources.sort();
    resources.dedup();
    Ok((ground, resources))
}

fn select<'a>(grounds: &[&'a Ground], typed: &str) -> Result<(&'a Ground, Vec<ResourceName>), Failure> {
    let typed = typed.to_ascii_lowercase();
    let matches = |place: &Place| match typed.strip_suffix('*') {
        Some(prefix) => place.name.as_str().starts_with(prefix),
        None => place.answers_to(&typed),
    };
    let mut found = grounds.iter().filter_map(|ground| {
        let names: Vec<ResourceName> = ground
            .places
            .iter()
            .filter(|place| matches(place))
            .map(|place| place.name.clone())
            .collect();
        (!names.is_empty()).then_some((*ground, names))
    });
    let Some(first) = found.next() else {
        return Err(Failure::Refused {
            code: "resource_unknown",
            because: format!("you may not ask for `{typed}`, or it does not exist; see `ls`"),
            candidates: reach::full_names(grounds.iter().copied()),
        });
    };
    let selector = typed.ends_with('*');
    if found.next().is_some() || (first.1.len() > 1 && !selector) {
        return Err(Failure::Refused {
            code: "name_not_unique",
            because: format!("`{typed}` is more than one resource; use a full name"),
            candidates: reach::full_names(grounds.iter().copied()),
        });
    }
    Ok(first)
}

fn workflow<'a>(ground: &'a Ground, wish: &Wish, resources: &[ResourceName]) -> Result<&'a WorkflowState, Failure> {
    if let Some(name) = &wish.workflow {
        let found = ground
            .workflows
            .iter()
            .find(|workflow| workflow.statement.name == *name);
        return found
            .ok_or_else(|| Failure::field("workflow", format!("`{name}` does not exist or does not serve you")));
    }
    let covers = |workflow: &&WorkflowState| {
        let statement = &workflow.statement;
        resources.iter().all(|name| statement.resources.contains(name))
            && wish.accounts.iter().all(|name| statement.accounts.contains(name))
            && wish.actions.iter().all(|class| statement.actions.contains(class))
            && wish
                .purpose
                .as_ref()
                .is_none_or(|purpose| statement.purposes.contains(purpose))
    };
    let fitting: Vec<&WorkflowState> = ground.workflows.iter().filter(covers).collect();
    match fitting.as_slice() {
        [only] => Ok(only),
        [] => Err(Failure::Refused {
            code: "no_workflow",
            because: "no workflow covers all of these resources, accounts, actions and the purpose".into(),
            candidates: ground
                .workflows
                .iter()
                .map(|workflow| workflow.statement.name.to_string())
                .collect(),
        }),
        several => Err(Failure::Refused {
            code: "several_workflows",
            because: "several workflows would do; name one".into(),
            candidates: several
                .iter()
                .map(|workflow| workflow.statement.name.to_string())
                .collect(),
        }),
    }
}

fn scope(now_ms: u64, workflow: &WorkflowState, wish: &Wish, resources: Vec<ResourceName>) -> Result<Scope, Failure> {
    let statement = &workflow.statement;
    let purpose = match (&wish.purpose, statement.purposes.as_slice()) {
        (Some(purpose), _) => purpose.clone(),
        (None, [only]) => only.clone(),
        (None, several) => {
            let names: Vec<&str> = several.iter().map(Purpose::as_str).collect();
            return Err(Failure::field(
                "purpose",
                format!("is missing; it is one of: {}", names.join(", ")),
            ));
        }
    };
    let from_ms = wish.from_ms.unwrap_or(now_ms);
    let length_ms = match wish.length_ms {
        None => WINDOW_MS.min(statement.window_ms_max),
        Some(0) => return Err(Failure::field("length_ms", "is zero")),
        Some(length) if length > statement.window_ms_max => {
            let longest = statement.window_ms_max;
            return Err(Failure::field(
                "length_ms",
                format!("is longer than the workflow's longest window, {}", hours(longest)),
            ));
        }
        Some(length) => length,
    };
    let actions = if wish.actions.is_empty() {
        &statement.actions
    } else {
        &wish.actions
    };
    let mut accounts = wish.accounts.clone();
    accounts.sort();
    accounts.dedup();
    Ok(Scope {
        workflow: statement.name.clone(),
        policy: workflow.hash,
        purpose,
        resources,
        accounts,
        actions: actions.clone(),
        from_ms,
        until_ms: from_ms.saturating_add(length_ms),
    })
}

/// Puts a request on record. `proof` is the requester's signature over the statement, or the log-in of the connection
/// over which it was typed.
///
/// # Errors
/// A refusal, on record; or why nothing was stored.
pub async fn submit(
    desk: &Desk,
    caller: &Caller,
    statement: Request,
    proof: RequestProof,
    openings: &Openings,
) -> Result<Receipt, Failure> {
    let object = describe(&statement.scope);
    match try_submit(desk, caller, statement, proof, openings).await {
        Ok(receipt) => Ok(receipt),
        Err(answer) => Err(attempt::refuse(
            desk,
            &caller.environment,
            caller.identity,
            Operation::Request,
            &object,
            answer,
        )
        .await),
    }
}

async fn try_submit(
    desk: &Desk,
    caller: &Caller,
    statement: Request,
    proof: RequestProof,
    openings: &Openings,
) -> Result<Receipt, Failure> {
    if statement.requester != caller.identity {
        return Err(Failure::refused(
            "other_person",
            "the request names somebody else as its requester",
        ));
    }
    check_openings(&statement, openings)?;
    let id = statement.entry;
    let sealed = sealing::seal_readable(desk, &caller.environment, openings).await?;
    let body = Body::Requested(Requested { statement, proof });
    let draft = Draft::new(id, body).with(BlobKind::Openings, sealed);
    desk.record_one(&caller.environment, draft).await
}

/// `4 h`, or `90 min` where it is no whole number of hours.
fn hours(length_ms: u64) -> String {
    match length_ms {
        whole if whole % 3_600_000 == 0 => format!("{} h", whole / 3_600_000),
        length => format!("{} min", length / 60_000),
    }
}

/// An approver must be able to read what was committed to, so nothing is taken that the openings do not open.
fn check_openings(statement: &Request, openings: &Openings) -> Result<(), Failure> {
    if openings.entry != statement.entry {
        return Err(Failure::field("openings", "are those of another entry"));
    }
    let wanted = [("reason", Some(statement.reason)), ("ticket", statement.ticket)];
    let count = wanted.iter().filter(|(_, commitment)| commitment.is_some()).count();
    if openings.fields.len() != count {
        return Err(Failure::field(
            "openings",
            "hold other fields than the statement commits to",
        ));
    }
    for (path, commitment) in wanted {
        let Some(commitment) = commitment else { continue };
        let value = openings
            .open(path, commitment)
            .ok_or_else(|| Failure::field("openings", format!("do not open the statement's `{path}`")))?;
        let length_max = if path == "reason" {
            REASON_LENGTH_MAX
        } else {
            TICKET_LENGTH_MAX
        };
        if value.as_bytes().is_empty() {
            return Err(Failure::missing(path));
        }
        if value.as_bytes().len() > length_max {
            return Err(Failure::field(path, format!("is longer than {length_max} bytes")));
        }
    }
    Ok(())
}

/// A scope in one line, as a caller would write it.
pub(crate) fn describe(scope: &Scope) -> String {
    let list = |names: Vec<&str>| names.join(",");
    format!(
        "{}: {} on {}",
        scope.workflow,
        list(scope.accounts.iter().map(AccountName::as_str).collect()),
        list(scope.resources.iter().map(ResourceName::as_str).collect())
    )
}

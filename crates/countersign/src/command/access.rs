//! Asking for access, and what may be reached: `ls`, `whoami`, `request`, `requests`.

use crate::client::{Api, Entered};
use crate::command::decide::caller_in;
use crate::command::{verify, word};
use crate::config::{Person, PersonArgs};
use crate::exit::Failure;
use crate::paint::Paint;
use crate::shown::{self, Shown};
use crate::{ask, clock, words};
use clap::Args;
use desk::approve::RequestView;
use desk::request::{Prepared, Wish};
use evidence::render::table;
use model::commitment::Openings;
use model::name::{AccountName, EnvironmentName, Purpose, ResourceName, WorkflowName};
use model::signature::{Namespace, Signature, signed_bytes};
use model::statement::{ActionClass, Request, Role, Scope};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) const LS: &str = "Example:
  countersign ls --key ~/.ssh/id_ed25519";
pub(crate) const WHOAMI: &str = "Example:
  countersign whoami --key ~/.ssh/id_ed25519";
pub(crate) const REQUESTS: &str = "Examples:
  countersign requests --key olga
  countersign requests --key olga --json | jq -r '.[].state.statement.request'";

/// A command that only shows.
#[derive(Debug, Args)]
pub(crate) struct LookArgs {
    /// As JSON, for programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    person: PersonArgs,
}

/// What somebody asks for.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  countersign request root@web1.acme --reason \"November's patches\" --ticket CHG123
  countersign request root@web1.acme root@web2.acme --for 4h --reason \"…\"
  countersign request deploy@web*.acme --action exec,sftp --reason \"…\"

A pattern such as `web*` is resolved to a list before you sign.")]
pub(crate) struct RequestArgs {
    /// Why; the approver reads it
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    aim: AimArgs,
    /// Do not ask before signing
    #[arg(long)]
    yes: bool,
    /// As JSON, for programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    person: PersonArgs,
}

/// What a request aims at, as the command and the gateway's own word take it.
#[derive(Debug, Args)]
pub(crate) struct AimArgs {
    /// `ACCOUNT@RESOURCE.ENVIRONMENT`, several of them if you like
    #[arg(required = true, value_name = "TARGET")]
    targets: Vec<String>,
    /// The ticket, as your organisation names it
    #[arg(long, value_name = "TEXT")]
    ticket: Option<String>,
    /// For how long [default: an hour, or the workflow's longest window]
    #[arg(long = "for", value_name = "LENGTH", value_parser = clock::parse_length)]
    length: Option<u64>,
    /// From when, such as `2026-01-05T22:00:00Z` [default: now]
    #[arg(long, value_name = "TIME")]
    from: Option<jiff::Timestamp>,
    /// Under which workflow, where several would do
    #[arg(long, value_name = "NAME")]
    workflow: Option<WorkflowName>,
    /// For which of the workflow's purposes, where it has several
    #[arg(long, value_name = "TEXT")]
    purpose: Option<Purpose>,
    /// What is to be done: `shell`, `exec`, `sftp`, `forward`, `tunnel_local` [default: all that the workflow allows]
    #[arg(long = "action", value_name = "CLASS", value_delimiter = ',', value_parser = word::<ActionClass>)]
    actions: Vec<ActionClass>,
}

/// What the client reads of an identity.
#[derive(Debug, Deserialize)]
pub(crate) struct Caller {
    pub(crate) environment: EnvironmentName,
    pub(crate) origin: String,
    pub(crate) identity: model::id::IdentityId,
    pub(crate) handle: String,
    pub(crate) organisation: String,
    pub(crate) roles: Vec<Role>,
}

pub(crate) async fn whoami(args: LookArgs) -> Result<(), Failure> {
    let (api, key) = Api::sign_in(&Person::read(&args.person)?).await?;
    let found: Value = api.get("/v1/whoami").await?;
    if args.json {
        return print_json(&found);
    }
    println!("key {}", key.public().fingerprint());
    let rows = parse::<Vec<Caller>>(found)?.into_iter().map(|caller| {
        vec![
            caller.environment.to_string(),
            format!("{} of {}", caller.handle, caller.organisation),
            format!("may {}", words::list(&caller.roles)),
            caller.identity.to_string(),
        ]
    });
    rows_or(&rows.collect::<Vec<_>>(), "", "this key is enrolled in no environment");
    Ok(())
}

pub(crate) async fn ls(args: LookArgs) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Reach {
        caller: Caller,
        places: Vec<Place>,
        grants: Vec<Grant>,
        requests: Vec<Waiting>,
    }
    #[derive(Deserialize)]
    struct Place {
        full_name: String,
        accounts: Vec<AccountName>,
        workflows: Vec<WorkflowName>,
    }
    #[derive(Deserialize)]
    struct Grant {
        grant: String,
        scope: Scope,
    }
    #[derive(Deserialize)]
    struct Waiting {
        request: String,
        scope: Scope,
    }
    let (api, _) = Api::sign_in(&Person::read(&args.person)?).await?;
    let found: Value = api.get("/v1/ls").await?;
    if args.json {
        return print_json(&found);
    }
    for reach in parse::<Vec<Reach>>(found)? {
        let environment = &reach.caller.environment;
        println!(
            "{environment} ({} of {})",
            reach.caller.handle, reach.caller.organisation
        );
        let granted = reach.grants.iter().map(|grant| {
            let until = format!("until {}", clock::text(grant.scope.until_ms));
            [
                "granted".into(),
                aims(&grant.scope, environment),
                until,
                grant.grant.clone(),
            ]
        });
        let waiting = reach.requests.iter().map(|waiting| {
            let aims = aims(&waiting.scope, environment);
            [
                "waiting".into(),
                aims,
                "for an approval".into(),
                waiting.request.clone(),
            ]
        });
        let places = reach.places.iter().map(|place| {
            let aim = format!("{}@{}", words::list(&place.accounts), place.full_name);
            let under = format!("under {}", words::list(&place.workflows));
            ["may ask".into(), aim, under, String::new()]
        });
        let rows: Vec<Vec<String>> = granted.chain(waiting).chain(places).map(Vec::from).collect();
        rows_or(&rows, "  ", "  nothing that you may ask for");
    }
    Ok(())
}

/// Aligned rows on standard output; where there are none, that is said on standard error.
pub(crate) fn rows_or(rows: &[Vec<String>], indent: &str, none: &str) {
    if rows.is_empty() {
        eprintln!("{none}");
    }
    verify::show(&Paint::of_output().page(&table(rows, indent)));
}

/// `root@web1.acme, root@web2.acme`.
pub(crate) fn aims(scope: &Scope, environment: &EnvironmentName) -> String {
    let pairs = scope.resources.iter().flat_map(|resource: &ResourceName| {
        scope
            .accounts
            .iter()
            .map(move |account| format!("{account}@{resource}.{environment}"))
    });
    pairs.collect::<Vec<_>>().join(", ")
}

pub(crate) async fn request(args: RequestArgs) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Sent<'a> {
        environment: &'a EnvironmentName,
        statement: &'a Request,
        signature: Signature,
        openings: &'a Openings,
    }
    let wish = args.aim.wish(args.reason.clone()).map_err(Failure::usage)?;
    let (api, key) = Api::sign_in(&Person::read(&args.person)?).await?;
    let prepared: Prepared = api.post("/v1/requests/prepare", &wish).await?;
    let caller = caller_in(&api, Some(&prepared.environment)).await?;
    check_prepared(&wish, &caller, &prepared)?;
    eprint!(
        "{}",
        shown::asked(&caller, &prepared, (&args.reason, wish.ticket.as_deref()))
    );
    ask::confirm("Sign and send this request?", args.yes)?;
    let message = signed_bytes(&prepared.origin, &prepared.statement).map_err(Failure::refused)?;
    let signature = key.sign(Namespace::Request, &message)?;
    let sent = Sent {
        environment: &prepared.environment,
        statement: &prepared.statement,
        signature,
        openings: &prepared.openings,
    };
    let entered: Entered = api.post("/v1/requests", &sent).await?;
    let id = prepared.statement.request;
    if args.json {
        return print_json(&serde_json::json!({
            "request": id, "environment": prepared.environment, "index": entered.index, "scope": prepared.statement.scope,
        }));
    }
    println!("{id}");
    eprintln!(
        "on record as entry {}; next: an approver runs: countersign approve {id}",
        entered.index
    );
    Ok(())
}

impl AimArgs {
    /// As the desk takes it; or what is wrong.
    pub(crate) fn wish(&self, reason: String) -> Result<Wish, String> {
        let (mut accounts, mut resources) = (vec![], vec![]);
        for target in &self.targets {
            let (account, resource) = target
                .rsplit_once('@')
                .ok_or_else(|| format!("`{target}` is not ACCOUNT@RESOURCE.ENVIRONMENT"))?;
            accounts.push(account.parse::<AccountName>().map_err(|error| error.to_string())?);
            resources.push(resource.to_owned());
        }
        if self.ticket.as_ref().is_some_and(|ticket| ticket.trim().is_empty()) {
            return Err("--ticket is empty; leave it out, or name the ticket".into());
        }
        accounts.sort();
        accounts.dedup();
        let (environment, resources) = selectors(resources)?;
        let from = self.from.map(|from| u64::try_from(from.as_millisecond()));
        Ok(Wish {
            environment,
            workflow: self.workflow.clone(),
            purpose: self.purpose.clone(),
            resources,
            accounts,
            actions: self.actions.clone(),
            reason: Some(reason),
            ticket: self.ticket.clone(),
            from_ms: from.transpose().map_err(|_| "--from is before 1970")?,
            length_ms: self.length,
        })
    }
}

/// `web*.acme` is the selector `web*` in environment `acme`.
fn selectors(resources: Vec<String>) -> Result<(Option<EnvironmentName>, Vec<String>), String> {
    let mut environment = None;
    let mut plain = vec![];
    for text in resources {
        match text.split_once("*.") {
            Some((prefix, name)) => {
                let name: EnvironmentName = name.parse().map_err(|error| format!("{error}"))?;
                environment = Some(name);
                plain.push(format!("{prefix}*"));
            }
            None => plain.push(text),
        }
    }
    Ok((environment, plain))
}

/// What is signed must be what was asked: by this person, for this log; no resource, account or hour beyond it, and
/// reason and ticket as they were typed.
fn check_prepared(wish: &Wish, caller: &Caller, prepared: &Prepared) -> Result<(), Failure> {
    let own = prepared.statement.requester == caller.identity && prepared.origin == caller.origin;
    let scope = &prepared.statement.scope;
    let reason = prepared.openings.open("reason", prepared.statement.reason);
    let kept =
        reason.is_some_and(|reason| Some(reason.as_bytes()) == wish.reason.as_deref().map(|r| r.trim().as_bytes()));
    let ticket = match (&wish.ticket, prepared.statement.ticket) {
        (None, None) => true,
        (Some(ticket), Some(commitment)) => prepared
            .openings
            .open("ticket", commitment)
            .is_some_and(|found| found.as_bytes() == ticket.trim().as_bytes()),
        _ => false,
    };
    let accounts = scope.accounts.iter().all(|account| wish.accounts.contains(account));
    let length = wish
        .length_ms
        .is_none_or(|length| scope.until_ms.saturating_sub(scope.from_ms) <= length);
    let asked = |name: &ResourceName| {
        let full = format!("{name}.{}", prepared.environment);
        wish.resources.iter().any(|typed| match typed.strip_suffix('*') {
            Some(prefix) => name.as_str().starts_with(prefix),
            // An address stands for a name that only the server knows; it is shown before it is signed.
            None => *typed == full || typed == name.as_str() || !typed.ends_with(&format!(".{}", prepared.environment)),
        })
    };
    if own && kept && ticket && accounts && length && scope.resources.iter().all(asked) {
        Ok(())
    } else {
        Err(Failure::refused(
            "the server wrote down something else than was asked; nothing was signed",
        ))
    }
}

pub(crate) async fn requests(args: LookArgs) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Line {
        environment: EnvironmentName,
        handle: String,
        state: model::entity::RequestState,
    }
    let (api, _) = Api::sign_in(&Person::read(&args.person)?).await?;
    let found: Value = api.get("/v1/requests").await?;
    if args.json {
        return print_json(&found);
    }
    let now_ms = clock::now_ms();
    let rows = parse::<Vec<Line>>(found)?.into_iter().map(|line| {
        let request = &line.state.statement;
        vec![
            request.request.to_string(),
            status(&line.state.status, request.scope.until_ms, now_ms).to_owned(),
            clock::text(line.state.made_ms),
            line.handle,
            aims(&request.scope, &line.environment),
        ]
    });
    rows_or(&rows.collect::<Vec<_>>(), "", "no requests that you may see");
    Ok(())
}

/// Where a request stands; one whose window has passed waits for nothing.
pub(crate) fn status(status: &model::entity::RequestStatus, until_ms: u64, now_ms: u64) -> &'static str {
    use model::entity::RequestStatus;
    match status {
        RequestStatus::Pending if until_ms <= now_ms => "lapsed",
        RequestStatus::Pending => "waiting",
        RequestStatus::Denied => "denied",
        RequestStatus::Granted(_) => "granted",
    }
}

/// A request's page, checked against its entry.
pub(crate) async fn fetch(api: &Api, id: model::id::RequestId) -> Result<Shown, Failure> {
    let view: RequestView = api.get(&format!("/v1/requests/{id}")).await?;
    Shown::check(view)
}

pub(crate) fn parse<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, Failure> {
    serde_json::from_value(value)
        .map_err(|error| Failure::unavailable(format!("the server's answer cannot be read: {error}")))
}

pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(Failure::refused)?;
    println!("{}", inert_json(&text));
    Ok(())
}

/// JSON may hold characters that a terminal obeys, in strings only: there they can be written as escapes.
fn inert_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out
}

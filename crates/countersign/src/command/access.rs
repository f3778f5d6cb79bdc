//! Asking for access, and what may be reached: `ls`, `whoami`, `request`, `requests`.

use crate::client::{Api, Entered};
use crate::command::word;
use crate::config::{Person, PersonArgs};
use crate::exit::Failure;
use crate::shown::Shown;
use crate::{ask, clock, words};
use clap::Args;
use desk::approve::RequestView;
use desk::request::{Prepared, Wish};
use model::commitment::Openings;
use model::name::{AccountName, EnvironmentName, Purpose, ResourceName, WorkflowName};
use model::signature::{Namespace, Signature, signed_bytes};
use model::statement::{ActionClass, Request, Role, Scope};
use serde::{Deserialize, Serialize};
use serde_json::Value;

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
  countersign request root@web1.acme --reason \"security patches of November\" --ticket CHG123
  countersign request root@web1.acme root@web2.acme --for 4h --purpose \"security patches\" --reason \"…\"
  countersign request deploy@web*.acme --action exec,sftp --reason \"…\"     # resolved to a list before you sign")]
pub(crate) struct RequestArgs {
    /// `ACCOUNT@RESOURCE.ENVIRONMENT`, several of them if you like
    #[arg(required = true, value_name = "TARGET")]
    targets: Vec<String>,
    /// Why; the approver reads it
    #[arg(long, value_name = "TEXT")]
    reason: String,
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
    /// Do not ask before signing
    #[arg(long)]
    yes: bool,
    /// As JSON, for programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    person: PersonArgs,
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
    for caller in parse::<Vec<Caller>>(found)? {
        println!(
            "{}  {} of {}  may {}  {}",
            caller.environment,
            caller.handle,
            caller.organisation,
            words::list(&caller.roles),
            caller.identity
        );
    }
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
        println!(
            "{} ({} of {})",
            reach.caller.environment, reach.caller.handle, reach.caller.organisation
        );
        for grant in &reach.grants {
            println!(
                "  granted    {}  until {}  {}",
                aims(&grant.scope, &reach.caller.environment),
                clock::text(grant.scope.until_ms),
                grant.grant
            );
        }
        for waiting in &reach.requests {
            println!(
                "  waiting    {}  {}",
                aims(&waiting.scope, &reach.caller.environment),
                waiting.request
            );
        }
        for place in &reach.places {
            println!(
                "  may ask    {}@{}  under {}",
                words::list(&place.accounts),
                place.full_name,
                words::list(&place.workflows)
            );
        }
        if reach.places.is_empty() {
            println!("  nothing that you may ask for");
        }
    }
    Ok(())
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
    let wish = wish(&args)?;
    let (api, key) = Api::sign_in(&Person::read(&args.person)?).await?;
    let prepared: Prepared = api.post("/v1/requests/prepare", &wish).await?;
    check_prepared(&wish, &prepared)?;
    eprint!(
        "In `{}` you ask for:\n\n{}",
        prepared.environment,
        words::scope(&prepared.statement.scope)
    );
    eprintln!("  {:<14} {}", "reason", args.reason);
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
        "entered as {}; next: an approver runs `countersign approve {id}`",
        entered.index
    );
    Ok(())
}

fn wish(args: &RequestArgs) -> Result<Wish, Failure> {
    let (mut accounts, mut resources) = (vec![], vec![]);
    for target in &args.targets {
        let (account, resource) = target
            .rsplit_once('@')
            .ok_or_else(|| Failure::usage(format!("`{target}` is not ACCOUNT@RESOURCE.ENVIRONMENT")))?;
        accounts.push(account.parse::<AccountName>().map_err(Failure::usage)?);
        resources.push(resource.to_owned());
    }
    accounts.sort();
    accounts.dedup();
    let (environment, resources) = selectors(resources)?;
    let from = args.from.map(|from| u64::try_from(from.as_millisecond()));
    Ok(Wish {
        environment,
        workflow: args.workflow.clone(),
        purpose: args.purpose.clone(),
        resources,
        accounts,
        actions: args.actions.clone(),
        reason: Some(args.reason.clone()),
        ticket: args.ticket.clone(),
        from_ms: from.transpose().map_err(|_| Failure::usage("--from is before 1970"))?,
        length_ms: args.length,
    })
}

/// `web*.acme` is the selector `web*` in environment `acme`.
fn selectors(resources: Vec<String>) -> Result<(Option<EnvironmentName>, Vec<String>), Failure> {
    let mut environment = None;
    let mut plain = vec![];
    for text in resources {
        match text.split_once("*.") {
            Some((prefix, name)) => {
                environment = Some(name.parse().map_err(Failure::usage)?);
                plain.push(format!("{prefix}*"));
            }
            None => plain.push(text),
        }
    }
    Ok((environment, plain))
}

/// What is signed must be what was asked: no resource, account or hour beyond it, and the reason as it was typed.
fn check_prepared(wish: &Wish, prepared: &Prepared) -> Result<(), Failure> {
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
    if kept && ticket && accounts && length && scope.resources.iter().all(asked) {
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
    for line in parse::<Vec<Line>>(found)? {
        let request = &line.state.statement;
        println!(
            "{}  {:<8}  {}  {}  {}",
            request.request,
            status(&line.state.status),
            clock::text(line.state.made_ms),
            line.handle,
            aims(&request.scope, &line.environment)
        );
    }
    Ok(())
}

pub(crate) fn status(status: &model::entity::RequestStatus) -> &'static str {
    use model::entity::RequestStatus;
    match status {
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
    println!("{}", serde_json::to_string_pretty(value).map_err(Failure::refused)?);
    Ok(())
}

//! Saying yes or no, and taking back: `approve`, `deny`, `revoke`, `kill`. Each prints in plain words what is signed.

use crate::agent::signed;
use crate::client::{Api, Entered};
use crate::command::access::{self, Caller};
use crate::command::session;
use crate::config::{Person, PersonArgs};
use crate::exit::Failure;
use crate::{ask, clock, words};
use clap::Args;
use desk::approve::Decided;
use desk::read::GrantLine;
use model::id::{GrantId, RequestId, SessionId};
use model::name::EnvironmentName;
use model::statement::{Kill, Revocation};

pub(crate) const APPROVE: &str = "Example:
  countersign approve req_01… --key olga

Prints what is signed, asks, then signs exactly that. Without a terminal say --yes.";
pub(crate) const DENY: &str = "Example:
  countersign deny req_01… --key olga";

/// Which request.
#[derive(Debug, Args)]
pub(crate) struct DecideArgs {
    /// The request, as `req_…`
    request: RequestId,
    /// Do not ask before signing
    #[arg(long)]
    yes: bool,
    /// As JSON, for programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    person: PersonArgs,
}

/// What is to end.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  countersign revoke grt_01… --key olga

Live sessions under the grant end within a second. `countersign ls` and `approve` print its id.")]
pub(crate) struct RevokeArgs {
    /// The grant, as `grt_…`
    grant: GrantId,
    /// Do not ask before signing
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    person: PersonArgs,
}

/// What is to end.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  countersign kill ses_01… --key olga

Its grant stays: `countersign revoke` takes that back. `countersign sessions --live` lists what is live.")]
pub(crate) struct KillArgs {
    /// The session, as `ses_…`
    session: SessionId,
    /// In which environment, if you are known in several
    #[arg(long, value_name = "NAME")]
    environment: Option<EnvironmentName>,
    /// Do not ask before signing
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    person: PersonArgs,
}

pub(crate) async fn approve(args: DecideArgs) -> Result<(), Failure> {
    let (api, key) = Api::sign_in(&Person::read(&args.person)?).await?;
    let shown = access::fetch(&api, args.request).await?;
    let caller = caller_in(&api, Some(&shown.view.environment)).await?;
    eprint!("{}", shown.words());
    if !shown.is_readable() {
        return Err(Failure::refused(
            "its reason or ticket cannot be read any more; nobody approves what they cannot read",
        ));
    }
    ask::confirm("Approve exactly this?", args.yes)?;
    let statement = signed(
        &[key],
        origin(&caller, &shown.view.origin)?,
        shown.approval(caller.identity),
    )?;
    let decided: Decided = api.post("/v1/approvals", &statement).await?;
    if args.json {
        return access::print_json(&decided);
    }
    println!(
        "approved {} as {} (entry {})",
        args.request, caller.handle, decided.index
    );
    match (&decided.grant, &decided.missing) {
        (Some(grant), _) => println!("granted {grant}; to take it back: countersign revoke {grant}"),
        (None, Some(missing)) => println!("still needed: {} of {}", missing.count, missing.organisation),
        (None, None) => {}
    }
    Ok(())
}

pub(crate) async fn deny(args: DecideArgs) -> Result<(), Failure> {
    let (api, key) = Api::sign_in(&Person::read(&args.person)?).await?;
    let shown = access::fetch(&api, args.request).await?;
    let caller = caller_in(&api, Some(&shown.view.environment)).await?;
    eprint!("{}", shown.words());
    ask::confirm("Deny this?", args.yes)?;
    let statement = signed(
        &[key],
        origin(&caller, &shown.view.origin)?,
        shown.denial(caller.identity),
    )?;
    let decided: Decided = api.post("/v1/denials", &statement).await?;
    if args.json {
        return access::print_json(&decided);
    }
    println!("denied {} as {} (entry {})", args.request, caller.handle, decided.index);
    Ok(())
}

pub(crate) async fn revoke(args: RevokeArgs) -> Result<(), Failure> {
    let (api, key) = Api::sign_in(&Person::read(&args.person)?).await?;
    let shown: GrantLine = api.get(&format!("/v1/grants/{}", args.grant)).await?;
    let caller = caller_in(&api, Some(&shown.environment)).await?;
    eprint!("{}", words::grant(&shown));
    ask::confirm("Take it back? Live sessions under it end.", args.yes)?;
    let statement = Revocation {
        grant: args.grant,
        by: caller.identity,
        at_ms: clock::now_ms(),
    };
    let entered: Entered = api
        .post("/v1/revocations", &signed(&[key], &caller.origin, statement)?)
        .await?;
    println!("revoked {} (entry {})", args.grant, entered.index);
    Ok(())
}

pub(crate) async fn kill(args: KillArgs) -> Result<(), Failure> {
    let (api, key) = Api::sign_in(&Person::read(&args.person)?).await?;
    let caller = caller_in(&api, args.environment.as_ref()).await?;
    eprintln!("{}", session::line(&api, args.session).await?);
    ask::confirm(
        &format!("End {} in `{}` now?", args.session, caller.environment),
        args.yes,
    )?;
    let statement = Kill {
        session: args.session,
        by: caller.identity,
        at_ms: clock::now_ms(),
    };
    let entered: Entered = api
        .post("/v1/kills", &signed(&[key], &caller.origin, statement)?)
        .await?;
    println!("killed {} (entry {})", args.session, entered.index);
    Ok(())
}

/// Who the person is in the environment; or in the only one.
pub(crate) async fn caller_in(api: &Api, environment: Option<&EnvironmentName>) -> Result<Caller, Failure> {
    let callers: Vec<Caller> = api.get("/v1/whoami").await?;
    let mut fitting = callers
        .into_iter()
        .filter(|caller| environment.is_none_or(|name| *name == caller.environment));
    match (fitting.next(), fitting.next()) {
        (Some(caller), None) => Ok(caller),
        (None, _) => Err(Failure::refused("you are not known there")),
        _ => Err(Failure::usage("you are known in several environments").next("name one with --environment")),
    }
}

/// The log's origin must be the one that the person is known in, or a signature made for one log could serve another.
fn origin<'a>(caller: &'a Caller, shown: &str) -> Result<&'a str, Failure> {
    if caller.origin == shown {
        Ok(&caller.origin)
    } else {
        Err(Failure::refused(format!(
            "the request is shown for log `{shown}`, you are known in `{}`",
            caller.origin
        )))
    }
}

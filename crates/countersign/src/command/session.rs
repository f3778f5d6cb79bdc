//! Sessions as they are on record: `sessions`, `show`.

use crate::client::Api;
use crate::command::access::{self, parse, print_json, status};
use crate::config::{Person, PersonArgs};
use crate::exit::Failure;
use crate::{clock, file, words};
use clap::Args;
use evidence::render::{counted, inert};
use model::entity::{SessionState, SessionStatus};
use model::id::{RequestId, SessionId};
use model::name::EnvironmentName;
use serde::Deserialize;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Which sessions.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  countersign sessions --key bob
  countersign sessions --live --key bob --json | jq -r '.[].state.session'")]
pub(crate) struct SessionsArgs {
    /// Only those that are live
    #[arg(long)]
    live: bool,
    /// As JSON, for programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    person: PersonArgs,
}

/// What to show.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  countersign show ses_01…                        # a session and its entries
  countersign show req_01… --approval-files DIR   # for `ssh-keygen -Y verify`")]
pub(crate) struct ShowArgs {
    /// A session (`ses_…`) or a request (`req_…`)
    what: String,
    /// For a request: write message, signature and allowed_signers of each approval into this folder
    #[arg(long, value_name = "DIR")]
    approval_files: Option<PathBuf>,
    /// As JSON, for programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    person: PersonArgs,
}

#[derive(Deserialize)]
struct Line {
    environment: EnvironmentName,
    handle: String,
    state: SessionState,
}

pub(crate) async fn sessions(args: SessionsArgs) -> Result<(), Failure> {
    let (api, _) = Api::sign_in(&Person::read(&args.person)?).await?;
    let found: Value = api.get("/v1/sessions").await?;
    if args.json {
        return print_json(&found);
    }
    let lines: Vec<Line> = parse(found)?;
    let rows = lines
        .iter()
        .filter(|line| !args.live || line.state.status == SessionStatus::Open)
        .map(summary);
    let none = match args.live {
        true => "no live sessions that you may see",
        false => "no sessions that you may see",
    };
    access::rows_or(&rows.collect::<Vec<_>>(), "", none);
    Ok(())
}

/// One session on one line.
pub(crate) async fn line(api: &Api, session: SessionId) -> Result<String, Failure> {
    let line: Line = api.get(&format!("/v1/sessions/{session}")).await?;
    Ok(summary(&line).join("  "))
}

fn summary(line: &Line) -> Vec<String> {
    let state = &line.state;
    let length = state
        .ended_ms
        .map(|end| clock::length(end.saturating_sub(state.opened_ms)));
    let gaps = match state.gaps {
        0 => String::new(),
        gaps => format!(", {}", counted(gaps, "gap")),
    };
    vec![
        state.session.to_string(),
        standing(&state.status),
        clock::text(state.opened_ms),
        line.handle.clone(),
        format!("{}@{}.{}", state.account, state.resource, line.environment),
        format!("{}{gaps}", counted(state.actions, "action")),
        length.unwrap_or_default(),
    ]
}

fn standing(status: &SessionStatus) -> String {
    match status {
        SessionStatus::Open => "live".into(),
        SessionStatus::Lost => "lost".into(),
        SessionStatus::Ended(cause) => serde_json::to_value(cause)
            .ok()
            .and_then(|value| value.as_str().map(|word| word.replace('_', " ")))
            .unwrap_or_default(),
    }
}

pub(crate) async fn show(args: ShowArgs) -> Result<(), Failure> {
    let (api, _) = Api::sign_in(&Person::read(&args.person)?).await?;
    if let Ok(session) = args.what.parse::<SessionId>() {
        return show_session(&api, session, args.json).await;
    }
    match args.what.parse::<RequestId>() {
        Ok(request) => show_request(&api, request, &args).await,
        Err(_) => Err(Failure::usage(format!(
            "`{}` is neither a session (ses_…) nor a request (req_…)",
            args.what
        ))),
    }
}

async fn show_session(api: &Api, session: SessionId, json: bool) -> Result<(), Failure> {
    let line: Value = api.get(&format!("/v1/sessions/{session}")).await?;
    let entries = api.session_entries(session).await?;
    if json {
        let entries: Vec<Value> = entries
            .iter()
            .map(|stored| {
                let entry: Value = serde_json::from_str(&stored.entry).unwrap_or_default();
                serde_json::json!({"index": stored.index, "entry": entry})
            })
            .collect();
        return print_json(&serde_json::json!({"session": line, "entries": entries}));
    }
    println!("{}", summary(&parse(line)?).join("  "));
    let rows = entries.iter().map(|stored| {
        let entry: Value = serde_json::from_str(&stored.entry).unwrap_or_default();
        let time_ms = entry.get("time_ms").and_then(Value::as_u64).unwrap_or_default();
        let kind = entry.get("type").and_then(Value::as_str).unwrap_or_default();
        vec![
            stored.index.to_string(),
            clock::text(time_ms),
            inert(kind.as_bytes()),
            inert(gist(entry.get("body")).as_bytes()),
        ]
    });
    access::rows_or(&rows.collect::<Vec<_>>(), "  ", "");
    Ok(())
}

/// What matters most of a body, in a few words.
fn gist(body: Option<&Value>) -> String {
    let shown = [
        "cause",
        "class",
        "wanted",
        "code",
        "account",
        "resource",
        "exit_status",
        "exit_signal",
        "late_ms",
    ];
    let word = |name: &&str| {
        let value = body?.get(*name)?;
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Some(format!("{name} {text}"))
    };
    shown.iter().filter_map(word).collect::<Vec<_>>().join(", ")
}

async fn show_request(api: &Api, request: RequestId, args: &ShowArgs) -> Result<(), Failure> {
    if args.json {
        let view: Value = api.get(&format!("/v1/requests/{request}")).await?;
        return print_json(&view);
    }
    let shown = access::fetch(api, request).await?;
    let until_ms = shown.view.statement.scope.until_ms;
    let stands = status(&shown.view.status, until_ms, clock::now_ms());
    print!("{}{}", shown.words(), words::line("stands", stands));
    for approval in &shown.view.approvals {
        let who = shown.approver(approval.approver);
        let by = format!("{who} of {}, entry {}", approval.organisation, approval.index);
        print!("{}", words::line("approved by", by));
    }
    match &args.approval_files {
        Some(folder) => approval_files(api, &shown, folder).await,
        None => Ok(()),
    }
}

/// Writes what `ssh-keygen -Y verify` needs to check each approval by itself.
async fn approval_files(api: &Api, shown: &crate::shown::Shown, folder: &Path) -> Result<(), Failure> {
    use model::body::Body;
    use model::entry::Entry;
    file::private_folder(folder)?;
    let (environment, origin) = (&shown.view.environment, &shown.view.origin);
    for (at, approval) in shown.view.approvals.iter().enumerate() {
        let page = api.entries(environment, (approval.index, 1)).await?;
        let stored = page
            .first()
            .ok_or_else(|| Failure::unavailable("the approval's entry cannot be read"))?;
        let entry = Entry::parse(stored.entry.as_bytes()).map_err(Failure::refused)?;
        let Body::Approved(signed) = entry.body else {
            return Err(Failure::refused(format!("entry {} is no approval", approval.index)));
        };
        let message = model::signature::signed_bytes(origin, &signed.statement).map_err(Failure::refused)?;
        let signature = signed
            .signatures
            .first()
            .ok_or_else(|| Failure::refused("the approval has no signature"))?;
        let name = |what: &str| {
            folder.join(if at == 0 {
                what.to_owned()
            } else {
                format!("{at}-{what}")
            })
        };
        file::replace(&name("message"), &message)?;
        file::replace(
            &name("signature.pem"),
            signature.to_pem().map_err(Failure::refused)?.as_bytes(),
        )?;
        let who = shown.approver(approval.approver);
        let line = format!(
            "{who}@{environment} namespaces=\"approve@countersign,deny@countersign,revoke@countersign\" {}\n",
            approval.key
        );
        file::replace(&name("allowed_signers"), line.as_bytes())?;
        println!(
            "check: ssh-keygen -Y verify -f {} -I {who}@{environment} -n approve@countersign -s {} < {}",
            name("allowed_signers").display(),
            name("signature.pem").display(),
            name("message").display()
        );
    }
    Ok(())
}

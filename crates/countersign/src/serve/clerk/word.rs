//! The gateway's own words, for whoever has no client but `ssh`: `ls`, `request`, `status`, `whoami`.
//!
//! INVARIANT (its own log-in): a request that is typed over a connection is proven by that connection's log-in.

use super::Clerk;
use crate::clock;
use crate::command::access::AimArgs;
use clap::Parser;
use desk::Failure;
use desk::people::{self, Caller};
use desk::reach::{self, Reach};
use desk::request;
use evidence::render::inert;
use gateway::ssh::ask::{Said, Word};
use model::body::RequestProof;
use std::fmt::Write;

/// `request ACCOUNT@RESOURCE… --reason "…"`.
#[derive(Debug, Parser)]
#[command(name = "request", no_binary_name = false, disable_version_flag = true)]
struct Asked {
    #[command(flatten)]
    aim: AimArgs,
    /// Why; the approver reads it. Stands last, or in quotes of its own: ssh takes away those that you type
    #[arg(long, value_name = "TEXT", required = true, num_args = 1..)]
    reason: Vec<String>,
}

impl Clerk {
    pub(super) async fn word(&self, word: Word) -> Said {
        let callers = self.callers(&word.key).await;
        let said = match word.words.first().map(String::as_str) {
            Some("ls") => reach::ls(&self.desk, &callers).await.map(|reach| places(&reach)),
            Some("status") => reach::ls(&self.desk, &callers).await.map(|reach| standing(&reach)),
            Some("whoami") => Ok(who(&callers)),
            Some("request") => match Asked::try_parse_from(&word.words) {
                Ok(asked) => self.ask_for(&callers, asked, &word).await,
                Err(error) if !error.use_stderr() => Ok(error.render().to_string()),
                Err(error) => return wrong(&error.render().to_string()),
            },
            first => {
                let first: String = first
                    .unwrap_or_default()
                    .chars()
                    .filter(|c| !c.is_control())
                    .take(40)
                    .collect();
                return wrong(&format!("`{first}` is not a word of this gateway; try `help`\n"));
            }
        };
        match said {
            Ok(out) => Said { out, ..Said::default() },
            Err(failure) => Said {
                err: told(&failure),
                status: 1,
                ..Said::default()
            },
        }
    }

    async fn ask_for(&self, callers: &[Caller], asked: Asked, word: &Word) -> Result<String, Failure> {
        let wish = asked.aim.wish(asked.reason.join(" "));
        let wish = wish.map_err(|why| Failure::field("target", why))?;
        let prepared = request::prepare(&self.desk, callers, &wish).await?;
        let caller = people::in_environment(callers, &prepared.environment)?;
        let id = prepared.statement.request;
        let scope = crate::words::scope(&prepared.statement.scope);
        let proof = RequestProof::LogIn(word.proof.clone());
        request::submit(&self.desk, caller, prepared.statement, proof, &prepared.openings).await?;
        let mut said = format!("{id}\n{scope}");
        for (label, text) in [("reason", &wish.reason), ("ticket", &wish.ticket)] {
            if let Some(text) = text {
                said.push_str(&crate::words::line(label, inert(text.as_bytes())));
            }
        }
        said.push_str(&format!("next: an approver runs: countersign approve {id}\n"));
        Ok(said)
    }
}

fn wrong(text: &str) -> Said {
    Said {
        err: text.to_owned(),
        status: 64,
        ..Said::default()
    }
}

fn told(failure: &Failure) -> String {
    match failure {
        Failure::Refused { candidates, .. } if !candidates.is_empty() => {
            format!("countersign: {failure}\n  one of: {}\n", candidates.join(", "))
        }
        _ => format!("countersign: {failure}\n"),
    }
}

fn who(callers: &[Caller]) -> String {
    let line = |caller: &Caller| {
        format!(
            "{}  {} of {}  may {}\n",
            caller.environment,
            caller.handle,
            caller.organisation,
            crate::words::list(&caller.roles)
        )
    };
    callers.iter().map(line).collect()
}

fn places(reach: &[Reach]) -> String {
    let mut out = String::new();
    for place in reach.iter().flat_map(|ground| &ground.places) {
        for account in &place.accounts {
            // Writing to a string does not fail.
            writeln!(out, "{account}@{}", place.full_name).unwrap_or_default();
        }
    }
    out
}

fn standing(reach: &[Reach]) -> String {
    let mut out = String::new();
    for ground in reach {
        let environment = &ground.caller.environment;
        for grant in &ground.grants {
            let aims = crate::command::access::aims(&grant.scope, environment);
            let until = clock::text(grant.scope.until_ms);
            writeln!(out, "granted  {aims}  until {until}  {}", grant.request).unwrap_or_default();
        }
        for waiting in &ground.requests {
            let aims = crate::command::access::aims(&waiting.scope, environment);
            writeln!(out, "waiting  {aims}  {}", waiting.request).unwrap_or_default();
        }
    }
    if out.is_empty() {
        out.push_str("no grants and no requests\n");
    }
    out
}

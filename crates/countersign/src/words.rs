//! Statements in plain words, as they are shown before they are signed. What is signed is the statement; these lines
//! say all of it that a person has to agree to, in an order that a person can follow.

use crate::clock;
use desk::read::GrantLine;
use model::statement::{Custody, Engagement, Gate, Genesis, Resource, Scope, Workflow};
use serde::Serialize;
use std::fmt::Display;

/// Lines of `label  text`, under a heading.
struct Page(String);

impl Page {
    fn new(heading: impl Display) -> Self {
        Self(format!("{heading}\n"))
    }

    fn line(&mut self, label: &str, text: impl Display) {
        self.0.push_str(&line(label, text));
    }

    fn lines<T: Display>(&mut self, label: &str, texts: impl IntoIterator<Item = T>) {
        let mut label = label;
        for text in texts {
            self.line(label, text);
            label = "";
        }
    }

    fn end(mut self) -> String {
        self.0.push('\n');
        self.0
    }
}

/// `shell, exec`: words as they stand in statements.
pub(crate) fn list<T: Serialize>(words: &[T]) -> String {
    let texts = words.iter().map(|word| match serde_json::to_value(word) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(value) => value.to_string(),
        Err(_) => String::from("?"),
    });
    texts.collect::<Vec<_>>().join(", ")
}

/// One more line of such a page.
pub(crate) fn line(label: &str, text: impl Display) -> String {
    format!("  {label:<14} {text}\n")
}

/// The gate, as a sentence.
pub(crate) fn gate(gate: Gate) -> String {
    match gate {
        Gate::None => "none: a session may begin before anybody else has seen its opening".into(),
        Gate::Witnesses(1) => "a session begins only after one witness has cosigned its opening".into(),
        Gate::Witnesses(count) => format!("a session begins only after {count} witnesses have cosigned its opening"),
    }
}

pub(crate) fn genesis(genesis: &Genesis) -> String {
    let mut page = Page::new(format!("Environment `{}` of {}", genesis.environment, genesis.owner));
    page.line("log", &genesis.log_key);
    page.lines(
        "owner's roots",
        genesis.owner_roots.iter().map(|root| root.fingerprint()),
    );
    page.line(
        "",
        format!("{} of {} must sign", genesis.owner_threshold, genesis.owner_roots.len()),
    );
    page.lines("witnesses", &genesis.witnesses);
    page.line("gate", gate(genesis.gate));
    page.line(
        "paused after",
        format!("{} without a fresh cosignature", clock::length(genesis.lag_bound_ms)),
    );
    page.lines(
        "recordings",
        genesis.owner_recipients.iter().map(|key| format!("opened by {key}")),
    );
    if genesis.operator_recipients.is_empty() {
        page.line("", "the operator cannot open them");
    }
    page.lines(
        "",
        genesis
            .operator_recipients
            .iter()
            .map(|key| format!("opened by the operator, {key}")),
    );
    page.line(
        "host names",
        format!("vouched for by {}", genesis.gateway_host_ca.fingerprint()),
    );
    page.line("log-ins", format!("signed by {}", genesis.user_ca.fingerprint()));
    let Custody::Operator = genesis.custody;
    page.line(
        "custody",
        "the operator alone holds the key that signs log-ins to targets",
    );
    page.end()
}

pub(crate) fn engagement(engagement: &Engagement) -> String {
    let mut page = Page::new(format!(
        "{} may work in `{}`",
        engagement.operator, engagement.environment
    ));
    page.line("from", clock::text(engagement.from_ms));
    page.line("until", clock::text(engagement.until_ms));
    page.lines(
        "its roots",
        engagement.operator_roots.iter().map(|root| root.fingerprint()),
    );
    page.end()
}

pub(crate) fn resource(resource: &Resource) -> String {
    let mut page = Page::new(format!("Resource `{}` of `{}`", resource.name, resource.environment));
    page.line("reached at", format!("{} port {}", resource.host, resource.port));
    page.lines("host keys", resource.host_keys.iter().map(|key| key.fingerprint()));
    page.line("accounts", list(&resource.accounts));
    match resource.source_addresses.as_slice() {
        [] => page.line("log-ins from", "any address"),
        addresses => page.line("log-ins from", addresses.join(", ")),
    }
    page.end()
}

/// With the names under which owner and backup were given.
pub(crate) fn workflow(workflow: &Workflow, (owner, backup): (&str, &str)) -> String {
    let mut page = Page::new(format!("Workflow `{}` of `{}`", workflow.name, workflow.environment));
    page.line("answers for it", format!("{owner} ({})", workflow.owner));
    page.line("stands in", format!("{backup} ({})", workflow.backup));
    page.lines("for", &workflow.purposes);
    page.lines("may ask", &workflow.requesters);
    page.line("resources", list(&workflow.resources));
    page.line("accounts", list(&workflow.accounts));
    page.line("actions", list(&workflow.actions));
    page.lines(
        "approvals",
        workflow
            .approvals
            .iter()
            .map(|q| format!("{} of {}", q.count, q.organisation)),
    );
    page.line("at longest", clock::length(workflow.window_ms_max));
    page.line("evidence", format!("level {}", workflow.level));
    page.line("judged by", list(&workflow.controls));
    page.end()
}

/// What is asked and granted.
/// What a grant covers, to whoever takes it back.
pub(crate) fn grant(line: &GrantLine) -> String {
    let granted = &line.state.granted;
    let mut text = format!(
        "Granted to {}, in `{}`:\n\n{}",
        line.handle,
        line.environment,
        scope(&granted.scope)
    );
    text.push_str(&self::line("request", granted.request));
    text.push_str(&self::line("grant", granted.grant));
    if line.state.revoked.is_some() {
        text.push_str(&self::line("taken back", "already"));
    }
    text
}

pub(crate) fn scope(scope: &Scope) -> String {
    let version: String = scope.policy.to_string().chars().take(12).collect();
    let mut page = Page::new(format!(
        "{} (workflow {}, version {version})",
        scope.purpose, scope.workflow
    ));
    page.line("resources", list(&scope.resources));
    page.line("accounts", list(&scope.accounts));
    page.line("actions", list(&scope.actions));
    page.line("from", clock::text(scope.from_ms));
    page.line(
        "until",
        format!(
            "{} ({})",
            clock::text(scope.until_ms),
            clock::length(scope.until_ms.saturating_sub(scope.from_ms))
        ),
    );
    page.0
}

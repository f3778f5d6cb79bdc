//! What an approver is shown, checked before it is shown: the request's entry hashes to what will be signed, it says
//! what the page says, and reason and ticket are those that the requester committed to.
//!
//! INVARIANT (shown is signed): the statement that is signed is made here from the entry's own bytes, never taken from
//! the server; a server that shows another request than it keeps is refused.

use crate::clock;
use crate::command::access::Caller;
use crate::exit::Failure;
use crate::words;
use desk::approve::RequestView;
use desk::request::Prepared;
use evidence::render::inert;
use model::body::Body;
use model::bytes::Digest;
use model::entry::Entry;
use model::id::IdentityId;
use model::statement::{Approval, Denial, Request, Surface};

/// What stands where a request names no ticket.
const NO_TICKET: &str = "none";

/// What the requester signs, in plain words: every field of it.
pub(crate) fn asked(caller: &Caller, prepared: &Prepared, (reason, ticket): (&str, Option<&str>)) -> String {
    let statement = &prepared.statement;
    let mut text = format!(
        "{} of {} asks, in `{}` (log {}):\n\n{}",
        caller.handle,
        caller.organisation,
        prepared.environment,
        prepared.origin,
        words::scope(&statement.scope)
    );
    text.push_str(&words::line("reason", safe(reason.as_bytes())));
    text.push_str(&words::line("ticket", safe(ticket.unwrap_or(NO_TICKET).as_bytes())));
    text.push_str(&words::line("request", statement.request));
    text.push_str(&words::line("to be entered", statement.entry));
    text
}

/// A request whose page agrees with its entry.
pub(crate) struct Shown {
    pub(crate) view: RequestView,
    request: Request,
    hash: Digest,
    reason: Option<String>,
    ticket: Option<String>,
}

impl Shown {
    /// Holds the page against the entry.
    pub(crate) fn check(view: RequestView) -> Result<Self, Failure> {
        let lied = |what: &str| {
            Failure::refused(format!("the server shows another request than it keeps: {what}"))
                .next("do not approve it; tell the environment's owner")
        };
        let bytes = view.entry.as_bytes();
        let hash = Digest::of(bytes);
        let entry = Entry::parse(bytes).map_err(|error| lied(&error.to_string()))?;
        let Body::Requested(body) = entry.body else {
            return Err(lied("the entry is no request"));
        };
        let request = body.statement;
        if hash != view.hash || request != view.statement || entry.id != request.entry {
            return Err(lied("the entry says something else"));
        }
        let (mut reason, mut ticket) = (None, None);
        if let Some(openings) = &view.openings {
            if openings.entry != request.entry {
                return Err(lied("its reason belongs to another request"));
            }
            reason = Some(
                openings
                    .open("reason", request.reason)
                    .ok_or_else(|| lied("its reason is not the requester's"))?,
            );
            if let Some(commitment) = request.ticket {
                ticket = Some(
                    openings
                        .open("ticket", commitment)
                        .ok_or_else(|| lied("its ticket is not the requester's"))?,
                );
            }
        }
        let (reason, ticket) = (
            reason.map(|text| safe(text.as_bytes())),
            ticket.map(|text| safe(text.as_bytes())),
        );
        Ok(Self {
            view,
            request,
            hash,
            reason,
            ticket,
        })
    }

    /// The request in plain words.
    pub(crate) fn words(&self) -> String {
        let view = &self.view;
        let erased = "(erased; it cannot be shown any more)";
        let ticket = match self.request.ticket {
            Some(_) => self.ticket.as_deref().unwrap_or(erased),
            None => NO_TICKET,
        };
        let mut text = format!(
            "{} of {} asks, in `{}` (log {}):\n\n{}",
            view.requester,
            view.requester_organisation,
            view.environment,
            view.origin,
            words::scope(&self.request.scope)
        );
        text.push_str(&words::line("reason", self.reason.as_deref().unwrap_or(erased)));
        text.push_str(&words::line("ticket", ticket));
        text.push_str(&words::line("evidence", format!("level {}", view.level)));
        for quorum in &view.rule {
            let wanted = format!("{} of {}", quorum.count, quorum.organisation);
            text.push_str(&words::line("approvals", wanted));
        }
        text.push_str(&words::line("request", self.request.request));
        text.push_str(&words::line("its entry", self.hash));
        text
    }

    /// An approver as people call them.
    pub(crate) fn approver(&self, who: IdentityId) -> String {
        let handle = self.view.approvers.get(&who);
        handle.map_or_else(|| who.to_string(), ToString::to_string)
    }

    /// Whether the text of the reason can still be read: nobody approves what they cannot read.
    pub(crate) fn is_readable(&self) -> bool {
        self.reason.is_some() && (self.request.ticket.is_none() || self.ticket.is_some())
    }

    /// The consent of `approver`, to be signed.
    pub(crate) fn approval(&self, approver: IdentityId) -> Approval {
        Approval {
            request: self.request.request,
            request_hash: self.hash,
            approver,
            requester: self.request.requester,
            scope: self.request.scope.clone(),
            surface: Surface::CommandLine,
            at_ms: clock::now_ms(),
        }
    }

    /// The refusal of `approver`, to be signed.
    pub(crate) fn denial(&self, approver: IdentityId) -> Denial {
        Denial {
            request: self.request.request,
            request_hash: self.hash,
            approver,
            at_ms: clock::now_ms(),
        }
    }
}

/// Somebody's words on an approver's terminal: lines of their own, nothing that a terminal obeys.
fn safe(bytes: &[u8]) -> String {
    let lines = bytes.split(|byte| *byte == b'\n').map(inert);
    lines.collect::<Vec<_>>().join("\n                 ")
}

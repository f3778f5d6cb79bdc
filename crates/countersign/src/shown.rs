//! What an approver is shown, checked before it is shown: the request's entry hashes to what will be signed, it says
//! what the page says, and reason and ticket are those that the requester committed to.
//!
//! INVARIANT (shown is signed): the statement that is signed is made here from the entry's own bytes, never taken from
//! the server; a server that shows another request than it keeps is refused.

use crate::clock;
use crate::exit::Failure;
use crate::words;
use desk::approve::RequestView;
use model::body::Body;
use model::bytes::{Digest, Octets};
use model::entry::Entry;
use model::id::IdentityId;
use model::statement::{Approval, Denial, Request, Surface};

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
        let (reason, ticket) = (reason.map(safe), ticket.map(safe));
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
        let mut text = format!(
            "{} of {} asks, in `{}` (log {}):\n\n{}",
            view.requester,
            view.requester_organisation,
            view.environment,
            view.origin,
            words::scope(&self.request.scope)
        );
        let reason = self
            .reason
            .as_deref()
            .unwrap_or("(erased; it cannot be shown any more)");
        text.push_str(&format!("  {:<14} {reason}\n", "reason"));
        if self.request.ticket.is_some() {
            let ticket = self.ticket.as_deref().unwrap_or("(erased)");
            text.push_str(&format!("  {:<14} {ticket}\n", "ticket"));
        }
        text.push_str(&format!("  {:<14} level {}\n", "evidence", view.level));
        for quorum in &view.rule {
            text.push_str(&format!(
                "  {:<14} {} of {}\n",
                "approvals", quorum.count, quorum.organisation
            ));
        }
        text.push_str(&format!("  {:<14} {}\n", "request", self.request.request));
        text.push_str(&format!("  {:<14} {}\n", "entry", self.hash));
        text
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

/// Somebody's words on an approver's terminal: one line, nothing that a terminal obeys.
fn safe(octets: &Octets) -> String {
    let text = String::from_utf8_lossy(octets.as_bytes());
    let plain = |c: char| if c.is_control() && c != '\n' { '\u{fffd}' } else { c };
    text.chars()
        .map(plain)
        .collect::<String>()
        .replace('\n', "\n                 ")
}

//! What a check says of its log-ins: whether the wrong certificates are refused, and why the right one is.

use super::Wrong;
use super::findings::{Findings, Knock, Knocked};
use super::line::{Line, failed, ok, unknown};
use super::report::{seen, signed};

/// How far the target's clock may be from ours for a new certificate to be valid there, with a margin.
const RUNS_MS: std::ops::RangeInclusive<i64> = -88_000..=118_000;
/// How near to its end a certificate may have been for its refusal to prove something.
const MARGIN_MS: i64 = 2_000;

pub(super) struct Words {
    pub(super) check: &'static str,
    what: &'static str,
    next: &'static str,
}

pub(super) const fn words(wrong: Wrong) -> Words {
    match wrong {
        Wrong::OtherHost => Words {
            check: "other_host",
            what: "a certificate for another host",
            next: "sshd must take the principals of AuthorizedPrincipalsFile alone, and each file only its own \
                   account's principal; see the set-up that `countersign resource add` prints",
        },
        Wrong::Expired => Words {
            check: "expired",
            what: "an expired certificate",
            next: "set the clock of the target, and look whether its sshd is one that checks certificates at all",
        },
        Wrong::OtherSource => Words {
            check: "other_source",
            what: "a certificate for another source address",
            next: "this sshd does not enforce `source-address`; use OpenSSH 7.2 or newer",
        },
        Wrong::Earlier | Wrong::Later => Words {
            check: "right_certificate",
            what: "a certificate for another time and any address",
            next: "",
        },
    }
}

pub(super) fn knock(findings: &Findings, wrong: Wrong) -> Line {
    let Words { check, what, next } = words(wrong);
    let again = "check again on a new connection".to_owned();
    let Some(knock) = findings.knocks.iter().find(|knock| knock.wrong == wrong) else {
        return unknown(check, format!("{what} was not tried"), again);
    };
    match &knock.answer {
        Knocked::Accepted => failed(check, format!("{what} is ACCEPTED"), next.to_owned()),
        Knocked::Partly(_) => failed(
            check,
            format!("{what} is ACCEPTED, as one step of two"),
            next.to_owned(),
        ),
        Knocked::Unclear(why) => unknown(check, format!("{what} could not be tried: {why}"), again),
        Knocked::Refused if wrong != Wrong::Expired && was_late(findings, knock) => unknown(
            check,
            format!("{what} is refused, but it was over by then for the target"),
            again,
        ),
        Knocked::Refused => ok(check, format!("{what} is refused")),
    }
}

/// Whether the certificate was, by the target's clock, over anyway when it was tried.
fn was_late(findings: &Findings, knock: &Knock) -> bool {
    let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    let ahead = findings.clock.map_or(0, |clock| {
        clock.offset_ms.saturating_add(signed(clock.within_ms)).max(0)
    });
    let by_target = signed(knock.at_ms).saturating_add(ahead).saturating_add(MARGIN_MS);
    by_target >= signed(findings.right.valid_before_s.saturating_mul(1000))
}

/// Why the session's own certificate is refused, by what came of those that are bound to less.
pub(super) fn refused(findings: &Findings) -> Line {
    let check = "right_certificate";
    let because = |why: &str| format!("the session's own certificate is refused{why}");
    let log = "ask the target's sshd log for the reason, and check again".to_owned();
    let another = findings.knocks.iter().find_map(|knock| match &knock.answer {
        Knocked::Partly(methods) => Some(methods),
        _ => None,
    });
    if let Some(methods) = another {
        let why = format!("a certificate is one step of its log-in, and then it wants another: {methods}");
        let next = "let a certificate of this environment's CA be enough for this account (AuthenticationMethods publickey, in \
                    a Match block): whoever approves a session has asked for more before";
        return failed(check, why, next.to_owned());
    }
    let unclear = findings.knocks.iter().find_map(|knock| match &knock.answer {
        Knocked::Unclear(why) => Some(why),
        _ => None,
    });
    if let Some(why) = unclear {
        let why = because(&format!("; why could not be tried: {why}"));
        return failed(check, why, "check again on a new connection".to_owned());
    }
    if findings.knocks.iter().all(|knock| knock.answer == Knocked::Refused) {
        let next = format!(
            "its clock is not why, unless it is more than a day ahead, nor is the address that is signed: sshd must trust \
             this environment's CA (TrustedUserCAKeys), find `{}` in the account's AuthorizedPrincipalsFile, and let this \
             account in from here; its log names which of these fails. See the set-up that `countersign resource add` prints",
            findings.right.principal
        );
        return failed(check, because(", and so is one for any time and any address"), next);
    }
    let facts = match &findings.facts {
        Ok(facts) => facts,
        Err(why) => {
            let why = format!(", for its clock or for our address; {why}");
            return failed(
                check,
                because(&why),
                "let the account run /bin/sh, and check again".to_owned(),
            );
        }
    };
    let clock = findings.clock.is_some_and(|clock| !RUNS_MS.contains(&clock.offset_ms));
    let source = seen(facts).is_some_and(|seen| !findings.right.sources.is_empty() && !signed(findings, seen));
    let why = match (clock, source) {
        (true, true) => " for the target's clock and for our address",
        (true, false) => " for the target's clock",
        (false, true) => " for our address, as the target sees it",
        (false, false) => return failed(check, because(", and one for any time and any address is not"), log),
    };
    failed(
        check,
        because(why),
        "mend what is said of it below, and check again".to_owned(),
    )
}

//! What a check has found, as lines that say `ok`, `FAILED` or `unknown`, why, and what to do next.
//!
//! INVARIANT (never silence): each thing that is to be proven has its line, whatever is missing.

use std::net::IpAddr;

use super::facts::{Facts, Named};
use super::findings::Findings;
use super::knocks::{knock, refused, words};
use super::line::{Line, State, failed, ok, unknown};
use super::{Form, Wrong};

/// How far the target's clock may be off before its certificates are in danger.
const OFFSET_MS_MAX: u64 = 30_000;
/// Places that one line names.
const NAMED_MAX: usize = 5;

/// The report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report(Vec<Line>);

impl Report {
    /// Judges what was found.
    #[must_use]
    pub fn new(findings: &Findings) -> Self {
        let knocks = Wrong::REFUSED.map(|wrong| knock(findings, wrong));
        let right = ok(
            "right_certificate",
            "the session's own certificate is accepted".to_owned(),
        );
        let told: [fn(&Findings, &Facts) -> Line; 6] = [key_id, clock, source, principals, keys, sudo];
        let names = [
            "key_id_logged",
            "clock",
            "source_address",
            "principals",
            "other_keys",
            "sudo",
        ];
        let told = told.into_iter().zip(names).map(|(line, check)| match &findings.facts {
            Ok(facts) => line(findings, facts),
            Err(why) => unknown(
                check,
                why.clone(),
                "let the account run /bin/sh, and check again".to_owned(),
            ),
        });
        Self([right].into_iter().chain(knocks).chain(told).collect())
    }

    /// Judges what was found of a target that refuses the session's own certificate.
    #[must_use]
    pub fn barred(findings: &Findings) -> Self {
        let later = |check| {
            unknown(
                check,
                "not looked at: the target lets nobody in".to_owned(),
                String::new(),
            )
        };
        let certificates = Wrong::REFUSED.map(|wrong| later(words(wrong).check));
        let told = |line: fn(&Findings, &Facts) -> Line, check| match &findings.facts {
            Ok(facts) => line(findings, facts),
            Err(_) => later(check),
        };
        let told = [
            later("key_id_logged"),
            told(clock, "clock"),
            told(source, "source_address"),
        ];
        let rest = ["principals", "other_keys", "sudo"].map(later);
        let why = refused(findings);
        Self([why].into_iter().chain(certificates).chain(told).chain(rest).collect())
    }

    /// The lines.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.0
    }

    /// 0: all is proven. 1: something failed. 69: something is unknown.
    #[must_use]
    pub fn status(&self) -> u32 {
        let any = |state| self.0.iter().any(|line| line.state == state);
        match (any(State::Failed), any(State::Unknown)) {
            (true, _) => 1,
            (false, true) => 69,
            (false, false) => 0,
        }
    }

    /// As it is printed.
    #[must_use]
    pub fn print(&self, form: Form) -> String {
        match form {
            Form::Text => self.0.iter().map(Line::text).collect(),
            Form::Json => {
                let lines: Vec<String> = self.0.iter().map(Line::json).collect();
                format!("{{\"checks\":[{}],\"status\":{}}}\n", lines.join(","), self.status())
            }
        }
    }
}

// What the target says about itself.

fn key_id(findings: &Findings, facts: &Facts) -> Line {
    let check = "key_id_logged";
    let id = &findings.key_id;
    let of = |named: Named| {
        let logs = facts
            .logs
            .iter()
            .filter(move |log| log.0 == named)
            .map(|log| log.1.clone());
        logs.collect::<Vec<String>>()
    };
    let quiet = facts
        .level
        .as_deref()
        .filter(|level| ["QUIET", "FATAL", "ERROR"].contains(level));
    if let Some(log) = of(Named::Found).first() {
        return ok(check, format!("{log} names this log-in by its key id `{id}`"));
    }
    if let Some(level) = quiet {
        return failed(
            check,
            format!("sshd's `LogLevel {level}` names no log-ins"),
            "set `LogLevel INFO` or `VERBOSE` in sshd_config".to_owned(),
        );
    }
    let (missing, unread) = (of(Named::Missing), of(Named::Unread));
    if !missing.is_empty() {
        return failed(
            check,
            format!("no `{id}` in {}, which sshd writes to", named(&missing)),
            "set `LogLevel INFO` or `VERBOSE` in sshd_config, and look where sshd logs".to_owned(),
        );
    }
    let why = match unread.as_slice() {
        [] => "no log of sshd was found that this account may read".to_owned(),
        logs => format!("this account may not read {}", named(logs)),
    };
    unknown(
        check,
        why,
        format!("as an administrator of the target: journalctl -t sshd | grep {id}, or the same in its log file"),
    )
}

fn clock(findings: &Findings, _: &Facts) -> Line {
    let check = "clock";
    let Some(clock) = findings.clock else {
        let next = "run `date` on it and compare".to_owned();
        return unknown(check, "the target said no time".to_owned(), next);
    };
    let off = clock.offset_ms.unsigned_abs();
    let how = if off <= clock.within_ms {
        format!("as ours, to within {}", seconds(clock.within_ms))
    } else {
        let side = if clock.offset_ms < 0 { "behind" } else { "ahead" };
        format!("{} {side}, give or take {}", seconds(off), seconds(clock.within_ms))
    };
    let means = "certificates run from 90 s before to 2 min after: behind or ahead by more, every log-in fails";
    if off > OFFSET_MS_MAX {
        let next = "set the clock of the target, or the gateway's, by NTP".to_owned();
        return failed(check, format!("{how}; {means}"), next);
    }
    ok(check, format!("{how} ({means})"))
}

fn source(findings: &Findings, facts: &Facts) -> Line {
    let check = "source_address";
    let sources = &findings.right.sources;
    let Some(seen) = seen(facts) else {
        let next = "ask the target's administrator from which address it sees the gateway".to_owned();
        return unknown(check, "the target's SSH_CONNECTION names no address".to_owned(), next);
    };
    let sign = format!("the owner signs the resource with it: countersign resource add … --source {seen}");
    if sources.is_empty() {
        let because = format!("the target sees the gateway as {seen}; no source address is signed for it");
        return failed(check, because, sign);
    }
    let list = sources.join(", ");
    if signed(findings, seen) {
        return ok(
            check,
            format!("the target sees the gateway as {seen}, as signed ({list})"),
        );
    }
    failed(
        check,
        format!("the target sees the gateway as {seen}, but {list} is signed"),
        sign,
    )
}

/// The address that the target sees.
pub(super) fn seen(facts: &Facts) -> Option<IpAddr> {
    let from = facts.from.as_deref()?.parse::<IpAddr>().ok()?;
    Some(from.to_canonical())
}

pub(super) fn signed(findings: &Findings, seen: IpAddr) -> bool {
    findings.right.sources.iter().any(|source| covers(source, seen))
}

/// Whether a source, an address or a prefix such as `10.0.0.0/8`, holds the address.
fn covers(source: &str, seen: IpAddr) -> bool {
    let (address, length) = source
        .split_once('/')
        .map_or((source, None), |(address, length)| (address, Some(length)));
    let Ok(address) = address.parse::<IpAddr>() else {
        return false;
    };
    let (a, b, bits) = match (address, seen) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()), u128::from(b.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
        _ => return false,
    };
    let length: u32 = match length.map(str::parse) {
        None => bits,
        Some(Ok(length)) if length <= bits => length,
        Some(_) => return false,
    };
    // Shifted by all bits at once, nothing is left to differ.
    (a ^ b).checked_shr(bits - length).unwrap_or(0) == 0
}

fn principals(findings: &Findings, facts: &Facts) -> Line {
    let check = "principals";
    let own = &findings.right.principal;
    let other: Vec<String> = facts
        .principals
        .iter()
        .filter(|principal| *principal != own)
        .cloned()
        .collect();
    if !other.is_empty() {
        return failed(
            check,
            format!("certificates for {} are accepted too", named(&other)),
            format!("leave `{own}` alone in the account's AuthorizedPrincipalsFile"),
        );
    }
    if facts.principals.is_empty() {
        return unknown(
            check,
            "this account may not read which principals sshd takes".to_owned(),
            "as root of the target: sshd -T | grep authorizedprincipalsfile, and read that file".to_owned(),
        );
    }
    ok(check, format!("`{own}` is the only principal of this account"))
}

fn keys(_: &Findings, facts: &Facts) -> Line {
    let check = "other_keys";
    let way = |(count, user, place): &(u64, String, String)| format!("{count} in {place} (for `{user}`)");
    let mut ways: Vec<String> = facts.keys.iter().map(way).collect();
    ways.extend(facts.keys_from.iter().map(|run| format!("keys from the command {run}")));
    if !ways.is_empty() {
        return failed(
            check,
            format!("keys that log in past the gateway: {}", named(&ways)),
            "remove them, or set `AuthorizedKeysFile none` in sshd_config".to_owned(),
        );
    }
    let ask = "as root of the target: sshd -T | grep authorizedkeys, and look for these files".to_owned();
    if !facts.hidden.is_empty() {
        return unknown(
            check,
            format!("this account may not look at {}", named(&facts.hidden)),
            ask,
        );
    }
    if !facts.config {
        let because = "none in the usual files, but this account may not read where sshd looks for them".to_owned();
        return unknown(check, because, ask);
    }
    if !facts.whole {
        return unknown(
            check,
            "the target's answer was cut off".to_owned(),
            "check again".to_owned(),
        );
    }
    ok(check, "no authorized_keys: no key logs in past the gateway".to_owned())
}

fn sudo(_: &Findings, facts: &Facts) -> Line {
    let check = "sudo";
    match facts.sudo.as_deref() {
        Some(version) if !version.is_empty() => ok(check, format!("`{version}`")),
        Some(_) => unknown(
            check,
            "sudo is there and says no version".to_owned(),
            "run `sudo -V` on the target".to_owned(),
        ),
        None if facts.no_sudo => unknown(
            check,
            "there is no sudo in the account's PATH".to_owned(),
            "say how this account becomes root, if it does".to_owned(),
        ),
        None => unknown(
            check,
            "the target's answer was cut off".to_owned(),
            "check again".to_owned(),
        ),
    }
}

/// The first few of a list.
fn named(all: &[String]) -> String {
    let mut words: Vec<String> = all.iter().take(NAMED_MAX).cloned().collect();
    if all.len() > NAMED_MAX {
        words.push(format!("and {} more", all.len() - NAMED_MAX));
    }
    words.join(", ")
}

fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::super::findings::{Clock, Knock, Knocked, Right};
    use super::*;

    const NOW_MS: u64 = 1_700_000_000_000;

    /// A target as it should be.
    fn good() -> Findings {
        let facts = Facts {
            time_s: Some(NOW_MS / 1000),
            from: Some("10.0.0.9".into()),
            level: Some("INFO".into()),
            config: true,
            logs: vec![(Named::Found, "/var/log/auth.log".into())],
            principals: vec!["cs:acme:web1:root".into()],
            sudo: Some("Sudo version 1.9.13p3".into()),
            whole: true,
            ..Facts::default()
        };
        let knock = |wrong| Knock {
            wrong,
            answer: Knocked::Refused,
            at_ms: NOW_MS,
        };
        Findings {
            right: Right {
                principal: "cs:acme:web1:root".into(),
                sources: vec!["10.0.0.9".into()],
                valid_before_s: NOW_MS / 1000 + 120,
            },
            knocks: Wrong::REFUSED.map(knock).to_vec(),
            facts: Ok(facts),
            clock: Some(Clock {
                offset_ms: 200,
                within_ms: 500,
            }),
            key_id: "ses_1".into(),
        }
    }

    fn with(change: impl FnOnce(&mut Facts)) -> Findings {
        let mut findings = good();
        if let Ok(facts) = &mut findings.facts {
            change(facts);
        }
        findings
    }

    /// The line of a check, after everything else was seen to be well.
    fn only(findings: &Findings, check: &str) -> Line {
        let report = Report::new(findings);
        let (found, rest): (Vec<&Line>, Vec<&Line>) = report.lines().iter().partition(|line| line.check == check);
        assert!(rest.iter().all(|line| line.state == State::Ok), "{rest:#?}");
        found[0].clone()
    }

    #[test]
    fn a_target_as_it_should_be_is_proven() {
        let report = Report::new(&good());
        assert_eq!((report.status(), report.lines().len()), (0, 10));
        let text = report.print(Form::Text);
        assert!(
            text.starts_with("ok       right certificate the session's own certificate is accepted\n"),
            "{text}"
        );
        assert!(!text.contains("next:"), "{text}");
    }

    #[test]
    fn a_wrong_certificate_that_is_accepted_fails() {
        for wrong in Wrong::REFUSED {
            let mut findings = good();
            for answer in [Knocked::Accepted, Knocked::Partly("password".into())] {
                findings.knocks[wrong as usize].answer = answer;
                let line = only(&findings, words(wrong).check);
                assert!(
                    line.state == State::Failed && line.because.contains("ACCEPTED") && !line.next.is_empty(),
                    "{line:?}"
                );
                assert_eq!(Report::new(&findings).status(), 1);
            }
            findings.knocks[wrong as usize].answer = Knocked::Unclear("no answer".into());
            assert_eq!(only(&findings, words(wrong).check).state, State::Unknown);
            findings.knocks.remove(wrong as usize);
            assert_eq!(only(&findings, words(wrong).check).state, State::Unknown);
            assert_eq!(Report::new(&findings).status(), 69);
        }
    }

    /// A certificate that had run out meanwhile is refused for that, which proves nothing about its principal.
    #[test]
    fn a_refusal_proves_something_only_while_the_certificate_runs() {
        let mut findings = good();
        findings.clock = Some(Clock {
            offset_ms: 20_000,
            within_ms: 500,
        });
        assert_eq!(Report::new(&findings).status(), 0);
        for knock in &mut findings.knocks {
            knock.at_ms = NOW_MS + 98_000;
        }
        let report = Report::new(&findings);
        let states: Vec<State> = report.lines().iter().take(4).map(|line| line.state).collect();
        assert_eq!(states, [State::Ok, State::Unknown, State::Ok, State::Unknown]);
    }

    #[test]
    fn the_clock_says_by_how_much_and_what_it_means() {
        let mut findings = good();
        findings.clock = Some(Clock::between(NOW_MS, NOW_MS + 100, NOW_MS / 1000 - 70));
        let line = only(&findings, "clock");
        assert!(
            line.state == State::Failed
                && line
                    .because
                    .starts_with("69.5 s behind, give or take 0.5 s; certificates"),
            "{line:?}"
        );
        findings.clock = None;
        assert_eq!(only(&findings, "clock").state, State::Unknown);
    }

    #[test]
    fn the_source_address_is_learnt_and_compared() {
        for (signed, seen, state) in [
            (&["10.0.0.9"][..], "10.0.0.9", State::Ok),
            (&["fd00::7", "10.0.0.0/8"][..], "10.0.0.9", State::Ok),
            (&["10.0.0.9"][..], "::ffff:10.0.0.9", State::Ok),
            (&["fd00::/64"][..], "fd00::9", State::Ok),
            (&["0.0.0.0/0"][..], "10.0.0.9", State::Ok),
            (&["10.0.0.0/33"][..], "10.0.0.9", State::Failed),
            (&["10.0.0.8/32"][..], "10.0.0.9", State::Failed),
            (&["fd00::/64"][..], "10.0.0.9", State::Failed),
            (&[][..], "10.0.0.9", State::Failed),
            (&["10.0.0.9"][..], "UNKNOWN", State::Unknown),
        ] {
            let mut findings = with(|facts| facts.from = Some(seen.into()));
            findings.right.sources = signed.iter().map(|source| (*source).to_owned()).collect();
            let line = only(&findings, "source_address");
            assert_eq!(line.state, state, "{signed:?} {line:?}");
            let says = line.next.contains("resource add … --source 10.0.0.9");
            assert_eq!(says, state == State::Failed, "{line:?}");
        }
    }

    #[test]
    fn the_key_id_is_in_a_log_or_it_is_said_why_not() {
        let log = |named, level: &str| {
            with(|facts| {
                facts.logs = vec![(named, "/var/log/secure".into())];
                facts.level = Some(level.into());
            })
        };
        for (findings, state, word) in [
            (log(Named::Found, "ERROR"), State::Ok, "/var/log/secure names"),
            (log(Named::Missing, "INFO"), State::Failed, "no `ses_1` in"),
            (log(Named::Missing, "ERROR"), State::Failed, "`LogLevel ERROR`"),
            (
                log(Named::Unread, "INFO"),
                State::Unknown,
                "may not read /var/log/secure",
            ),
            (with(|facts| facts.logs.clear()), State::Unknown, "no log of sshd"),
        ] {
            let line = only(&findings, "key_id_logged");
            assert_eq!(line.state, state, "{line:?}");
            assert!(line.because.contains(word), "{line:?}");
        }
    }

    #[test]
    fn ways_past_the_gateway_are_named() {
        let key = (2, "root".to_owned(), "/root/.ssh/authorized_keys".to_owned());
        let line = only(&with(|facts| facts.keys = vec![key]), "other_keys");
        assert!(line.because.contains("2 in /root/.ssh/authorized_keys (for `root`)"));
        let line = only(&with(|facts| facts.keys_from = Some("/bin/k".into())), "other_keys");
        assert!(line.state == State::Failed && line.because.contains("/bin/k"));
        let hidden = with(|facts| facts.hidden = (0..9).map(|n| format!("/home/{n}")).collect());
        let line = only(&hidden, "other_keys");
        assert!(
            line.state == State::Unknown && line.because.ends_with("/home/4, and 4 more"),
            "{line:?}"
        );
        assert_eq!(
            only(&with(|facts| facts.config = false), "other_keys").state,
            State::Unknown
        );
        assert_eq!(
            only(&with(|facts| facts.whole = false), "other_keys").state,
            State::Unknown
        );
        let shared = with(|facts| facts.principals.push("cs:acme:web2:root".into()));
        let line = only(&shared, "principals");
        assert!(line.state == State::Failed && line.because.contains("cs:acme:web2:root"));
        assert_eq!(
            only(&with(|facts| facts.principals.clear()), "principals").state,
            State::Unknown
        );
        let none = with(|facts| (facts.sudo, facts.no_sudo) = (None, true));
        assert!(only(&none, "sudo").because.contains("no sudo"));
    }

    #[test]
    fn without_facts_each_line_says_why() {
        let mut findings = good();
        findings.facts = Err("the account's shell is /usr/sbin/nologin".into());
        let report = Report::new(&findings);
        assert_eq!((report.status(), report.lines().len()), (69, 10));
        let unknown = report.lines().iter().filter(|line| line.state == State::Unknown);
        assert!(unknown.clone().count() == 6 && unknown.clone().all(|line| line.because.contains("nologin")));
    }

    /// What was found of a target that refuses the session, with these answers to a certificate for any time and address.
    fn barred(answers: &[Knocked], change: impl FnOnce(&mut Findings)) -> Report {
        let mut findings = good();
        let knock = |(wrong, answer): (Wrong, &Knocked)| Knock {
            wrong,
            answer: answer.clone(),
            at_ms: NOW_MS,
        };
        findings.knocks = Wrong::TELLING.into_iter().zip(answers).map(knock).collect();
        change(&mut findings);
        Report::barred(&findings)
    }

    #[test]
    fn a_refused_session_is_told_why_and_by_how_much() {
        let behind =
            |findings: &mut Findings| findings.clock = Some(Clock::between(NOW_MS, NOW_MS, NOW_MS / 1000 - 612));
        let ahead =
            |findings: &mut Findings| findings.clock = Some(Clock::between(NOW_MS, NOW_MS, NOW_MS / 1000 + 7200));
        let source = |findings: &mut Findings| findings.right.sources = vec!["10.9.9.9".into()];
        let unsigned = |findings: &mut Findings| {
            behind(findings);
            findings.right.sources.clear();
        };
        let (yes, no) = (Knocked::Accepted, Knocked::Refused);
        let first = |report: &Report| report.lines()[0].because.clone();
        for (report, why, clock, address) in [
            (
                barred(from_ref(&yes), behind),
                "for the target's clock",
                "611.5 s behind",
                "as signed",
            ),
            (
                barred(&[no.clone(), yes.clone()], ahead),
                "for the target's clock",
                "7200.4 s ahead",
                "as signed",
            ),
            (
                barred(from_ref(&yes), source),
                "for our address, as the target sees it",
                "as ours",
                "10.0.0.9, but 10.9.9.9",
            ),
            (
                barred(from_ref(&yes), unsigned),
                "for the target's clock",
                "behind",
                "no source address is signed",
            ),
            (
                barred(from_ref(&yes), |findings| {
                    behind(findings);
                    source(findings);
                }),
                "for the target's clock and for our address",
                "611.5 s behind",
                "10.0.0.9, but 10.9.9.9",
            ),
            (
                barred(from_ref(&yes), |_| {}),
                "is refused, and one for any time",
                "as ours",
                "as signed",
            ),
        ] {
            assert!(
                first(&report).ends_with(why) || first(&report).contains(why),
                "{report:?}"
            );
            assert_eq!((report.status(), report.lines().len()), (1, 10));
            assert!(report.lines()[5].because.contains(clock), "{report:?}");
            assert!(report.lines()[6].because.contains(address), "{report:?}");
        }
    }

    #[test]
    fn what_is_refused_for_any_time_and_address_has_another_reason() {
        let silent = |findings: &mut Findings| {
            findings.facts = Err("gave no answer".into());
            findings.clock = None;
        };
        for (answers, said) in [
            (vec![Knocked::Refused, Knocked::Refused], "and so is one for any time"),
            (
                vec![Knocked::Accepted],
                "for its clock or for our address; gave no answer",
            ),
            (
                vec![Knocked::Refused, Knocked::Unclear("late".into())],
                "could not be tried: late",
            ),
            (
                vec![Knocked::Partly("password".into()); 2],
                "one step of its log-in, and then it wants another: password",
            ),
        ] {
            let report = barred(&answers, silent);
            let line = &report.lines()[0];
            assert!(line.state == State::Failed && line.because.contains(said), "{line:?}");
            assert!(!line.next.is_empty() && report.status() == 1);
            assert!(
                report.lines()[1..].iter().all(|line| line.state == State::Unknown),
                "{report:?}"
            );
        }
    }

    #[test]
    fn json_says_the_same() {
        let findings = with(|facts| facts.keys_from = Some("a\"b\\c\u{1b}".into()));
        let json = Report::new(&findings).print(Form::Json);
        assert!(json.contains(r#"command a\"b\\c","check":"other_keys","#), "{json}");
        assert!(
            json.ends_with("\"state\":\"ok\"}],\"status\":1}\n") && !json.contains('\u{1b}'),
            "{json}"
        );
    }
}

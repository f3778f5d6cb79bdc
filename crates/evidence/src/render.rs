//! Reports, verdicts, timelines and lineages as plain text in aligned columns. Colour is the terminal's business.
//!
//! INVARIANT (inert): nothing that came from outside reaches the text with a control character in it.

use crate::lineage::Lineage;
use crate::timeline::Timeline;
use crate::utc;
use crate::verify::Report;
use model::bytes::Octets;
use model::verdict::{ControlId, Outcome, Verdict};

/// A value from outside on one line, without control characters.
#[must_use]
pub fn inert(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars()
        .flat_map(|c| {
            let escaped: Vec<char> = if is_plain(c) {
                vec![c]
            } else {
                c.escape_unicode().collect()
            };
            escaped
        })
        .collect()
}

/// Neither a control nor one of the marks that turn or hide what stands around them.
fn is_plain(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Rows of cells, each column as wide as its widest cell; the last one runs free.
#[must_use]
pub fn table(rows: &[Vec<String>], indent: &str) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        for (at, cell) in row.iter().enumerate().take(row.len().saturating_sub(1)) {
            let width = cell.chars().count();
            match widths.get_mut(at) {
                Some(known) => *known = (*known).max(width),
                None => widths.push(width),
            }
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::from(indent);
        for (at, cell) in row.iter().enumerate() {
            line.push_str(cell);
            let width = widths.get(at).copied().unwrap_or(0);
            let last = at + 1 == row.len();
            let pad = if last {
                0
            } else {
                width.saturating_sub(cell.chars().count()) + 2
            };
            line.extend(std::iter::repeat_n(' ', pad));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// `1 entry`, `2 entries`, `0 witnesses`: a number with its noun, which is given in the singular.
#[must_use]
pub fn counted(count: impl TryInto<u64>, noun: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    match (count, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) if !stem.ends_with('e') => format!("{count} {stem}ies"),
        _ if noun.ends_with('s') => format!("{count} {noun}es"),
        _ => format!("{count} {noun}s"),
    }
}

fn yes(holds: bool) -> &'static str {
    if holds { "yes" } else { "no" }
}

/// A verification report.
#[must_use]
pub fn report(report: &Report) -> String {
    let rows: Vec<Vec<String>> = report
        .claims
        .iter()
        .map(|claim| {
            let place = claim.at.as_ref().map(|at| format!("{at}: ")).unwrap_or_default();
            let detail = inert(format!("{place}{}", claim.detail).as_bytes());
            vec![claim.outcome.to_string(), inert(claim.subject.as_bytes()), detail]
        })
        .collect();
    let next = report.next().map(|next| format!("next: {next}\n"));
    format!(
        "{}\nresult: {}\n{}",
        table(&rows, ""),
        inert(report.result().as_bytes()),
        next.unwrap_or_default()
    )
}

/// A session's verdict.
#[must_use]
pub fn verdict(verdict: &Verdict) -> String {
    let head = [
        ("overall", verdict.overall.to_string()),
        ("integrity", verdict.integrity.to_string()),
        ("completeness", verdict.completeness.to_string()),
        ("activity evidence", yes(activity(verdict)).to_owned()),
        ("control evidence", yes(verdict.approved && verdict.bounded).to_owned()),
    ];
    let head: Vec<Vec<String>> = head
        .into_iter()
        .map(|(name, value)| vec![name.to_owned(), value])
        .collect();
    let controls: Vec<Vec<String>> = verdict
        .controls
        .iter()
        .map(|result| {
            let entries: Vec<String> = result.evidence.iter().map(|(index, _)| index.to_string()).collect();
            let shown = match entries.len() {
                0 => String::new(),
                1 => format!(" [entry {}]", entries.join("")),
                _ => format!(" [entries {}]", entries.join(", ")),
            };
            vec![
                result.outcome.to_string(),
                result.control.to_string(),
                result.control.title().to_owned(),
                inert(result.accountable.as_str().as_bytes()),
                format!("{}{shown}", inert(result.because.as_bytes())),
            ]
        })
        .collect();
    let answers = [
        ("approved", verdict.approved),
        ("monitored", verdict.monitored),
        ("attributable", verdict.attributable),
        ("authorised", verdict.authorised),
        ("bounded", verdict.bounded),
        ("ended in time", verdict.expired),
    ];
    let answers: Vec<String> = answers
        .iter()
        .map(|(name, holds)| format!("{name}: {}", yes(*holds)))
        .collect();
    let mut text = format!("session {}\n{}\n", verdict.session, table(&head, "  "));
    text.push_str(&table(&controls, "  "));
    text.push_str(&format!("\n  {}\n", answers.join(" · ")));
    for remark in &verdict.remarks {
        text.push_str(&format!("  {}\n", inert(remark.as_bytes())));
    }
    text
}

fn activity(verdict: &Verdict) -> bool {
    let mut controls = verdict.controls.iter();
    controls.any(|c| c.control == ControlId::Re1 && c.outcome == Outcome::Pass)
}

/// A session's timeline.
#[must_use]
pub fn timeline(timeline: &Timeline) -> String {
    let owner = timeline.owner.as_ref().map_or("nobody".to_owned(), ToString::to_string);
    let purpose = timeline.purpose.as_ref().map_or("none", |purpose| purpose.as_str());
    let rows: Vec<Vec<String>> = timeline
        .lines
        .iter()
        .map(|line| {
            let offset = line
                .offset_us
                .map(|us| format!("+{}.{:06} s", us / 1_000_000, us % 1_000_000));
            let values: String = line
                .values
                .iter()
                .map(|(path, value)| format!("; {path}: {}", octets(value)))
                .collect();
            let refused = line
                .refused
                .map(|code| format!("  !! no effect: {code}"))
                .unwrap_or_default();
            vec![
                line.index.to_string(),
                utc::millis(line.time_ms),
                offset.unwrap_or_default(),
                line.frame.map(|frame| format!("frame {frame}")).unwrap_or_default(),
                short(&line.hash),
                line.actor
                    .as_ref()
                    .map(|actor| inert(actor.to_string().as_bytes()))
                    .unwrap_or_default(),
                format!("{}{values}{refused}", inert(line.text.as_bytes())),
            ]
        })
        .collect();
    format!(
        "session {}\n  owner: {}\n  purpose: {}\n\n{}\n  not part of this format: {}\n",
        timeline.session,
        inert(owner.as_bytes()),
        inert(purpose.as_bytes()),
        table(&rows, "  "),
        timeline.absent.join(", ")
    )
}

/// Where a session comes from.
#[must_use]
pub fn lineage(lineage: &Lineage) -> String {
    let rows: Vec<Vec<String>> = lineage
        .links
        .iter()
        .map(|link| {
            let text = link
                .text
                .as_ref()
                .map(|text| format!(" ({})", octets(text)))
                .unwrap_or_default();
            vec![
                link.to.to_owned(),
                format!("{}{text}", inert(link.id.as_bytes())),
                link.index.map(|index| format!("entry {index}")).unwrap_or_default(),
                link.hash.as_ref().map(short).unwrap_or_default(),
                link.broken.as_ref().map_or("ok".to_owned(), |broken| {
                    format!("BROKEN: {}", inert(broken.as_bytes()))
                }),
            ]
        })
        .collect();
    table(&rows, "")
}

fn short(hash: &model::bytes::Digest) -> String {
    hash.to_string().chars().take(12).collect()
}

fn octets(value: &Octets) -> String {
    inert(value.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_steers_a_terminal() {
        assert_eq!(
            inert(b"a\x1b]52;c;eA==\x07\n\xffz"),
            "a\\u{1b}]52;c;eA==\\u{7}\\u{a}\u{fffd}z"
        );
        assert_eq!(inert("é \u{202e}x\u{9b}2J".as_bytes()), "é \\u{202e}x\\u{9b}2J");
    }

    #[test]
    fn one_is_one_and_more_are_more() {
        let said = [
            counted(1_u64, "entry"),
            counted(2_usize, "entry"),
            counted(0_u64, "witness"),
            counted(3_u64, "key"),
        ];
        assert_eq!(said, ["1 entry", "2 entries", "0 witnesses", "3 keys"]);
        assert_eq!(counted(2_u64, "owner root"), "2 owner roots");
    }

    #[test]
    fn columns_align() {
        let rows = [
            vec!["a".to_owned(), "é".into(), "x".into()],
            vec!["bbb".into(), String::new(), "y".into()],
        ];
        assert_eq!(table(&rows, " "), " a    é  x\n bbb     y\n");
    }
}

//! Cases of each row of the grammar table in docs/formats/entry.md, for any reader: `vectors/rows`.
//!
//! `entries.b64` holds entries, one a line. A line of `cases.txt` is the type and verdict of a log's last entry, the case's
//! name, and the log: which entries, counted from 0, follow one another.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot set up must stop"
)]

use base64ct::{Base64, Encoding as _};
use model::apply::{Snapshot, apply};
use model::body::Body;
use model::entry::{EntryError, Placed};

const ENTRIES: &str = include_str!("vectors/rows/entries.b64");
const CASES: &str = include_str!("vectors/rows/cases.txt");

struct Case {
    kind: &'static str,
    verdict: &'static str,
    name: &'static str,
    log: Vec<usize>,
}

fn cases() -> impl Iterator<Item = Case> {
    CASES.lines().map(|line| {
        let [kind, verdict, name, runs] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let run = |run: &str| {
            let (first, last) = run.split_once('-').unwrap_or((run, run));
            first.parse::<usize>().unwrap()..=last.parse().unwrap()
        };
        Case {
            kind,
            verdict,
            name,
            log: runs.split(',').flat_map(run).collect(),
        }
    })
}

/// What becomes of the last entry; one before it that is refused has no effect.
fn verdict(log: &[&Vec<u8>]) -> String {
    let mut state = Snapshot::empty();
    let mut last = String::new();
    for (index, bytes) in (0..).zip(log) {
        let applied = match Placed::parse(index, bytes) {
            Ok(placed) => apply(&state, &placed).map_err(|refused| refused.code()),
            Err(EntryError::Newer(_)) => Err("newer"),
            Err(_) => Err("not_an_entry"),
        };
        last = applied
            .as_ref()
            .map_or_else(|code| (*code).to_owned(), |_| "accepted".to_owned());
        applied.into_iter().for_each(|changes| state.accept(changes));
    }
    last
}

#[test]
fn each_case_has_its_verdict() {
    let entries: Vec<Vec<u8>> = ENTRIES.lines().map(|line| Base64::decode_vec(line).unwrap()).collect();
    let found = cases().map(|case| {
        let log: Vec<_> = case.log.iter().map(|place| &entries[*place]).collect();
        (case.name, case.verdict, verdict(&log))
    });
    let wrong: Vec<_> = found.filter(|(_, wanted, found)| wanted != found).collect();
    assert!(wrong.is_empty(), "name, wanted, found: {wrong:#?}");
}

#[test]
fn each_type_has_an_accepted_and_a_refused_case() {
    for kind in Body::KINDS {
        let verdicts: Vec<_> = cases()
            .filter(|case| case.kind == *kind)
            .map(|case| case.verdict)
            .collect();
        assert!(verdicts.contains(&"accepted"), "{kind}");
        let refused = |verdict: &&str| !["accepted", "newer"].contains(verdict);
        assert!(verdicts.iter().any(refused), "{kind}");
    }
}

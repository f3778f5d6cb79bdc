//! Requirement rows: each row of docs/requirements.txt is named by a test. A test may name rows that stand elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use super::tree::{Finding, Tree};

const ROWS: &str = "docs/requirements.txt";

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut rows = BTreeMap::new();
    for (at, line) in tree
        .text(ROWS)
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
    {
        match line.split_once(' ') {
            Some((id, what)) if ids(line).contains(id) && !what.trim().is_empty() => {
                if rows.insert(id.to_owned(), at + 1).is_some() {
                    found.push(Finding::new(ROWS, at + 1, format!("{id} stands here twice")));
                }
            }
            _ => found.push(Finding::new(ROWS, at + 1, "not `R000 what is required`")),
        }
    }
    // This folder plants rows; it proves none.
    let tests = tree
        .rust()
        .filter(|source| !source.path.starts_with("crates/countersign/tests/tidy/"));
    let named: BTreeSet<String> = tests.flat_map(|source| ids(&source.test_text())).collect();
    for (id, line) in &rows {
        if !named.contains(id) {
            found.push(Finding::new(ROWS, *line, format!("no test names {id}")));
        }
    }
    found
}

/// `R022` in text and `r022_` in names alike.
fn ids(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let rows = words.filter(|word| {
        word.len() == 4 && word.starts_with(['R', 'r']) && word[1..].bytes().all(|b| b.is_ascii_digit())
    });
    rows.map(str::to_uppercase).collect()
}

#[test]
fn a_row_without_a_test_is_found() {
    let files = [
        (ROWS, "R001 one\nR002 two\nR003 three\nnonsense\nR001 again\n"),
        (
            "crates/a/src/lib.rs",
            "//! R003 in product text does not count\n#[test]\nfn r001_holds() {}\n",
        ),
        (
            "crates/a/tests/e2e.rs",
            "//! x\n// R002\n#[test]\nfn other() {}\n// R009\n",
        ),
    ];
    assert_eq!(
        super::planted(check, &files),
        [
            format!("{ROWS}:4: not `R000 what is required`"),
            format!("{ROWS}:5: R001 stands here twice"),
            format!("{ROWS}:3: no test names R003"),
        ]
    );
}

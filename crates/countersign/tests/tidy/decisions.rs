//! A dependency is a decision: each package that a member names has a row in docs/decisions, and each row is still true.
//! Decision records stay short.

use std::collections::BTreeMap;

use super::edges;
use super::tree::{Finding, Tree};

const FOLDER: &str = "docs/decisions/";
const RECORD_LINES_MAX: usize = 40;
/// The record that is a table, one line per package.
const TABLE: &str = "docs/decisions/0002-dependencies.md";
/// Its normal dependencies are upstream's own, copied from its manifest; a test of that crate compares them.
const MIRROR: &str = "crates/russh-flow/Cargo.toml";

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    let used = used(tree);
    let rows = rows(tree);
    for (package, manifest) in &used {
        if !rows.contains_key(package) {
            found.push(Finding::new(manifest, 0, format!("`{package}` has no row in {TABLE}")));
        }
    }
    for (package, (path, line)) in &rows {
        if !used.contains_key(package) {
            found.push(Finding::new(
                path,
                *line,
                format!("`{package}` is not a dependency of any crate"),
            ));
        }
    }
    for (path, source) in tree
        .files
        .iter()
        .filter(|(path, _)| path.starts_with(FOLDER) && *path != TABLE)
    {
        let lines = source.text.lines().count();
        if lines > RECORD_LINES_MAX {
            found.push(Finding::new(
                path,
                0,
                format!("{lines} lines: a record has at most {RECORD_LINES_MAX}"),
            ));
        }
        for part in ["## Context", "## Decision", "## Consequences"] {
            if !source.text.contains(part) {
                found.push(Finding::new(path, 0, format!("no `{part}`")));
            }
        }
    }
    found
}

/// Packages from outside that a member names, and one manifest that does.
fn used(tree: &Tree) -> BTreeMap<String, String> {
    let root = tree.text("Cargo.toml");
    let mut used = BTreeMap::new();
    for (path, source) in tree.files.iter().filter(|(path, _)| path.ends_with("/Cargo.toml")) {
        let edges = edges::edges(&source.text, root);
        let outside = edges.into_iter().filter(|edge| edge.ours.is_none());
        for edge in outside.filter(|edge| path != MIRROR || edge.kind == edges::Kind::Build) {
            used.insert(edge.package, path.clone());
        }
    }
    used
}

/// Rows that begin with a package in backticks.
fn rows(tree: &Tree) -> BTreeMap<String, (String, usize)> {
    let lines = tree.text(TABLE).lines().enumerate();
    let named = lines.filter_map(|(at, line)| {
        let (package, _) = line.strip_prefix("| `")?.split_once('`')?;
        Some((package.to_owned(), (TABLE.to_owned(), at + 1)))
    });
    named.collect()
}

#[test]
fn a_dependency_without_a_decision_and_one_that_is_gone_are_found() {
    let files = [
        (
            "Cargo.toml",
            "[workspace.dependencies]\nshort = { version = \"1\", package = \"long-name\" }\n",
        ),
        (
            "crates/a/Cargo.toml",
            "[dependencies]\nshort.workspace = true\nserde = \"1\"\n[dev-dependencies]\ninsta = \"1\"\n",
        ),
        (
            MIRROR,
            "[dependencies]\nmirrored = \"1\"\n[build-dependencies]\ntar = \"1\"\n",
        ),
        (
            TABLE,
            "| package | licence | why |\n|---|---|---|\n| `serde` | MIT | x |\n| `gone` | MIT | x |\n",
        ),
    ];
    assert_eq!(
        super::planted(check, &files),
        [
            format!("crates/a/Cargo.toml:0: `insta` has no row in {TABLE}"),
            format!("crates/a/Cargo.toml:0: `long-name` has no row in {TABLE}"),
            format!("{MIRROR}:0: `tar` has no row in {TABLE}"),
            format!("{TABLE}:4: `gone` is not a dependency of any crate"),
        ]
    );
}

#[test]
fn a_record_that_is_long_or_lacks_a_part_is_found() {
    let long = format!("## Context\n## Decision\n{}", "x\n".repeat(40));
    let found = super::planted(check, &[("docs/decisions/0009-x.md", &long)]);
    assert_eq!(
        found,
        [
            "docs/decisions/0009-x.md:0: 42 lines: a record has at most 40",
            "docs/decisions/0009-x.md:0: no `## Consequences`"
        ]
    );
}

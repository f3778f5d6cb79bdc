//! The house rules, held as an ordinary test: crate edges, purity, the few places that may do a thing, names,
//! headers, requirement rows, sizes, dependencies and documents.
//!
//! Each rule is a pure function from a [`tree::Tree`] to findings. It runs twice: over the real tree, which must
//! give none, and over a small planted tree, which must give the one that was planted. Rules about what cargo
//! resolves ask cargo. Nothing here judges taste; a rule that hurts is changed here, with its reason.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot read its own tree must stop"
)]

mod decisions;
mod documents;
mod edges;
mod graph;
mod leftovers;
mod names;
mod places;
mod purity;
mod rows;
mod sizes;
mod tree;

use tree::{Finding, Tree};

/// The real tree gives no finding; if it does, print them all, one a line, as `path:line: what`.
fn none(rule: fn(&Tree) -> Vec<Finding>) {
    let findings = rule(&Tree::read());
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}

/// What a rule says about planted files, as `path:line: what`.
fn planted(rule: fn(&Tree) -> Vec<Finding>, files: &[(&str, &str)]) -> Vec<String> {
    rule(&Tree::of(files)).iter().map(ToString::to_string).collect()
}

#[test]
fn each_source_file_parses() {
    none(tree::unparsed);
}

#[test]
fn crates_depend_only_as_the_layout_allows() {
    none(edges::check);
}

#[test]
fn pure_crates_have_no_clock_io_or_randomness() {
    none(purity::check);
}

#[test]
fn targets_are_dialed_and_bytes_released_in_one_place() {
    none(places::check);
}

#[test]
fn files_and_types_are_named_by_what_they_are() {
    none(names::check);
}

#[test]
fn files_open_with_what_they_are_and_leave_nothing_undone() {
    none(leftovers::check);
}

#[test]
fn each_requirement_row_has_a_test() {
    none(rows::check);
}

#[test]
fn sizes_only_fall() {
    none(sizes::check);
}

#[test]
fn each_dependency_is_a_decision() {
    none(decisions::check);
}

#[test]
fn documents_name_what_exists() {
    none(documents::check);
}

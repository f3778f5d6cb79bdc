//! Documents name what exists: paths in backticks, links, make targets, and the tests in the columns headed `test`.
//! A test is named alone or as `file::name`, and is then in that file. A row without one says `none yet`.

use std::collections::BTreeSet;

use super::tree::{self, Finding, Source, Tree};

/// A path in backticks is checked when it begins with one of these.
const ROOTS: &[&str] = &[
    "crates/", "docs/", "demo/", "bench/", "fuzz/", "web/", "interop/", ".ci/", ".config/",
];
/// Made by running something, hence not in a fresh tree.
const MADE: &[&str] = &["bench/results.json", "demo/.run"];

/// What a row without a test says in its place.
const UNTESTED: &str = "none yet";

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let tests = tests(tree);
    let targets = targets(tree);
    let documents = tree.files.values().filter(|source| source.path.ends_with(".md"));
    let mut found = Vec::new();
    for document in documents {
        for (at, line) in document.text.lines().enumerate() {
            let mut say = |what: String| found.push(Finding::new(&document.path, at + 1, what));
            quoted(line)
                .filter(|path| is_path(path) && !tree.holds(path))
                .for_each(|path| say(format!("no file `{path}`")));
            links(line, &document.path)
                .filter(|path| !tree.holds(path))
                .for_each(|path| say(format!("no file `{path}`")));
            let made = quoted(line).filter_map(|text| text.strip_prefix("make "));
            made.filter(|name| !targets.contains(*name))
                .for_each(|name| say(format!("no target `{name}`")));
        }
        for (line, cell) in test_cells(&document.text) {
            let mut say = |what: String| found.push(Finding::new(&document.path, line, what));
            let missing = quoted(cell).filter(|name| names_no_test(name, &tests));
            missing.for_each(|name| say(format!("no test `{name}`")));
            if quoted(cell).next().is_none() && cell != UNTESTED {
                say(format!("neither a test nor `{UNTESTED}`"));
            }
        }
    }
    found
}

/// The pieces of a line between backticks.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

fn is_path(text: &str) -> bool {
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
    plain && !MADE.contains(&text) && ROOTS.iter().any(|root| text.starts_with(root))
}

/// Targets of `[…](path)`, seen from the root.
fn links(line: &str, document: &str) -> impl Iterator<Item = String> {
    let targets = line
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', '#']).next());
    let local = targets.filter(|target| !target.is_empty() && !target.contains(':'));
    local.map(|target| joined(document, target))
}

fn joined(document: &str, target: &str) -> String {
    let mut parts: Vec<&str> = document.split('/').collect();
    parts.pop();
    for part in target.trim_end_matches('/').split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// The cells in the columns of a table whose head is `test` or `tests`.
fn test_cells(text: &str) -> Vec<(usize, &str)> {
    let mut columns: Vec<usize> = Vec::new();
    let mut found = Vec::new();
    let mut inside = false;
    for (at, line) in text.lines().enumerate() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if !line.starts_with('|') {
            inside = false;
        } else if !inside {
            inside = true;
            let heads = cells
                .iter()
                .enumerate()
                .filter(|(_, cell)| ["test", "tests"].contains(&cell.to_lowercase().as_str()));
            columns = heads.map(|(column, _)| column).collect();
        } else if !cells.iter().all(|cell| cell.trim_matches(['-', ':']).is_empty()) {
            let named = columns.iter().filter_map(|column| cells.get(*column));
            found.extend(named.map(|cell| (at + 1, *cell)));
        }
    }
    found
}

/// Whether `name`, or `file::name`, stands for none of these tests. Other paths are checked as paths.
fn names_no_test(name: &str, tests: &BTreeSet<(String, String)>) -> bool {
    match name.rsplit_once("::") {
        Some((file, name)) => !tests.contains(&(name.to_owned(), file.to_owned())),
        None => !name.contains('/') && !tests.iter().any(|(known, _)| known == name),
    }
}

/// The names of all test functions, each with its file.
fn tests(tree: &Tree) -> BTreeSet<(String, String)> {
    let of = |source| test_names(source).into_iter().map(|name| (name, source.path.clone()));
    tree.rust().flat_map(of).collect()
}

fn test_names(source: &Source) -> Vec<String> {
    struct Names(Vec<String>);
    impl<'ast> syn::visit::Visit<'ast> for Names {
        fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
            if tree::is_test(&item.attrs) {
                self.0.push(item.sig.ident.to_string());
            }
        }
    }
    let mut names = Names(Vec::new());
    if let Some(file) = &source.syntax {
        syn::visit::Visit::visit_file(&mut names, file);
    }
    names.0
}

fn targets(tree: &Tree) -> BTreeSet<&str> {
    let lines = tree.text("Makefile").lines();
    lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name)
        .filter(|name| !name.contains(char::is_whitespace))
        .collect()
}

#[test]
fn a_document_that_names_what_is_not_there_is_found() {
    let text = "see `crates/a/src/lib.rs`, `crates/gone/`, [this](../README.md), [that](gone.md), `make demo`, `make gone`\n\n\
                | invariant | where held | Test |\n|---|---|---|\n| x | `not_a_test` | `holds`, `is_gone` |\n\
                | y | | |\n| z | | none yet |\n| v | | `crates/a/src/lib.rs::holds`, `crates/b.rs::holds` |\n";
    let files = [
        ("docs/A.md", text),
        ("README.md", "x"),
        ("Makefile", "demo: ## x\n"),
        (
            "crates/a/src/lib.rs",
            "//! x\n#[test]\nfn holds() {}\nfn is_gone() {}\n",
        ),
    ];
    assert_eq!(
        super::planted(check, &files),
        [
            "docs/A.md:1: no file `crates/gone/`",
            "docs/A.md:1: no file `docs/gone.md`",
            "docs/A.md:1: no target `gone`",
            "docs/A.md:5: no test `is_gone`",
            "docs/A.md:6: neither a test nor `none yet`",
            "docs/A.md:8: no test `crates/b.rs::holds`",
        ]
    );
}

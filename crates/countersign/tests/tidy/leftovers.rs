//! Every source file opens with what it is; nothing is left half done, switched off, or bound to one machine.

use super::tree::{Finding, Source, Tree};

/// Pulled in by `include!`, where inner documentation is not allowed.
const INCLUDED: &[&str] = &["crates/russh-flow/edits.rs"];

/// Marks of unfinished work, spelled apart so that this file does not find itself.
const MARKS: &[&str] = &[
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("HA", "CK"),
    concat!("place", "holder"),
];
const LATER: &str = concat!("TO", "DO");
const LATER_ALLOWED: &[&str] = &[concat!("TO", "DO-security"), concat!("TO", "DO-correctness")];
const MACHINE: &str = concat!("/wo", "rk/");

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let texts = tree
        .files
        .values()
        .filter(|source| source.path != "Cargo.lock" && source.path != "LICENSE");
    texts
        .flat_map(|source| header(source).into_iter().chain(lines(source)).chain(ignored(source)))
        .collect()
}

fn header(source: &Source) -> Option<Finding> {
    let missing = source.is_rust() && !INCLUDED.contains(&source.path.as_str()) && !source.text.starts_with("//! ");
    missing.then(|| Finding::new(&source.path, 1, "does not open with `//! ` and what the file is"))
}

fn lines(source: &Source) -> Vec<Finding> {
    let mut found = Vec::new();
    for (at, line) in source.text.lines().enumerate() {
        let mut say = |what: String| found.push(Finding::new(&source.path, at + 1, what));
        if let Some(mark) = MARKS.iter().find(|mark| words(line).any(|word| word == **mark)) {
            say(format!("`{mark}`: finish it or take it out"));
        }
        if words(line).any(|word| word == LATER) && !LATER_ALLOWED.iter().any(|allowed| line.contains(allowed)) {
            say(format!("`{LATER}` without -security or -correctness"));
        }
        if line.contains(MACHINE) {
            say("a path of one machine".to_owned());
        }
    }
    found
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric())
}

/// A test that is switched off proves nothing. The body of a child process, which a real test starts, is no test.
fn ignored(source: &Source) -> Vec<Finding> {
    let off = |line: &str| line.starts_with(concat!("#[ig", "nore")) && !line.contains("\"a process of its own");
    let lines = source
        .text
        .lines()
        .enumerate()
        .filter(|(_, line)| source.is_rust() && off(line.trim_start()));
    lines
        .map(|(at, _)| Finding::new(&source.path, at + 1, "a test that is switched off"))
        .collect()
}

#[test]
fn a_missing_header_is_found() {
    let files = [
        ("crates/a/src/lib.rs", "// no\n"),
        ("crates/a/src/b.rs", "//! yes\n"),
        ("crates/russh-flow/edits.rs", "/// a list\n"),
    ];
    assert_eq!(
        super::planted(check, &files),
        ["crates/a/src/lib.rs:1: does not open with `//! ` and what the file is"]
    );
}

#[test]
fn unfinished_work_is_found() {
    let text = format!(
        "//! x\n// {LATER}: later\n// {}: check\n// {}\n#[ignore]\nfn f() {{}}\n",
        LATER_ALLOWED[0], MARKS[0]
    );
    let found = super::planted(
        check,
        &[
            ("crates/a/src/lib.rs", &text),
            ("docs/a.md", &format!("see {MACHINE}x\n")),
        ],
    );
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(found[0].contains("lib.rs:2:") && found[1].contains("lib.rs:4:") && found[2].contains("lib.rs:5:"));
    assert_eq!(found[3], "docs/a.md:1: a path of one machine");
}

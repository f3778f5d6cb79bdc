//! The help of every command, as a golden file: what people and scripts rely on does not change unseen.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot run the binary must stop"
)]

use std::process::Command;

/// The help of a command, at a width of its own so that no terminal changes it.
fn help(words: &[String]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(words)
        .arg("--help")
        .env("COLUMNS", "100")
        .env_remove("COUNTERSIGN_SERVER")
        .env_remove("COUNTERSIGN_KEY")
        .env_remove("COUNTERSIGN_IDENTITY")
        .env_remove("COUNTERSIGN_LOG_SERVER")
        .output()
        .unwrap();
    assert!(output.status.success(), "{words:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The commands that a help lists.
fn listed(help: &str) -> Vec<String> {
    let section = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = section.take_while(|line| line.starts_with("  "));
    let names = lines
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

fn collect(words: &[String], all: &mut String) {
    let text = help(words);
    all.push_str(&format!("=== countersign {}\n{text}\n", words.join(" ")));
    for name in listed(&text) {
        collect(&[words, &[name]].concat(), all);
    }
}

#[test]
fn every_help_text_is_as_recorded() {
    let mut all = String::new();
    collect(&[], &mut all);
    insta::assert_snapshot!(all);
}

#[test]
fn wrong_usage_is_64_and_asked_help_is_0() {
    let code = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_countersign"))
            .args(words)
            .output()
            .unwrap();
        output.status.code().unwrap()
    };
    assert_eq!(code(&["--version"]), 0);
    assert_eq!(code(&["help"]), 0);
    assert_eq!(code(&[]), 64);
    assert_eq!(code(&["nonsense"]), 64);
    assert_eq!(code(&["verify"]), 64);
    assert_eq!(code(&["completions", "bash"]), 0);
}

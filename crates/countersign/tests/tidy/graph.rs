//! What cargo resolves: banned packages, licences, the size of the tree, and how small the verifier stays.
//! The lists are deny.toml's, so that they hold where cargo-deny is not installed.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use super::tree;

const PACKAGES_MAX: usize = 500;

/// What the offline verifier must do without: a runtime, a database, a network client, an SSH implementation.
const NOT_IN_VERIFY: &[&str] = &[
    "tokio",
    "sqlx",
    "sqlx-core",
    "libsqlite3-sys",
    "russh-flow",
    "reqwest",
    "hyper",
    "axum",
    "aws-lc-sys",
    "zstd-sys",
];

/// Packages of which one version is enough, and two would mean two protocols or two secrets stores.
const ONCE: &[&str] = &[
    "tokio",
    "rustls",
    "hyper",
    "axum",
    "ssh-key",
    "ed25519-dalek",
    "aws-lc-rs",
    "aws-lc-sys",
    "libsqlite3-sys",
    "sqlx-core",
];

fn cargo(arguments: &[&str]) -> String {
    let out = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(tree::root())
        .output()
        .expect("cargo runs");
    assert!(
        out.status.success(),
        "cargo {arguments:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8(out.stdout).expect("cargo prints UTF-8")
}

/// Name and version of every package that the named one is built from.
fn closure(package: &str) -> BTreeSet<(String, String)> {
    let tree = cargo(&[
        "tree",
        "--locked",
        "--offline",
        "-p",
        package,
        "-e",
        "normal,build",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]);
    let lines = tree.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.to_owned()))
    });
    lines.collect()
}

fn present<'a>(packages: &BTreeSet<(String, String)>, banned: &[&'a str]) -> Vec<&'a str> {
    banned
        .iter()
        .copied()
        .filter(|name| packages.iter().any(|(package, _)| package == name))
        .collect()
}

fn more_than_once(packages: &BTreeSet<(String, String)>) -> Vec<String> {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    packages
        .iter()
        .for_each(|(name, version)| versions.entry(name).or_default().push(version));
    let twice = versions
        .iter()
        .filter(|(name, versions)| versions.len() > 1 && ONCE.contains(name));
    twice
        .map(|(name, versions)| format!("{name} {}", versions.join(" and ")))
        .collect()
}

/// deny.toml, which cargo-deny reads too.
struct Deny {
    banned: Vec<String>,
    licences: Vec<String>,
    exceptions: Vec<(String, String)>,
}

fn deny() -> Deny {
    let text = std::fs::read_to_string(tree::root().join("deny.toml")).expect("deny.toml");
    let table: toml::Table = text.parse().expect("deny.toml is TOML");
    let list = |path: [&str; 2]| table[path[0]][path[1]].as_array().expect("a list").clone();
    let string = |value: &toml::Value| value.as_str().expect("a string").to_owned();
    let exceptions = list(["licenses", "exceptions"]);
    Deny {
        banned: list(["bans", "deny"]).iter().map(|row| string(&row["crate"])).collect(),
        licences: list(["licenses", "allow"]).iter().map(string).collect(),
        exceptions: exceptions
            .iter()
            .map(|row| (string(&row["crate"]), string(&row["allow"][0])))
            .collect(),
    }
}

fn is_allowed(deny: &Deny, package: &str, licence: &str) -> bool {
    let Ok(expression) = spdx::Expression::parse_mode(licence, spdx::ParseMode::LAX) else {
        return false;
    };
    expression.evaluate(|asked| {
        let name = asked.to_string();
        deny.licences.contains(&name) || deny.exceptions.contains(&(package.to_owned(), name))
    })
}

#[test]
fn the_binary_holds_no_banned_package_and_no_second_version() {
    let packages = closure("countersign");
    let deny = deny();
    let banned: Vec<&str> = deny.banned.iter().map(String::as_str).collect();
    assert_eq!(present(&packages, &banned), Vec::<&str>::new());
    assert_eq!(more_than_once(&packages), Vec::<String>::new());
    assert!(packages.len() <= PACKAGES_MAX, "{} packages", packages.len());
}

#[test]
fn the_offline_verifier_stays_small() {
    let packages = closure("countersign-verify");
    assert_eq!(present(&packages, NOT_IN_VERIFY), Vec::<&str>::new());
}

#[test]
fn every_package_has_an_allowed_licence() {
    let metadata: serde_json::Value =
        serde_json::from_str(&cargo(&["metadata", "--locked", "--offline", "--format-version", "1"])).expect("JSON");
    let deny = deny();
    let mut refused = Vec::new();
    for package in metadata["packages"].as_array().expect("packages") {
        let (name, licence) = (
            package["name"].as_str().expect("a name"),
            package["license"].as_str().unwrap_or("none"),
        );
        if !is_allowed(&deny, name, licence) {
            refused.push(format!("{name}: {licence}"));
        }
    }
    assert_eq!(refused, Vec::<String>::new());
}

#[test]
fn a_banned_package_a_second_version_and_a_licence_are_found() {
    let package = |name: &str, version: &str| (name.to_owned(), version.to_owned());
    let packages = BTreeSet::from([
        package("tokio", "v1.0.0"),
        package("tokio", "v2.0.0"),
        package("openssl", "v0.10.0"),
    ]);
    assert_eq!(present(&packages, &["openssl", "ring"]), ["openssl"]);
    assert_eq!(more_than_once(&packages), ["tokio v1.0.0 and v2.0.0"]);
    let deny = deny();
    assert!(is_allowed(&deny, "a", "GPL-2.0-only OR MIT") && is_allowed(&deny, "a", "MIT/Apache-2.0"));
    assert!(
        !is_allowed(&deny, "a", "GPL-3.0-only")
            && !is_allowed(&deny, "a", "MIT AND AGPL-3.0-only")
            && !is_allowed(&deny, "a", "none")
    );
}

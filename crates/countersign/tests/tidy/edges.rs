//! Which crate may use which: direct dependencies of the workspace's members, as docs/ARCHITECTURE.md draws them.
//! Development dependencies may point anywhere but at SQL drivers.

use super::tree::{Finding, Tree};

/// Every crate, and the crates of the workspace that it may name among its normal dependencies.
const ALLOWED: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("ledger", &[]),
    ("recording", &[]),
    ("russh-flow", &[]),
    ("policy", &["model"]),
    ("evidence", &["model", "ledger", "recording"]),
    ("journal", &["recording", "model"]),
    ("store", &["model", "ledger", "recording"]),
    ("publisher", &["ledger", "store", "model"]),
    ("desk", &["model", "store", "evidence"]),
    (
        "gateway",
        &[
            "desk",
            "publisher",
            "journal",
            "russh-flow",
            "recording",
            "ledger",
            "model",
        ],
    ),
    ("keeper", &["ledger", "evidence", "model", "recording"]),
    ("api", &["desk", "evidence", "policy", "model"]),
    ("outside", &["desk", "model"]),
    ("verify", &["evidence", "policy", "model"]),
    (
        "countersign",
        &[
            "api",
            "desk",
            "evidence",
            "gateway",
            "journal",
            "keeper",
            "ledger",
            "model",
            "outside",
            "policy",
            "publisher",
            "recording",
            "store",
            "verify",
        ],
    ),
];

/// Packages that one crate alone may name, in any kind of dependency.
const HOMES: &[(&str, &[&str])] = &[
    (
        "store",
        &[
            "sqlx",
            "rusqlite",
            "libsqlite3-sys",
            "tokio-postgres",
            "postgres",
            "diesel",
            "sea-orm",
        ],
    ),
    ("policy", &["cedar-policy", "cedar-policy-core"]),
];

/// Features that make doubles of the real thing: for development dependencies only.
const DOUBLES: &[&str] = &[
    "testing",
    "faults",
    "doubles",
    "fixtures",
    "fault-injection",
    "test-support",
];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Build,
    Development,
}

/// One line of a `[dependencies]` table.
pub(crate) struct Edge {
    pub(crate) kind: Kind,
    /// The package's own name, renames undone.
    pub(crate) package: String,
    /// The folder under `crates/`, when the package is one of ours.
    pub(crate) ours: Option<String>,
    features: Vec<String>,
}

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, source) in &tree.files {
        if let Some(member) = path
            .strip_prefix("crates/")
            .and_then(|rest| rest.strip_suffix("/Cargo.toml"))
        {
            let edges = edges(&source.text, tree.text("Cargo.toml"));
            found.extend(
                wrong(member, &edges)
                    .into_iter()
                    .chain(passed_on(&source.text))
                    .map(|what| Finding::new(path, 0, what)),
            );
        }
    }
    found
}

fn wrong(member: &str, edges: &[Edge]) -> Vec<String> {
    let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == member) else {
        return vec![format!("crate `{member}` has no row in the table of allowed edges")];
    };
    let mut found = Vec::new();
    for edge in edges {
        let normal = edge.kind != Kind::Development;
        match &edge.ours {
            Some(ours) if normal && !allowed.contains(&ours.as_str()) => {
                found.push(format!("`{member}` may not use `{ours}`"))
            }
            _ => {}
        }
        for (home, packages) in HOMES {
            if packages.contains(&edge.package.as_str()) && *home != member {
                found.push(format!("`{}` belongs to crate `{home}` alone", edge.package));
            }
        }
        for feature in edge
            .features
            .iter()
            .filter(|name| normal && DOUBLES.contains(&name.as_str()))
        {
            found.push(format!("feature `{feature}` of `{}` is for tests alone", edge.package));
        }
    }
    found
}

/// Features of a manifest that switch doubles on in the product: by default, in another crate, or under another name.
fn passed_on(manifest: &str) -> Vec<String> {
    let manifest: toml::Table = manifest.parse().expect("a manifest is TOML");
    let features = manifest.get("features").and_then(toml::Value::as_table);
    let is_double = |on: &str| DOUBLES.contains(&on.rsplit('/').next().unwrap_or_default());
    let mut found = Vec::new();
    for (name, switched_on) in features.into_iter().flatten() {
        let switched_on = switched_on
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(toml::Value::as_str);
        let hidden = switched_on.filter(|on| is_double(on) && !DOUBLES.contains(&name.as_str()));
        found.extend(hidden.map(|on| format!("feature `{name}` switches on `{on}`, which is for tests alone")));
    }
    found
}

/// All dependencies of a manifest; those taken from the workspace are looked up in the root manifest.
pub(crate) fn edges(manifest: &str, root: &str) -> Vec<Edge> {
    let manifest: toml::Table = manifest.parse().expect("a manifest is TOML");
    let root: toml::Table = root.parse().expect("the root manifest is TOML");
    let shared = root.get("workspace").and_then(|w| w.get("dependencies"));
    let targets = manifest
        .get("target")
        .and_then(toml::Value::as_table)
        .into_iter()
        .flatten();
    let tables = targets.filter_map(|(_, table)| table.as_table()).chain([&manifest]);
    let mut found = Vec::new();
    for table in tables {
        for (kind, name) in [
            (Kind::Normal, "dependencies"),
            (Kind::Build, "build-dependencies"),
            (Kind::Development, "dev-dependencies"),
        ] {
            for (key, value) in table.get(name).and_then(toml::Value::as_table).into_iter().flatten() {
                found.push(edge(kind, key, value, shared.and_then(|s| s.get(key))));
            }
        }
    }
    found
}

fn edge(kind: Kind, key: &str, value: &toml::Value, shared: Option<&toml::Value>) -> Edge {
    let field = |name: &str| {
        [Some(value), shared]
            .into_iter()
            .flatten()
            .find_map(|v| v.get(name))
            .and_then(toml::Value::as_str)
    };
    let features = [Some(value), shared]
        .into_iter()
        .flatten()
        .filter_map(|v| v.get("features")?.as_array())
        .flatten();
    Edge {
        kind,
        package: field("package").unwrap_or(key).to_owned(),
        ours: field("path")
            .and_then(|path| path.rsplit('/').next())
            .map(str::to_owned),
        features: features.filter_map(|name| name.as_str().map(str::to_owned)).collect(),
    }
}

#[cfg(test)]
const ROOT: &str =
    "[workspace.dependencies]\nstore = { path = \"crates/store\", package = \"countersign-store\" }\nsqlx = \"0.9\"\n";

#[test]
fn an_edge_that_is_not_in_the_table_is_found() {
    let model = "[dependencies]\nstore.workspace = true\n[dev-dependencies]\nstore = { workspace = true, features = [\"testing\"] }\n";
    let found = super::planted(check, &[("Cargo.toml", ROOT), ("crates/model/Cargo.toml", model)]);
    assert_eq!(found, ["crates/model/Cargo.toml:0: `model` may not use `store`"]);
}

#[test]
fn an_edge_by_path_or_for_one_platform_is_found() {
    let api = "[target.'cfg(unix)'.dependencies]\ngateway = { path = \"../gateway\" }\n";
    let found = super::planted(check, &[("Cargo.toml", ROOT), ("crates/api/Cargo.toml", api)]);
    assert_eq!(found, ["crates/api/Cargo.toml:0: `api` may not use `gateway`"]);
}

#[test]
fn an_sql_driver_outside_store_is_found() {
    let desk = "[dev-dependencies]\nsqlx.workspace = true\n";
    let found = super::planted(check, &[("Cargo.toml", ROOT), ("crates/desk/Cargo.toml", desk)]);
    assert_eq!(
        found,
        ["crates/desk/Cargo.toml:0: `sqlx` belongs to crate `store` alone"]
    );
}

#[test]
fn doubles_in_the_product_and_unknown_crates_are_found() {
    let desk = "[dependencies]\nstore = { workspace = true, features = [\"testing\"] }\n";
    let found = super::planted(
        check,
        &[
            ("Cargo.toml", ROOT),
            ("crates/desk/Cargo.toml", desk),
            ("crates/extra/Cargo.toml", "[package]\nname = \"extra\"\n"),
        ],
    );
    assert_eq!(
        found,
        [
            "crates/desk/Cargo.toml:0: feature `testing` of `countersign-store` is for tests alone",
            "crates/extra/Cargo.toml:0: crate `extra` has no row in the table of allowed edges",
        ]
    );
}

#[test]
fn doubles_under_another_name_are_found() {
    let desk =
        "[features]\ndefault = [\"faults\"]\nfaults = []\nfixtures = [\"store/faults\"]\nfast = [\"store/fixtures\"]\n";
    let found = super::planted(check, &[("Cargo.toml", ROOT), ("crates/desk/Cargo.toml", desk)]);
    assert_eq!(
        found,
        [
            "crates/desk/Cargo.toml:0: feature `default` switches on `faults`, which is for tests alone",
            "crates/desk/Cargo.toml:0: feature `fast` switches on `store/fixtures`, which is for tests alone",
        ]
    );
}

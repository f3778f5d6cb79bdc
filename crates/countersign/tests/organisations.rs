//! What organisations sign on their own side: the files that `operator`, `owner` and `resource` write are what the
//! model accepts, in the order in which they were signed, and nothing private leaves its folder.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set up must stop"
)]

mod support;

use ledger::{KeyName, NoteKey};
use model::apply::{Refused, Snapshot, apply};
use model::entity::{Entity, EntityKey};
use model::entry::Placed;
use model::id::{BootId, EntryId};
use model::json;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use support::{Folder, fails, ok, ssh_key};

const OWNER_INIT: &str = "owner init --organisation 'Acme Ltd' --environment acme --offer offer.json \
                          --operator northwind/operator.public.json --dir acme";

/// An operator, a witness, people's keys, and an offer as a server would make it.
fn parties() -> Folder {
    let folder = Folder::new();
    let path = folder.path();
    ok(path, "operator init --organisation 'Northwind MSP' --dir northwind");
    ok(path, "witness init --data witness --name w.acme.example");
    for (name, kind) in [
        ("alice", "ed25519"),
        ("olga", "ed25519"),
        ("bob", "ecdsa"),
        ("carol", "rsa"),
        ("ca", "ed25519"),
    ] {
        ssh_key(path, name, kind);
    }
    let log = NoteKey::from_seed(KeyName::new("acme.gw.example").unwrap(), &[7; 32]);
    let ca = std::fs::read_to_string(folder.join("ca.pub")).unwrap();
    let ca = ca.rsplit_once(' ').unwrap().0;
    let offer = serde_json::json!({
        "environment": "acme", "origin": "acme.gw.example", "log_key": log.verifier().to_string(),
        "gateway_host_ca": ca, "user_ca": ca, "custody": "operator",
    });
    std::fs::write(folder.join("offer.json"), offer.to_string()).unwrap();
    folder
}

fn owner_init(folder: &Folder) -> String {
    let witness = ok(folder.path(), "witness key --data witness");
    ok(
        folder.path(),
        &format!("{OWNER_INIT} --witness {witness} --gate witnesses:1 --yes"),
    )
}

/// Appends each signed line of a file to a log, as a server would.
fn append(state: &mut Snapshot, index: &mut u64, file: &Path) -> Result<(), Refused> {
    for line in std::fs::read_to_string(file).unwrap().lines() {
        let signed: serde_json::Value = json::from_slice(line.as_bytes()).expect("canonical");
        let entry = serde_json::json!({
            "v": 1, "type": signed["type"], "id": EntryId::new(*index, [1; 10]), "time_ms": 1_800_000_000_000_u64,
            "writer": {"node": "gw1", "boot": BootId::new(1, [1; 10]), "seq": *index}, "body": signed["body"],
        });
        let placed = Placed::parse(*index, &json::to_vec(&entry).unwrap()).expect("an entry");
        let changes = apply(state, &placed)?;
        state.accept(changes);
        *index += 1;
    }
    Ok(())
}

/// The files that were signed after the founding, in order.
fn later_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|found| found.unwrap().path())
        .collect();
    files.retain(|path| path.to_string_lossy().ends_with(".trust.jsonl") && !path.ends_with("acme.trust.jsonl"));
    files.sort();
    files
}

/// Everything that the two organisations sign before anybody asks for access.
fn sign_everything(path: &Path) {
    ok(path, "owner enrol olga --role approve --key olga.pub --dir acme");
    ok(path, "owner enrol bob --role own --key bob.pub --dir acme");
    ok(path, "owner enrol carol --role own,approve --key carol.pub --dir acme");
    ok(
        path,
        "operator enrol alice --role request --key alice.pub --environment acme/acme.public.json --dir northwind",
    );
    let printed = ok(
        path,
        "resource add web1 --host 10.0.0.5 --account root --host-key ca.pub --source 192.0.2.1 \
         --environment acme/acme.public.json",
    );
    assert!(printed.contains("cs:acme:web1:root"), "{printed}");
    ok(path, "owner resource web1.resource.json --dir acme --yes");
    ok(
        path,
        "owner workflow patching --owner bob --backup carol --purpose 'security patches' --resource web1 \
         --account root --dir acme --yes",
    );
}

/// R014 R057: owner, backup, purpose, assets and approvers stand in what the owner signed, and nowhere else.
#[test]
fn what_organisations_sign_is_what_the_model_accepts() {
    let folder = parties();
    owner_init(&folder);
    sign_everything(folder.path());
    let (mut state, mut index) = (Snapshot::empty(), 0);
    append(&mut state, &mut index, &folder.join("acme/acme.trust.jsonl")).unwrap();
    for side in ["acme", "northwind"] {
        for file in later_files(&folder.join(side)) {
            append(&mut state, &mut index, &file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        }
    }
    let workflow = EntityKey::workflow(&"patching".parse().unwrap());
    let workflow = &state.workflow(&workflow).unwrap().statement;
    assert_eq!(workflow.controls.len(), 12);
    assert_eq!(workflow.requesters[0].as_str(), "Northwind MSP");
    let people = state
        .entities()
        .filter(|(_, found)| matches!(found.entity, Entity::Identity(_)));
    assert_eq!(people.count(), 4);
}

#[test]
fn an_approver_that_the_operator_enrols_counts_for_nothing() {
    let folder = parties();
    owner_init(&folder);
    std::fs::create_dir(folder.join("forged")).unwrap();
    std::fs::copy(
        folder.join("acme/acme.public.json"),
        folder.join("forged/acme.public.json"),
    )
    .unwrap();
    ok(
        folder.path(),
        "owner enrol eve --role approve --key ca.pub --dir forged --root-key northwind/root-1",
    );
    let (mut state, mut index) = (Snapshot::empty(), 0);
    append(&mut state, &mut index, &folder.join("acme/acme.trust.jsonl")).unwrap();
    let refused = append(&mut state, &mut index, &later_files(&folder.join("forged"))[0]).unwrap_err();
    assert_eq!(refused.code(), "not_under_root");
}

#[test]
fn private_files_are_private_and_never_overwritten() {
    let folder = parties();
    owner_init(&folder);
    for name in [
        "acme/root-1",
        "acme/root-2",
        "acme/recording-1.key",
        "northwind/root-1",
        "witness/key",
    ] {
        let mode = std::fs::metadata(folder.join(name)).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }
    assert_eq!(std::fs::metadata(folder.join("acme")).unwrap().mode() & 0o777, 0o700);
    let before = std::fs::read(folder.join("acme/root-1")).unwrap();
    let said = fails(folder.path(), 1, &format!("{OWNER_INIT} --gate none --yes"));
    assert!(said.contains("`acme/root-1` exists already"), "{said}");
    assert_eq!(std::fs::read(folder.join("acme/root-1")).unwrap(), before);
    for name in ["acme/acme.trust.jsonl", "acme/acme.public.json", "acme/trust.txt"] {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        assert!(!text.contains("PRIVATE") && !text.contains("AGE-SECRET"), "{name}");
    }
}

#[test]
fn the_trust_policy_is_one_that_the_ledger_reads() {
    let folder = parties();
    owner_init(&folder);
    let text = std::fs::read_to_string(folder.join("acme/trust.txt")).unwrap();
    let (owner, policy): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with("owner "));
    assert_eq!(owner.len(), 2, "{text}");
    assert!(owner[0].starts_with("owner acme ssh-ed25519 AAAA"), "{text}");
    let policy = ledger::Policy::parse((policy.join("\n") + "\n").as_bytes()).unwrap();
    assert_eq!(
        (policy.logs().len(), policy.witnesses().len(), policy.asks_for_none()),
        (1, 1, false)
    );
}

#[test]
fn nothing_is_signed_unasked_and_mistakes_say_what_to_do() {
    let folder = parties();
    let path = folder.path();
    for (more, said) in [
        ("", "--gate"),
        ("--gate some", "write `witnesses:1` or `none`"),
        ("--gate witnesses:2", "the gate asks for 2 witnesses, 0 are named"),
        ("--gate none --threshold 3", "a threshold that fits"),
        ("--gate none --recipient age1x", "not an age recipient"),
        ("--gate none", "--yes"),
    ] {
        let heard = fails(path, 64, &format!("{OWNER_INIT} {more}"));
        assert!(heard.contains(said), "{heard}");
        assert!(
            !folder.join("acme").exists(),
            "no key is made before the arguments hold"
        );
    }
    for (code, line, said) in [
        (64, "owner nonsense", "nonsense"),
        (64, "owner enrol x --role boss --key ca.pub", "`approve`"),
        (69, "owner enrol x --role own --key ca.pub", "owner init"),
        (69, "submit none.trust.jsonl", "none.trust.jsonl"),
        (
            1,
            "submit offer.json",
            "line 1 of `offer.json` is not a signed trust body",
        ),
    ] {
        let heard = fails(path, code, line);
        assert!(heard.contains(said), "{heard}");
    }
}

/// A key with a passphrase signs through the agent; nothing secret is on a command line.
#[test]
fn an_agent_signs_for_a_key_with_a_passphrase() {
    let folder = parties();
    owner_init(&folder);
    let script = format!(
        "eval $(ssh-agent -a {sock}) >/dev/null && ssh-add -q acme/root-1 && \
         ssh-keygen -q -p -P '' -N 'a long passphrase' -f acme/root-1 && \
         {bin} owner enrol olga --role approve --key olga.pub --dir acme; code=$?; ssh-agent -k >/dev/null; exit $code",
        sock = folder.join("agent.sock").display(),
        bin = env!("CARGO_BIN_EXE_countersign"),
    );
    let output = std::process::Command::new("bash")
        .args(["-c", &script])
        .current_dir(folder.path())
        .env("HOME", folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", support::both(&output));
    let (mut state, mut index) = (Snapshot::empty(), 0);
    append(&mut state, &mut index, &folder.join("acme/acme.trust.jsonl")).unwrap();
    append(&mut state, &mut index, &later_files(&folder.join("acme"))[0]).unwrap();
}

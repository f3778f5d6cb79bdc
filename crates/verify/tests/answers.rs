//! The binary against packs on disk: what it prints, and with which code it ends.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set up must stop"
)]

#[path = "../../evidence/tests/scene/mod.rs"]
mod scene;

use evidence::trust::Trust;
use scene::Scene;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

struct Desk {
    dir: tempfile::TempDir,
    scene: Scene,
}

impl Desk {
    fn new() -> Self {
        let scene = Scene::honest();
        let desk = Self {
            dir: tempfile::tempdir().unwrap(),
            scene,
        };
        desk.put("session.pack", &desk.scene.pack());
        desk.put("trust", Trust::file_of(&desk.scene.world.genesis()).as_bytes());
        desk
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.dir.path().join(name), bytes).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        run(self.dir.path(), arguments)
    }
}

fn run(dir: &Path, arguments: &[&str]) -> (i32, String, String) {
    let binary = env!("CARGO_BIN_EXE_countersign-verify");
    let Output { status, stdout, stderr } = Command::new(binary).args(arguments).current_dir(dir).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn each_answer_has_its_code() {
    let desk = Desk::new();
    let trusted = desk.run(&["session.pack", "--trust", "trust"]);
    assert_eq!((trusted.0, trusted.2.as_str()), (0, ""));
    assert!(
        trusted
            .1
            .contains("result: intact up to entry 18 (session ended), and vouched for by keys that you trust")
    );
    assert!(trusted.1.contains("PASS  CS-AP-1"));
    let untrusted = desk.run(&["session.pack"]);
    assert_eq!(untrusted.0, 2);
    assert!(untrusted.1.contains("trust not established"));
    let mut bad = desk.scene.pack();
    let at = bad.len() - 3000;
    bad[at] ^= 1;
    desk.put("bad.pack", &bad);
    let tampered = desk.run(&["bad.pack", "--trust", "trust"]);
    assert_eq!(tampered.0, 1);
    assert!(tampered.1.contains("result: tampered at entry "), "{}", tampered.1);
    let seen = desk.scene.cosigned(desk.scene.world.now_ms).to_string();
    desk.put("seen", seen.as_bytes());
    let whole = desk.run(&["session.pack", "--trust", "trust", "--seen", "seen"]);
    assert_eq!(whole.0, 0);
    assert!(whole.1.contains("continues the 19 entries that you have seen"));
}

#[test]
fn wrong_usage_is_64_and_what_cannot_be_read_69() {
    let desk = Desk::new();
    for arguments in [
        &["session.pack", "--trust", "session.pack"][..],
        &["session.pack", "--trust", "nothing"],
        &["nothing", "--trust", "trust"],
        &["session.pack", "--trust", "trust", "--seen", "trust"],
        &[
            "session.pack",
            "--session",
            "ses_00000000000000000000000000",
            "--trust",
            "trust",
        ],
        &["session.pack", "--session", "x"],
        &["session.pack", "--fast"],
        &[],
    ] {
        let (code, out, err) = desk.run(arguments);
        let wanted = if err.contains("cannot read") { 69 } else { 64 };
        assert_eq!((code, out.as_str()), (wanted, ""), "{arguments:?}: {err}");
        assert!(!err.is_empty(), "{arguments:?}");
    }
    assert_eq!(desk.run(&["--help"]).0, 0);
}

#[test]
fn json_is_one_object() {
    let desk = Desk::new();
    let session = desk.scene.session.to_string();
    let (code, out, _) = desk.run(&["session.pack", "--trust", "trust", "--json", "--session", &session]);
    assert_eq!(code, 0);
    let answer: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(answer["exit_code"], 0);
    assert_eq!(answer["report"]["status"], "trusted");
    assert_eq!(answer["verdicts"][0]["session"], session.as_str());
    assert_eq!(answer["verdicts"][0]["overall"], "pass");
}

/// A folder, a device without end, and bytes that are no pack.
#[test]
fn what_is_no_pack_is_said_so() {
    let desk = Desk::new();
    assert_eq!(desk.run(&[".", "--trust", "trust"]).0, 69);
    desk.put("empty", b"");
    assert_eq!(desk.run(&["empty", "--trust", "trust"]).0, 1);
    let zero = desk.run(&["/dev/zero", "--trust", "trust"]);
    assert!(zero.0 == 69 && zero.2.contains("no regular file"), "{}", zero.2);
    desk.put("noise", &[0x55; 100_000]);
    assert_eq!(desk.run(&["noise", "--trust", "trust"]).0, 1);
}

/// Of a log of many bundles, entries are read on other threads: the answer is that of one thread, whole or damaged.
#[test]
fn a_long_log_is_judged_as_on_one_thread() {
    let mut desk = Desk::new();
    let grant = desk.scene.permission();
    let wished = desk.scene.opened(grant);
    let session = wished.0;
    let (opening, _) = desk.scene.begin(wished, None);
    let disclosed = desk.scene.disclosed.len();
    (0..1_500).for_each(|_| desk.scene.act(session, &opening));
    desk.scene.disclosed.truncate(disclosed);
    let pack = desk.scene.pack();
    let trust = desk.scene.trust();
    let entry = desk.scene.world.log[2_000].as_slice();
    let at = pack.windows(entry.len()).position(|bytes| bytes == entry).unwrap();
    for (at, code) in [(None, 0), (Some(at + entry.len() / 2), 1)] {
        let mut pack = pack.clone();
        at.into_iter().for_each(|at| pack[at] ^= 1);
        desk.put("long.pack", &pack);
        let alone = evidence::verify::verify(pack.as_slice(), Some(&trust), &mut |_| ()).unwrap();
        let (exit, out, _) = desk.run(&["long.pack", "--trust", "trust", "--json"]);
        let answer: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(exit, code, "{out}");
        assert_eq!(answer["report"], serde_json::to_value(&alone.report).unwrap());
        assert_eq!(at.is_some(), out.contains("2000"), "the damaged entry is named: {out}");
    }
}

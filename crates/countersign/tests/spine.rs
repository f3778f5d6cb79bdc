//! One privileged session from request to offline proof, with the real server, a stock client, a real sshd and a real
//! witness; and what happens where something on that way is missing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set up must stop"
)]

mod support;

use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use support::running::within;
use support::world::World;
use support::{both, ssh_key};

/// R002 R003 R006 R013 R014 R015 R040 R052 R057 R062 R108 R111 R113 R133: asked, approved, done, ended, judged, packed,
/// verified by a stranger.
#[test]
fn a_session_from_request_to_offline_proof() {
    let world = World::start();
    // R013: without an approval nothing opens, and the reason is its own.
    let refused = world.ssh("alice", "root+web1.acme", "true").output().unwrap();
    assert_eq!(refused.status.code(), Some(254), "{}", both(&refused));
    assert!(both(&refused).contains("CS-GRANT"), "{}", both(&refused));
    assert!(refused.stdout.is_empty());

    let (request, _) = world.granted("10m");
    let done = world
        .ssh("alice", "root+web1.acme", "echo done; id -un; exit 7")
        .output()
        .unwrap();
    assert_eq!(
        (done.status.code(), done.stdout.as_slice()),
        (Some(7), &b"done\nroot\n"[..]),
        "{}",
        both(&done)
    );
    let session = world.newest_session();

    world.ok(&format!(
        "export {session} --out e.pack --identity acme/recording-1.key --key bob"
    ));
    let report = world.ok("verify e.pack --trust acme/trust.txt --json");
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["report"]["status"], "trusted", "{report:#}");
    let verdict = &report["verdicts"][0];
    assert_eq!(verdict["overall"], "pass", "{verdict:#}");
    for said in [
        "approved",
        "monitored",
        "attributable",
        "authorised",
        "bounded",
        "expired",
    ] {
        assert_eq!(verdict[said], true, "{said}: {verdict:#}");
    }
    let record = world.ok(&format!("record {session} --pack e.pack --trust acme/trust.txt"));
    let record: Value = serde_json::from_str(&record).unwrap();
    assert_eq!(record["actor"]["handle"], "alice");
    assert_eq!(record["owner"]["handle"], "bob");
    assert_eq!(
        record["approvers"][0]["person"]["handle"]
            .as_str()
            .or(record["approvers"][0]["handle"].as_str()),
        Some("olga"),
        "{record:#}"
    );
    let timeline = world.ok(&format!("timeline {session} --pack e.pack --trust acme/trust.txt"));
    for said in ["echo done", "disk is full", "CHG1", "olga of Acme Ltd"] {
        assert!(timeline.contains(said), "{said}\n{timeline}");
    }
    let lineage = world.ok(&format!("lineage {session} --pack e.pack --trust acme/trust.txt"));
    assert!(lineage.contains(&request), "{lineage}");

    only_key_holders_see_it(&world, &session);
    a_cut_shows(&world);
}

/// The result says how far it reaches; a checkpoint that was kept, from the log or a pack, shows what is missing after it.
fn a_cut_shows(world: &World) {
    let trust = "--trust acme/trust.txt";
    let whole = world.ok(&format!("verify e.pack {trust}"));
    assert!(
        whole.contains("(session ended), and vouched for by keys that you trust"),
        "{whole}"
    );
    assert!(whole.contains("cosigned by w.acme.example"), "{whole}");
    assert!(!whole.contains('\u{1b}'), "no colour into a pipe");
    let kept = world.ok(&format!("checkpoint --pack e.pack {trust} --out pack.checkpoint"));
    assert!(kept.contains("cosigned by w.acme.example"), "{kept}");
    let seen = world.ok(&format!("verify e.pack {trust} --seen pack.checkpoint"));
    assert!(seen.contains("continues the"), "{seen}");
    // The log goes on, and the older pack falls short of what was seen of it.
    world.ok("request root@web1.acme --reason later --yes --key alice");
    let beyond = within(support::running::PATIENCE, || {
        drop(std::fs::remove_file(world.path().join("log.checkpoint")));
        world.ok(&format!("checkpoint acme {trust} --out log.checkpoint"));
        let cut = world.run(&format!("verify e.pack {trust} --seen log.checkpoint"));
        (cut.status.code() == Some(1)).then(|| both(&cut))
    });
    let beyond = beyond.expect("the log's head grows");
    assert!(
        beyond.contains("that you have seen: cut off, or exported earlier") && !beyond.contains("tampered"),
        "{beyond}"
    );
    let twice = world.run(&format!("checkpoint acme {trust} --out log.checkpoint"));
    assert!(both(&twice).contains("exists already"), "{}", both(&twice));

    let pack = std::fs::read(world.path().join("e.pack")).unwrap();
    std::fs::write(world.path().join("half.pack"), &pack[..pack.len() / 2]).unwrap();
    std::fs::write(world.path().join("empty.pack"), []).unwrap();
    for (file, code) in [
        ("half.pack", 1),
        ("empty.pack", 1),
        ("acme/trust.txt", 1),
        ("acme", 69),
        ("none.pack", 69),
    ] {
        for line in [
            format!("verify {file} {trust}"),
            format!("checkpoint --pack {file} {trust} --out never"),
        ] {
            let output = world.run(&line);
            assert_eq!(output.status.code(), Some(code), "{line}\n{}", both(&output));
            let said = [
                "damaged, or no evidence pack at all",
                "it is a folder",
                "there is no such file",
            ];
            assert!(
                said.iter().any(|said| both(&output).contains(said)),
                "{line}\n{}",
                both(&output)
            );
        }
    }
    assert!(!world.path().join("never").exists());
}

/// With several grants, whoever comes behind plain `-J` is told that form.
fn named_behind_a_jump(world: &World, known: &Path) {
    let (_, port) = world.ssh.rsplit_once(':').unwrap();
    let config = format!(
        "Host gw.test\n  HostName 127.0.0.1\n  HostKeyAlias countersign-acme\nHost *\n  BatchMode yes\n  \
         IdentitiesOnly yes\n  IdentityFile {}\n  UserKnownHostsFile {}\n",
        world.path().join("alice").display(),
        known.display()
    );
    std::fs::write(world.path().join("jump_config"), config).unwrap();
    let jump = |line: &str| {
        let words = format!("-F jump_config -J {line} true");
        let mut ssh = Command::new("ssh");
        ssh.current_dir(world.path())
            .args(words.split_whitespace())
            .output()
            .unwrap()
    };
    let said = both(&jump(&format!("gw.test:{port} root@web1.acme")));
    let (_, command) = said.trim_end().split_once(": ssh -J ").expect("a command to paste");
    assert!(command.starts_with(&format!("gw.test:{port} root+")), "{said}");
    let named = jump(command);
    assert!(named.status.success(), "{command}\n{}", both(&named));
}

/// The command that a refusal ends with works as it is pasted, for whoever has `ssh-config`; others are told the
/// gateway's own name and port.
#[test]
fn a_refusal_ends_with_a_command_that_works() {
    let world = World::start();
    let (_, port) = world.ssh.rsplit_once(':').unwrap();
    let typed = world.ssh("alice", "root+web1.acme", "true").output().unwrap();
    let hint = format!("ask for one: ssh -p {port} gw.test request root@web1.acme --reason \"…\"");
    assert!(both(&typed).contains(&hint), "{}", both(&typed));

    std::fs::write(world.path().join("gateway.pub"), format!("{}\n", world.host_key)).unwrap();
    let (alice, known) = (world.path().join("alice"), world.path().join("acme.known_hosts"));
    let config = world.ok(&format!(
        "ssh-config --environment acme/acme.public.json --gateway {} --gateway-key gateway.pub --key {} --known-hosts {}",
        world.ssh,
        alice.display(),
        known.display()
    ));
    std::fs::write(world.path().join("ssh_config"), config).unwrap();
    let shell = |line: &str| {
        let line = line.replace("ssh ", "ssh -F ssh_config -o BatchMode=yes ");
        let mut command = Command::new("sh");
        command.current_dir(world.path()).args(["-c", &line]);
        command.output().unwrap()
    };
    let refused = shell("ssh root@web1.acme true");
    assert_eq!(refused.status.code(), Some(254), "{}", both(&refused));
    let said = both(&refused);
    let (_, command) = said.trim_end().split_once("ask for one: ").expect("a command to paste");
    assert!(
        command.starts_with("ssh countersign-acme request root@web1.acme"),
        "{command}"
    );
    let asked = shell(&command.replace('…', "several plain words"));
    assert!(asked.status.success(), "{command}\n{}", both(&asked));
    let request = both(&asked);
    let (request, _) = request.split_once('\n').unwrap();
    let shown = world.ok(&format!("show {request} --key olga"));
    assert!(
        shown.contains("several plain words") && shown.contains("waiting"),
        "{shown}"
    );
    world.ok(&format!("approve {request} --yes --key olga"));
    let shown = world.ok(&format!("show {request} --key olga"));
    assert!(shown.contains("olga of Acme Ltd, entry"), "{shown}");
    assert!(shell("ssh root@web1.acme true").status.success());

    // With a second grant one must be named, in the form of the way that the person came.
    let (second, _) = world.granted("10m");
    let several = both(&shell("ssh root@web1.acme true"));
    let (list, command) = several.trim_end().split_once(": ssh ").expect("a command to paste");
    assert!(
        list.contains("several grants") && list.contains(&second) && list.contains(request),
        "{several}"
    );
    assert!(shell(&format!("ssh {command} true")).status.success(), "{several}");
    let direct = world.ssh("alice", "root+web1.acme", "true").output().unwrap();
    let said = both(&direct);
    let (_, command) = said.trim_end().split_once(": ssh ").expect("a command to paste");
    let user = command
        .strip_prefix(&format!("-p {port} "))
        .and_then(|rest| rest.strip_suffix("@gw.test"));
    let user = user.unwrap_or_else(|| panic!("{said}"));
    assert!(
        world.ssh("alice", user, "true").output().unwrap().status.success(),
        "{user}"
    );
    named_behind_a_jump(&world, &known);
}

/// The owner's keys open the recording, also the one kept offline; the operator was given none.
fn only_key_holders_see_it(world: &World, session: &str) {
    let played = world.ok(&format!("play {session} --pack e.pack --identity acme/recording-2.key"));
    assert!(played.contains("done\nroot\n"), "{played}");
    let no_channel = both(&world.run(&format!(
        "play {session} --pack e.pack --identity acme/recording-2.key --channel 99"
    )));
    assert!(
        no_channel.contains("no channel 99") && no_channel.contains("its channels: 0"),
        "{no_channel}"
    );
    let foreign = world.run(&format!(
        "play {session} --pack e.pack --identity northwind/recording-1.key"
    ));
    assert_eq!(
        foreign.status.code(),
        Some(1),
        "the operator was not given the key\n{}",
        both(&foreign)
    );
    let alone = world.run("verify e.pack");
    assert_eq!(alone.status.code(), Some(2), "{}", both(&alone));
}

/// R038 R020: the one who asks does not approve; nor does the operator's enrolment make an approver.
#[test]
fn nobody_approves_what_they_asked_for() {
    let world = World::start();
    let request = world.ok("request root@web1.acme --reason x --yes --key alice");
    let request = request.trim();
    for who in ["alice", "mallory", "bob"] {
        let output = world.run(&format!("approve {request} --yes --key {who}"));
        assert_eq!(output.status.code(), Some(1), "{who}: {}", both(&output));
    }
    // A key of an identity cannot become another's.
    world.ok("operator enrol eve --role request --key alice.pub --environment acme/acme.public.json --dir northwind");
    let shared = world.run("submit northwind/acme.0003-identity-eve.trust.jsonl");
    assert_eq!(shared.status.code(), Some(1));
    assert!(both(&shared).contains("key_shared"), "{}", both(&shared));
    let denied = world.ok(&format!("deny {request} --yes --key olga"));
    assert!(denied.contains("denied"), "{denied}");
    let late = world.run(&format!("approve {request} --yes --key carol"));
    assert!(both(&late).contains("request_closed"), "{}", both(&late));
}

/// R022: a live session ends within a second of revocation, of a kill and of its window's end.
#[test]
fn live_sessions_end_when_they_must() {
    let world = World::start();
    let (_, grant) = world.granted("10m");
    let mut cut = world
        .ssh("alice", "root+web1.acme", "echo on; sleep 60")
        .spawn()
        .unwrap();
    live(&world);
    // What is taken back is shown first; nothing is taken back unasked.
    let unasked = world.run(&format!("revoke {grant} --key olga"));
    let shown = both(&unasked);
    assert!(!unasked.status.success(), "{shown}");
    for part in ["Granted to alice, in `acme`", "web1", "root", &grant] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    world.ok(&format!("revoke {grant} --yes --key olga"));
    let ended = within(Duration::from_secs(4), || cut.try_wait().unwrap()).expect("it ends");
    assert!(!ended.success());
    assert_late(&world, "revoked");

    let (_, _) = world.granted("10m");
    let mut killed = world.ssh("alice", "root+web1.acme", "sleep 60").spawn().unwrap();
    let session = live(&world);
    world.ok(&format!("kill {session} --yes --key olga"));
    within(Duration::from_secs(4), || killed.try_wait().unwrap()).expect("it ends");
    assert_late(&world, "killed");
}

/// A window's end, in a world of its own: only one grant may cover a target.
#[test]
fn a_window_ends_live_sessions() {
    let world = World::start();
    world.granted("4s");
    let mut cut = world.ssh("alice", "root+web1.acme", "sleep 60").spawn().unwrap();
    live(&world);
    within(Duration::from_secs(8), || cut.try_wait().unwrap()).expect("it ends");
    assert_late(&world, "expired");
}

/// The id of the session that is live, once its command has begun.
fn live(world: &World) -> String {
    let found = within(Duration::from_secs(10), || {
        let lines = world.ok("sessions --live --key bob");
        let begun = lines.lines().find(|line| line.contains("1 action"));
        begun.and_then(|line| line.split_whitespace().next().map(str::to_owned))
    });
    found.expect("a live session")
}

fn assert_late(world: &World, cause: &str) {
    let ended = within(Duration::from_secs(5), || {
        let shown = world.ok(&format!("show {} --json --key bob", world.newest_session()));
        let shown: Value = serde_json::from_str(&shown).unwrap();
        let last = shown["entries"].as_array().unwrap().last().unwrap()["entry"].clone();
        (last["type"] == "session.ended").then_some(last)
    });
    let ended = ended.expect("an end on record");
    assert_eq!(ended["body"]["cause"], cause, "{ended:#}");
    assert!(ended["body"]["late_ms"].as_u64().unwrap() <= 1000, "{ended:#}");
}

/// R012: without the witness nothing opens where the gate asks for it; the opening that was committed is ended.
#[test]
fn nothing_opens_without_the_witness() {
    let mut world = World::start();
    world.granted("10m");
    std::mem::replace(&mut world.witness, support::running::Running::nothing()).kill();
    let refused = world.ssh("alice", "root+web1.acme", "echo no").output().unwrap();
    assert_ne!(refused.status.code(), Some(0));
    assert!(refused.stdout.is_empty(), "{}", both(&refused));
    assert!(both(&refused).contains("CS-GATE"), "{}", both(&refused));
    let shown = world.ok(&format!("show {} --key bob", world.newest_session()));
    assert!(shown.contains("session.ended"), "{shown}");
}

/// A second server on one folder is refused; a graceful stop ends sessions and puts that on record.
#[test]
fn one_server_per_folder_and_a_graceful_stop() {
    let mut world = World::start();
    let second = support::world::start_server(world.path());
    let (status, said) = second.ended();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("in use") && said.contains("next:"), "{said}");
    world.granted("10m");
    let mut cut = world.ssh("alice", "root+web1.acme", "sleep 60").spawn().unwrap();
    let session = live(&world);
    world.restart();
    within(Duration::from_secs(5), || cut.try_wait().unwrap()).expect("it ends");
    let shown = world.ok(&format!("show {session} --key bob"));
    assert!(shown.contains("cause shutdown"), "{shown}");
    rebuild_finds_what_was_changed(world);
}

/// R018: a stopped server's folder: what is derived comes out as it was; a changed entry is found.
fn rebuild_finds_what_was_changed(world: World) {
    let (status, said) = world.server.terminate();
    assert!(status.success(), "{said}");
    let rebuilt = support::ok(world.folder.path(), "rebuild --data server");
    assert!(rebuilt.contains("projections are as they were"), "{rebuilt}");
    // As an insider with the disk would: without a trace in the database's own rules.
    let change = "
import sqlite3
c = sqlite3.connect('server/store.db')
rules = c.execute(\"SELECT name, sql FROM sqlite_master WHERE type = 'trigger'\").fetchall()
for name, _ in rules: c.execute('DROP TRIGGER ' + name)
c.execute(\"UPDATE log_entry SET bytes = CAST(replace(CAST(bytes AS TEXT), 'olga', 'olgb') AS BLOB)\")
for _, sql in rules: c.execute(sql)
c.commit()
";
    let changed = Command::new("python3")
        .args(["-c", change])
        .current_dir(world.folder.path())
        .status();
    assert!(changed.unwrap().success());
    let said = support::countersign(world.folder.path())
        .args(["rebuild", "--data", "server"])
        .output()
        .unwrap();
    assert_eq!(said.status.code(), Some(1), "{}", both(&said));
    assert!(
        both(&said).contains("do not have the root that was signed") && both(&said).contains("next: keep this folder"),
        "{}",
        both(&said)
    );
}

/// R113: a session whose server was killed ends as lost, with what the journal holds.
#[test]
fn a_killed_server_leaves_lost_sessions() {
    let mut world = World::start();
    world.granted("10m");
    let mut cut = world
        .ssh("alice", "root+web1.acme", "echo seen; sleep 60")
        .spawn()
        .unwrap();
    let session = live(&world);
    std::thread::sleep(Duration::from_millis(500));
    support::running::signal(world.server.id(), "KILL");
    within(Duration::from_secs(5), || cut.try_wait().unwrap()).expect("it ends");
    world.start_again();
    let shown = world.ok(&format!("show {session} --key bob"));
    assert!(shown.contains("session.lost"), "{shown}");
    let played = world.ok(&format!("play {session} --identity acme/recording-1.key --key bob"));
    assert!(played.contains("seen"), "{played}");
}

/// `ssh -J` by the printed configuration, the gateway's own words, and a check of the approval by ssh-keygen alone.
#[test]
fn stock_tools_are_enough() {
    let world = World::start();
    let asked = world
        .ssh(
            "alice",
            "gateway",
            "request root@web*.acme --action exec --for 30m --reason 'by ssh alone'",
        )
        .output()
        .unwrap();
    assert!(asked.status.success(), "{}", both(&asked));
    let asked = String::from_utf8(asked.stdout).unwrap();
    let line = |label: &str| asked.lines().find(|line| line.trim_start().starts_with(label)).unwrap();
    assert!(
        line("resources").ends_with(" web1") && line("actions").ends_with(" exec"),
        "{asked}"
    );
    assert!(line("until").contains("(30 min)"), "{asked}");
    let request = asked.lines().next().unwrap().to_owned();
    world.ok(&format!("approve {request} --yes --key olga"));
    world.ssh_config();
    let jumped = Command::new("ssh")
        .args([
            "-F",
            "ssh_config",
            "-o",
            "BatchMode=yes",
            "root@web1.acme",
            "echo jumped",
        ])
        .current_dir(world.path())
        .output()
        .unwrap();
    assert_eq!(jumped.stdout, b"jumped\n", "{}", both(&jumped));

    world.ok(&format!("show {request} --approval-files files --key bob"));
    let verified = Command::new("sh")
        .args([
            "-c",
            "ssh-keygen -Y verify -f allowed_signers -I olga@acme -n approve@countersign -s signature.pem < message",
        ])
        .current_dir(world.folder.join("files"))
        .output()
        .unwrap();
    assert!(verified.status.success(), "{}", both(&verified));
    ssh_key(world.path(), "nobody", "ed25519");
    let stranger = world.run("ls --key nobody");
    assert_eq!(stranger.status.code(), Some(1));
    assert!(both(&stranger).contains("enrolled here?"), "{}", both(&stranger));
}

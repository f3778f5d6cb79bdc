//! The check of a target, with the real server: a right set-up is proven and is a session like any other, a wrong one
//! is found.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set up must stop"
)]

mod support;

use serde_json::Value;
use std::net::TcpStream;
use std::process::Command;
use support::both;
use support::running::{PATIENCE, Running, within};
use support::target::Target;
use support::world::World;

/// The world's target again, with a log file.
fn logging_target(world: &mut World) {
    let port = world.target.port;
    world.target = Target::idle();
    let place = world.folder.join("web1");
    let mut sshd = Command::new("/usr/sbin/sshd");
    sshd.args(["-D", "-f"]).arg(place.join("sshd_config"));
    sshd.arg("-E").arg(place.join("sshd.log"));
    let running = Running::start(&mut sshd);
    let listens = within(PATIENCE, || TcpStream::connect(("127.0.0.1", port)).ok());
    assert!(listens.is_some(), "sshd does not listen:\n{}", running.said());
    world.target = Target { port, running };
}

fn ssh_config(world: &World) {
    std::fs::create_dir_all(world.folder.join(".ssh")).unwrap();
    let key = world.folder.join("alice");
    let config = world
        .command(&format!(
            "ssh-config --environment acme/acme.public.json --gateway {} --key {} --gateway-key",
            world.ssh,
            key.display()
        ))
        .arg(&world.host_key)
        .output()
        .unwrap();
    assert!(config.status.success(), "{}", both(&config));
    std::fs::write(world.folder.join("ssh_config"), &config.stdout).unwrap();
}

/// What a report says of each check, but for sudo, which a machine may lack.
fn states(json: &str) -> Vec<(String, String)> {
    let report: Value = serde_json::from_str(json).unwrap();
    let checks = report["checks"].as_array().unwrap().iter();
    let word = |check: &Value, field: &str| check[field].as_str().unwrap().to_owned();
    checks
        .map(|check| (word(check, "check"), word(check, "state")))
        .filter(|(check, _)| check != "sudo")
        .collect()
}

/// R006 R015 R108: all is proven, and the verifier sees an ordinary session with every try in it.
#[test]
fn a_target_is_proven_in_a_session_on_record() {
    let mut world = World::start();
    logging_target(&mut world);
    ssh_config(&world);
    let line = "resource check root@web1.acme --ssh-config ssh_config";
    let refused = world.run(line);
    assert_eq!(refused.status.code(), Some(1), "{}", both(&refused));
    assert!(both(&refused).contains("CS-GRANT"), "{}", both(&refused));

    world.granted("10m");
    let checked = world.run(&format!("{line} --json"));
    let said = String::from_utf8(checked.stdout.clone()).unwrap();
    assert!(!said.is_empty(), "{}", both(&checked));
    let states = states(&said);
    assert_eq!(states.len(), 9, "{said}");
    assert!(states.iter().all(|(_, state)| state == "ok"), "{said}");
    let sudo = Command::new("sudo").arg("-V").output().is_ok();
    let status = if sudo { 0 } else { 69 };
    assert_eq!(checked.status.code(), Some(status), "{}", both(&checked));

    let session = world.newest_session();
    world.ok(&format!(
        "export {session} --out e.pack --identity acme/recording-1.key --key bob"
    ));
    let report = world.ok("verify e.pack --trust acme/trust.txt --json");
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["verdicts"][0]["overall"], "pass", "{report:#}");
    let timeline = world.ok(&format!("timeline {session} --pack e.pack --trust acme/trust.txt"));
    for said in [
        "countersign probe: log in with a certificate for another host",
        "countersign probe: log in with an expired certificate",
        "countersign probe: log in with a certificate for another source address",
        "countersign-check 1",
    ] {
        assert!(timeline.contains(said), "{said}\n{timeline}");
    }
}

/// With `ssh` alone; the target also takes the principal of a host that does not exist.
#[test]
fn a_wrong_set_up_is_found_with_ssh_alone() {
    let world = World::start();
    std::fs::write(
        world.folder.join("web1/principals/root"),
        "cs:acme:web1:root\ncs:acme:ANOTHER-HOST:root\n",
    )
    .unwrap();
    world.granted("10m");
    let plain = world.ssh("alice", "root+web1.acme", "countersign-check");
    let mut ssh = Command::new("ssh");
    let checked = ssh.arg("-s").args(plain.get_args()).output().unwrap();
    let said = both(&checked);
    assert_eq!(checked.status.code(), Some(1), "{said}");
    for line in [
        "ok       right certificate",
        "FAILED   other host        a certificate for another host is ACCEPTED",
        "ok       expired ",
        "ok       other source ",
        "unknown  key id logged     no log of sshd was found",
        "FAILED   principals        certificates for cs:acme:ANOTHER-HOST:root are accepted too",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
}

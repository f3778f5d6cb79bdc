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

const CHECK: &str = "resource check root@web1.acme --ssh-config ssh_config";

use serde_json::Value;
use std::net::TcpStream;
use std::process::Command;
use support::both;
use support::clock::Clock;
use support::running::{PATIENCE, Running, within};
use support::target::Target;
use support::world::World;

/// The world's target again, with a log file, and with these variables.
fn logging_target(world: &mut World, environment: &[(&str, String)]) {
    let port = world.target.port;
    world.target = Target::idle();
    let place = world.folder.join("web1");
    let mut sshd = Command::new("/usr/sbin/sshd");
    sshd.args(["-D", "-f"]).arg(place.join("sshd_config"));
    sshd.arg("-E").arg(place.join("sshd.log"));
    sshd.envs(environment.iter().cloned());
    let running = Running::start(&mut sshd);
    let listens = within(PATIENCE, || TcpStream::connect(("127.0.0.1", port)).ok());
    assert!(listens.is_some(), "sshd does not listen:\n{}", running.said());
    world.target = Target { port, running };
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
    logging_target(&mut world, &[]);
    world.ssh_config();
    let refused = world.run(CHECK);
    assert_eq!(refused.status.code(), Some(1), "{}", both(&refused));
    assert!(both(&refused).contains("CS-GRANT"), "{}", both(&refused));

    world.granted("10m");
    let checked = world.run(&format!("{CHECK} --json"));
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

/// R108: a target whose clock is wrong refuses every session with a bare "Permission denied". The check says by how much;
/// what found it out is on record, and the session is still one that the target refused.
#[test]
fn a_target_with_a_wrong_clock_is_told_by_how_much() {
    let mut world = World::start();
    let clock = Clock::new();
    let environment = clock.environment();
    let set: Vec<String> = environment
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let config = world.folder.join("web1/sshd_config");
    let lines = std::fs::read_to_string(&config).unwrap();
    // sshd's own clock is faked by its environment, that of what it runs by its configuration.
    std::fs::write(&config, format!("{lines}SetEnv {}\n", set.join(" "))).unwrap();
    logging_target(&mut world, &environment);
    world.ssh_config();
    world.granted("10m");
    for (offset_s, side) in [(-612_i32, "behind"), (7200, "ahead")] {
        clock.set(offset_s.into());
        let refused = world.ssh("alice", "root+web1.acme", "true").output().unwrap();
        assert_eq!(refused.status.code(), Some(254), "{}", both(&refused));
        assert!(
            both(&refused).contains("`countersign resource check` finds out why"),
            "{}",
            both(&refused)
        );

        let checked = world.run(CHECK);
        let said = both(&checked);
        assert_eq!(checked.status.code(), Some(1), "{said}");
        assert!(
            said.contains(
                "FAILED   right certificate the session's own certificate is refused for the target's clock\n"
            ),
            "{said}"
        );
        let clock_line = said
            .lines()
            .find(|line| line.starts_with("FAILED   clock "))
            .expect(&said);
        let off: f64 = clock_line.split_whitespace().nth(2).unwrap().parse().unwrap();
        assert!(
            clock_line.contains(&format!(" s {side}, give or take ")),
            "{clock_line}"
        );
        assert!((off - f64::from(offset_s).abs()).abs() < 10.0, "{clock_line}");
    }
    clock.set(0);
    let healed = world.ssh("alice", "root+web1.acme", "true").output().unwrap();
    assert!(healed.status.success(), "{}", both(&healed));

    let sessions: Value = serde_json::from_str(&world.ok("sessions --json --key bob")).unwrap();
    let how = sessions
        .as_array()
        .unwrap()
        .iter()
        .map(|session| session["state"]["status"].to_string());
    let refused = how.filter(|how| how.contains("target_refused"));
    assert_eq!(refused.count(), 4, "{sessions:#}");
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

//! Many at once. A thousand connections that never log in: silent, half a greeting, stopped in the middle of the key
//! exchange. People still get in while the crowd stands there, memory stays bounded, and every connection is cut and its
//! file given back. And many sessions that open and act at the same moment.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set up must stop"
)]

mod support;

use serde_json::Value;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command};
use support::both;
use support::running::{PATIENCE, within};
use support::world::World;

const CROWD: usize = 1000;
/// What a thousand strangers may cost.
const MEMORY_KIB_MAX: u64 = 64 * 1024;
/// Files that come and go with the server's own work.
const FILES_SLACK: usize = 16;

#[test]
fn a_thousand_half_open_connections_leave_room_for_people() {
    hold_many_files();
    let mut world = World::start();
    // As from a shell with a lower limit than the crowd needs: the server must raise it by itself.
    world.start_again_under(&mut world.server_under(&["prlimit", "--nofile=512:"]));
    world.granted("10m");
    a_session_works(&world);
    let (memory, files) = (resident_kib(&world), open_files(&world));

    let mut crowd: Vec<TcpStream> = (0..CROWD).map(|number| stranger(&world, number)).collect();
    let all_in = within(PATIENCE, || {
        (open_files(&world) + FILES_SLACK >= files + CROWD).then_some(())
    });
    assert!(
        all_in.is_some(),
        "{} files: not all of the crowd is borne",
        open_files(&world)
    );
    a_session_works(&world);
    assert!(
        !crowd.iter_mut().any(is_cut),
        "people got in only after the crowd was cut"
    );
    let grown = resident_kib(&world).saturating_sub(memory);
    eprintln!("{grown} KiB more for {CROWD} strangers");
    assert!(grown < MEMORY_KIB_MAX, "{grown} KiB for {CROWD} strangers");

    let gone = within(PATIENCE, || crowd.iter_mut().all(is_cut).then_some(()));
    assert!(gone.is_some(), "strangers stay connected");
    let given_back = within(PATIENCE, || (open_files(&world) <= files + FILES_SLACK).then_some(()));
    assert!(given_back.is_some(), "{} files, {files} before", open_files(&world));
    a_session_works(&world);
}

/// R040: however many open and act at the same moment, each can prove that its opening awaited the witness.
#[test]
fn each_of_many_sessions_at_once_verifies() {
    let world = World::start();
    world.granted("10m");
    for _ in 0..3 {
        let sessions: Vec<Child> = (0..8)
            .map(|_| world.ssh("alice", "root+web1.acme", "true").spawn().unwrap())
            .collect();
        for mut session in sessions {
            assert!(session.wait().unwrap().success());
        }
    }
    let listed: Value = serde_json::from_str(&world.ok("sessions --json --key bob")).unwrap();
    let listed = listed.as_array().unwrap();
    assert_eq!(listed.len(), 24);
    for session in listed {
        let session = session["state"]["session"].as_str().unwrap();
        world.ok(&format!(
            "export {session} --out {session}.pack --identity acme/recording-1.key --key bob"
        ));
        let report = world.ok(&format!("verify {session}.pack --trust acme/trust.txt --json"));
        let report: Value = serde_json::from_str(&report).unwrap();
        assert_eq!(report["verdicts"][0]["overall"], "pass", "{report:#}");
    }
}

fn a_session_works(world: &World) {
    let output = world.ssh("alice", "root+web1.acme", "echo in").output().unwrap();
    assert_eq!(output.stdout, b"in\n", "{}\n{}", both(&output), world.server.said());
}

/// Goes as far as its number says, and then neither on nor away.
fn stranger(world: &World, number: usize) -> TcpStream {
    let mut socket = TcpStream::connect(&world.ssh).unwrap();
    let said: &[&[u8]] = match number % 5 {
        0 => &[],
        1 => &[b"SSH-2.0-Half"],
        2 => &[b"SSH-2.0-Whole\r\n"],
        3 => &[b"SSH-2.0-Proposes\r\n", &packet(&proposal())],
        _ => &[b"SSH-2.0-Exchanges\r\n", &packet(&proposal()), &packet(&exchange())],
    };
    for part in said {
        socket.write_all(part).unwrap();
    }
    socket.set_nonblocking(true).unwrap();
    socket
}

/// Reads what there is; whether the other side is gone.
fn is_cut(socket: &mut TcpStream) -> bool {
    loop {
        match socket.read(&mut [0; 4096]) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}

/// [RFC 4253, section 6](https://www.rfc-editor.org/rfc/rfc4253#section-6): length, padding's length, payload, padding.
fn packet(payload: &[u8]) -> Vec<u8> {
    let padding = 8 + (8 - (payload.len() + 5) % 8) % 8;
    let length = u32::try_from(payload.len() + padding + 1).unwrap();
    [
        &length.to_be_bytes(),
        &[u8::try_from(padding).unwrap()][..],
        payload,
        &vec![0; padding],
    ]
    .concat()
}

/// SSH_MSG_KEXINIT with one way for everything.
fn proposal() -> Vec<u8> {
    let lists = [
        "curve25519-sha256",
        "ssh-ed25519",
        "aes256-gcm@openssh.com",
        "aes256-gcm@openssh.com",
        "hmac-sha2-256",
        "hmac-sha2-256",
        "none",
        "none",
        "",
        "",
    ];
    let lists = lists.iter().flat_map(|list| string(list.as_bytes()));
    let begin = std::iter::once(20).chain([7; 16]);
    begin.chain(lists).chain([0; 5]).collect()
}

/// SSH_MSG_KEX_ECDH_INIT; its answer is never read, and new keys never follow.
fn exchange() -> Vec<u8> {
    std::iter::once(30).chain(string(&[9; 32])).collect()
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

fn open_files(world: &World) -> usize {
    fs::read_dir(format!("/proc/{}/fd", world.server.id())).unwrap().count()
}

fn resident_kib(world: &World) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", world.server.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The crowd's own ends are files of this process.
fn hold_many_files() {
    let this = std::process::id().to_string();
    let raised = Command::new("prlimit")
        .args(["--pid", &this, "--nofile=4096:"])
        .status();
    assert!(raised.unwrap().success());
}

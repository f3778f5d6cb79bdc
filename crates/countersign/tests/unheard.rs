//! A server whose output nobody reads any more: it goes on, and ends its sessions on record when it is told to stop. And
//! a server that hears nothing of its witness: what was cosigned before is still proven.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set up must stop"
)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use support::both;
use support::running::{PATIENCE, Running, within};
use support::world::World;

/// Nobody reads what it says on standard error, nor on standard output after its addresses.
const UNHEARD: [&str; 4] = [
    "bash",
    "-c",
    "exec > >(head -n 4) 2> >(:); sleep 0.1; exec \"$@\"",
    "bash",
];

#[test]
fn a_server_that_nobody_hears_still_ends_in_order() {
    let mut world = World::start_with(vec![("COUNTERSIGN_LOG", "debug".into())]);
    world.start_again_under(&mut world.server_under(&UNHEARD));
    world.granted("10m");
    let mut ssh = world.ssh("alice", "root+web1.acme", "echo on; sleep 60");
    let mut client = ssh.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut said = [0; 3];
    client.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
    let session = world.newest_session();

    let (status, said) = std::mem::replace(&mut world.server, Running::nothing()).terminate();
    assert!(status.success(), "{status}");
    assert!(!said.contains("DEBUG"), "somebody heard it:\n{said}");
    assert!(within(PATIENCE, || client.try_wait().unwrap()).is_some());
    world.start_again();
    let shown = world.ok(&format!("show {session} --key bob"));
    assert!(shown.contains("cause shutdown"), "{shown}");
}

#[test]
fn what_was_cosigned_is_proven_without_the_witness() {
    let mut world = World::start();
    world.granted("10m");
    let seen = world.ssh("alice", "root+web1.acme", "echo seen").output().unwrap();
    assert_eq!(seen.stdout, b"seen\n", "{}", both(&seen));
    let session = world.newest_session();
    let trust = "--trust acme/trust.txt";
    world.ok(&format!("explain {session} {trust} --key bob"));
    // Beyond the session's end, so that its own head is not the newest.
    let size = entries(&world.ok(&format!("checkpoint acme {trust} --out session.checkpoint")));
    world.granted("10m");
    let newest = within(PATIENCE, || {
        drop(std::fs::remove_file(world.path().join("newest.checkpoint")));
        let newest = entries(&world.ok(&format!("checkpoint acme {trust} --out newest.checkpoint")));
        (newest >= size + 3).then_some(newest)
    });
    let newest = newest.expect("a head over the grant");

    std::mem::replace(&mut world.witness, Running::nothing()).kill();
    world.restart();
    world.granted("10m");
    let after = world.ok(&format!(
        "checkpoint acme {trust} --seen newest.checkpoint --out after.checkpoint"
    ));
    let after = entries(&after);
    assert!(
        after >= newest,
        "the log shows {after} entries, and showed {newest} before"
    );
    world.ok(&format!("explain {session} {trust} --key bob"));
    world.ok(&format!("export {session} --out e.pack --key bob"));
    world.ok(&format!("verify e.pack {trust} --seen newest.checkpoint"));
    let nowhere = world.run("checkpoint nowhere --out never");
    assert!(
        both(&nowhere).contains("no checkpoint of such a log"),
        "{}",
        both(&nowhere)
    );
    assert!(tile(&world, after).starts_with("HTTP/1.1 200"));
    assert!(
        tile(&world, after + 1).starts_with("HTTP/1.1 404"),
        "a tile beyond what is cosigned"
    );
}

/// How many entries `checkpoint` says there are.
fn entries(said: &str) -> u64 {
    let count = said.split_whitespace().nth(1).unwrap();
    count.parse().expect(said)
}

/// What the log answers to a request for its first tile, cut to `width` hashes.
fn tile(world: &World, width: u64) -> String {
    let address = world.log.trim_start_matches("http://");
    let mut socket = TcpStream::connect(address).unwrap();
    write!(
        socket,
        "GET /acme/tile/0/000.p/{width} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = vec![];
    socket.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

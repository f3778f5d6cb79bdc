//! A server whose output nobody reads any more: it goes on, and ends its sessions on record when it is told to stop.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set up must stop"
)]

mod support;

use std::io::Read;
use std::process::Stdio;
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

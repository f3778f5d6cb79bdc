//! What the server keeps is its own account's alone, whatever the umask and the folder were; and the server is signed
//! in to under the names that it was told, and no other.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set up must stop"
)]

mod support;

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use support::both;
use support::running::{PATIENCE, Running, within};
use support::world::World;

/// Everything below a folder that another account could read, the folder included.
fn open_below(folder: &Path) -> Vec<PathBuf> {
    let mut open = vec![];
    let mut left = vec![folder.to_owned()];
    while let Some(path) = left.pop() {
        // A live server renames files into place.
        let Ok(found) = fs::symlink_metadata(&path) else {
            continue;
        };
        if found.permissions().mode() & 0o077 != 0 {
            open.push(path.clone());
        }
        if found.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    open
}

#[test]
fn nobody_else_reads_what_a_server_and_a_witness_keep() {
    let mut world = World::start();
    let data = world.path().join("server");
    assert!(data.join("store.db").exists());
    assert_eq!(open_below(&data), Vec::<PathBuf>::new());
    assert_eq!(open_below(&world.path().join("witness")), Vec::<PathBuf>::new());
    fs::set_permissions(&data, Permissions::from_mode(0o777)).unwrap();
    // As a copy that was made elsewhere: SQLite would make its other files as open as this one.
    fs::set_permissions(data.join("store.db"), Permissions::from_mode(0o644)).unwrap();
    fs::remove_file(data.join("witnesses.json")).unwrap();
    let mut command = world.server_under(&["sh", "-c", "umask 000; exec \"$@\"", "sh"]);
    world.start_again_under(&mut command);
    assert!(data.join("witnesses.json").exists());
    assert_eq!(open_below(&data), Vec::<PathBuf>::new());
}

#[test]
fn a_server_is_called_by_the_names_that_it_was_told() {
    let mut world = World::start();
    let port = world.api.rsplit_once(':').unwrap().1.to_owned();
    world.ok(&format!("ls --key alice --server http://localhost:{port}"));
    // The same machine under a name that nobody said.
    let other = format!("ls --key alice --server http://127.0.0.2:{port}");
    assert!(!world.run(&other).status.success());
    let mut command = world.server_command();
    command.args([
        "--api-origin",
        "http://127.0.0.3:1",
        "--api-origin",
        "https://gw.example",
    ]);
    world.start_again_under(&mut command);
    world.ok("ls --key alice");
    let refused = world.run("ls --key alice --server http://gw.example:7878");
    assert_eq!(refused.status.code(), Some(64));
    assert!(
        both(&refused).contains("ssh -L 7878:127.0.0.1:7878 gw.example"),
        "{}",
        both(&refused)
    );
}

/// What the server says of itself to anybody on its machine.
fn health(world: &World) -> String {
    let address = world.api.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET /v1/health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    said
}

#[test]
fn health_names_an_environment_that_is_not_published() {
    let mut world = World::start();
    let well = within(PATIENCE, || health(&world).contains("\"status\":\"ok\"").then_some(()));
    assert!(well.is_some(), "{}", health(&world));
    std::mem::replace(&mut world.witness, Running::nothing()).kill();
    world.granted("10m");
    let ill = within(PATIENCE, || {
        Some(health(&world)).filter(|said| said.contains("\"status\":\"degraded\""))
    });
    let ill = ill.expect("a server that says what is wrong");
    for part in ["\"environment\":\"acme\"", "witness `w.acme.example` cannot be reached"] {
        assert!(ill.contains(part), "{ill}");
    }
}

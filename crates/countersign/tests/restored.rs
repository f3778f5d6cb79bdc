//! A server over an old copy of its own folder: it says so, opens nothing, and enters nothing, so that the newest copy
//! can still take its place.
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
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;
use support::both;
use support::running::{PATIENCE, Running, within};
use support::world::World;

/// The whole folder but its lock, of a stopped server.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let place = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &place),
            false => drop(fs::copy(entry.path(), place).unwrap()),
        }
    }
}

fn stop(world: &mut World) {
    let (status, said) = std::mem::replace(&mut world.server, Running::nothing()).terminate();
    assert!(status.success(), "{said}");
}

fn health(world: &World) -> Value {
    serde_json::from_str(&get(&world.api, "/v1/health")).unwrap()
}

/// How many entries are cosigned, once it is all that there are: a head follows its entries within a moment.
fn published(world: &World) -> u64 {
    let size = || -> Option<u64> { get(&world.log, "/acme/checkpoint").lines().nth(1)?.parse().ok() };
    let settled = within(PATIENCE, || {
        let before = size();
        std::thread::sleep(Duration::from_secs(1));
        size().filter(|size| Some(*size) == before)
    });
    settled.expect("a head")
}

/// The body of an answer.
fn get(url: &str, path: &str) -> String {
    let address = url.trim_start_matches("http://");
    let mut socket = TcpStream::connect(address).unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    socket.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").expect(&answer).1.to_owned()
}

#[test]
fn an_old_copy_says_so_and_stays_as_it_is() {
    let mut world = World::start();
    world.granted("10m");
    let (server, old, newest) = (
        world.path().join("server"),
        world.path().join("old"),
        world.path().join("newest"),
    );
    let before = published(&world);
    let well = health(&world);
    assert_eq!(
        (&well["status"], &well["unrecorded"]),
        (&"ok".into(), &Value::Null),
        "{well:#}"
    );
    stop(&mut world);
    copy(&server, &old);
    // The start's own entry is all that the copy lacks.
    world.start_again();
    assert_eq!(published(&world), before + 1);
    stop(&mut world);
    fs::rename(&server, &newest).unwrap();
    copy(&old, &server);

    world.start_again();
    let told = within(PATIENCE, || {
        Some(health(&world)).filter(|health| health["status"] == "degraded")
    });
    let told = told.expect("health that says so");
    let because = told["unpublished"][0]["because"].as_str().unwrap();
    assert!(because.contains("the data is an old copy"), "{told:#}");
    let refused = world.ssh("alice", "root+web1.acme", "true").output().unwrap();
    assert_eq!(refused.status.code(), Some(254), "{}", both(&refused));
    assert!(
        world.server.said().contains("nothing is entered at this start"),
        "{}",
        world.server.said()
    );
    stop(&mut world);

    fs::remove_dir_all(&server).unwrap();
    fs::rename(&newest, &server).unwrap();
    world.start_again();
    let works = within(PATIENCE, || {
        let output = world.ssh("alice", "root+web1.acme", "true").output().unwrap();
        output.status.success().then_some(())
    });
    assert!(works.is_some(), "{}\n{}", health(&world), world.server.said());
}

//! The whole server killed again and again under live sessions, and while it starts: whatever the users saw is in the
//! recordings, each session that was cut is on record as lost, and the log goes on from the root that was cosigned.
//! `COUNTERSIGN_SOAK=1` does it ten times as long.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set up must stop"
)]

mod support;

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;
use support::running::{PATIENCE, Running, within};
use support::world::World;
use support::{both, ok};

/// Each round kills the server twice: under sessions, and while it starts again.
const ROUNDS: u64 = 10;
/// Sessions whose packs are verified at the end.
const PACKS: usize = 4;

/// R012 R076 R113: twenty kills, and nothing that had an effect is missing.
#[test]
fn nothing_that_was_seen_is_missing_after_20_kills() {
    let mut world = World::start();
    world.granted("2h");
    let rounds = ROUNDS
        * if std::env::var_os("COUNTERSIGN_SOAK").is_some() {
            10
        } else {
            1
        };
    let mut known = BTreeMap::new();
    let mut seen = 0;
    for round in 0..rounds {
        let clients = killed_under_sessions(&mut world, round);
        killed_while_starting(&world, round);
        world.start_again();
        the_log_goes_on(&world);
        seen += everything_seen_is_recorded(&world, clients, &mut known);
    }
    assert!(seen > 200 * rounds, "only {seen} bytes were seen: nothing was tried");
    let lost: Vec<&String> = known
        .iter()
        .filter(|(_, how)| *how == "lost")
        .map(|(id, _)| id)
        .collect();
    assert!(lost.len() >= PACKS, "{known:?}");
    // The last ones opened, so that packs of sessions around many restarts are among them.
    for session in lost.iter().rev().take(PACKS) {
        its_pack_says_what_is_unknown(&world, session);
    }
    no_session_without_an_opening(&world, &known);
    derived_as_before(world);
}

/// One stock client: what it is told to do marks every line that it prints.
struct Client {
    child: Child,
    marker: String,
    screen: PathBuf,
}

impl Client {
    fn start(world: &World, marker: String, command: &str, input: Stdio) -> Self {
        let screen = world.folder.join(&format!("{marker}.screen"));
        let child = world
            .ssh("alice", "root+web1.acme", command)
            .stdin(input)
            .stdout(File::create(&screen).unwrap())
            .stderr(File::create(screen.with_extension("told")).unwrap())
            .spawn()
            .unwrap();
        Self { child, marker, screen }
    }

    /// A shell without a terminal, which prints a line every few milliseconds.
    fn shell(world: &World, round: u64) -> Self {
        let (marker, script) = (format!("shell-{round}"), world.folder.join("script"));
        let lines = format!("i=0; while :; do i=$((i+1)); echo {marker}-$i || exit; sleep 0.01; done\n");
        fs::write(&script, lines).unwrap();
        Self::start(world, marker, "", File::open(script).unwrap().into())
    }

    /// `cat`, which gives back what is typed without a pause.
    fn cat(world: &World, round: u64) -> Self {
        let marker = format!("cat-{round}");
        let mut client = Self::start(world, marker.clone(), "cat", Stdio::piped());
        let mut input = client.child.stdin.take().unwrap();
        std::thread::spawn(move || {
            let line = |number: u32| format!("{marker}-{number:0>100}\n");
            for part in (0..).step_by(40) {
                let lines: String = (part..part + 40).map(line).collect();
                if input.write_all(lines.as_bytes()).is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        client
    }

    /// A command that is soon over.
    fn short(world: &World, round: u64) -> Self {
        let marker = format!("short-{round}");
        let command = format!("seq -f {marker}-%g 300");
        Self::start(world, marker, &command, Stdio::null())
    }

    fn seen(&self) -> String {
        fs::read_to_string(&self.screen).unwrap()
    }

    /// What it was told beside that: why there is no session.
    fn told(&self) -> String {
        fs::read_to_string(self.screen.with_extension("told")).unwrap()
    }
}

fn killed_under_sessions(world: &mut World, round: u64) -> Vec<Client> {
    let mut clients = vec![Client::shell(world, round), Client::cat(world, round)];
    let moment = Duration::from_millis(match round % 3 {
        // Bytes pass.
        0 => {
            let passes = within(PATIENCE, || {
                clients.iter().all(|client| client.seen().len() > 2000).then_some(())
            });
            let told: String = clients.iter().map(Client::told).collect();
            assert!(passes.is_some(), "nothing passes:\n{told}{}", world.server.said());
            round * 53 % 400
        }
        // Sessions open.
        1 => round * 61 % 700,
        // Some end while others go on.
        _ => {
            clients.push(Client::short(world, round));
            200 + round * 71 % 900
        }
    });
    std::thread::sleep(moment);
    std::mem::replace(&mut world.server, Running::nothing()).kill();
    for client in &mut clients {
        let ended = within(PATIENCE, || client.child.try_wait().unwrap());
        assert!(ended.is_some(), "`{}` outlives its gateway", client.marker);
    }
    clients
}

/// Right after its start, or while it settles what the last one left.
fn killed_while_starting(world: &World, round: u64) {
    let starting = Running::start(&mut world.server_command());
    std::thread::sleep(Duration::from_millis(round * 37 % 350));
    starting.kill();
}

/// What the server serves as its head is what the witness has on its own disk.
fn the_log_goes_on(world: &World) {
    let equal = within(PATIENCE, || {
        let served = get(&world.log, "/acme/checkpoint");
        // Origin, size and root.
        let head: String = served.lines().take(3).map(|line| format!("{line}\n")).collect();
        (head.lines().count() == 3 && witnessed(world).contains(&head)).then_some(())
    });
    assert!(
        equal.is_some(),
        "the witness has:\n{}\n{}",
        witnessed(world),
        world.server.said()
    );
}

fn witnessed(world: &World) -> String {
    let records = fs::read_dir(world.folder.join("witness/records")).unwrap();
    // One may be on its way into its place.
    records
        .filter_map(|record| fs::read_to_string(record.unwrap().path()).ok())
        .collect()
}

/// The body of an answer; nothing unless it is 200.
fn get(url: &str, path: &str) -> String {
    let address = url.strip_prefix("http://").unwrap();
    let mut socket = TcpStream::connect(address).unwrap();
    write!(socket, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.contains(" 200 ") => body.to_owned(),
        _ => String::new(),
    }
}

/// Gives how many bytes the users of this round saw.
fn everything_seen_is_recorded(world: &World, clients: Vec<Client>, known: &mut BTreeMap<String, String>) -> u64 {
    let new: Vec<(String, String)> = sessions(world)
        .into_iter()
        .filter(|(id, _)| !known.contains_key(id))
        .collect();
    let recorded: Vec<String> = new.iter().map(|(id, _)| played(world, id)).collect();
    let mut seen_bytes = 0;
    for client in clients {
        let seen = client.seen();
        seen_bytes += seen.len() as u64;
        let held = recorded
            .iter()
            .find(|text| text.starts_with(&format!("{}-", client.marker)));
        match held {
            Some(held) => assert!(held.starts_with(&seen), "`{}` saw what is not recorded", client.marker),
            None => assert!(
                seen.is_empty(),
                "`{}` saw what no session holds: {recorded:?}",
                client.marker
            ),
        }
    }
    for (id, how) in &new {
        assert_ne!(how, "open", "{id} is live after a restart");
    }
    known.extend(new);
    seen_bytes
}

/// Every session on record, and how it stands: `open`, `lost`, or the cause of its end.
fn sessions(world: &World) -> Vec<(String, String)> {
    let listed: Value = serde_json::from_str(&world.ok("sessions --json --key bob")).unwrap();
    let state = |line: &Value| {
        let status = &line["state"]["status"];
        let how = status.as_str().map_or_else(|| status.to_string(), str::to_owned);
        (line["state"]["session"].as_str().unwrap().to_owned(), how)
    };
    listed.as_array().unwrap().iter().map(state).collect()
}

/// What the recording shows; nothing where it holds nothing.
fn played(world: &World, session: &str) -> String {
    let cast = world.folder.join(&format!("{session}.cast"));
    let output = world.run(&format!(
        "play {session} --asciicast {session}.cast --identity acme/recording-1.key --key bob"
    ));
    if !output.status.success() {
        assert!(
            both(&output).contains("nothing to be shown is recorded"),
            "{session}: {}",
            both(&output)
        );
        return String::new();
    }
    let cast = fs::read_to_string(cast).unwrap();
    let events = cast
        .lines()
        .skip(1)
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let shown = events.filter(|event| event[1] == "o");
    shown.map(|event| event[2].as_str().unwrap().to_owned()).collect()
}

fn its_pack_says_what_is_unknown(world: &World, session: &str) {
    world.ok(&format!(
        "export {session} --out {session}.pack --identity acme/recording-1.key --key bob"
    ));
    let report = world.ok(&format!("verify {session}.pack --trust acme/trust.txt --json"));
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["report"]["status"], "trusted", "{report:#}");
    let verdict = &report["verdicts"][0];
    assert_eq!(verdict["overall"], "unknown", "{verdict:#}");
    for said in ["crash_no_second_counter", "interrupted"] {
        assert!(verdict.to_string().contains(said), "{said}: {verdict:#}");
    }
    let shown = world.ok(&format!("show {session} --json --key bob"));
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let entries = shown["entries"].as_array().unwrap();
    assert_eq!(entries.last().unwrap()["entry"]["type"], "session.lost", "{shown:#}");
}

/// The target knows each session by its certificate: none that is not on record ever logged in.
fn no_session_without_an_opening(world: &World, known: &BTreeMap<String, String>) {
    let said = world.target.running.said();
    let ids: Vec<&str> = said
        .split_whitespace()
        .filter(|word| word.starts_with("ses_"))
        .collect();
    assert!(ids.len() >= 10, "{said}");
    for id in ids {
        assert!(known.contains_key(id), "{id} logged in and was never opened");
    }
}

fn derived_as_before(world: World) {
    let (status, said) = world.server.terminate();
    assert!(status.success(), "{said}");
    let rebuilt = ok(world.folder.path(), "rebuild --data server");
    assert!(rebuilt.contains("projections are as they were"), "{rebuilt}");
    assert!(rebuilt.contains("have the root that was signed"), "{rebuilt}");
}

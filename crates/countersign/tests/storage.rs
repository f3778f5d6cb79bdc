//! The real server on storages that really fail: a full tmpfs, a sync that fails once under a live session, frames that
//! are gone after a crash. Not one byte passes that is not recorded, the user is told why, and the log says what is in
//! doubt. Needs root for the mount.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set up must stop"
)]

mod support;

use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::time::Duration;
use support::both;
use support::running::{PATIENCE, Running, signal, within};
use support::world::World;

/// A tmpfs of this size on a folder, until the test ends.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn on(folder: PathBuf, size: &str) -> Self {
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(&folder));
        Self(folder)
    }

    fn resize(&self, size: &str) {
        run(Command::new("mount")
            .args(["-o", &format!("remount,size={size}")])
            .arg(&self.0));
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily, for a server that still runs after a failure.
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", both(&output));
}

/// The entries of a session so far, without their envelope.
fn entries(world: &World, session: &str) -> Vec<(String, Value)> {
    let shown = world.ok(&format!("show {session} --json --key bob"));
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let entries = shown["entries"].as_array().unwrap().iter();
    let entries = entries.map(|one| {
        (
            one["entry"]["type"].as_str().unwrap().to_owned(),
            one["entry"]["body"].clone(),
        )
    });
    entries.collect()
}

/// Waits for an entry of this type in a session.
fn entered(world: &World, session: &str, kind: &str) -> Vec<(String, Value)> {
    let found = within(PATIENCE, || {
        let entries = entries(world, session);
        entries.iter().any(|(found, _)| found == kind).then_some(entries)
    });
    found.unwrap_or_else(|| panic!("no {kind} in {:?}\n{}", entries(world, session), world.server.said()))
}

fn played(world: &World, session: &str) -> String {
    world.ok(&format!("play {session} --identity acme/recording-1.key --key bob"))
}

/// Ends the server with SIGTERM; gives what it said.
fn stop(world: &mut World) -> String {
    let (status, said) = std::mem::replace(&mut world.server, Running::nothing()).terminate();
    assert!(status.success(), "{said}");
    said
}

/// R012 R076: a disk that is full stops the session before the first byte that cannot be recorded.
#[test]
fn a_full_disk_stops_the_session_first_and_tells_why() {
    let mut world = World::start();
    stop(&mut world);
    let tmpfs = Tmpfs::on(world.folder.join("server/journal"), "4m");
    let limits = "[journal]\nsegment_mib = 1\nlow_water_mib = 1\nstop_water_mib = 0\n";
    std::fs::write(world.folder.join("server/server.toml"), limits).unwrap();
    world.start_again();
    world.granted("10m");
    let received = world.folder.join("received");
    let cut = world
        .ssh("alice", "root+web1.acme", "seq 1 100000000")
        .stdout(File::create(&received).unwrap())
        .output()
        .unwrap();
    assert!(!cut.status.success());
    assert!(both(&cut).contains("the recording's disk is full"), "{}", both(&cut));
    let session = world.newest_session();
    let entries = entered(&world, &session, "session.ended");
    let [.., gap, ended] = entries.as_slice() else {
        panic!("{entries:?}")
    };
    assert_eq!((gap.0.as_str(), &gap.1["cause"]), ("session.gap", &"no_space".into()));
    assert_eq!(
        (ended.0.as_str(), &ended.1["cause"]),
        ("session.ended", &"recorder_stopped".into())
    );
    assert!(
        gap.1["first"].as_u64() <= ended.1["recorded"]["frames"].as_u64(),
        "{gap:?} {ended:?}"
    );

    let received = std::fs::read_to_string(received).unwrap();
    let played = played(&world, &session);
    let (_heading, recorded) = played.split_once("]\n").unwrap();
    assert!(!received.is_empty());
    assert!(
        recorded.starts_with(&received),
        "{} bytes received, {} recorded",
        received.len(),
        recorded.len()
    );

    // With room again it records again.
    tmpfs.resize("64m");
    let again = within(PATIENCE, || {
        let output = world.ssh("alice", "root+web1.acme", "echo again").output().unwrap();
        output.status.success().then_some(output.stdout)
    });
    assert_eq!(again.as_deref(), Some(&b"again\n"[..]), "{}", world.server.said());
    stop(&mut world);
}

/// A session that gives back each line that it gets.
struct Echo {
    client: std::process::Child,
    input: Option<ChildStdin>,
    output: BufReader<std::process::ChildStdout>,
}

impl Echo {
    fn start(world: &World) -> Self {
        let mut ssh = world.ssh("alice", "root+web1.acme", "cat");
        let mut client = ssh
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(client.stdout.take().unwrap());
        Self {
            input: client.stdin.take(),
            output,
            client,
        }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.input.as_ref().unwrap(), "{line}").unwrap();
        let mut back = String::new();
        self.output.read_line(&mut back).unwrap();
        assert_eq!(back.trim_end(), line);
    }

    fn end(mut self) -> std::process::Output {
        self.input = None;
        self.client.wait_with_output().unwrap()
    }
}

/// A server whose journal's syncs fail as `fault` says, from when the file is made that is given back.
fn start_with_fault(fault: &str) -> (World, PathBuf) {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (shim, armed) = (
        place.join(format!("fault-{}.so", std::process::id())),
        place.join(format!("armed-{}", std::process::id())),
    );
    run(Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&shim)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../journal/tests/shim/fault.c"))
        .arg("-ldl"));
    let world = World::start_with(vec![
        ("LD_PRELOAD", shim.display().to_string()),
        ("COUNTERSIGN_FAULT", fault.to_owned()),
        ("COUNTERSIGN_FAULT_PATH", ".segment".to_owned()),
        ("COUNTERSIGN_FAULT_ARM", armed.display().to_string()),
    ]);
    (world, armed)
}

/// R076: after a sync that failed the session goes on in a new segment, and the log says at once what is in doubt; a clean
/// stop then tells each user why, and is no error.
#[test]
fn a_failed_sync_is_a_gap_at_once_and_a_stop_is_told() {
    let (mut world, armed) = start_with_fault("fdatasync:1:5");
    world.granted("10m");
    let mut echo = Echo::start(&world);
    echo.say("synced");
    let session = world.newest_session();
    std::thread::sleep(Duration::from_millis(600));
    File::create(&armed).unwrap();
    echo.say("in doubt");
    let so_far = entered(&world, &session, "session.gap");
    std::fs::remove_file(&armed).unwrap();
    assert!(!so_far.iter().any(|(kind, _)| kind == "session.ended"), "it goes on");
    echo.say("after");
    let ended = echo.end();
    assert!(ended.status.success(), "{}", both(&ended));
    let entries = entered(&world, &session, "session.ended");
    let gaps: Vec<&Value> = entries
        .iter()
        .filter(|(kind, _)| kind == "session.gap")
        .map(|(_, gap)| gap)
        .collect();
    assert_eq!(gaps.len(), 1, "{entries:?}");
    assert_eq!(gaps[0]["cause"], "sync_failed");
    assert!(gaps[0]["first"].as_u64() < gaps[0]["next"].as_u64(), "{}", gaps[0]);

    world.ok(&format!(
        "export {session} --out e.pack --identity acme/recording-1.key --key bob"
    ));
    let report: Value = serde_json::from_str(&world.ok("verify e.pack --trust acme/trust.txt --json")).unwrap();
    let verdict = &report["verdicts"][0];
    let controls = verdict["controls"].as_array().unwrap();
    let recorded = controls.iter().find(|one| one["control"] == "CS-RE-1").unwrap();
    let because = recorded["because"].as_str().unwrap();
    assert!(because.contains("1 gap on record"), "{because}");
    assert_eq!(verdict["completeness"], "unknown", "{verdict:#}");
    let timeline = world.ok(&format!("timeline {session} --pack e.pack --trust acme/trust.txt"));
    assert!(timeline.contains("are in doubt"), "{timeline}");

    let mut echo = Echo::start(&world);
    echo.say("live");
    let said = stop(&mut world);
    let cut = echo.end();
    assert!(!cut.status.success());
    assert!(both(&cut).contains("the gateway is shutting down"), "{}", both(&cut));
    assert!(said.contains("the journal is closed"), "{said}");
    let errors: Vec<&str> = said.lines().filter(|line| line.contains("ERROR")).collect();
    assert!(
        errors.iter().all(|line| line.contains("syncing the journal failed")),
        "{errors:?}"
    );
}

/// R076 R113: frames that a crash took from the disk are on record before the session is lost.
#[test]
fn frames_that_a_crash_took_are_a_gap_before_the_loss() {
    let mut world = World::start();
    world.granted("10m");
    let mut echo = Echo::start(&world);
    for line in ["one", "two", "three"] {
        echo.say(line);
    }
    let session = world.newest_session();
    signal(world.server.id(), "KILL");
    assert!(!echo.end().status.success());
    let hole = punch(&world.folder.join("server/journal"));
    world.start_again();
    let entries = entered(&world, &session, "session.lost");
    let [.., gap, lost] = entries.as_slice() else {
        panic!("{entries:?}")
    };
    assert_eq!((gap.0.as_str(), lost.0.as_str()), ("session.gap", "session.lost"));
    assert_eq!(
        (gap.1["first"].as_u64(), gap.1["next"].as_u64()),
        (Some(hole), Some(hole + 1)),
        "{gap:?}"
    );
    assert_eq!(gap.1["cause"], "sync_failed");
}

/// Zeros a frame in the middle of the only session's, as if it had never reached the disk; gives its index.
fn punch(journal: &Path) -> u64 {
    let segments = std::fs::read_dir(journal).unwrap().map(|found| found.unwrap().path());
    let mut segments: Vec<PathBuf> = segments
        .filter(|path| path.extension().is_some_and(|x| x == "segment"))
        .collect();
    segments.sort();
    let path = segments.last().unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    let mut frames = vec![];
    let mut at = 0;
    while at < bytes.len() {
        match recording::Header::decode(&bytes[at..]) {
            Ok(header) => {
                frames.push((at, header.frame_len(), header.index));
                at += header.frame_len();
            }
            Err(_) => at += 1,
        }
    }
    let (start, length, index) = frames[frames.len() / 2];
    bytes[start..start + length].fill(0);
    std::fs::write(path, bytes).unwrap();
    index
}

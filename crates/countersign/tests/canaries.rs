//! Secrets that pass through the real programs, searched for afterwards in every file of server, owner, operator and
//! witness, in all that server and witness say at their most talkative, and on their command lines: as they are, in
//! hexadecimal and in base64. None may be found outside the one file where it belongs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set up must stop"
)]

mod support;

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use support::both;
use support::world::World;

/// Ours and everything that we use.
const TALKATIVE: &str = "trace";
/// Folders of the parties, inside the world's.
const PARTIES: [&str; 4] = ["server", "witness", "acme", "northwind"];
/// What a window of the search holds.
const WINDOW: usize = 8;

const TYPED_UNSEEN: &str = "kestrel-Unseen-4417-password";
const TYPED_SEEN: &str = "kestrel-Seen-9023-line";
const COMMAND: &str = "kestrel-Command-5580-argument";
const REASON: &str = "kestrel-Reason-3316-because";
const TICKET: &str = "kestrel-Ticket-7741";
const PATH: &str = "kestrel-Path-1298-name";
const CONTENT: &str = "kestrel-Content-6604-of-a-file";

#[test]
fn no_secret_is_found_where_it_does_not_belong() {
    let world = World::start_with(vec![("COUNTERSIGN_LOG", TALKATIVE.into())]);
    let watched = CommandLines::watch(&world);
    everything_secret_happens(&world);
    let canaries = canaries(&world);
    let search = Search::of(&canaries);

    it_finds_what_is_there(&world, &canaries, &search);
    // While it runs, so that what is not yet in the database proper is read where it is.
    let mut found = found_in_folders(&world, &canaries, &search);
    found.extend(watched.found(&search));
    let names: Vec<String> = canaries.iter().map(|canary| canary.name.clone()).collect();
    let folder = world.path().to_owned();
    let World {
        server,
        witness,
        folder: kept,
        ..
    } = world;
    for (who, running) in [("server", server), ("witness", witness)] {
        let (status, said) = running.terminate();
        assert!(status.success(), "{said}");
        found.extend(
            search
                .hits(said.as_bytes())
                .into_iter()
                .map(|hit| (hit, PathBuf::from(format!("what the {who} says")))),
        );
        if who == "server" {
            assert!(
                said.contains("TRACE") && said.contains("DEBUG"),
                "it says little:\n{said}"
            );
        }
    }
    found.extend(found_below(&folder, &canaries, &search));
    drop(kept);
    let lines: Vec<String> = found
        .iter()
        .map(|(hit, place)| format!("{} ({}) in {}", names[hit.canary], hit.form, place.display()))
        .collect();
    assert!(lines.is_empty(), "\n{}", lines.join("\n"));
}

/// Something that must not be found, but for its own file.
struct Canary {
    name: String,
    bytes: Vec<u8>,
    own: Option<PathBuf>,
}

fn canaries(world: &World) -> Vec<Canary> {
    let said = [
        ("typed, echo off", TYPED_UNSEEN),
        ("typed, echo on", TYPED_SEEN),
        ("command", COMMAND),
        ("reason", REASON),
        ("ticket", TICKET),
        ("path", PATH),
        ("content of a file", CONTENT),
    ];
    let mut canaries: Vec<Canary> = said
        .iter()
        .map(|(name, text)| Canary {
            name: (*name).to_owned(),
            bytes: text.as_bytes().to_vec(),
            own: None,
        })
        .collect();
    for key in [
        "northwind/root-1",
        "acme/root-1",
        "acme/root-2",
        "server/host_key",
        "alice",
        "olga",
        "bob",
    ] {
        let path = world.folder.join(key);
        let parsed = ssh_key::PrivateKey::read_openssh_file(&path).unwrap();
        let pair = parsed.key_data().ed25519().expect("an Ed25519 key");
        canaries.push(Canary {
            name: format!("private half of {key}"),
            bytes: pair.private.to_bytes().to_vec(),
            own: Some(path),
        });
    }
    for key in ["acme/recording-1.key", "acme/recording-2.key", "witness/key"] {
        let path = world.folder.join(key);
        let text = fs::read_to_string(&path).unwrap();
        let secret = text
            .lines()
            .rfind(|line| !line.is_empty() && !line.starts_with('#'))
            .unwrap();
        canaries.push(Canary {
            name: key.to_owned(),
            bytes: secret.as_bytes().to_vec(),
            own: Some(path),
        });
    }
    let path = world.folder.join("server/master.key");
    let text = fs::read(&path).unwrap();
    let bytes = match text.as_slice() {
        raw if raw.len() == 32 => raw.to_vec(),
        written => hex::decode(written.trim_ascii()).expect("32 bytes, or their hexadecimal digits"),
    };
    canaries.push(Canary {
        name: "master key".to_owned(),
        bytes,
        own: Some(path),
    });
    canaries
}

fn everything_secret_happens(world: &World) {
    let mut asked = world.command("request root@web1.acme --for 10m --yes --key alice");
    let request = asked.args(["--reason", REASON, "--ticket", TICKET]).output().unwrap();
    assert!(request.status.success(), "{}", both(&request));
    let request = String::from_utf8(request.stdout).unwrap();
    world.ok(&format!("approve {} --yes --key olga", request.trim()));
    typed(world);
    let done = world
        .ssh("alice", "root+web1.acme", &format!("echo {COMMAND} | wc -c"))
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", both(&done));
    copied(world);
    let session = world.newest_session();
    world.ok(&format!(
        "export {session} --out e.pack --identity acme/recording-1.key --key bob"
    ));
    world.ok(&format!("show {session} --key bob"));
}

/// A password at a prompt, and a line that the terminal shows.
fn typed(world: &World) {
    let prompts = "stty -echo; echo password:; read -r p; stty echo; echo line:; read -r q; echo lengths ${#p} ${#q}";
    let (host, _) = world.ssh.rsplit_once(':').unwrap();
    let mut client = world
        .client("ssh", "alice")
        .args(["-tt", &format!("root+web1.acme@{host}"), prompts])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut screen = String::new();
    shown(&mut client, &mut screen, "password:");
    write(&mut client, TYPED_UNSEEN);
    shown(&mut client, &mut screen, "line:");
    write(&mut client, TYPED_SEEN);
    shown(
        &mut client,
        &mut screen,
        &format!("lengths {} {}", TYPED_UNSEEN.len(), TYPED_SEEN.len()),
    );
    assert!(client.wait().unwrap().success());
    assert!(
        screen.contains(TYPED_SEEN) && !screen.contains(TYPED_UNSEEN),
        "{screen}"
    );
}

fn shown(client: &mut Child, screen: &mut String, wanted: &str) {
    let output = client.stdout.as_mut().unwrap();
    while !screen.contains(wanted) {
        let mut byte = [0];
        output
            .read_exact(&mut byte)
            .unwrap_or_else(|_| panic!("no `{wanted}` in `{screen}`"));
        screen.push(char::from(byte[0]));
    }
}

fn write(client: &mut Child, line: &str) {
    let input = client.stdin.as_mut().unwrap();
    input.write_all(format!("{line}\n").as_bytes()).unwrap();
    input.flush().unwrap();
}

/// A file there by `scp`, by its old protocol, and by `sftp`.
fn copied(world: &World) {
    let (host, _) = world.ssh.rsplit_once(':').unwrap();
    fs::create_dir(world.folder.join("there")).unwrap();
    fs::write(world.folder.join("file"), CONTENT).unwrap();
    let there = |name: &str| world.folder.join(&format!("there/{PATH}-{name}"));
    for (name, options) in [("scp", &[][..]), ("old", &["-O"][..])] {
        let mut scp = world.client("scp", "alice");
        scp.args(options).arg(world.folder.join("file"));
        scp.arg(format!("root+web1.acme@{host}:{}", there(name).display()));
        succeeds(&mut scp);
        assert!(there(name).exists());
    }
    let batch = world.folder.join("batch");
    fs::write(
        &batch,
        format!(
            "put {} {}\n",
            world.folder.join("file").display(),
            there("sftp").display()
        ),
    )
    .unwrap();
    let mut sftp = world.client("sftp", "alice");
    sftp.arg("-b").arg(batch).arg(format!("root+web1.acme@{host}"));
    succeeds(&mut sftp);
    assert!(there("sftp").exists());
}

fn succeeds(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", both(&output));
}

/// What is looked for, by its first bytes.
struct Search {
    patterns: Vec<(Hit, Vec<u8>)>,
    by_start: HashMap<[u8; WINDOW], Vec<usize>>,
    /// Which pairs of bytes begin a pattern: most places are left after one look.
    begins: Vec<bool>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
struct Hit {
    canary: usize,
    form: &'static str,
}

impl Search {
    fn of(canaries: &[Canary]) -> Self {
        let mut patterns: Vec<(Hit, Vec<u8>)> = vec![];
        for (canary, known) in canaries.iter().enumerate() {
            let with = |(form, bytes)| (Hit { canary, form }, bytes);
            patterns.extend(forms(&known.bytes).into_iter().map(with));
        }
        let mut by_start: HashMap<[u8; WINDOW], Vec<usize>> = HashMap::new();
        let mut begins = vec![false; 1 << 16];
        for (place, (_, pattern)) in patterns.iter().enumerate() {
            let start: [u8; WINDOW] = pattern[..WINDOW].try_into().unwrap();
            by_start.entry(start).or_default().push(place);
            begins[usize::from(u16::from_be_bytes([start[0], start[1]]))] = true;
        }
        Self {
            patterns,
            by_start,
            begins,
        }
    }

    fn hits(&self, bytes: &[u8]) -> Vec<Hit> {
        let mut hits = vec![];
        for (at, window) in bytes.windows(WINDOW).enumerate() {
            if !self.begins[usize::from(u16::from_be_bytes([window[0], window[1]]))] {
                continue;
            }
            let places = self.by_start.get(window).into_iter().flatten();
            for (hit, pattern) in places.map(|place| &self.patterns[*place]) {
                if bytes[at..].starts_with(pattern) && !hits.contains(hit) {
                    hits.push(*hit);
                }
            }
        }
        hits
    }
}

fn forms(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut forms = vec![
        ("plain", bytes.to_vec()),
        ("hex", hex::encode(bytes).into_bytes()),
        ("hex in capitals", hex::encode_upper(bytes).into_bytes()),
    ];
    // Where it stands in a longer text decides which digits it gives.
    for (name, before) in [("base64", 0), ("base64, one off", 1), ("base64, two off", 2)] {
        let text = base64_inside(bytes, before);
        let for_urls = text.iter().map(|digit| match digit {
            b'+' => b'-',
            b'/' => b'_',
            other => *other,
        });
        forms.push(("base64url", for_urls.collect()));
        forms.push((name, text));
    }
    forms
}

/// The digits that are the same whatever stands around, `before` bytes into a group of three.
fn base64_inside(bytes: &[u8], before: usize) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let padded = [vec![0; before], bytes.to_vec()].concat();
    let bits = padded.len() * 8;
    let digit = |at: usize| {
        let bit = |at: usize| usize::from(padded[at / 8] >> (7 - at % 8) & 1);
        DIGITS[(at..at + 6).fold(0, |value, at| value << 1 | bit(at))]
    };
    (0..bits / 6)
        .map(|place| place * 6)
        .filter(|at| *at >= before * 8)
        .map(digit)
        .collect()
}

/// Each form of each canary is found between other bytes, and what is no secret is found in the server's own files.
fn it_finds_what_is_there(world: &World, canaries: &[Canary], search: &Search) {
    for (canary, known) in canaries.iter().enumerate() {
        for (form, bytes) in forms(&known.bytes) {
            let around = [b"before".as_slice(), &bytes, b"after"].concat();
            let hits = search.hits(&around);
            assert!(
                hits.contains(&Hit { canary, form }),
                "{} ({form}) is not found",
                known.name
            );
        }
    }
    let planted = world.folder.join("server/planted");
    fs::write(&planted, [vec![0; 5000], TYPED_UNSEEN.into(), vec![255; 77]].concat()).unwrap();
    let found = found_in_folders(world, canaries, search);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].1, planted);
    fs::remove_file(planted).unwrap();
    let known = [Canary {
        name: "what is no secret".into(),
        bytes: b"session.opened".to_vec(),
        own: None,
    }];
    let found = found_in_folders(world, &known, &Search::of(&known));
    assert!(
        found
            .iter()
            .any(|(_, path)| path.starts_with(world.folder.join("server"))),
        "{found:?}"
    );
    // A private key's own file is the one exception; it is really read.
    let seen: Vec<_> = canaries
        .iter()
        .filter(|canary| canary.name == "master key" || canary.name.ends_with(".key"))
        .collect();
    for canary in seen {
        let bytes = fs::read(canary.own.as_ref().unwrap()).unwrap();
        assert!(
            !search.hits(&bytes).is_empty(),
            "{} is not in its own file",
            canary.name
        );
    }
}

fn found_in_folders(world: &World, canaries: &[Canary], search: &Search) -> Vec<(Hit, PathBuf)> {
    found_below(world.path(), canaries, search)
}

fn found_below(folder: &Path, canaries: &[Canary], search: &Search) -> Vec<(Hit, PathBuf)> {
    let mut found = vec![];
    let mut folders: Vec<PathBuf> = PARTIES.iter().map(|party| folder.join(party)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            // Files of a running server come and go.
            let Ok(bytes) = fs::read(&path) else { continue };
            let name = path.as_os_str().as_encoded_bytes();
            let hits = search.hits(&bytes).into_iter().chain(search.hits(name));
            let strange = hits.filter(|hit| canaries[hit.canary].own.as_ref() != Some(&path));
            found.extend(strange.map(|hit| (hit, path.clone())));
        }
    }
    found
}

/// Looks at the command lines of server and witness, and of whatever they start, again and again.
struct CommandLines {
    stop: Arc<AtomicBool>,
    seen: JoinHandle<Vec<u8>>,
}

impl CommandLines {
    fn watch(world: &World) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (told, roots) = (Arc::clone(&stop), [world.server.id(), world.witness.id()]);
        let seen = std::thread::spawn(move || {
            let mut seen = vec![];
            while !told.load(Ordering::SeqCst) {
                let mut processes = roots.to_vec();
                while let Some(process) = processes.pop() {
                    let line = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
                    if !contains(&seen, &line) {
                        seen.extend(line);
                    }
                    processes.extend(children(process));
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            seen
        });
        Self { stop, seen }
    }

    fn found(self, search: &Search) -> Vec<(Hit, PathBuf)> {
        self.stop.store(true, Ordering::SeqCst);
        let seen = self.seen.join().unwrap();
        assert!(
            contains(&seen, b"serve") && contains(&seen, b"witness"),
            "no command line was read"
        );
        search
            .hits(&seen)
            .into_iter()
            .map(|hit| (hit, PathBuf::from("a command line")))
            .collect()
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    part.is_empty() || bytes.windows(part.len()).any(|window| window == part)
}

fn children(process: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{process}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|id| id.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}

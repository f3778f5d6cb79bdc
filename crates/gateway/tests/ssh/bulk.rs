//! Much data, slow readers, stalled ones, and keys exchanged anew meanwhile.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use russh::Limits;

use super::world::{JUMPED, TARGET, World, text, until};

/// The most memory that this process, gateway and journal included, may ever have used.
const MEMORY_KIB_MAX: u64 = 64 * 1024;

fn memory_kib_peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Both directions at once through one channel: a relay without flow control stops for good here.
#[test]
fn half_a_gigabyte_passes_both_ways_in_little_memory() {
    let world = World::new();
    let ssh = format!("ssh -F {} {TARGET} cat", world.path("config").display());
    let output = Command::new("bash")
        .args([
            "-c",
            &format!("set -o pipefail; head -c 512M /dev/zero | {ssh} | wc -c"),
        ])
        .output()
        .unwrap();
    assert_eq!(text(&output.stdout).trim(), "536870912", "{}", text(&output.stderr));
    let memory = memory_kib_peak();
    assert!(memory < MEMORY_KIB_MAX, "{memory} KiB");
    until("the end", || world.state.told().session_ends.len() == 1);
    let end = &world.state.told().session_ends[0];
    assert_eq!(
        (end.bytes_in, end.bytes_out, end.bytes_journaled),
        (1 << 29, 1 << 29, 1 << 30)
    );
}

/// The reader of one channel stops; its source really stops too, and the channel beside it answers at once.
#[test]
fn a_reader_that_stops_leaves_other_channels_answering() {
    let world = World::new();
    for (to, socket) in [(TARGET, "cm1"), (JUMPED, "cm2")] {
        let control = format!("ControlPath={}", world.path(socket).display());
        let mut main = world
            .ssh(&["-o", "ControlMaster=yes", "-o", &control, "-N", to])
            .spawn()
            .unwrap();
        until("the shared connection", || world.path(socket).exists());
        let mut stalled = world
            .ssh(&["-o", &control, to, "cat /dev/zero"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        stalled.stdout.as_mut().unwrap().read_exact(&mut [0; 1024]).unwrap();
        std::thread::sleep(Duration::from_millis(500));
        let begun = Instant::now();
        let output = world.run(&["-o", &control, to, "echo here"]);
        assert_eq!(text(&output.stdout), "here\n");
        assert!(begun.elapsed() < Duration::from_secs(1), "{to}: {:?}", begun.elapsed());
        stalled.kill().unwrap();
        stalled.wait().unwrap();
        main.kill().unwrap();
        main.wait().unwrap();
    }
    until("both sessions end", || world.state.told().session_ends.len() == 2);
    for end in &world.state.told().session_ends {
        assert!(
            end.bytes_out < 64 << 20,
            "the source was not stopped: {} bytes",
            end.bytes_out
        );
    }
}

/// The same for a forwarded connection whose far end stops reading.
#[test]
fn a_stalled_forward_leaves_other_channels_answering() {
    let world = World::new();
    let sink = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let sink_port = sink.local_addr().unwrap().port();
    let entry = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let control = format!("ControlPath={}", world.path("cm").display());
    let forward = format!("127.0.0.1:{entry}:127.0.0.1:{sink_port}");
    let mut main = world
        .ssh(&["-o", "ControlMaster=yes", "-o", &control, "-N", "-L", &forward, TARGET])
        .spawn()
        .unwrap();
    until("the forward", || {
        std::net::TcpStream::connect(("127.0.0.1", entry)).is_ok()
    });
    let mut socket = std::net::TcpStream::connect(("127.0.0.1", entry)).unwrap();
    let _first = sink.accept().unwrap();
    let _held = sink.accept().unwrap();
    socket.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut sent = 0_usize;
    while let Ok(n) = socket.write(&[7; 65536]) {
        sent += n;
        assert!(sent < 256 << 20, "the sender was never stopped");
    }
    let begun = Instant::now();
    assert_eq!(
        text(&world.run(&["-o", &control, TARGET, "echo here"]).stdout),
        "here\n"
    );
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    main.kill().unwrap();
    main.wait().unwrap();
}

/// Keys are exchanged anew on both sides, over and over, while readers pause and windows are withheld.
#[test]
fn rekeying_under_load_loses_nothing() {
    let every_mib = Limits::new(1 << 20, 1 << 20, Duration::from_secs(3600));
    let world = World::with(|settings| settings.rekey = every_mib);
    for to in [TARGET, JUMPED] {
        let ssh = format!("ssh -o RekeyLimit=1M -F {} {to}", world.path("config").display());
        let pause = "perl -e 'while(read(STDIN,$b,1<<20)){select(undef,undef,undef,0.05);print $b}'";
        let sent = world.path("sent").display().to_string();
        let script = format!("head -c 24M /dev/urandom > {sent}; {ssh} cat < {sent} | {pause} | cmp - {sent}");
        let output = Command::new("bash")
            .args(["-c", &format!("set -o pipefail; {script}")])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{to}: {}{}",
            text(&output.stdout),
            text(&output.stderr)
        );
    }
}

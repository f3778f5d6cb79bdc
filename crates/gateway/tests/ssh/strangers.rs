//! Strangers: whatever they send or do not send, they are gone in time, cost little, and are counted.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tokio::net::TcpSocket;

use super::world::{TARGET, World, text, until};

fn counted(world: &World) -> u64 {
    world.gateway.refusals.take().into_iter().map(|(_, count)| count).sum()
}

/// Reads until the other side is gone.
fn drained(mut socket: TcpStream) -> Duration {
    let begun = Instant::now();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut seen = Vec::new();
    drop(socket.read_to_end(&mut seen));
    begun.elapsed()
}

#[test]
fn who_does_not_log_in_in_time_is_gone() {
    let world = World::with(|settings| settings.log_in_max = Duration::from_millis(800));
    let connect = || TcpStream::connect(("127.0.0.1", world.port)).unwrap();
    let silent = connect();
    let mut greeted = connect();
    greeted.write_all(b"SSH-2.0-Slow\r\n").unwrap();
    let mut slow = connect();
    let loris = std::thread::spawn(move || {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(5) && slow.write_all(b"S").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
        begun.elapsed()
    });
    assert!(drained(silent) < Duration::from_secs(2));
    assert!(drained(greeted) < Duration::from_secs(2));
    assert!(loris.join().unwrap() < Duration::from_secs(3));
    let mut total = 0;
    until("three are counted", || {
        total += counted(&world);
        total == 3
    });
}

#[test]
fn a_thousand_half_open_connections_leave_room_for_people() {
    let world = World::with(|settings| {
        settings.log_in_max = Duration::from_secs(60);
        settings.strangers_max = 64;
    });
    let script = format!(
        "import socket,sys\nall=[socket.create_connection(('127.0.0.1',{})) for _ in range(1000)]\nprint('all',flush=True)\nsys.stdin.read()",
        world.port
    );
    let mut crowd = Command::new("python3")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    crowd.stdout.as_mut().unwrap().read_exact(&mut [0; 3]).unwrap();
    let output = world.run(&[TARGET, "echo in"]);
    assert_eq!(text(&output.stdout), "in\n", "{}", text(&output.stderr));
    drop(crowd.stdin.take());
    crowd.wait().unwrap();
    let mut total = 0;
    until("a thousand are counted", || {
        total += counted(&world);
        total >= 1000
    });
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kib < 64 * 1024, "{kib} KiB");
}

/// Each of them is a whole host, with an address of its own.
#[test]
fn a_crowd_takes_its_places_from_itself() {
    let world = World::with(|settings| {
        settings.log_in_max = Duration::from_secs(60);
        settings.strangers_max = 16;
    });
    let mut quiet = from(&world, [127, 0, 0, 2]);
    let mut crowd: Vec<TcpStream> = (0..100).map(|_| from(&world, [127, 0, 0, 3])).collect();
    let few = from(&world, [127, 0, 0, 4]);
    until("the crowd keeps its part", || {
        crowd.retain_mut(|socket| !is_cut(socket));
        crowd.len() <= 8
    });
    let output = world.run(&[TARGET, "echo in"]);
    assert_eq!(text(&output.stdout), "in\n", "{}", text(&output.stderr));
    crowd.retain_mut(|socket| !is_cut(socket));
    assert_eq!(crowd.len(), 8);
    assert!(!is_cut(&mut quiet));
    assert_eq!(world.gateway.refusals.take(), [("too_many", 92)]);
    drop(few);
}

fn from(world: &World, address: [u8; 4]) -> TcpStream {
    let connected = world.runtime.block_on(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((address, 0).into()).unwrap();
        socket.connect(([127, 0, 0, 1], world.port).into()).await.unwrap()
    });
    connected.into_std().unwrap()
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

/// Random bytes, before and after the greeting, and packets that promise more than they hold.
#[test]
fn what_is_not_ssh_is_cut() {
    let world = World::with(|settings| settings.log_in_max = Duration::from_secs(2));
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..60 {
        let mut socket = TcpStream::connect(("127.0.0.1", world.port)).unwrap();
        if round % 3 > 0 {
            socket.write_all(b"SSH-2.0-Noise\r\n").unwrap();
        }
        if round % 3 == 2 {
            socket.write_all(&u32::MAX.to_be_bytes()).unwrap();
        }
        let noise: Vec<u8> = (0..2000)
            .map(|_| {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                u8::try_from(seed % 256).unwrap()
            })
            .collect();
        drop(socket.write_all(&noise));
        drop(socket.shutdown(std::net::Shutdown::Write));
        assert!(drained(socket) < Duration::from_secs(4), "round {round}");
    }
    assert_eq!(text(&world.run(&[TARGET, "echo alive"]).stdout), "alive\n");
    let mut total = 0;
    until("all are counted", || {
        total += counted(&world);
        total == 60
    });
}

/// Nothing follows from a key that is only offered.
#[test]
fn an_offered_key_opens_nothing() {
    let world = World::new();
    let public = std::fs::read_to_string(world.path("alice.pub")).unwrap();
    std::fs::write(world.path("alice"), public).unwrap(); // the private half is gone
    let output = world.run(&[TARGET, "id"]);
    assert_eq!(output.status.code(), Some(255));
    let told = world.state.told();
    assert!(told.opened.is_empty() && told.words.is_empty() && told.refused.is_empty());
}

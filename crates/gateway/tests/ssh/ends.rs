//! Ends: a program's exit status is never lost, and a session ends in time, for the right reason, and says so.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gateway::ssh::session::Order;
use model::body::EndCause;
use recording::{Content, Dek, Exit, ExportedExtent, Opener, play_extent};

use super::world::{JUMPED, TARGET, World, text, until};

/// More of them where time is not short.
fn rounds(few: i32) -> i32 {
    if std::env::var_os("COUNTERSIGN_SOAK").is_some() {
        few * 12
    } else {
        few
    }
}

/// sshd sends the status before all data is out; a slow reader must get both, all of it, each time.
#[test]
fn no_exit_status_and_no_last_byte_is_lost() {
    let world = World::new();
    for round in 0..rounds(4) {
        let to = if round % 2 == 0 { TARGET } else { JUMPED };
        let ssh = format!("ssh -F {} {to}", world.path("config").display());
        let script =
            format!("{ssh} 'head -c 900000 /dev/zero; exit {round}' | (sleep 0.1; wc -c); echo ${{PIPESTATUS[0]}}");
        let output = Command::new("bash").args(["-c", &script]).output().unwrap();
        assert_eq!(text(&output.stdout), format!("900000\n{round}\n"));
    }
    for round in 0..rounds(8) {
        assert_eq!(
            world.run(&[TARGET, &format!("exit {round}")]).status.code(),
            Some(round)
        );
    }
}

/// The status goes on record also when the client left before it.
#[test]
fn a_client_that_leaves_first_does_not_lose_the_end() {
    let world = World::new();
    let mut ssh = world.ssh(&[TARGET, "trap '' HUP; echo go; cat; sleep 0.3"]);
    let mut child = ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    until("the session ends", || !world.state.told().session_ends.is_empty());
    let told = world.state.told();
    assert_eq!(told.session_ends[0].cause, EndCause::ClientClosed);
    assert_eq!(told.action_ends.len(), 1);
    assert_eq!(told.session_ends[0].channels_closed, 1);
}

/// Runs something long, waits until it has begun, does something to it, and gives how it ended.
fn ended(world: &World, to: &str, terminal: bool, act: impl FnOnce()) -> (Duration, Option<i32>, String) {
    let tty = if terminal { "-tt" } else { "-T" };
    let mut ssh = world.ssh(&[tty, to, "echo begun; sleep 60"]);
    let mut child = ssh
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert_eq!(line.trim(), "begun");
    let begun = Instant::now();
    act();
    let status = child.wait().unwrap();
    let took = begun.elapsed();
    let mut said = String::new();
    out.read_to_string(&mut said).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (took, status.code(), said)
}

/// R022: a live session ends at its window's end, and what is left of it is measured.
#[test]
fn a_live_session_ends_with_its_window_r022() {
    let world = World::new();
    for (to, terminal) in [(TARGET, true), (JUMPED, false)] {
        world.state.rules().window = Duration::from_millis(1500);
        let (took, status, said) = ended(&world, to, terminal, || {});
        assert!(took < Duration::from_millis(2500), "{took:?}");
        assert_eq!(status, Some(254), "{said}");
        assert!(
            said.contains("the grant's window has ended") && said.contains("sleep 60"),
            "{said}"
        );
    }
    until("both ends", || world.state.told().session_ends.len() == 2);
    for end in &world.state.told().session_ends {
        assert_eq!(end.cause, EndCause::Expired);
        assert!(
            end.late.is_some_and(|late| late < Duration::from_secs(1)),
            "{:?}",
            end.late
        );
    }
}

#[test]
fn a_revoked_or_killed_session_ends_within_a_second() {
    let world = World::new();
    for (order, cause, words) in [
        (Order::Revoked(Instant::now()), EndCause::Revoked, "revoked"),
        (Order::Killed(Instant::now()), EndCause::Killed, "by order"),
        (
            Order::Stop("the log is full".into()),
            EndCause::LedgerStopped,
            "the log is full",
        ),
    ] {
        let before = world.state.told().session_ends.len();
        let (took, status, said) = ended(&world, TARGET, true, || {
            world.runtime.block_on(world.state.order(order))
        });
        assert!(took < Duration::from_secs(1), "{took:?}");
        assert_eq!(status, Some(254));
        assert!(said.contains(words), "{said}");
        until("the end", || world.state.told().session_ends.len() > before);
        assert_eq!(world.state.told().session_ends[before].cause, cause);
    }
}

/// What ran without a terminal's hang-up protection is hung up on the target, too.
#[test]
fn the_target_hangs_up_with_the_session() {
    let world = World::new();
    let mark = world.path("mark").display().to_string();
    let mut ssh = world.ssh(&[
        "-tt",
        TARGET,
        &format!("trap 'echo hung > {mark}; exit' HUP; echo begun; while :; do sleep 0.1; done"),
    ]);
    let mut child = ssh
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    world.runtime.block_on(world.state.order(Order::Killed(Instant::now())));
    child.wait().unwrap();
    until("the hang-up", || world.path("mark").exists());
}

/// Held: nothing passes, the connection lives, and afterwards all of it arrives.
#[test]
fn a_held_session_loses_nothing() {
    let world = World::new();
    let mut ssh = world.ssh(&[TARGET, "echo begun; read x; echo $x"]);
    let mut child = ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    world.runtime.block_on(world.state.order(Order::Hold));
    std::thread::sleep(Duration::from_millis(200));
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"kept\n").unwrap();
    std::thread::sleep(Duration::from_millis(700));
    assert!(child.try_wait().unwrap().is_none(), "ended while it was held");
    world.runtime.block_on(world.state.order(Order::Resume));
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "kept\n");
    assert!(child.wait().unwrap().success());
}

/// The gateway's shutdown ends sessions with a word, and their ends are on record.
#[test]
fn a_shutdown_is_told_and_recorded() {
    let world = World::new();
    let (took, status, said) = ended(&world, JUMPED, false, || world.shutdown.send(true).unwrap());
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(status, Some(254));
    assert!(said.contains("shutting down"), "{said}");
    until("the end", || !world.state.told().session_ends.is_empty());
    assert_eq!(world.state.told().session_ends[0].cause, EndCause::Shutdown);
}

/// The remark at a session's end names what the end cut off, and nothing that had exited before.
#[test]
fn the_end_names_only_what_runs() {
    let world = World::new();
    for round in 0..3 {
        world.run(&[TARGET, "echo done"]);
        until("the end", || world.state.told().session_ends.len() == round + 1);
        let said = last_remark(&world, round);
        assert!(
            said.contains("closed the connection") && !said.contains("running"),
            "{said}"
        );
    }
    let mut ssh = world.ssh(&[TARGET, "echo go; sleep 30"]);
    let mut child = ssh.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    until("the end", || world.state.told().session_ends.len() == 4);
    let said = last_remark(&world, 3);
    assert!(said.ends_with("; it was running: echo go; sleep 30"), "{said}");
}

/// What the gateway said last in the n-th session that ended, as its recording has it.
fn last_remark(world: &World, ended: usize) -> String {
    let session = world.state.told().session_ends[ended].session.to_bytes();
    let mut opener = Opener::new(&Dek::from_bytes([3; 32]), "example.com/acme", session).unwrap();
    let extents = world.state.journal.extents(&session).unwrap();
    let played = extents.flat_map(|extent| {
        let bytes = extent.unwrap().bytes;
        play_extent(&mut opener, &ExportedExtent::parse(&bytes).unwrap()).unwrap()
    });
    let remarks = played.filter_map(|played| match played.content {
        Content::Mark(text) => Some(text),
        _ => None,
    });
    remarks.last().unwrap()
}

#[test]
fn the_exit_of_each_action_is_recorded() {
    let world = World::new();
    world.run(&[TARGET, "exit 3"]);
    world.run(&[TARGET, "kill -KILL $$"]);
    until("both ends", || world.state.told().session_ends.len() == 2);
    let exits: Vec<Exit> = world
        .state
        .told()
        .action_ends
        .iter()
        .map(|end| end.exit.clone())
        .collect();
    assert_eq!(exits, [Exit::Status(3), Exit::Signal("KILL".into())]);
}

/// R012: when the recording's disk is full, nothing passes any more, and the person is told why. Not one byte was shown
/// that is not recorded.
#[test]
fn a_full_disk_stops_the_session_before_its_bytes_r012() {
    let mut mounted = None;
    let world = World::built(
        |_| {},
        |config| {
            std::fs::create_dir_all(&config.dir).unwrap();
            let mount = Command::new("mount")
                .args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"])
                .arg(&config.dir)
                .status();
            assert!(mount.unwrap().success());
            config.segment_bytes = 1 << 20;
            config.low_water_bytes = 4 << 20;
            config.stop_water_bytes = 2 << 20;
            mounted = Some(Mounted(config.dir.clone()));
        },
    );
    let mut ssh = world.ssh(&[TARGET, "head -c 200M /dev/urandom"]);
    let output = ssh.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(254), "{}", text(&output.stderr));
    assert!(
        text(&output.stderr).contains("can no longer be recorded"),
        "{}",
        text(&output.stderr)
    );
    until("the end", || !world.state.told().session_ends.is_empty());
    let told = world.state.told();
    let end = &told.session_ends[0];
    assert_eq!(end.cause, EndCause::RecorderStopped);
    let kept = end.recording.totals.of(recording::Kind::Output).bytes;
    assert!(
        output.stdout.len() as u64 <= kept,
        "{} bytes shown, {kept} kept",
        output.stdout.len()
    );
    assert!(kept > 1 << 20);
    drop(told);
    drop(world);
    drop(mounted);
}

struct Mounted(std::path::PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

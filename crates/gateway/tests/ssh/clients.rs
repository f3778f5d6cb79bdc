//! Stock clients: what they do every day passes unchanged, in both forms.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use model::statement::ActionClass;

use super::world::{JUMPED, TARGET, World, key, text, until};

#[test]
fn a_command_passes_in_both_forms() {
    let world = World::new();
    for to in [TARGET, JUMPED] {
        let output = world.run(&[to, "echo out; echo err >&2; exit 7"]);
        assert_eq!(
            (text(&output.stdout), text(&output.stderr)),
            ("out\n".into(), "err\n".into()),
            "{to}"
        );
        assert_eq!(output.status.code(), Some(7), "{to}");
    }
    let told = world.state.told();
    assert_eq!(told.certificates, 2, "one certificate a session");
    assert_eq!(told.intents.len(), 2);
    assert_eq!(
        told.intents[0].command.as_deref(),
        Some(&b"echo out; echo err >&2; exit 7"[..])
    );
}

/// R020: the proof that a session's opening carries is the person's own, whatever account is used on the target.
#[test]
fn the_opening_carries_the_persons_own_proof_r020() {
    let world = World::new();
    assert!(world.run(&[JUMPED, "true"]).status.success());
    let told = world.state.told();
    let [opened] = told.opened.as_slice() else {
        panic!("one opening")
    };
    let facts = opened.proof.verify().unwrap();
    assert_eq!((facts.key, facts.user.as_str()), (opened.key.clone(), "root"));
    assert_eq!(opened.key, model::signature::Key::new(key(5).public_key()).unwrap());
    assert_ne!(opened.session_key, opened.key);
}

#[test]
fn standard_input_ends_and_everything_comes_back() {
    let world = World::new();
    let input = (0..300_000_u32).flat_map(u32::to_be_bytes).collect::<Vec<u8>>();
    for to in [TARGET, JUMPED] {
        assert_eq!(world.run_with(&[to, "cat"], &input).stdout, input, "{to}");
        let counted = world.run_with(&[to, "sleep 0.1; wc -c"], &input);
        assert_eq!(text(&counted.stdout).trim(), "1200000", "{to}");
    }
}

#[test]
fn a_terminal_and_the_environment_reach_the_target() {
    let world = World::new();
    let mut ssh = world.ssh(&["-tt", "-o", "SendEnv=MARK", TARGET, "tty; echo $MARK; echo $TERM"]);
    let output = ssh
        .env("MARK", "here")
        .env("TERM", "xterm-256color")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let out = text(&output.stdout);
    assert!(
        out.contains("/dev/pts/") && out.contains("here\r\n") && out.contains("xterm-256color"),
        "{out}"
    );
    assert!(world.state.told().intents[0].pty);
}

/// A person at a terminal: types, changes the window's size, interrupts, leaves with a status.
#[test]
fn an_interactive_shell_follows_its_window() {
    let world = World::new();
    for to in [TARGET, JUMPED] {
        let output = Command::new("python3")
            .arg("-c")
            .arg(include_str!("terminal.py"))
            .args(["ssh", "-F"])
            .arg(world.path("config"))
            .arg(to)
            .output()
            .unwrap();
        let out = text(&output.stdout);
        assert!(output.status.success(), "{to}: {out}{}", text(&output.stderr));
    }
    assert_eq!(world.state.told().intents[0].class, ActionClass::Shell);
}

#[test]
fn an_exit_signal_reaches_the_client() {
    let world = World::new();
    let output = world.run(&["-v", TARGET, "kill -TERM $$"]);
    assert_eq!(output.status.code(), Some(255));
    assert!(text(&output.stderr).contains("exit-signal"), "{}", text(&output.stderr));
}

#[test]
fn files_pass_by_scp_sftp_and_rsync() {
    let world = World::new();
    let content: Vec<u8> = (0..700_000_u32).map(|n| (n * 7 % 251) as u8).collect();
    fs::write(world.path("here"), &content).unwrap();
    let remote = |name: &str| format!("{JUMPED}:{}", world.path(name).display());
    let ssh = format!("ssh -F {}", world.path("config").display());
    let here = world.path("here").display().to_string();
    let back = |name: &str| world.path(name).display().to_string();
    let runs: [(&str, Command); 4] = [
        ("scp", world.client("scp", &["-q", &here, &remote("scp")])),
        ("back", world.client("scp", &["-q", &remote("scp"), &back("back")])),
        ("legacy", world.client("scp", &["-q", "-O", &here, &remote("legacy")])),
        ("rsync", {
            let mut rsync = Command::new("rsync");
            rsync.args(["-a", "-e", &ssh, &here, &remote("rsync")]);
            rsync
        }),
    ];
    for (name, mut command) in runs {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{name}: {}", text(&output.stderr));
        assert_eq!(fs::read(world.path(name)).unwrap(), content, "{name}");
    }
    let mut sftp = world
        .client("sftp", &["-q", "-b", "-", JUMPED])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let batch = format!("put {here} {}\n", world.path("sftp").display());
    std::io::Write::write_all(&mut sftp.stdin.take().unwrap(), batch.as_bytes()).unwrap();
    assert!(sftp.wait().unwrap().success());
    assert_eq!(fs::read(world.path("sftp")).unwrap(), content);
    let told = world.state.told();
    let classes: Vec<ActionClass> = told.intents.iter().map(|intent| intent.class).collect();
    assert_eq!(
        classes,
        [
            ActionClass::Sftp,
            ActionClass::Sftp,
            ActionClass::Exec,
            ActionClass::Exec,
            ActionClass::Sftp
        ]
    );
}

/// R108, R111: many channels on one connection are one session, and each is an action of its own with its own end.
#[test]
fn a_shared_connection_is_one_session_with_many_actions_r108() {
    let world = World::new();
    for (to, socket) in [(TARGET, "cm1"), (JUMPED, "cm2")] {
        let control = format!("ControlPath={}", world.path(socket).display());
        let mut main = world
            .ssh(&["-o", "ControlMaster=yes", "-o", &control, "-N", to])
            .spawn()
            .unwrap();
        until("the shared connection", || world.path(socket).exists());
        let mut running: Vec<_> = (0..25)
            .map(|n| {
                let command = format!("echo {n}; sleep 0.2; exit {n}");
                let mut ssh = world.ssh(&["-o", &control, to, &command]);
                (n, ssh.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap())
            })
            .collect();
        for (n, child) in running.drain(..) {
            let output = child.wait_with_output().unwrap();
            assert_eq!(
                (text(&output.stdout), output.status.code()),
                (format!("{n}\n"), Some(n))
            );
        }
        main.kill().unwrap();
        main.wait().unwrap();
    }
    until("both sessions end", || world.state.told().session_ends.len() == 2);
    let told = world.state.told();
    assert_eq!(
        (
            told.certificates,
            told.opened.len(),
            told.intents.len(),
            told.action_ends.len()
        ),
        (2, 2, 50, 50)
    );
    for end in &told.session_ends {
        assert_eq!((end.channels_opened, end.channels_closed), (25, 25));
        assert_eq!(end.bytes_journaled, end.bytes_in + end.bytes_out);
        assert!(end.recording.durable);
    }
}

#[test]
fn a_forward_is_an_action_of_its_own() {
    let world = World::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
    let echo = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut copy = socket.try_clone().unwrap();
        std::io::copy(&mut copy, &mut socket).unwrap();
    });
    let output = world.run_with(&["-W", &to, TARGET], b"through the tunnel");
    assert_eq!(text(&output.stdout), "through the tunnel");
    echo.join().unwrap();
    until("the tunnel ends", || !world.state.told().action_ends.is_empty());
    let told = world.state.told();
    assert_eq!(told.intents[0].class, ActionClass::TunnelLocal);
    assert_eq!(told.intents[0].command.as_deref(), Some(to.as_bytes()));
    assert_eq!((told.action_ends[0].bytes_in, told.action_ends[0].bytes_out), (18, 18));
}

/// An idle connection stays: keepalives, not silence, tell the living from the dead.
#[test]
fn an_idle_program_is_not_cut() {
    let world = World::with(|settings| settings.log_in_max = Duration::from_secs(1));
    let output = world.run(&[JUMPED, "sleep 2.5; echo still here"]);
    assert_eq!(text(&output.stdout), "still here\n");
}

/// `eow@openssh.com` passes both ways: a reader that has enough ends the program, as without a gateway.
#[test]
fn a_reader_that_has_enough_ends_the_program() {
    let world = World::new();
    for to in [TARGET, JUMPED] {
        let ssh = format!("ssh -F {} {to}", world.path("config").display());
        let script = format!("timeout 8 {ssh} 'cat /dev/zero' | head -c 100000 | wc -c; echo ${{PIPESTATUS[0]}}");
        let output = Command::new("bash").args(["-c", &script]).output().unwrap();
        let out = text(&output.stdout);
        assert!(
            out.starts_with("100000\n") && out.trim_end() != "100000\n124",
            "{to}: {out}"
        );
    }
}

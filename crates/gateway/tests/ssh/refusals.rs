//! Refusals: told where they can be read, with status 254, and nothing of them on a clean standard output. The target is
//! not reached.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use model::body::EndCause;
use model::signature::Key;
use model::statement::ActionClass;

use super::desk::Grant;
use super::world::{JUMPED, TARGET, World, key, text, until};

const LINE: &str = "CS-GRANT no grant for root on web1.acme; ssh gateway request root+web1.acme";

#[test]
fn without_a_grant_a_program_gets_one_line_and_status_254() {
    let world = World::new();
    world.state.rules().grant = Grant::None;
    for to in [TARGET, JUMPED] {
        for arguments in [vec![to, "id"], vec!["-T", to], vec!["-tt", to, "id"]] {
            let output = world.run(&arguments);
            assert_eq!(output.status.code(), Some(254), "{arguments:?}");
            assert!(output.stdout.is_empty(), "{arguments:?}: {}", text(&output.stdout));
            let said = text(&output.stderr);
            let lines: Vec<&str> = said.lines().filter(|line| !line.starts_with("Connection to")).collect();
            assert_eq!(lines, [LINE], "{arguments:?}");
        }
        let mut sftp = world.client("sftp", &["-b", "/dev/null", to]);
        let output = sftp.stdin(Stdio::null()).output().unwrap();
        assert!(
            !output.status.success() && text(&output.stderr).contains(LINE),
            "{}",
            text(&output.stderr)
        );
    }
    let told = world.state.told();
    assert_eq!(
        (told.opened.len(), told.certificates, told.session_ends.len()),
        (0, 0, 0)
    );
}

/// Whoever opens no channel, such as `ssh -N`, is told by the disconnection, and does not wait for ever.
#[test]
fn without_a_grant_and_without_a_channel_the_connection_ends() {
    let world = World::new();
    for (grant, line) in [(Grant::None, LINE), (Grant::Pending, "CS-GRANT approval is due")] {
        world.state.rules().grant = grant;
        for to in [TARGET, JUMPED] {
            let output = world.run(&["-N", to]);
            assert_eq!(output.status.code(), Some(255));
            assert!(text(&output.stderr).contains(line), "{}", text(&output.stderr));
        }
    }
}

#[test]
fn without_a_grant_a_terminal_reads_the_text_and_is_not_kept() {
    let world = World::new();
    world.state.rules().grant = Grant::None;
    for to in [TARGET, JUMPED] {
        let output = world.run(&["-tt", to]);
        assert_eq!(output.status.code(), Some(254));
        assert!(text(&output.stdout).contains(LINE), "{}", text(&output.stdout));
    }
}

/// A terminal waits for the approval, and what was typed meanwhile is not lost.
#[test]
fn a_terminal_waits_for_approval_and_goes_on() {
    let world = World::new();
    for to in [TARGET, JUMPED] {
        world.state.rules().grant = Grant::Pending;
        let mut ssh = world.ssh(&["-tt", to]);
        let mut child = ssh
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert!(line.contains("approval is due"), "{line}");
        child
            .stdin
            .as_mut()
            .unwrap()
            .write_all(b"stty -echo; echo ty''ped $(tty)\nexit 6\n")
            .unwrap();
        std::thread::sleep(Duration::from_millis(300));
        assert!(child.try_wait().unwrap().is_none());
        world.state.rules().grant = Grant::Given;
        let status = child.wait().unwrap();
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        assert!(
            rest.contains("approved") && rest.contains("typed /dev/pts/"),
            "{to}: {rest}"
        );
        assert_eq!(status.code(), Some(6), "{to}");
    }
}

#[test]
fn who_waits_may_stop_and_a_program_does_not_wait() {
    let world = World::new();
    world.state.rules().grant = Grant::Pending;
    let begun = Instant::now();
    let output = world.run_with(&["-tt", TARGET], b"\x03");
    assert_eq!(output.status.code(), Some(254));
    assert!(text(&output.stdout).contains("stopped waiting"));
    let output = world.run(&[JUMPED, "id"]);
    assert_eq!(output.status.code(), Some(254));
    assert!(output.stdout.is_empty() && text(&output.stderr).contains("approval is due"));
    assert!(begun.elapsed() < Duration::from_secs(4));
}

#[test]
fn a_forward_without_a_grant_fails_with_the_text() {
    let world = World::new();
    world.state.rules().grant = Grant::None;
    let output = world.run(&["-W", "127.0.0.1:9", TARGET]);
    assert!(!output.status.success() && output.stdout.is_empty());
    assert!(text(&output.stderr).contains(LINE), "{}", text(&output.stderr));
}

#[test]
fn an_action_that_the_grant_does_not_cover_is_refused_alone() {
    let world = World::new();
    world.state.rules().actions = vec![ActionClass::Shell];
    let output = world.run(&[TARGET, "id"]);
    assert_eq!(output.status.code(), Some(254));
    assert!(output.stdout.is_empty());
    assert_eq!(
        text(&output.stderr),
        "CS-GRANT the grant does not cover Exec; ask again with `request`\n"
    );
    let output = world.run(&["-W", "127.0.0.1:9", TARGET]);
    assert!(
        text(&output.stderr).contains("does not cover TunnelLocal"),
        "{}",
        text(&output.stderr)
    );
    assert_eq!(
        text(&world.run_with(&[TARGET], b"echo a shell may\n").stdout),
        "a shell may\n"
    );
}

#[test]
fn names_that_do_not_fit_are_refused_with_what_is_wrong() {
    let world = World::new();
    for (to, words) in [
        ("root+web9.acme@gw", "you may reach no resource `web9.acme`"),
        ("root+web1+a+b@gw", "too many `+`"),
        ("ro%zz+web1@gw", "`ro%zz`: write `%25` for `%`"),
    ] {
        let output = world.run(&[to, "id"]);
        assert_eq!(output.status.code(), Some(254), "{to}");
        assert!(
            output.stdout.is_empty() && text(&output.stderr).contains(words),
            "{}",
            text(&output.stderr)
        );
    }
    let twin = gateway::ssh::wire::Reachable {
        environment: "beta".parse().unwrap(),
        ..world.state.rules().reachable[0].clone()
    };
    world.state.rules().reachable.push(twin);
    let output = world.run(&["root+web1@gw", "id"]);
    assert!(
        text(&output.stderr).contains("name one of: web1.acme, web1.beta"),
        "{}",
        text(&output.stderr)
    );
    assert_eq!(text(&world.run(&[TARGET, "echo one"]).stdout), "one\n");
}

/// `ssh gateway` with no target answers from any client, with and without a terminal, and never hangs.
#[test]
fn without_a_target_the_gateway_answers_for_itself() {
    let world = World::new();
    for arguments in [vec!["gw"], vec!["-tt", "gw"], vec!["gw", "help"]] {
        let begun = Instant::now();
        let output = world.run(&arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
        assert!(text(&output.stdout).contains("whoami"), "{arguments:?}");
        assert!(begun.elapsed() < Duration::from_secs(3));
    }
    assert_eq!(text(&world.run(&["gw", "ls"]).stdout), "ls\n");
    let said = world.run(&["gw", "request", "root+web1", "--reason", "'disk is full'"]);
    assert_eq!(text(&said.stdout), "request|root+web1|--reason|disk is full\n");
    let output = world.run(&["gw", "a 'b"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(output.stdout.is_empty() && text(&output.stderr).contains("quote"));
    assert!(
        !world
            .client("sftp", &["-b", "/dev/null", "gw"])
            .stdin(Stdio::null())
            .output()
            .unwrap()
            .status
            .success()
    );
}

/// Behind `-J` the key inside must be the one outside, also when the other key is known, too.
#[test]
fn another_persons_key_inside_is_refused() {
    let world = World::new();
    let mallory = Key::new(key(6).public_key()).unwrap();
    world.state.rules().people.insert(mallory, "mallory".into());
    let config = world.path("config").display().to_string();
    let proxy = format!("ProxyCommand=ssh -F {config} -W %h:%p gw");
    let inner = |name: &str| {
        let mut ssh = Command::new("ssh");
        ssh.args([
            "-F",
            "none",
            "-o",
            &proxy,
            "-o",
            "BatchMode=yes",
            "-o",
            "IdentitiesOnly=yes",
        ]);
        ssh.args([
            "-o",
            &format!("UserKnownHostsFile={}", world.path("known_ca").display()),
        ]);
        ssh.arg("-i")
            .arg(world.path(name))
            .args(["-o", "IdentityAgent=none", JUMPED, "echo in"]);
        ssh.output().unwrap()
    };
    assert_eq!(text(&inner("alice").stdout), "in\n");
    let output = inner("mallory");
    assert_eq!(output.status.code(), Some(255));
    assert!(
        text(&output.stderr).contains("Permission denied"),
        "{}",
        text(&output.stderr)
    );
    assert_eq!(world.state.told().opened.len(), 1);
}

#[test]
fn an_unknown_key_is_refused_and_counted() {
    let world = World::new();
    let config = std::fs::read_to_string(world.path("config")).unwrap();
    std::fs::write(world.path("config"), config.replace("/alice", "/mallory")).unwrap();
    let output = world.run(&[TARGET, "id"]);
    assert!(
        text(&output.stderr).contains("Permission denied"),
        "{}",
        text(&output.stderr)
    );
    until("the refusals are counted", || {
        world
            .gateway
            .refusals
            .take()
            .iter()
            .any(|(code, _)| *code == "no_log_in")
    });
    assert!(world.state.told().opened.is_empty());
}

#[test]
fn a_target_that_is_not_as_pinned_gets_nothing() {
    let world = World::new();
    world.state.rules().host_keys = vec![key(77).public_key().clone()];
    let output = world.run(&[TARGET, "id"]);
    assert_eq!(output.status.code(), Some(254), "{}", text(&output.stderr));
    assert!(
        output.stdout.is_empty() && text(&output.stderr).contains("did not pin"),
        "{}",
        text(&output.stderr)
    );
    until("the end", || world.state.told().session_ends.len() == 1);
    world.state.rules().target_port = 1;
    let output = world.run(&[JUMPED, "id"]);
    assert_eq!(output.status.code(), Some(254));
    assert!(
        text(&output.stderr).contains("cannot be reached"),
        "{}",
        text(&output.stderr)
    );
    until("each end", || world.state.told().session_ends.len() == 2);
    assert!(
        world
            .state
            .told()
            .session_ends
            .iter()
            .all(|end| end.cause == EndCause::TargetRefused)
    );
}

/// The host certificate holds behind `-J`: with another CA in its file, a client does not go on.
#[test]
fn the_gateway_is_known_by_its_host_ca_alone() {
    let world = World::new();
    let other = key(99).public_key().to_openssh().unwrap();
    std::fs::write(world.path("known_ca"), format!("@cert-authority *.acme {other}\n")).unwrap();
    let output = world.run(&[JUMPED, "id"]);
    assert_eq!(output.status.code(), Some(255));
    assert!(
        text(&output.stderr).contains("Host key verification failed"),
        "{}",
        text(&output.stderr)
    );
    assert!(world.state.told().opened.is_empty());
}

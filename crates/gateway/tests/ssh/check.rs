//! The check of a target: what a rightly set-up sshd proves, which wrong set-ups are found, and that a target that lies
//! or floods harms nobody.

use std::fs;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

use model::body::EndCause;
use model::statement::ActionClass;
use recording::Exit;
use russh::Channel;
use russh::keys::Certificate;
use russh::server::{self, Auth, ChannelOpenHandle};

use super::world::{JUMPED, TARGET, World, free_port, key, text, until, write};

const PRINCIPAL: &str = "cs:acme:web1:root";

/// A sshd of its own, with a log file; the session's target from now on.
struct Sshd(Child);

impl Drop for Sshd {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// With these principals and further lines of configuration.
fn target(world: &World, principals: &str, lines: &str) -> Sshd {
    let (port, at) = (free_port(), world.dir.path().display());
    write(&world.path("taken"), principals);
    let config = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {at}/host_key\nTrustedUserCAKeys {at}/user_ca.pub\n\
         PasswordAuthentication no\nKbdInteractiveAuthentication no\nPidFile none\nUsePAM no\nStrictModes no\n\
         PermitRootLogin yes\n{lines}\nLogLevel VERBOSE\nAuthorizedKeysFile none\n"
    );
    write(&world.path("checked_config"), &config);
    drop(fs::remove_file(world.path("checked.log")));
    let child = Command::new("/usr/sbin/sshd")
        .arg("-D")
        .arg("-f")
        .arg(world.path("checked_config"))
        .arg("-E")
        .arg(world.path("checked.log"))
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    until("the checked sshd listens", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    world.state.rules().target_port = port;
    world.state.rules().sources = vec!["127.0.0.1".into()];
    Sshd(child)
}

fn right(world: &World) -> String {
    format!("AuthorizedPrincipalsFile {}\n", world.path("taken").display())
}

fn check(world: &World, to: &str) -> Output {
    world.run(&["-s", to, "countersign-check"])
}

/// The lines of the report: state and the rest.
fn lines(output: &Output) -> Vec<(String, String)> {
    let said = text(&output.stdout);
    assert!(!said.is_empty(), "{}", text(&output.stderr));
    let lines = said.lines().filter(|line| !line.starts_with(' '));
    let split = |line: &str| (line[..8].trim().to_owned(), line[9..].to_owned());
    lines.map(split).collect()
}

/// What did not come out `ok`. Where a machine has no sudo, that is unknown and not looked at.
fn not_ok(output: &Output) -> Vec<(String, String)> {
    let lines = lines(output).into_iter();
    lines
        .filter(|line| line.0 != "ok" && !line.1.starts_with("sudo"))
        .collect()
}

fn has_sudo() -> bool {
    Command::new("sudo").arg("-V").output().is_ok()
}

/// R108 R015: every line is proven, and each try is an action of its own, on record before it and ended after.
#[test]
fn a_target_that_is_set_up_rightly_is_proven_r108() {
    let world = World::new();
    let _sshd = target(&world, &format!("{PRINCIPAL}\n"), &right(&world));
    for (at, to) in [TARGET, JUMPED].into_iter().enumerate() {
        let output = check(&world, to);
        assert_eq!(not_ok(&output), [], "{}", text(&output.stdout));
        assert_eq!((lines(&output).len(), text(&output.stderr)), (10, String::new()));
        let status = if has_sudo() { 0 } else { 69 };
        assert_eq!(output.status.code(), Some(status), "{}", text(&output.stdout));
        until("the session ends", || world.state.told().session_ends.len() == at + 1);
    }
    let told = world.state.told();
    let commands: Vec<String> = told.intents[..4]
        .iter()
        .map(|intent| text(intent.command.as_ref().unwrap()))
        .collect();
    assert!(
        commands[0].starts_with("exec /bin/sh -c '") && commands[0].len() <= 4096,
        "{}",
        commands[0]
    );
    for (command, what) in commands[1..]
        .iter()
        .zip(["for another host", "expired", "another source address"])
    {
        assert!(
            command.starts_with("countersign probe: log in with a") && command.contains(what),
            "{command}"
        );
    }
    assert!(told.intents.iter().all(|intent| intent.class == ActionClass::Exec));
    assert_eq!(
        (told.intents.len(), told.action_ends.len(), told.refused.len()),
        (8, 8, 0)
    );
    assert!(told.action_ends.iter().all(|end| end.exit == Exit::Status(0)));
    for end in &told.session_ends {
        assert_eq!((end.channels_opened, end.channels_closed), (1, 1));
        assert_eq!(end.bytes_journaled, end.bytes_in + end.bytes_out);
        assert!(end.bytes_out > 0 && end.recording.durable);
    }
}

#[test]
fn the_report_is_json_for_programs() {
    let world = World::new();
    let _sshd = target(&world, &format!("{PRINCIPAL}\n"), &right(&world));
    let output = world.run(&["-s", TARGET, "countersign-check --json"]);
    let said = text(&output.stdout);
    assert!(
        said.starts_with("{\"checks\":[{\"because\":\"the session's own certificate is accepted\",")
            && said.contains("\"check\":\"key_id_logged\"")
            && said.matches("\"state\":\"").count() == 10,
        "{said}"
    );
    let other = world.run(&["-s", TARGET, "countersign-check --all"]);
    assert!(!other.status.success() && other.stdout.is_empty());
    assert_eq!(world.state.told().refused[0].code, "subsystem_not_supported");
}

/// A principals file that takes more than this resource: the probe's own principal stands for any other host.
#[test]
fn a_target_that_takes_other_hosts_certificates_is_found() {
    let world = World::new();
    let _sshd = target(
        &world,
        &format!("{PRINCIPAL}\ncs:acme:ANOTHER-HOST:root\n"),
        &right(&world),
    );
    let output = check(&world, TARGET);
    assert_eq!(output.status.code(), Some(1));
    let found = not_ok(&output);
    let said: Vec<&str> = found.iter().map(|line| line.1.as_str()).collect();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        said[0].starts_with("other host") && said[0].ends_with("is ACCEPTED"),
        "{said:?}"
    );
    assert!(
        said[1].starts_with("principals") && said[1].contains("cs:acme:ANOTHER-HOST:root"),
        "{said:?}"
    );
    // It was let in, and nothing was run there.
    let log = fs::read_to_string(world.path("checked.log")).unwrap();
    assert_eq!(log.matches("Accepted publickey").count(), 2, "{log}");
    assert_eq!(log.matches("Starting session").count(), 1, "{log}");
    let told = world.state.told();
    let exits: Vec<&Exit> = told.action_ends.iter().map(|end| &end.exit).collect();
    let (held, let_in) = (&Exit::Status(0), &Exit::Status(1));
    assert_eq!(exits, [held, let_in, held, held]);
}

/// Plain `TrustedUserCAKeys` asks for the account's name as principal: the right certificate is refused already. A check
/// says that neither clock nor address is why; whoever wants no check hears of it, and nothing is tried.
#[test]
fn a_target_without_principals_refuses_the_session() {
    let world = World::new();
    let _sshd = target(&world, "", "");
    for (at, to) in [TARGET, JUMPED].into_iter().enumerate() {
        let output = world.run(&[to, "true"]);
        assert_eq!(output.status.code(), Some(254));
        let said = text(&output.stderr);
        assert!(
            output.stdout.is_empty()
                && said.contains("refuses the session's certificate; `countersign resource check`"),
            "{said}"
        );
        until("the session ends", || world.state.told().session_ends.len() == at + 1);
        assert_eq!(world.state.told().intents.len(), 0);
    }
    for (at, to) in [TARGET, JUMPED].into_iter().enumerate() {
        let output = check(&world, to);
        assert_eq!(
            (output.status.code(), lines(&output).len()),
            (Some(1), 10),
            "{output:?}"
        );
        let said = text(&output.stdout);
        assert!(
            said.starts_with(
                "FAILED   right certificate the session's own certificate is refused, and so is one for any time"
            ) && said.contains(&format!("find `{PRINCIPAL}` in the account's AuthorizedPrincipalsFile")),
            "{said}"
        );
        until("the session ends", || world.state.told().session_ends.len() == at + 3);
    }
    let told = world.state.told();
    assert_eq!((told.intents.len(), told.action_ends.len()), (4, 4));
    assert!(
        told.action_ends
            .iter()
            .all(|end| end.exit == Exit::Unsaid && end.bytes_out == 0)
    );
    assert!(told.session_ends.iter().all(|end| end.cause == EndCause::TargetRefused));
    assert_eq!(
        (
            told.session_ends[3].channels_opened,
            told.session_ends[3].channels_closed
        ),
        (1, 1)
    );
}

/// What logs in past the gateway is named, and so is an sshd that does not say who logged in.
#[test]
fn other_keys_and_silent_logs_are_named() {
    let world = World::new();
    let keys = world.path("keys").display().to_string();
    write(
        &world.path("keys"),
        &format!("# of bob\n{}\n", key(6).public_key().to_openssh().unwrap()),
    );
    let lines = format!("{}AuthorizedKeysFile {keys}\nLogLevel ERROR", right(&world));
    let _sshd = target(&world, &format!("{PRINCIPAL}\n"), &lines);
    let output = check(&world, JUMPED);
    assert_eq!(output.status.code(), Some(1));
    let found = not_ok(&output);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].1.contains("`LogLevel ERROR` names no log-ins"), "{found:?}");
    assert!(found[1].1.contains(&format!("1 in {keys} (for `root`)")), "{found:?}");
}

/// The address that the target sees is learnt, and what is to be signed is said; a wrong one lets nobody in.
#[test]
fn the_source_address_is_learnt_from_the_target() {
    let world = World::new();
    let _sshd = target(&world, &format!("{PRINCIPAL}\n"), &right(&world));
    world.state.rules().sources = vec![];
    let output = check(&world, TARGET);
    assert_eq!(output.status.code(), Some(1));
    let found = not_ok(&output);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0]
            .1
            .contains("sees the gateway as 127.0.0.1; no source address is signed")
    );
    assert!(
        text(&output.stdout)
            .contains("next: the owner signs the resource with it: countersign resource add … --source 127.0.0.1")
    );
    world.state.rules().sources = vec!["10.9.9.9".into()];
    let output = check(&world, TARGET);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stdout);
    for line in [
        "FAILED   right certificate the session's own certificate is refused for our address, as the target sees it\n",
        "FAILED   source address    the target sees the gateway as 127.0.0.1, but 10.9.9.9 is signed\n",
        "ok       clock ",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    // It ran what the certificate allows, whatever else may be asked of such a log-in.
    let told = world.state.told();
    let end = told.action_ends.last().unwrap();
    assert!(end.exit == Exit::Status(0) && end.bytes_out > 0, "{end:?}");
}

/// A target that is content with a certificate only together with something else is told from one that refuses it.
#[test]
fn a_target_that_wants_a_second_step_is_named() {
    let world = World::new();
    let lines = format!("{}AuthenticationMethods publickey,publickey\n", right(&world));
    let _sshd = target(&world, &format!("{PRINCIPAL}\n"), &lines);
    let output = check(&world, TARGET);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stdout);
    assert!(
        said.contains("a certificate is one step of its log-in, and then it wants another: publickey\n")
            && said.contains("AuthenticationMethods"),
        "{said}"
    );
}

#[test]
fn a_check_needs_a_grant_for_programs() {
    let world = World::new();
    world.state.rules().actions = vec![ActionClass::Shell];
    let output = check(&world, TARGET);
    assert_eq!(output.status.code(), Some(254));
    assert!(
        output.stdout.is_empty() && text(&output.stderr).contains("CS-GRANT the grant does not cover Exec"),
        "{}",
        text(&output.stderr)
    );
}

/// A target that takes every certificate, and answers with megabytes and with orders to a terminal.
#[derive(Clone)]
struct Liar;

impl server::Handler for Liar {
    type Error = russh::Error;

    async fn auth_openssh_certificate(&mut self, _: &str, _: &Certificate) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<server::Msg>,
        reply: ChannelOpenHandle,
        _: &mut server::Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        tokio::spawn(lie(channel));
        Ok(())
    }
}

async fn lie(channel: Channel<server::Msg>) {
    let (mut read, write) = channel.split();
    while let Some(msg) = read.wait().await {
        if !matches!(msg, russh::ChannelMsg::Exec { .. }) {
            continue;
        }
        drop(write.answer(true).await);
        let answer = b"countersign-check 1\ntime 1\nfrom \x1b]0;owned\x07\x9b2J\nlevel \x00INFO\nsudo \x1b[31mred\n";
        drop(write.data_bytes(answer.as_slice()).await);
        let flood = vec![b'\x1b'; 32 * 1024];
        while write.data_bytes(flood.clone()).await.is_ok() {}
        return;
    }
}

#[test]
fn a_target_that_lies_and_floods_is_found_and_bounded() {
    let world = World::new();
    let listener = world
        .runtime
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .unwrap();
    world.state.rules().target_port = listener.local_addr().unwrap().port();
    let config = Arc::new(server::Config {
        keys: vec![key(1)],
        ..Default::default()
    });
    world.runtime.spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let running = server::run_stream(Arc::clone(&config), socket, Liar).await.unwrap();
            tokio::spawn(running);
        }
    });
    let output = check(&world, TARGET);
    assert_eq!(output.status.code(), Some(1));
    let found = not_ok(&output);
    // It looks at dates, and at nothing else.
    for (line, check) in found.iter().zip(["other host", "other source"]) {
        assert!(
            line.1.starts_with(check) && line.1.ends_with("is ACCEPTED"),
            "{found:?}"
        );
    }
    let said = text(&output.stdout);
    assert!(said.contains("clock") && said.contains(" behind, "), "{said}");
    assert!(said.contains("`?[31mred`"), "{said}");
    assert!(
        output
            .stdout
            .iter()
            .all(|byte| *byte == b'\n' || !byte.is_ascii_control()),
        "{said}"
    );
    until("the session ends", || world.state.told().session_ends.len() == 1);
    let told = world.state.told();
    assert!(
        told.session_ends[0].bytes_out < 4 << 20,
        "{}",
        told.session_ends[0].bytes_out
    );
    assert_eq!(told.action_ends.len(), 4);
}

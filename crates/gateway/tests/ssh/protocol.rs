//! The table of dispositions, row by row: a client and a target of our own say everything that the table names.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway::ssh::wire::disposition::{Disposition, Kind, Side, TABLE};
use russh::keys::{Certificate, PrivateKeyWithHashAlg};
use russh::server::{self, Auth, ChannelOpenHandle};
use russh::{Channel, ChannelMsg, client};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use super::world::{World, key};

const SOON: Duration = Duration::from_secs(5);

/// A target that accepts all and tells what it saw.
struct Target {
    channels: UnboundedSender<Channel<server::Msg>>,
    session: Arc<Mutex<Option<server::Handle>>>,
}

impl server::Handler for Target {
    type Error = russh::Error;

    async fn auth_openssh_certificate(&mut self, _: &str, _: &Certificate) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }

    async fn auth_succeeded(&mut self, session: &mut server::Session) -> Result<(), Self::Error> {
        *self.session.lock().unwrap() = Some(session.handle());
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<server::Msg>,
        reply: ChannelOpenHandle,
        _: &mut server::Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        self.channels.send(channel).unwrap();
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<server::Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut server::Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        self.channels.send(channel).unwrap();
        Ok(())
    }
}

struct Client;

impl client::Handler for Client {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &russh::keys::PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

struct Between {
    world: World,
    client: client::Handle<Client>,
    channels: UnboundedReceiver<Channel<server::Msg>>,
    target: Arc<Mutex<Option<server::Handle>>>,
}

fn between() -> Between {
    let world = World::new();
    let (sender, channels) = unbounded_channel();
    let target: Arc<Mutex<Option<server::Handle>>> = Arc::default();
    let seen = Arc::clone(&target);
    let client = world.runtime.block_on(connected(&world, sender, seen));
    Between {
        world,
        client,
        channels,
        target,
    }
}

/// Starts the target and logs a client in to the gateway.
async fn connected(
    world: &World,
    sender: UnboundedSender<Channel<server::Msg>>,
    seen: Arc<Mutex<Option<server::Handle>>>,
) -> client::Handle<Client> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.state.rules().target_port = listener.local_addr().unwrap().port();
    let config = Arc::new(server::Config {
        keys: vec![key(1)],
        ..Default::default()
    });
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let handler = Target {
                channels: sender.clone(),
                session: Arc::clone(&seen),
            };
            let running = server::run_stream(Arc::clone(&config), socket, handler).await.unwrap();
            tokio::spawn(running);
        }
    });
    let mut client = client::connect(Arc::default(), ("127.0.0.1", world.port), Client)
        .await
        .unwrap();
    let alice = PrivateKeyWithHashAlg::new(Arc::new(key(5)), None);
    assert!(
        client
            .authenticate_publickey("root+web1.acme", alice)
            .await
            .unwrap()
            .success()
    );
    client
}

fn rows(kind: Kind, from: Side) -> impl Iterator<Item = (&'static str, Disposition)> {
    TABLE
        .iter()
        .filter(move |row| (row.kind, row.from) == (kind, from))
        .map(|row| (row.name, row.disposition))
}

/// What follows the want-reply flag of a request.
fn payload(name: &str) -> Vec<u8> {
    let string = |text: &str| [&u32::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat();
    let numbers = |all: &[u32]| all.iter().flat_map(|n| n.to_be_bytes()).collect::<Vec<u8>>();
    match name {
        "pty-req" => [string("xterm"), numbers(&[80, 24, 0, 0]), string("\0")].concat(),
        "env" => [string("LANG"), string("C")].concat(),
        "exec" => string("id"),
        "subsystem" => string("sftp"),
        "window-change" => numbers(&[100, 50, 0, 0]),
        "signal" => string("TERM"),
        "break" => numbers(&[500]),
        "exit-status" => numbers(&[3]),
        "exit-signal" => [string("TERM"), vec![0], string(""), string("")].concat(),
        "xon-xoff" => vec![1],
        "x11-req" => [vec![0], string("MIT-MAGIC-COOKIE-1"), string("00"), numbers(&[0])].concat(),
        "tcpip-forward" | "cancel-tcpip-forward" => [string("127.0.0.1"), numbers(&[0])].concat(),
        "streamlocal-forward@openssh.com" | "cancel-streamlocal-forward@openssh.com" => string("/tmp/x"),
        _ => vec![],
    }
}

fn seen(msg: &ChannelMsg) -> String {
    match msg {
        ChannelMsg::RequestPty { .. } => "pty-req".into(),
        ChannelMsg::SetEnv { .. } => "env".into(),
        ChannelMsg::RequestShell { .. } => "shell".into(),
        ChannelMsg::Exec { .. } => "exec".into(),
        ChannelMsg::RequestSubsystem { .. } => "subsystem".into(),
        ChannelMsg::WindowChange { .. } => "window-change".into(),
        ChannelMsg::Signal { .. } => "signal".into(),
        ChannelMsg::Request { name, .. } => name.clone(),
        other => format!("{other:?}"),
    }
}

#[test]
fn each_channel_request_of_a_client_is_as_the_table_says() {
    let Between {
        world,
        client,
        mut channels,
        ..
    } = between();
    for (name, disposition) in rows(Kind::ChannelRequest, Side::Client) {
        let refused_before = world.state.told().refused.len();
        world.runtime.block_on(async {
            let (mut near, write) = client.channel_open_session().await.unwrap().split();
            let mut far = timeout(SOON, channels.recv()).await.unwrap().unwrap();
            write.request(name, true, payload(name).into()).await.unwrap();
            write.request("eow@openssh.com", false, vec![].into()).await.unwrap();
            let first = timeout(SOON, far.wait()).await.unwrap().unwrap();
            match disposition {
                Disposition::Forward => assert_eq!(seen(&first), name),
                _ => {
                    assert_eq!(seen(&first), "eow@openssh.com", "{name} went on");
                    assert!(
                        matches!(timeout(SOON, near.wait()).await.unwrap(), Some(ChannelMsg::Failure)),
                        "{name}"
                    );
                }
            }
        });
        let refused = world
            .state
            .told()
            .refused
            .iter()
            .skip(refused_before)
            .map(|r| r.wanted.clone())
            .collect::<Vec<_>>();
        assert_eq!(
            refused.contains(&name.to_owned()),
            disposition == Disposition::Refuse,
            "{name}"
        );
    }
}

#[test]
fn answers_of_the_target_come_back_in_order() {
    let Between {
        world,
        client,
        mut channels,
        ..
    } = between();
    world.runtime.block_on(async {
        let (mut near, write) = client.channel_open_session().await.unwrap().split();
        let (_far, answers) = timeout(SOON, channels.recv()).await.unwrap().unwrap().split();
        write.request("break", true, payload("break").into()).await.unwrap();
        write.request("x11-req", true, payload("x11-req").into()).await.unwrap();
        write.request("env", true, payload("env").into()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        answers.answer(true).await.unwrap();
        answers.answer(true).await.unwrap();
        let mut said = vec![];
        while said.len() < 3 {
            match timeout(SOON, near.wait()).await.unwrap().unwrap() {
                ChannelMsg::Success => said.push(true),
                ChannelMsg::Failure => said.push(false),
                _ => {}
            }
        }
        assert_eq!(said, [true, false, true]);
    });
}

#[test]
fn each_channel_request_of_a_target_is_as_the_table_says() {
    let Between {
        world,
        client,
        mut channels,
        ..
    } = between();
    for (name, disposition) in rows(Kind::ChannelRequest, Side::Target) {
        world.runtime.block_on(async {
            let (mut near, write) = client.channel_open_session().await.unwrap().split();
            write.exec(true, "x").await.unwrap();
            let (_read, far) = timeout(SOON, channels.recv()).await.unwrap().unwrap().split();
            far.answer(true).await.unwrap();
            far.request(name, name.starts_with("keepalive"), payload(name).into())
                .await
                .unwrap();
            far.eof().await.unwrap();
            far.close().await.unwrap();
            let mut heard = vec![];
            while let Some(msg) = timeout(SOON, near.wait()).await.unwrap() {
                heard.push(match msg {
                    ChannelMsg::ExitStatus { exit_status } => format!("exit-status {exit_status}"),
                    ChannelMsg::ExitSignal { signal_name, .. } => format!("exit-signal {signal_name:?}"),
                    ChannelMsg::XonXoff { .. } => "xon-xoff".into(),
                    ChannelMsg::Request { name, .. } => name,
                    other => format!("{other:?}"),
                });
            }
            let passed = heard.iter().any(|word| word.starts_with(name));
            assert_eq!(passed, disposition == Disposition::Forward, "{name}: {heard:?}");
        });
    }
}

#[test]
fn each_channel_of_a_client_is_as_the_table_says() {
    let Between {
        world,
        client,
        mut channels,
        ..
    } = between();
    world.runtime.block_on(async {
        let session = client.channel_open_session().await;
        assert!(session.is_ok() && timeout(SOON, channels.recv()).await.unwrap().is_some());
        let tunnel = client.channel_open_direct_tcpip("10.0.0.9", 80, "127.0.0.1", 1).await;
        assert!(tunnel.is_ok() && timeout(SOON, channels.recv()).await.unwrap().is_some());
        assert!(
            client
                .channel_open_direct_streamlocal("/run/docker.sock")
                .await
                .is_err()
        );
        assert!(client.channel_open_x11("127.0.0.1", 1).await.is_err());
        for name in [
            "forwarded-tcpip",
            "forwarded-streamlocal@openssh.com",
            "auth-agent@openssh.com",
            "tun@openssh.com",
        ] {
            assert!(rows(Kind::Channel, Side::Client).any(|row| row == (name, Disposition::Refuse)));
        }
    });
    let refused: Vec<String> = world
        .state
        .told()
        .refused
        .iter()
        .map(|refused| refused.wanted.clone())
        .collect();
    assert_eq!(refused, ["direct-streamlocal@openssh.com", "x11"]);
    assert!(
        world
            .state
            .told()
            .refused
            .iter()
            .all(|refused| refused.session.is_some())
    );
}

#[test]
fn each_global_request_of_a_client_is_as_the_table_says() {
    let Between { world, client, .. } = between();
    for (name, disposition) in rows(Kind::GlobalRequest, Side::Client) {
        let refused_before = world.state.told().refused.len();
        let answer = world
            .runtime
            .block_on(client.send_global_request(name, &payload(name), true));
        assert!(answer.is_err(), "{name}");
        let refused = world
            .state
            .told()
            .refused
            .iter()
            .skip(refused_before)
            .any(|refused| refused.wanted == name);
        let cancels = name.starts_with("cancel-");
        assert_eq!(refused, disposition == Disposition::Refuse && !cancels, "{name}");
    }
    // `no-more-sessions` was one of them.
    assert!(world.runtime.block_on(client.channel_open_session()).is_err());
}

#[test]
fn a_target_opens_nothing() {
    let Between {
        world,
        client,
        mut channels,
        target,
    } = between();
    world.runtime.block_on(async {
        let _channel = client.channel_open_session().await.unwrap();
        let _far = timeout(SOON, channels.recv()).await.unwrap().unwrap();
        let target = target.lock().unwrap().clone().unwrap();
        assert!(timeout(SOON, target.channel_open_session()).await.unwrap().is_err());
        assert!(timeout(SOON, target.channel_open_agent()).await.unwrap().is_err());
        assert!(timeout(SOON, target.channel_open_x11("a", 1)).await.unwrap().is_err());
        assert!(
            timeout(SOON, target.channel_open_direct_tcpip("a", 1, "b", 1))
                .await
                .unwrap()
                .is_err()
        );
        assert!(
            timeout(SOON, target.channel_open_forwarded_tcpip("a", 1, "b", 1))
                .await
                .unwrap()
                .is_err()
        );
        assert!(
            timeout(SOON, target.channel_open_forwarded_streamlocal("/x"))
                .await
                .unwrap()
                .is_err()
        );
    });
}

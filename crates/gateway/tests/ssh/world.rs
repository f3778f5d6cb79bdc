//! A throw-away world: a real sshd, a gateway before it, a person's key, and the files that stock clients need.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::TcpListener as StdListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway::ssh::ask::{Desk, HostIdentity};
use gateway::ssh::relay::{Gateway, Settings};
use gateway::ssh::wire::Reachable;
use journal::{Journal, JournalConfig};
use model::signature::Key;
use model::statement::ActionClass;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::certificate::{Builder, CertType};
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{PrivateKey, PublicKey};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::desk::{Grant, Rules, State};

pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) state: Arc<State>,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) port: u16,
    pub(crate) shutdown: watch::Sender<bool>,
    pub(crate) runtime: Runtime,
    sshd: Child,
}

pub(crate) fn key(seed: u8) -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
}

pub(crate) fn free_port() -> u16 {
    StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub(crate) fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn write_key(dir: &Path, name: &str, key: &PrivateKey) -> PathBuf {
    let path = dir.join(name);
    write(&path, &key.to_openssh(LineEnding::LF).unwrap());
    write(
        &dir.join(format!("{name}.pub")),
        &key.public_key().to_openssh().unwrap(),
    );
    path
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::built(change, |_| {})
    }

    pub(crate) fn built(change: impl FnOnce(&mut Settings), journaled: impl FnOnce(&mut JournalConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        let (host_key, user_ca, host_ca, gateway_key) = (key(1), key(2), key(3), key(4));
        let target_port = free_port();
        let sshd = start_sshd(at, target_port, &host_key, &user_ca);
        write_key(at, "alice", &key(5));
        write_key(at, "mallory", &key(6));
        let rules = Rules {
            people: BTreeMap::from([(Key::new(key(5).public_key()).unwrap(), "alice".to_owned())]),
            reachable: vec![Reachable {
                environment: "acme".parse().unwrap(),
                resource: "web1".parse().unwrap(),
                host: "127.0.0.1".into(),
            }],
            grant: Grant::Given,
            window: Duration::from_secs(3600),
            actions: vec![
                ActionClass::Shell,
                ActionClass::Exec,
                ActionClass::Sftp,
                ActionClass::Forward,
                ActionClass::TunnelLocal,
            ],
            host_keys: vec![host_key.public_key().clone()],
            target_port,
            sources: vec![],
        };
        let mut config = JournalConfig::new(at.join("journal"));
        config.segment_bytes = 8 << 20;
        config.low_water_bytes = 64 << 20;
        config.stop_water_bytes = 16 << 20;
        journaled(&mut config);
        let (journal, _) = Journal::open(config).unwrap();
        let identity = HostIdentity {
            key: gateway_key.clone(),
            certificate: host_certificate(&gateway_key, &host_ca),
        };
        let state = State::new(rules, journal, user_ca, identity);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let (desk, asks) = Desk::new();
        let (shutdown, down) = watch::channel(false);
        let mut settings = Settings::new(vec![gateway_key.clone()]);
        change(&mut settings);
        let gateway = Gateway::new(settings, desk, down);
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        runtime.spawn(Arc::clone(&state).serve(asks));
        runtime.spawn(Arc::clone(&gateway).serve(listener));
        write_client_config(at, port, gateway_key.public_key(), host_ca.public_key());
        Self {
            dir,
            state,
            gateway,
            port,
            shutdown,
            runtime,
            sshd,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `ssh` with our configuration and these arguments.
    pub(crate) fn ssh(&self, arguments: &[&str]) -> Command {
        self.client("ssh", arguments)
    }

    /// Any client that takes `-F`.
    pub(crate) fn client(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .arg("-F")
            .arg(self.path("config"))
            .args(arguments)
            .env_remove("SSH_AUTH_SOCK");
        command
    }

    /// Runs to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.ssh(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// Runs with this on standard input.
    pub(crate) fn run_with(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut child = self
            .ssh(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writing = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().unwrap();
        writing.join().unwrap();
        output
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.sshd.kill());
        drop(self.sshd.wait());
    }
}

pub(crate) const TARGET: &str = "root+web1.acme@gw";
pub(crate) const JUMPED: &str = "root@web1.acme";

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Waits until something holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "not within 10 s: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn host_certificate(gateway_key: &PrivateKey, host_ca: &PrivateKey) -> russh::keys::Certificate {
    let mut builder = Builder::new(vec![8; 32], gateway_key.public_key(), 0, u64::MAX >> 1).unwrap();
    builder.cert_type(CertType::Host).unwrap();
    builder.key_id("gateway").unwrap();
    builder.valid_principal("web1.acme").unwrap();
    builder.sign(host_ca).unwrap()
}

fn start_sshd(at: &Path, port: u16, host_key: &PrivateKey, user_ca: &PrivateKey) -> Child {
    fs::create_dir_all("/run/sshd").unwrap();
    let host_key = write_key(at, "host_key", host_key);
    write(&at.join("user_ca.pub"), &user_ca.public_key().to_openssh().unwrap());
    write(&at.join("principals"), "cs:acme:web1:root\n");
    let config = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nTrustedUserCAKeys {}\nAuthorizedPrincipalsFile {}\n\
         AuthorizedKeysFile none\nPasswordAuthentication no\nPidFile none\nUsePAM no\nStrictModes no\n\
         PermitRootLogin yes\nAcceptEnv *\nSubsystem sftp internal-sftp\nMaxSessions 100\nMaxStartups 500\nLogLevel ERROR\n",
        host_key.display(),
        at.join("user_ca.pub").display(),
        at.join("principals").display(),
    );
    let path = at.join("sshd_config");
    write(&path, &config);
    let child = Command::new("/usr/sbin/sshd")
        .arg("-D")
        .arg("-e")
        .arg("-f")
        .arg(&path)
        .stdin(Stdio::null())
        .stderr(fs::File::create(at.join("sshd.log")).unwrap())
        .spawn()
        .unwrap();
    until("sshd listens", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    child
}

fn write_client_config(at: &Path, port: u16, gateway: &PublicKey, host_ca: &PublicKey) {
    let blob = |key: &PublicKey| key.to_openssh().unwrap();
    write(&at.join("known"), &format!("[127.0.0.1]:{port} {}\n", blob(gateway)));
    write(
        &at.join("known_ca"),
        &format!("@cert-authority *.acme {}\n", blob(host_ca)),
    );
    let config = format!(
        "Host gw\n  HostName 127.0.0.1\n  Port {port}\n  UserKnownHostsFile {0}/known\n\
         Host *.acme\n  ProxyJump gw\n  UserKnownHostsFile {0}/known_ca\n\
         Host *\n  IdentityFile {0}/alice\n  IdentitiesOnly yes\n  IdentityAgent none\n  GlobalKnownHostsFile none\n  \
         StrictHostKeyChecking yes\n  BatchMode yes\n  ConnectTimeout 10\n",
        at.display()
    );
    write(&at.join("config"), &config);
}

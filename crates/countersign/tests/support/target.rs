//! A throw-away sshd with an environment's user authority and principals: the target that sessions reach.

use super::Folder;
use super::running::{PATIENCE, Running, within};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

/// A running sshd for one resource, on a port of its own.
pub(crate) struct Target {
    pub(crate) port: u16,
    pub(crate) running: Running,
}

impl Target {
    /// Takes certificates of `authority` (a public key's line) with these principals for root.
    pub(crate) fn start(folder: &Folder, name: &str, authority: &str, principals: &[&str]) -> Self {
        // sshd refuses to start without its empty folder, which a container may lack.
        drop(std::fs::create_dir("/run/sshd"));
        let place = folder.join(name);
        std::fs::create_dir_all(place.join("principals")).expect("a folder");
        if !place.join("host_key").exists() {
            super::ssh_key(&place, "host_key", "ed25519");
        }
        std::fs::write(place.join("user_ca.pub"), format!("{authority}\n")).expect("a file");
        std::fs::write(place.join("principals/root"), principals.join("\n") + "\n").expect("a file");
        let port = free_port();
        std::fs::write(place.join("sshd_config"), config(&place, port)).expect("a file");
        let mut command = Command::new("/usr/sbin/sshd");
        command.args(["-D", "-e", "-f"]).arg(place.join("sshd_config"));
        let running = Running::start(&mut command);
        let listens = within(PATIENCE, || TcpStream::connect(("127.0.0.1", port)).ok());
        assert!(listens.is_some(), "sshd does not listen:\n{}", running.said());
        Self { port, running }
    }

    /// None yet.
    pub(crate) fn idle() -> Self {
        Self {
            port: 0,
            running: Running::nothing(),
        }
    }

    /// The path of its host key's public half.
    pub(crate) fn host_key(name: &str) -> String {
        format!("{name}/host_key.pub")
    }
}

fn config(place: &Path, port: u16) -> String {
    let place = place.display();
    format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {place}/host_key\nPidFile {place}/pid\n\
         TrustedUserCAKeys {place}/user_ca.pub\nAuthorizedPrincipalsFile {place}/principals/%u\n\
         AuthorizedKeysFile none\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\n\
         PermitRootLogin yes\nStrictModes yes\nLogLevel VERBOSE\nMaxStartups 200\nMaxSessions 200\n\
         PrintMotd no\nPrintLastLog no\nAcceptEnv LANG LC_*\nSubsystem sftp internal-sftp\n"
    )
}

/// A port that was free a moment ago, for programs that cannot take port 0.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

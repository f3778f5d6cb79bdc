//! The gateway's listener: accepts connections, bears only so many strangers at once (see `strangers`) and each only so
//! long, and counts those that it turned away.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use russh::Limits;
use russh::keys::PrivateKey;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::ssh::ask::Desk;

use super::connection::{Connection, Way};
use super::line::{Line, Switch};
use super::refusals::Refusals;
use super::strangers::{Place, Strangers};
use super::transport;

/// What a gateway is told when it starts.
#[derive(Clone)]
pub struct Settings {
    /// The gateway's own host keys, for connections that name it.
    pub host_keys: Vec<PrivateKey>,
    /// How long a connection may take to log in.
    pub log_in_max: Duration,
    /// How many connections that have not logged in are borne at once.
    pub strangers_max: usize,
    /// When keys are exchanged anew, on both sides.
    pub rekey: Limits,
}

impl Settings {
    /// The defaults, with these host keys.
    #[must_use]
    pub fn new(host_keys: Vec<PrivateKey>) -> Self {
        Self {
            host_keys,
            log_in_max: Duration::from_secs(15),
            strangers_max: 256,
            rekey: Limits::default(),
        }
    }
}

/// One gateway.
pub struct Gateway {
    pub(super) settings: Settings,
    pub(super) desk: Desk,
    /// Connections turned away before anybody was known.
    pub refusals: Refusals,
    /// True: sessions end.
    pub(super) shutdown: watch::Receiver<bool>,
}

impl Gateway {
    /// A gateway that asks `desk`, and ends its sessions when `shutdown` becomes true.
    #[must_use]
    pub fn new(settings: Settings, desk: Desk, shutdown: watch::Receiver<bool>) -> Arc<Self> {
        Arc::new(Self {
            settings,
            desk,
            refusals: Refusals::default(),
            shutdown,
        })
    }

    /// Serves connections until shutdown.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let strangers = Strangers::new(self.settings.strangers_max);
        let mut shutdown = self.shutdown.clone();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = shutdown.wait_for(|down| *down) => return,
            };
            let Ok((socket, peer)) = accepted else {
                // Out of descriptors, most likely: let others close theirs.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let switch = Arc::new(Switch::default());
            let Some(place) = strangers.admit(peer.ip(), &switch) else {
                self.refusals.count("too_many");
                continue;
            };
            let gateway = Arc::clone(&self);
            tokio::spawn(async move {
                gateway.connected(socket, peer, (switch, place)).await;
            });
        }
    }

    async fn connected(self: Arc<Self>, socket: TcpStream, peer: SocketAddr, (switch, place): (Arc<Switch>, Place)) {
        if socket.set_nodelay(true).is_err() {
            return self.refusals.count("socket");
        }
        let line = Line::new(socket, Arc::clone(&switch), self.settings.log_in_max);
        let config = transport::server(&self.settings, None);
        let connection = Connection::new(Arc::clone(&self), peer, Way::Outer, Arc::clone(&switch), Some(place));
        let unknown = connection.unknown_key();
        if let Ok(running) = russh::server::run_stream(config, line, connection).await {
            // Its errors are of the connection alone: strangers must not be able to fill a log.
            drop(running.await);
        }
        if !switch.is_logged_in() {
            let code = match unknown.load(std::sync::atomic::Ordering::SeqCst) {
                _ if switch.gave_way() => "too_many",
                _ if switch.was_late() => "late",
                true => "unknown_key",
                false => "no_log_in",
            };
            self.refusals.count(code);
        }
    }
}

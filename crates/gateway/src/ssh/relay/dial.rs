//! The only module that reaches a target. It consumes what the gate cleared, and the certificate that was signed for it.
//!
//! INVARIANT (gate first): there is no way to a target but [`dial`], and [`Cleared`] is made by the gate alone. [`Again`],
//! which only a dial gives, goes the same way once more for a check, with certificates that can run nothing of a caller's.
//! INVARIANT (pins): the connection goes on only with a host key that the owner pinned; there is no first use.

use std::sync::Arc;
use std::time::Duration;

use model::chain::Session;
use model::name::AccountName;
use model::signature::{BadSignature, Key};
use publisher::Cleared;
use russh::client::{self, AuthResult, DisconnectReason, Handle};
use russh::keys::{Certificate, PrivateKey, PublicKey, PublicKeyOrCertificate};
use russh::{Disconnect, MethodSet};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

use crate::ssh::session::Input;
use crate::ssh::session::check::{Knocked, Right};

use super::gateway::Settings;
use super::transport;

/// The longest time to a TCP connection.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// The longest time from there to a log-in.
const LOG_IN_MAX: Duration = Duration::from_secs(20);

/// Why a target was not reached.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreached {
    /// The owner's pins cannot be read.
    #[error("the target's pinned host keys cannot be used: {0}")]
    Pins(BadSignature),
    /// No TCP connection.
    #[error("`{host}` port {port} cannot be reached: {why}")]
    Connect { host: String, port: u16, why: String },
    /// No key exchange.
    #[error("`{host}` port {port} does not speak SSH as we do: {why}")]
    Transport { host: String, port: u16, why: String },
    /// A host key that the owner did not pin.
    #[error("`{host}` port {port} shows a host key that its owner did not pin; nothing was sent to it")]
    HostKey { host: String, port: u16 },
    /// Too slow.
    #[error("`{host}` port {port} did not answer in time")]
    Late { host: String, port: u16 },
}

/// A target that was reached, and showed a pinned host key.
pub(super) struct Reached {
    /// None where it refused the log-in.
    pub(super) handle: Option<Handle<Side>>,
    pub(super) host_key: PublicKey,
    pub(super) again: Box<Again>,
}

/// A target that was reached, and with what: it can be tried whether it refuses what it must refuse, or why it refused.
pub(super) struct Again {
    config: Arc<client::Config>,
    target: Target,
    key: Arc<PrivateKey>,
    /// What the session's own certificate says.
    pub(super) right: Right,
}

/// What a cleared session says of its target.
struct Target {
    host: String,
    port: u16,
    /// The host keys that it may show.
    host_keys: Vec<PublicKey>,
    account: AccountName,
}

impl Target {
    fn of(session: Session) -> Result<Self, BadSignature> {
        let keys = session.resource.host_keys.iter().map(Key::parsed);
        Ok(Self {
            host_keys: keys.collect::<Result<_, _>>()?,
            host: session.resource.host,
            port: session.resource.port,
            account: session.facts.account,
        })
    }
}

/// Reaches the target and tries to log in with the session's one certificate.
pub(super) async fn dial(
    settings: &Settings,
    cleared: Cleared<Session>,
    key: PrivateKey,
    certificate: Certificate,
    happened: mpsc::Sender<Input>,
) -> Result<Reached, Unreached> {
    let target = Target::of(cleared.into_session()).map_err(Unreached::Pins)?;
    let again = Again {
        config: transport::client(settings, &target.host_keys),
        target,
        key: Arc::new(key),
        right: right(&certificate),
    };
    let Answered {
        handle,
        host_key,
        answer,
        gone,
    } = again.log_in(certificate).await?;
    let accepted = answer.is_ok_and(|answer| answer.success());
    if accepted {
        // Only now: a target that let nobody in has not left.
        tokio::spawn(async move {
            drop(gone.await);
            drop(happened.send(Input::TargetGone).await);
        });
    }
    Ok(Reached {
        handle: accepted.then_some(handle),
        host_key,
        again: Box::new(again),
    })
}

/// A few methods by their names.
fn names(methods: &MethodSet) -> String {
    let names: Vec<&str> = methods.iter().map(<&str>::from).collect();
    names.join(", ")
}

fn right(certificate: &Certificate) -> Right {
    let sources = certificate.critical_options().get("source-address");
    Right {
        principal: certificate.valid_principals().first().cloned().unwrap_or_default(),
        sources: sources
            .map(|list| list.split(',').map(str::to_owned).collect())
            .unwrap_or_default(),
        valid_before_s: certificate.valid_before(),
    }
}

/// A connection, and what became of its log-in.
struct Answered {
    handle: Handle<Side>,
    host_key: PublicKey,
    answer: Result<AuthResult, russh::Error>,
    /// Resolves once the connection has ended.
    gone: oneshot::Receiver<()>,
}

impl Again {
    /// The key that certificates are to be for.
    pub(super) fn key(&self) -> &PublicKey {
        self.key.public_key()
    }

    /// What to say where the session's own certificate is refused.
    pub(super) fn refusal(&self) -> String {
        let Target { host, account, .. } = &self.target;
        format!(
            "`{account}` on `{host}` refuses the session's certificate; `countersign resource check` finds out why, and \
             its sshd log says it"
        )
    }

    /// Tries a certificate. The connection is given back for as long as it is to stand.
    pub(super) async fn knock(&self, certificate: Certificate) -> (Knocked, Option<Handle<Side>>) {
        let (handle, answer) = match self.log_in(certificate).await {
            Ok(Answered { handle, answer, .. }) => (Some(handle), answer),
            Err(unreached) => return (Knocked::Unclear(unreached.to_string()), None),
        };
        let knocked = match answer {
            Ok(AuthResult::Success) => Knocked::Accepted,
            Ok(AuthResult::Failure {
                remaining_methods,
                partial_success: true,
            }) => Knocked::Partly(names(&remaining_methods)),
            Ok(AuthResult::Failure { .. }) => Knocked::Refused,
            Err(error) => Knocked::Unclear(error.to_string()),
        };
        (knocked, handle)
    }

    async fn log_in(&self, certificate: Certificate) -> Result<Answered, Unreached> {
        let socket = connect(&self.target).await?;
        let exchanged = tokio::time::timeout(LOG_IN_MAX, self.exchange(socket, certificate));
        let (host, port) = (self.target.host.clone(), self.target.port);
        exchanged.await.unwrap_or(Err(Unreached::Late { host, port }))
    }

    async fn exchange(&self, socket: TcpStream, certificate: Certificate) -> Result<Answered, Unreached> {
        let (host, port) = (self.target.host.clone(), self.target.port);
        let (shown, mut seen) = mpsc::channel(1);
        let (ended, gone) = oneshot::channel();
        let side = Side {
            pinned: self.target.host_keys.clone(),
            shown,
            ended: Some(ended),
        };
        let mut handle = match client::connect_stream(Arc::clone(&self.config), socket, side).await {
            Ok(handle) => handle,
            Err(russh::Error::UnknownKey) => return Err(Unreached::HostKey { host, port }),
            Err(error) => {
                return Err(Unreached::Transport {
                    host,
                    port,
                    why: error.to_string(),
                });
            }
        };
        let host_key = seen.try_recv().map_err(|_| Unreached::HostKey { host, port })?;
        let (account, key) = (self.target.account.as_str(), Arc::clone(&self.key));
        let answer = handle.authenticate_openssh_cert(account, key, certificate).await;
        Ok(Answered {
            handle,
            host_key,
            answer,
            gone,
        })
    }
}

/// Leaves a target that was only tried.
pub(super) async fn leave(target: Option<Handle<Side>>) {
    if let Some(target) = target {
        drop(target.disconnect(Disconnect::ByApplication, "", "").await);
    }
}

async fn connect(target: &Target) -> Result<TcpStream, Unreached> {
    let (host, port) = (target.host.clone(), target.port);
    let connected = tokio::time::timeout(CONNECT_MAX, TcpStream::connect((host.as_str(), port))).await;
    let Ok(connected) = connected else {
        return Err(Unreached::Late { host, port });
    };
    let socket = connected.and_then(|socket| socket.set_nodelay(true).map(|()| socket));
    socket.map_err(|error| Unreached::Connect {
        host,
        port,
        why: error.to_string(),
    })
}

/// The gateway's side of a connection to a target. Whatever the target wants to open is refused by default.
pub(super) struct Side {
    pinned: Vec<PublicKey>,
    shown: mpsc::Sender<PublicKey>,
    ended: Option<oneshot::Sender<()>>,
}

impl client::Handler for Side {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else {
            return Ok(false);
        };
        let pinned = self.pinned.iter().any(|pin| pin.key_data() == key.key_data());
        if pinned {
            drop(self.shown.try_send(key.clone()));
        }
        Ok(pinned)
    }

    async fn disconnected(&mut self, _reason: DisconnectReason<Self::Error>) -> Result<(), Self::Error> {
        drop(self.ended.take()); // dropped, it resolves `gone`
        Ok(())
    }
}

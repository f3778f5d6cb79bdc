//! One connection of a client: at the gateway itself, or behind `-J`, where the gateway stands for the resource.
//!
//! INVARIANT (verified): nothing is decided, asked or told on an offered key; a person is known by a verified signature.
//! INVARIANT (one person): behind `-J` the key must be the one that logged in outside; a shared connection lends nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use model::bytes::Blob;
use model::signature::{Key, LogIn};
use russh::keys::{Algorithm, PublicKey};
use russh::server::{self, Auth, ChannelOpenHandle, Msg, PublicKeyOffer, Unsupported, VerifiedPublicKey};
use russh::{Channel, ChannelOpenFailure};
use tokio::sync::oneshot;

use crate::ssh::ask::{ALIAS_USER, Ask, Came, Refused};
use crate::ssh::refusal::Code;
use crate::ssh::wire::place::SSH_PORT;
use crate::ssh::wire::{Account, Place, Reachable, Target, resolve};

use super::channel::{self, To, prohibited};
use super::gateway::Gateway;
use super::line::{Line, Switch};
use super::live::{self, Destination, Session, Stage, Start};
use super::words::{self, Speaker};
use super::{strangers, transport};

/// Channels of one connection at once.
const CHANNELS_MAX: usize = 256;

/// How a connection came.
pub(super) enum Way {
    /// To the gateway itself.
    Outer,
    /// Behind `-J`: the key that logged in outside, and the resource whose name was asked for.
    Inner {
        key: Box<PublicKey>,
        reachable: Reachable,
        by_alias: bool,
    },
}

/// Where its channels go.
enum Goal {
    /// Not known: nobody has logged in.
    Unknown,
    /// The gateway's own words, and `-J`.
    Words(Speaker),
    /// A target.
    Session {
        session: Session,
        _connected: oneshot::Sender<()>,
    },
    /// A user name that says nothing; the text.
    Nowhere(String),
}

/// One connection.
pub(super) struct Connection {
    gateway: Arc<Gateway>,
    peer: SocketAddr,
    way: Way,
    switch: Arc<Switch>,
    stranger: Option<strangers::Place>,
    unknown_key: Arc<AtomicBool>,
    proof: Option<LogIn>,
    person: Option<(PublicKey, Key)>,
    user: String,
    goal: Goal,
    no_more_sessions: bool,
    channels: Arc<()>,
}

impl Connection {
    pub(super) fn new(
        gateway: Arc<Gateway>,
        peer: SocketAddr,
        way: Way,
        switch: Arc<Switch>,
        stranger: Option<strangers::Place>,
    ) -> Self {
        Self {
            gateway,
            peer,
            way,
            switch,
            stranger,
            unknown_key: Arc::default(),
            proof: None,
            person: None,
            user: String::new(),
            goal: Goal::Unknown,
            no_more_sessions: false,
            channels: Arc::new(()),
        }
    }

    /// Becomes true when a key has verified that nobody is known by.
    pub(super) fn unknown_key(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.unknown_key)
    }

    /// Whether this key, used with this algorithm, may belong to whoever should be here.
    fn may_be(&self, key: &PublicKey, algorithm: &Algorithm) -> bool {
        let weak = matches!(algorithm, Algorithm::Rsa { hash: None } | Algorithm::Dsa);
        let other = matches!(&self.way, Way::Inner { key: outer, .. } if outer.key_data() != key.key_data());
        !weak && !other
    }

    async fn is_known(&self, key: &PublicKey) -> Option<Key> {
        let key = Key::new(key).ok()?;
        let person = self
            .gateway
            .desk
            .ask(|answer| Ask::Who(key.clone(), answer))
            .await
            .flatten();
        person.map(|_| key)
    }

    /// What the user name means, once somebody is known.
    fn goal(&self, key: Key, public: &PublicKey, connection: server::Handle) -> Goal {
        let Some(proof) = self.proof.clone() else {
            return Goal::Nowhere(Code::Id.says("no proof of the log-in; connect again"));
        };
        let read = match &self.way {
            Way::Inner { reachable, .. } => {
                Account::parse(&self.user).map(|account| Some((account, Destination::Known(reachable.clone()))))
            }
            Way::Outer => Target::parse(&self.user)
                .map(|target| target.map(|target| (target.account, Destination::Typed(target.place)))),
        };
        let (account, destination) = match read {
            Err(error) => return Goal::Nowhere(Code::Name.says(error)),
            Ok(None) => {
                let desk = self.gateway.desk.clone();
                return Goal::Words(Speaker {
                    desk,
                    key,
                    public: public.clone(),
                    proof,
                    client: self.peer,
                    by_alias: self.user == ALIAS_USER,
                });
            }
            Ok(Some(read)) => read,
        };
        let start = Start {
            key,
            proof,
            client: self.peer,
            account,
            destination,
            connection,
            switch: Arc::clone(&self.switch),
            came: match self.way {
                Way::Outer => Came::Direct,
                Way::Inner { by_alias: false, .. } => Came::Jump,
                Way::Inner { by_alias: true, .. } => Came::Alias,
            },
        };
        let (session, connected) = live::begin(Arc::clone(&self.gateway), start);
        Goal::Session {
            session,
            _connected: connected,
        }
    }

    /// Puts a refusal of this connection on record, before it is answered.
    async fn refused(&self, wanted: &str, code: &'static str) {
        let Some((_, key)) = &self.person else { return };
        let session = match &self.goal {
            Goal::Session { session, .. } => match session.stage() {
                Stage::Live(live) => Some(live.id),
                Stage::Barred(barred) => Some(barred.id),
                _ => None,
            },
            _ => None,
        };
        let refused = Refused {
            key: key.clone(),
            session,
            wanted: wanted.to_owned(),
            command: None,
            code,
        };
        if self
            .gateway
            .desk
            .ask(|answer| Ask::Refused(refused, answer))
            .await
            .is_none()
        {
            tracing::error!("a refusal could not be recorded");
        }
    }

    /// A place for one more channel; it is given back when the value is dropped.
    fn place(&self) -> Option<Arc<()>> {
        (Arc::strong_count(&self.channels) <= CHANNELS_MAX).then(|| Arc::clone(&self.channels))
    }
}

impl server::Handler for Connection {
    type Error = russh::Error;

    async fn auth_publickey_offered(&mut self, _user: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, Self::Error> {
        // Whether to go on signing: no more follows from it.
        let go_on = self.may_be(offer.public_key, offer.algorithm) && self.is_known(offer.public_key).await.is_some();
        Ok(if go_on { Auth::Accept } else { Auth::reject() })
    }

    fn auth_proof(&mut self, signed: &[u8], signature: &[u8], _key: &PublicKey) {
        self.proof = Some(LogIn {
            signed: Blob(signed.to_vec()),
            signature: Blob(signature.to_vec()),
        });
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        let known = match self.may_be(key.public_key, key.algorithm) {
            true => self.is_known(key.public_key).await,
            false => None,
        };
        let Some(known) = known else {
            self.unknown_key.store(true, SeqCst);
            self.proof = None;
            return Ok(Auth::reject());
        };
        self.person = Some((key.public_key.clone(), known));
        user.clone_into(&mut self.user);
        Ok(Auth::Accept)
    }

    async fn auth_succeeded(&mut self, session: &mut server::Session) -> Result<(), Self::Error> {
        self.switch.log_in();
        self.stranger = None;
        let Some((public, key)) = self.person.clone() else {
            return Err(russh::Error::NotAuthenticated);
        };
        self.goal = self.goal(key, &public, session.handle());
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut server::Session,
    ) -> Result<(), Self::Error> {
        let Some(place) = self.place().filter(|_| !self.no_more_sessions) else {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        };
        reply.accept().await;
        match &self.goal {
            Goal::Session { session, .. } => {
                let session = session.clone();
                tokio::spawn(async move {
                    channel::serve(session, channel).await;
                    drop(place);
                });
            }
            Goal::Words(speaker) => {
                let speaker = speaker.clone();
                tokio::spawn(async move {
                    words::speak(speaker, channel).await;
                    drop(place);
                });
            }
            Goal::Nowhere(text) => {
                let text = text.clone();
                tokio::spawn(async move {
                    words::turn_away(text, channel).await;
                    drop(place);
                });
            }
            Goal::Unknown => return Err(russh::Error::NotAuthenticated),
        }
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        from: &str,
        from_port: u32,
        reply: ChannelOpenHandle,
        _: &mut server::Session,
    ) -> Result<(), Self::Error> {
        let Some(place) = self.place() else {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        };
        match &self.goal {
            Goal::Session { session, .. } => {
                let session = session.clone();
                let to = To {
                    host: host.to_owned(),
                    port,
                    from: from.to_owned(),
                    from_port,
                };
                tokio::spawn(async move {
                    channel::tunnel(session, channel, reply, to).await;
                    drop(place);
                });
            }
            Goal::Words(speaker) => {
                let jump = Jump {
                    gateway: Arc::clone(&self.gateway),
                    speaker: speaker.clone(),
                    host: host.to_owned(),
                    port,
                };
                tokio::spawn(async move {
                    jump.run(channel, reply).await;
                    drop(place);
                });
            }
            Goal::Nowhere(text) => reply.reject(prohibited(text.clone())).await,
            Goal::Unknown => return Err(russh::Error::NotAuthenticated),
        }
        Ok(())
    }

    async fn channel_open_x11(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut server::Session,
    ) -> Result<(), Self::Error> {
        self.refused("x11", "channel_not_supported").await;
        reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
        Ok(())
    }

    async fn channel_open_forwarded_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut server::Session,
    ) -> Result<(), Self::Error> {
        self.refused("forwarded-tcpip", "channel_not_supported").await;
        reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
        Ok(())
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        reply: ChannelOpenHandle,
        _: &mut server::Session,
    ) -> Result<(), Self::Error> {
        self.refused("direct-streamlocal@openssh.com", "channel_not_supported")
            .await;
        reply
            .reject(prohibited("no grant covers sockets of the target".to_owned()))
            .await;
        Ok(())
    }

    async fn tcpip_forward(&mut self, _: &str, _: &mut u32, _: &mut server::Session) -> Result<bool, Self::Error> {
        self.refused("tcpip-forward", "request_not_supported").await;
        Ok(false)
    }

    async fn streamlocal_forward(&mut self, _: &str, _: &mut server::Session) -> Result<bool, Self::Error> {
        self.refused("streamlocal-forward@openssh.com", "request_not_supported")
            .await;
        Ok(false)
    }

    async fn unsupported(&mut self, what: Unsupported<'_>) -> Result<(), Self::Error> {
        match what {
            Unsupported::Global("no-more-sessions@openssh.com") => self.no_more_sessions = true,
            Unsupported::Global("keepalive@openssh.com") => {}
            Unsupported::Global(name) => self.refused(name, "request_not_supported").await,
            Unsupported::Channel(name) => self.refused(name, "channel_not_supported").await,
        }
        Ok(())
    }
}

/// `ssh -J gateway root@web1.acme`: the connection inside is ended here, under the resource's name.
struct Jump {
    gateway: Arc<Gateway>,
    speaker: Speaker,
    host: String,
    port: u32,
}

impl Jump {
    async fn run(self, channel: Channel<Msg>, reply: ChannelOpenHandle) {
        let (reachable, config) = match self.prepare().await {
            Ok(prepared) => prepared,
            Err(text) => return reply.reject(prohibited(text)).await,
        };
        reply.accept().await;
        let switch = Arc::new(Switch::default());
        let line = Line::new(
            channel.into_stream(),
            Arc::clone(&switch),
            self.gateway.settings.log_in_max,
        );
        let way = Way::Inner {
            key: Box::new(self.speaker.public.clone()),
            reachable,
            by_alias: self.speaker.by_alias,
        };
        let inner = Connection::new(Arc::clone(&self.gateway), self.speaker.client, way, switch, None);
        if let Ok(running) = server::run_stream(config, line, inner).await {
            drop(running.await);
        }
    }

    async fn prepare(&self) -> Result<(Reachable, Arc<server::Config>), String> {
        if self.port != SSH_PORT {
            return Err(Code::Name.says(format_args!("the gateway stands for resources on port {SSH_PORT} only")));
        }
        let place = Place::parse(&self.host).ok_or_else(|| Code::Name.says("not the name of a resource"))?;
        let desk = &self.speaker.desk;
        let all = desk
            .ask(|answer| Ask::Reach(self.speaker.key.clone(), answer))
            .await
            .unwrap_or_default();
        let reachable = resolve(&place, &all)
            .map_err(|unresolved| Code::Name.says(unresolved))?
            .clone();
        let (environment, resource) = (reachable.environment.clone(), reachable.resource.clone());
        let identity = desk
            .ask(|answer| Ask::HostIdentity(environment, resource, answer))
            .await
            .flatten();
        let identity = identity
            .ok_or_else(|| Code::Gate.says("the gateway has no host certificate for this resource; try again"))?;
        Ok((reachable, transport::server(&self.gateway.settings, Some(&identity))))
    }
}

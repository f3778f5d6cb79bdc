//! How SSH is spoken on both sides. Every value that differs from the library's has its reason here.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::{Algorithm, HashAlg, PublicKey};
use russh::{MethodKind, MethodSet, Preferred, SshId, cipher, client, server};

use crate::ssh::ask::HostIdentity;

use super::gateway::Settings;

/// Fast on any machine with AES instructions; the client's order wins on its side.
const CIPHERS: &[cipher::Name] = &[cipher::AES_128_GCM, cipher::AES_256_GCM, cipher::CHACHA20_POLY1305];
/// OpenSSH says `eow@openssh.com` and `no-more-sessions@openssh.com` only to peers of this name; without the first,
/// `ssh host 'tail -f log' | head -1` would not end. No version is claimed.
const IDENTIFICATION: &str = "SSH-2.0-OpenSSH_Countersign";
/// One window per channel and direction; what a stalled reader can cost.
const WINDOW: u32 = 2 * 1024 * 1024;
/// Messages per channel. Bytes are bounded by the window; a full queue would stop the whole connection.
const QUEUE: usize = 65_536;
const KEEPALIVE: Duration = Duration::from_secs(30);

/// How the gateway is a server, to clients and behind `-J`.
pub(super) fn server(settings: &Settings, identity: Option<&HostIdentity>) -> Arc<server::Config> {
    let (keys, certificates) = match identity {
        Some(identity) => (vec![identity.key.clone()], vec![identity.certificate.clone()]),
        None => (settings.host_keys.clone(), vec![]),
    };
    Arc::new(server::Config {
        server_id: SshId::Standard(Cow::Borrowed(IDENTIFICATION)),
        methods: MethodSet::from(&[MethodKind::PublicKey][..]),
        keys,
        certificates,
        limits: settings.rekey.clone(),
        window_size: WINDOW,
        channel_buffer_size: QUEUE,
        preferred: preferred(None),
        // Ten keys in an agent are common, and each costs an attempt.
        max_auth_attempts: 20,
        // OpenSSH first asks with `none`, which must not cost a second; a wrong key is no guess.
        auth_rejection_time: Duration::ZERO,
        auth_rejection_time_initial: Some(Duration::ZERO),
        // An idle shell is not a dead one; keepalives find dead ones, and log-ins have a deadline of their own (`line`).
        inactivity_timeout: None,
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: 4,
        nodelay: true,
        ..Default::default()
    })
}

/// How the gateway is a client of a target: it asks for the kinds of host key that are pinned.
pub(super) fn client(settings: &Settings, pinned: &[PublicKey]) -> Arc<client::Config> {
    Arc::new(client::Config {
        client_id: SshId::Standard(Cow::Borrowed(IDENTIFICATION)),
        limits: settings.rekey.clone(),
        window_size: WINDOW,
        channel_buffer_size: QUEUE,
        preferred: preferred(Some(pinned)),
        inactivity_timeout: None,
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: 4,
        nodelay: true,
        ..Default::default()
    })
}

fn preferred(pinned: Option<&[PublicKey]>) -> Preferred {
    let mut preferred = Preferred {
        cipher: Cow::Borrowed(CIPHERS),
        ..Preferred::DEFAULT
    };
    if let Some(pinned) = pinned {
        preferred.key = Cow::Owned(pinned.iter().flat_map(algorithms).collect());
    }
    preferred
}

fn algorithms(key: &PublicKey) -> Vec<Algorithm> {
    match key.algorithm() {
        Algorithm::Rsa { .. } => [HashAlg::Sha512, HashAlg::Sha256]
            .map(|hash| Algorithm::Rsa { hash: Some(hash) })
            .into(),
        algorithm => vec![algorithm],
    }
}

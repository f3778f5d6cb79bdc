//! What our edits add, seen from outside: both ends of a connection in memory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set up must stop"
)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use russh::client::{self, Handle};
use russh::keys::signature::Verifier;
use russh::keys::ssh_encoding::Decode;
use russh::keys::{Algorithm, PrivateKey, PrivateKeyWithHashAlg, PublicKey};
use russh::server::{self, Auth, Unsupported, VerifiedPublicKey};
use russh::{Channel, ChannelMsg};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

const WINDOW: u32 = 64 * 1024;
const SOON: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Seen {
    proofs: Vec<(Vec<u8>, Vec<u8>, PublicKey)>,
    accepted: Vec<PublicKey>,
    unsupported: Vec<String>,
    session: Option<server::Handle>,
}

struct Server {
    known: PublicKey,
    channels: UnboundedSender<Channel<server::Msg>>,
    seen: Arc<Mutex<Seen>>,
}

impl server::Handler for Server {
    type Error = russh::Error;

    fn auth_proof(&mut self, signed: &[u8], signature: &[u8], key: &PublicKey) {
        self.seen
            .lock()
            .unwrap()
            .proofs
            .push((signed.to_vec(), signature.to_vec(), key.clone()));
    }

    async fn auth_publickey(&mut self, _: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        self.seen.lock().unwrap().accepted.push(key.public_key.clone());
        Ok(if key.public_key.key_data() == self.known.key_data() {
            Auth::Accept
        } else {
            Auth::reject()
        })
    }

    async fn auth_succeeded(&mut self, session: &mut server::Session) -> Result<(), Self::Error> {
        self.seen.lock().unwrap().session = Some(session.handle());
        Ok(())
    }

    async fn unsupported(&mut self, what: Unsupported<'_>) -> Result<(), Self::Error> {
        self.seen.lock().unwrap().unsupported.push(format!("{what:?}"));
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<server::Msg>,
        reply: server::ChannelOpenHandle,
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

struct Pair {
    client: Handle<Client>,
    channels: UnboundedReceiver<Channel<server::Msg>>,
    seen: Arc<Mutex<Seen>>,
    key: Arc<PrivateKey>,
}

fn key() -> PrivateKey {
    PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap()
}

async fn connected() -> Pair {
    let key = Arc::new(key());
    let (sender, channels) = unbounded_channel();
    let seen = Arc::new(Mutex::new(Seen::default()));
    let server = Server {
        known: key.public_key().clone(),
        channels: sender,
        seen: Arc::clone(&seen),
    };
    let config = server::Config {
        keys: vec![self::key()],
        auth_rejection_time: Duration::ZERO,
        window_size: WINDOW,
        channel_buffer_size: 65_536,
        inactivity_timeout: None,
        ..Default::default()
    };
    let (near, far) = tokio::io::duplex(1 << 20);
    tokio::spawn(async move { server::run_stream(Arc::new(config), far, server).await.unwrap().await });
    let config = client::Config {
        window_size: WINDOW,
        channel_buffer_size: 65_536,
        ..Default::default()
    };
    let client = client::connect_stream(Arc::new(config), near, Client).await.unwrap();
    Pair {
        client,
        channels,
        seen,
        key,
    }
}

async fn authenticated() -> Pair {
    let mut pair = connected().await;
    let key = PrivateKeyWithHashAlg::new(Arc::clone(&pair.key), None);
    assert!(pair.client.authenticate_publickey("ada", key).await.unwrap().success());
    pair
}

#[tokio::test]
async fn the_proof_verifies_for_a_third_party() {
    let pair = authenticated().await;
    let seen = pair.seen.lock().unwrap();
    let [(signed, signature, key)] = seen.proofs.as_slice() else {
        panic!("one proof, not {}", seen.proofs.len())
    };
    assert_eq!(key, pair.key.public_key());
    let signature = russh::keys::ssh_key::Signature::try_from(signature.as_slice()).unwrap();
    key.key_data().verify(signed, &signature).unwrap();
    let mut rest = signed.as_slice();
    assert_eq!(Vec::<u8>::decode(&mut rest).unwrap().len(), 32, "session identifier");
    assert_eq!(u8::decode(&mut rest).unwrap(), 50, "SSH_MSG_USERAUTH_REQUEST");
    assert_eq!(String::decode(&mut rest).unwrap(), "ada");
}

#[tokio::test]
async fn a_verified_key_that_is_refused_had_its_proof_first() {
    let mut pair = connected().await;
    let other = PrivateKeyWithHashAlg::new(Arc::new(key()), None);
    assert!(
        !pair
            .client
            .authenticate_publickey("ada", other)
            .await
            .unwrap()
            .success()
    );
    let seen = pair.seen.lock().unwrap();
    assert_eq!((seen.proofs.len(), seen.accepted.len()), (1, 1));
    assert_eq!(seen.proofs[0].2, seen.accepted[0]);
}

/// A signer that signs with another key than it says.
struct Liar(Arc<PrivateKey>);

impl russh::Signer for Liar {
    type Error = russh::AgentAuthError;

    async fn auth_sign(
        &mut self,
        _: &russh::keys::agent::AgentIdentity,
        _: Option<russh::keys::HashAlg>,
        mut data: Vec<u8>,
    ) -> Result<Vec<u8>, Self::Error> {
        let signature: russh::keys::ssh_key::Signature = russh::keys::signature::Signer::sign(self.0.as_ref(), &data);
        let bytes = Vec::<u8>::try_from(signature).unwrap();
        russh::keys::ssh_encoding::Encode::encode(&bytes, &mut data).unwrap();
        Ok(data)
    }
}

#[tokio::test]
async fn a_wrong_signature_and_an_offer_give_no_proof() {
    let mut pair = connected().await;
    let public = pair.key.public_key().clone();
    let mut liar = Liar(Arc::new(key()));
    let result = pair
        .client
        .authenticate_publickey_with("ada", public, None, &mut liar)
        .await
        .unwrap();
    assert!(!result.success());
    assert!(pair.seen.lock().unwrap().proofs.is_empty() && pair.seen.lock().unwrap().accepted.is_empty());
}

/// User certificates are not accepted, however valid: no proof leaves the session, and the plain key still may log in.
#[tokio::test]
async fn a_certificate_gives_no_proof_and_no_log_in() {
    let mut pair = connected().await;
    let nonce = vec![5; 32];
    let mut builder =
        russh::keys::ssh_key::certificate::Builder::new(nonce, pair.key.public_key(), 0, u64::MAX >> 1).unwrap();
    builder
        .valid_principal("ada")
        .unwrap()
        .cert_type(russh::keys::ssh_key::certificate::CertType::User)
        .unwrap();
    let certificate = builder.sign(&key()).unwrap();
    let result = pair
        .client
        .authenticate_openssh_cert("ada", Arc::clone(&pair.key), certificate)
        .await
        .unwrap();
    assert!(!result.success());
    assert!(pair.seen.lock().unwrap().proofs.is_empty());
    let key = PrivateKeyWithHashAlg::new(Arc::clone(&pair.key), None);
    assert!(pair.client.authenticate_publickey("ada", key).await.unwrap().success());
}

#[tokio::test]
async fn requests_are_answered_late_and_in_order() {
    let mut pair = authenticated().await;
    let mut near = pair.client.channel_open_session().await.unwrap();
    let far = pair.channels.recv().await.unwrap();
    near.request_pty(true, "xterm", 80, 24, 0, 0, &[]).await.unwrap();
    near.set_env(false, "LANG", "C").await.unwrap();
    near.exec(true, "id").await.unwrap();
    let (mut read, write) = far.split();
    let mut wanted = Vec::new();
    while wanted.len() < 3 {
        match timeout(SOON, read.wait()).await.unwrap().unwrap() {
            ChannelMsg::RequestPty { want_reply, .. } => wanted.push(want_reply),
            ChannelMsg::SetEnv { want_reply, .. } => wanted.push(want_reply),
            ChannelMsg::Exec { want_reply, .. } => wanted.push(want_reply),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(wanted, [true, false, true]);
    write.answer(false).await.unwrap();
    write.answer(true).await.unwrap();
    assert!(matches!(
        timeout(SOON, near.wait()).await.unwrap(),
        Some(ChannelMsg::Failure)
    ));
    assert!(matches!(
        timeout(SOON, near.wait()).await.unwrap(),
        Some(ChannelMsg::Success)
    ));
}

#[tokio::test]
async fn requests_without_a_name_of_their_own_pass_both_ways() {
    let mut pair = authenticated().await;
    let near = pair.client.channel_open_session().await.unwrap();
    let (mut near_read, near_write) = near.split();
    let (mut far_read, far_write) = pair.channels.recv().await.unwrap().split();
    near_write
        .request("break", true, vec![0, 0, 1, 244].into())
        .await
        .unwrap();
    let Some(ChannelMsg::Request { name, want_reply, data }) = timeout(SOON, far_read.wait()).await.unwrap() else {
        panic!("no request")
    };
    assert_eq!(
        (name.as_str(), want_reply, &data[..]),
        ("break", true, &[0, 0, 1, 244][..])
    );
    far_write.answer(true).await.unwrap();
    far_write
        .request("eow@openssh.com", false, Vec::new().into())
        .await
        .unwrap();
    assert!(matches!(
        timeout(SOON, near_read.wait()).await.unwrap(),
        Some(ChannelMsg::Success)
    ));
    let Some(ChannelMsg::Request { name, want_reply, data }) = timeout(SOON, near_read.wait()).await.unwrap() else {
        panic!("no request")
    };
    assert_eq!((name.as_str(), want_reply, data.len()), ("eow@openssh.com", false, 0));
}

#[tokio::test]
async fn what_has_no_method_is_told_before_it_is_refused() {
    let pair = authenticated().await;
    let answer = pair.client.send_global_request("unknown@example.com", &[], true).await;
    assert!(answer.is_err());
    assert_eq!(
        pair.seen.lock().unwrap().unsupported,
        ["Global(\"unknown@example.com\")"]
    );
}

#[tokio::test]
async fn a_server_cannot_open_a_channel_that_nobody_asked_for() {
    let pair = authenticated().await;
    let session = pair.seen.lock().unwrap().session.clone().unwrap();
    assert!(timeout(SOON, session.channel_open_session()).await.unwrap().is_err());
    assert!(timeout(SOON, session.channel_open_agent()).await.unwrap().is_err());
    assert!(
        timeout(SOON, session.channel_open_forwarded_tcpip("a", 1, "b", 2))
            .await
            .unwrap()
            .is_err()
    );
    assert!(timeout(SOON, session.channel_open_x11("a", 1)).await.unwrap().is_err());
    assert!(
        timeout(SOON, session.channel_open_direct_tcpip("a", 1, "b", 2))
            .await
            .unwrap()
            .is_err()
    );
}

/// The unread channel takes one window and no more; its neighbour answers; once it is read, the rest comes.
#[tokio::test]
async fn an_unread_channel_stalls_its_own_peer_only() {
    let mut pair = authenticated().await;
    let stalled = pair.client.channel_open_session().await.unwrap();
    let mut stalled_far = pair.channels.recv().await.unwrap();
    let live = pair.client.channel_open_session().await.unwrap();
    let mut live_far = pair.channels.recv().await.unwrap();
    let total = 8 * WINDOW as usize;
    let (_stalled_read, stalled_write) = stalled.split();
    let sending = tokio::spawn(async move { stalled_write.data_bytes(vec![7; total]).await.unwrap() });
    for round in 0..20 {
        live.data(&[round][..]).await.unwrap();
        let Some(ChannelMsg::Data { data }) = timeout(SOON, live_far.wait()).await.unwrap() else {
            panic!("no data")
        };
        assert_eq!(&data[..], &[round]);
    }
    assert!(!sending.is_finished());
    let mut taken = 0;
    while taken < total {
        match timeout(SOON, stalled_far.wait()).await.unwrap().unwrap() {
            ChannelMsg::Data { data } => taken += data.len(),
            other => panic!("{other:?}"),
        }
    }
    sending.await.unwrap();
}

//! The keys that the vault holds for an environment: the two certificate authorities', and the one that opens what
//! approvers must be shown. Made once, when the environment is offered; never printed, never on disk in plain.
//!
//! Not here: how secrets are sealed (that is the store's vault), and the log's key (that is the publisher's).

use crate::desk::{Desk, unavailable};
use crate::failure::Failure;
use model::name::EnvironmentName;
use model::signature::Key;
use ssh_key::PrivateKey;
use ssh_key::private::{Ed25519Keypair, KeypairData};
use zeroize::Zeroizing;

/// A certificate authority of an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Authority {
    /// Signs certificates that targets accept.
    User,
    /// Signs the gateway's own host certificates.
    GatewayHost,
}

impl Authority {
    fn name(self, environment: &EnvironmentName) -> String {
        match self {
            Self::User => format!("user-ca/{environment}"),
            Self::GatewayHost => format!("gateway-host-ca/{environment}"),
        }
    }
}

fn reading_name(environment: &EnvironmentName) -> String {
    format!("reading/{environment}")
}

/// A certificate authority's key, which must exist.
pub(crate) async fn authority(
    desk: &Desk,
    environment: &EnvironmentName,
    whose: Authority,
) -> Result<PrivateKey, Failure> {
    let seed = desk
        .store()
        .vault()
        .open(&whose.name(environment))
        .await
        .map_err(unavailable)?;
    pair(&seed)
}

/// The public half of a certificate authority's key; made if it does not exist yet.
pub(crate) async fn offered_authority(
    desk: &Desk,
    environment: &EnvironmentName,
    whose: Authority,
) -> Result<Key, Failure> {
    let seed: Zeroizing<[u8; 32]> = Zeroizing::new(desk.fresh()?);
    let make = || Zeroizing::new(seed.to_vec());
    let seed = desk
        .store()
        .vault()
        .open_or_seal(&whose.name(environment), make)
        .await
        .map_err(unavailable)?;
    Key::new(pair(&seed)?.public_key()).map_err(unavailable)
}

fn pair(seed: &[u8]) -> Result<PrivateKey, Failure> {
    let seed: Zeroizing<[u8; 32]> = Zeroizing::new(seed.try_into().map_err(|_| no_key())?);
    let pair = Ed25519Keypair::from_seed(&seed);
    PrivateKey::new(KeypairData::Ed25519(pair), "").map_err(|_| no_key())
}

fn no_key() -> Failure {
    unavailable("the vault holds something that is no key")
}

/// Makes the reading key if it does not exist yet: recipient and identity, a line each, as in a key file of age.
pub(crate) async fn offer_reading(desk: &Desk, environment: &EnvironmentName) -> Result<(), Failure> {
    let make = || {
        let (identity, recipient) = store::fresh_identity();
        Zeroizing::new(format!("# {recipient}\n{}\n", identity.as_str()).into_bytes())
    };
    let made = desk
        .store()
        .vault()
        .open_or_seal(&reading_name(environment), make)
        .await;
    made.map(drop).map_err(unavailable)
}

/// The key file that opens what this desk must be able to show.
pub(crate) async fn reading(desk: &Desk, environment: &EnvironmentName) -> Result<Zeroizing<String>, Failure> {
    let file = desk
        .store()
        .vault()
        .open(&reading_name(environment))
        .await
        .map_err(unavailable)?;
    std::str::from_utf8(&file)
        .map(|text| Zeroizing::new(text.to_owned()))
        .map_err(|_| no_key())
}

/// To whom that is sealed.
pub(crate) async fn reading_recipient(desk: &Desk, environment: &EnvironmentName) -> Result<String, Failure> {
    let file = reading(desk, environment).await?;
    let line = file.lines().find_map(|line| line.strip_prefix("# "));
    line.map(str::to_owned).ok_or_else(no_key)
}

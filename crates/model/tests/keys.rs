//! What a key and a signature may be: what docs/formats/entry.md names, whatever the library would verify.
//!
//! `vectors/keys` holds public keys that are accepted and refused, and SSHSIG signatures over `message`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set up must stop")]

use model::signature::{BadSignature, Key, Namespace, Signature};

const KEYS: &str = include_str!("vectors/keys/keys.txt");

#[test]
fn keys_are_of_the_kinds_that_the_format_names() {
    for line in KEYS.lines() {
        let (verdict, text) = line.split_once(' ').unwrap();
        let key: Result<Key, _> = text.parse();
        match verdict {
            "accepted" => assert_eq!(key.unwrap().as_str(), text),
            _ => assert!(
                matches!(key, Err(BadSignature::Kind(_) | BadSignature::RsaBits(_))),
                "{text}: {key:?}"
            ),
        }
    }
    let refused = |kind: &str| {
        let mut lines = KEYS.lines().filter_map(|line| line.strip_prefix("refused "));
        let text = lines.find(|key| key.starts_with(kind)).unwrap();
        text.parse::<Key>().unwrap_err().to_string()
    };
    assert!(refused("ecdsa-sha2-nistp521").contains("type `ecdsa-sha2-nistp521` is not accepted; use"));
    assert!(refused("ssh-rsa").contains("RSA key of `1024` bits is not accepted; use 2,048"));
}

#[test]
fn signatures_are_of_the_kinds_that_the_format_names() {
    let verify = |pem: &str| Signature::from_pem(pem).unwrap().verify(Namespace::Approve, b"message");
    assert!(verify(include_str!("vectors/keys/rsa-sha512.sig")).is_ok());
    assert_eq!(
        verify(include_str!("vectors/keys/rsa-sha1.sig")),
        Err(BadSignature::Sha1)
    );
    assert_eq!(
        verify(include_str!("vectors/keys/p521.sig")),
        Err(BadSignature::Kind("ecdsa-sha2-nistp521".into()))
    );
}

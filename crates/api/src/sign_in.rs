//! Signing in with an SSH key: the server makes a challenge bound to its own origin, the client signs it (SSHSIG,
//! namespace `sign-in@countersign`), and gets a token that lasts ten minutes. A sign-in is never evidence.
//!
//! Tokens live in memory, by their SHA-256; a restart ends them. Challenges are not remembered at all until they are
//! used: each carries an authentication code under a key of this start, so strangers cannot fill a table.
//! INVARIANT (once): a challenge gives at most one token.

use aws_lc_rs::hmac;
use model::bytes::{Blob, Digest};
use model::json;
use model::signature::Key;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Says what a challenge is; part of what is signed.
pub const CHALLENGE_DOMAIN: &str = "countersign/sign-in/v1";
/// How long a challenge may be answered.
const CHALLENGE_MS: u64 = 60_000;
/// How long a token lasts.
const TOKEN: Duration = Duration::from_mins(10);
/// Tokens of one key at once; the oldest gives way.
const TOKENS_PER_KEY_MAX: usize = 16;
const NONCE_LENGTH: usize = 16;
const PREFIX: &str = "cst_";

/// What a client signs, as canonical JSON. A client checks the origin before it signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Challenge {
    /// Always [`CHALLENGE_DOMAIN`].
    pub domain: String,
    /// When it can no longer be answered, Unix milliseconds by the server's clock.
    pub expires_ms: u64,
    /// Random bytes and the server's authentication code over them.
    pub nonce: Blob,
    /// The server that asks.
    pub origin: String,
}

/// Why somebody was not signed in; counted, never told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoSignIn {
    Challenge,
    Used,
}

impl NoSignIn {
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Challenge => "bad_challenge",
            Self::Used => "challenge_used",
        }
    }
}

/// Challenges and tokens of one start of the server.
pub(crate) struct SignIn {
    /// How clients may name this server; the first for whoever does not say.
    origins: Vec<String>,
    key: hmac::Key,
    used: Mutex<HashMap<[u8; NONCE_LENGTH], u64>>,
    tokens: Mutex<HashMap<Digest, Token>>,
}

struct Token {
    key: Key,
    until: Instant,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

impl SignIn {
    pub(crate) fn new(origins: Vec<String>) -> Result<Self, getrandom::Error> {
        Ok(Self {
            origins,
            key: hmac::Key::new(hmac::HMAC_SHA256, &random::<32>()?),
            used: Mutex::default(),
            tokens: Mutex::default(),
        })
    }

    /// A fresh challenge, as the text that is to be signed, for the name by which the client called if it is ours.
    pub(crate) fn challenge(&self, called: Option<&str>, now_ms: u64) -> Result<String, getrandom::Error> {
        let expires_ms = now_ms.saturating_add(CHALLENGE_MS);
        let origin = self.origins.iter().find(|origin| Some(origin.as_str()) == called);
        let random: [u8; NONCE_LENGTH] = random()?;
        let code = hmac::sign(&self.key, &authenticated(&random, expires_ms));
        let challenge = Challenge {
            domain: CHALLENGE_DOMAIN.into(),
            expires_ms,
            nonce: Blob([&random[..], code.as_ref()].concat()),
            origin: origin.or(self.origins.first()).cloned().unwrap_or_default(),
        };
        // Text, number and base64 always have a canonical form.
        let bytes = json::to_vec(&challenge).unwrap_or_default();
        Ok(String::from_utf8(bytes).unwrap_or_default())
    }

    /// Takes a challenge that came back, if it is ours and still good; its use is remembered by [`SignIn::token`].
    pub(crate) fn check(&self, text: &str, now_ms: u64) -> Result<Answered, NoSignIn> {
        let challenge: Challenge = json::from_slice(text.as_bytes()).map_err(|_| NoSignIn::Challenge)?;
        let Some((random, code)) = challenge.nonce.0.split_first_chunk::<NONCE_LENGTH>() else {
            return Err(NoSignIn::Challenge);
        };
        let ours = challenge.domain == CHALLENGE_DOMAIN
            && self.origins.contains(&challenge.origin)
            && now_ms < challenge.expires_ms
            && hmac::verify(&self.key, &authenticated(random, challenge.expires_ms), code).is_ok();
        if !ours {
            return Err(NoSignIn::Challenge);
        }
        Ok(Answered {
            nonce: *random,
            expires_ms: challenge.expires_ms,
        })
    }

    /// Uses up the challenge and gives a token for `key`.
    pub(crate) fn token(&self, answered: Answered, key: Key, now_ms: u64) -> Result<Option<String>, getrandom::Error> {
        let mut used = lock(&self.used);
        used.retain(|_, expires_ms| now_ms < *expires_ms);
        if used.insert(answered.nonce, answered.expires_ms).is_some() {
            return Ok(None);
        }
        drop(used);
        let text = format!("{PREFIX}{}", Digest(random()?));
        let now = Instant::now();
        let mut tokens = lock(&self.tokens);
        tokens.retain(|_, token| now < token.until);
        make_room(&mut tokens, &key);
        tokens.insert(
            Digest::of(text.as_bytes()),
            Token {
                key,
                until: now + TOKEN,
            },
        );
        Ok(Some(text))
    }

    /// Who holds this token.
    pub(crate) fn holder(&self, text: &str) -> Option<Key> {
        let tokens = lock(&self.tokens);
        let token = tokens.get(&Digest::of(text.as_bytes()))?;
        (Instant::now() < token.until).then(|| token.key.clone())
    }

    /// Ends a token.
    pub(crate) fn forget(&self, text: &str) {
        lock(&self.tokens).remove(&Digest::of(text.as_bytes()));
    }
}

/// A challenge of ours that was sent back in time.
pub(crate) struct Answered {
    nonce: [u8; NONCE_LENGTH],
    expires_ms: u64,
}

/// How long a token lasts, milliseconds.
pub(crate) fn token_ms() -> u64 {
    u64::try_from(TOKEN.as_millis()).unwrap_or(u64::MAX)
}

fn authenticated(random: &[u8; NONCE_LENGTH], expires_ms: u64) -> Vec<u8> {
    [&random[..], &expires_ms.to_be_bytes()].concat()
}

fn make_room(tokens: &mut HashMap<Digest, Token>, key: &Key) {
    let of_key = || tokens.iter().filter(|(_, token)| token.key == *key);
    if of_key().count() < TOKENS_PER_KEY_MAX {
        return;
    }
    let oldest = of_key().min_by_key(|(_, token)| token.until).map(|(digest, _)| *digest);
    if let Some(digest) = oldest {
        tokens.remove(&digest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::fixture::{public, seed};

    fn signed_in(sign_in: &SignIn, now_ms: u64) -> String {
        let text = sign_in.challenge(None, now_ms).unwrap();
        let answered = sign_in.check(&text, now_ms).ok().unwrap();
        sign_in.token(answered, public(seed::ALICE), now_ms).unwrap().unwrap()
    }

    #[test]
    fn a_challenge_is_ours_timely_and_good_once() {
        let ours = SignIn::new(vec!["http://127.0.0.1:1".into()]).unwrap();
        let other = SignIn::new(vec!["http://127.0.0.1:1".into()]).unwrap();
        let elsewhere = SignIn::new(vec!["http://127.0.0.1:2".into()]).unwrap();
        let text = ours.challenge(None, 1000).unwrap();
        assert!(ours.check(&text, 1000).is_ok());
        assert!(ours.check(&text, 1000 + CHALLENGE_MS).is_err());
        assert!(other.check(&text, 1000).is_err(), "made by another start");
        assert!(elsewhere.check(&text, 1000).is_err(), "made for another origin");
        assert!(ours.check(&text.replace("61000", "99999"), 1000).is_err(), "prolonged");
        for garbage in ["", "{}", "null", text.trim_start_matches('{')] {
            assert!(ours.check(garbage, 1000).is_err());
        }
        let first = ours.check(&text, 1000).ok().unwrap();
        let second = ours.check(&text, 1000).ok().unwrap();
        assert!(ours.token(first, public(1), 1000).unwrap().is_some());
        assert_eq!(ours.token(second, public(1), 1000).unwrap(), None);
    }

    #[test]
    fn a_challenge_bears_the_name_that_was_called_if_it_is_ours() {
        let names = ["https://gw.example", "http://localhost:1"];
        let sign_in = SignIn::new(names.map(str::to_owned).to_vec()).unwrap();
        for (called, given) in [
            (Some(names[1]), names[1]),
            (None, names[0]),
            (Some("https://evil.example"), names[0]),
        ] {
            let text = sign_in.challenge(called, 0).unwrap();
            let challenge: Challenge = json::from_slice(text.as_bytes()).unwrap();
            assert_eq!(challenge.origin, given);
            assert!(sign_in.check(&text, 0).is_ok());
        }
    }

    #[test]
    fn tokens_are_bounded_and_can_be_given_up() {
        let sign_in = SignIn::new(vec!["http://127.0.0.1:1".into()]).unwrap();
        let first = signed_in(&sign_in, 5);
        assert_eq!(sign_in.holder(&first), Some(public(seed::ALICE)));
        sign_in.forget(&first);
        assert_eq!(sign_in.holder(&first), None);
        let all: Vec<String> = (0..=TOKENS_PER_KEY_MAX).map(|_| signed_in(&sign_in, 5)).collect();
        assert_eq!(sign_in.holder(&all[0]), None);
        assert!(all[1..].iter().all(|token| sign_in.holder(token).is_some()));
        assert_eq!(sign_in.holder("cst_"), None);
    }
}

//! Entry points for fuzzers: what a client may send, as any bytes. None may panic, and nobody is signed in by chance.

use crate::access::{Answered, SignedRequest};
use crate::founding::Wanted;
use crate::sent::read;
use crate::sign_in::SignIn;
use desk::request::Wish;
use desk::trust::TrustBody;
use model::signature::{Namespace, Signature, Signed};
use model::statement::{Approval, Denial, Kill, Revocation};
use serde::de::DeserializeOwned;
use std::sync::OnceLock;

/// Bodies of requests: read or refused with the place named.
pub fn bodies(data: &[u8]) {
    body::<Wanted>(data);
    body::<TrustBody>(data);
    body::<Answered>(data);
    body::<Wish>(data);
    body::<SignedRequest>(data);
    body::<Signed<Approval>>(data);
    body::<Signed<Denial>>(data);
    body::<Signed<Revocation>>(data);
    body::<Signed<Kill>>(data);
}

fn body<T: DeserializeOwned>(data: &[u8]) {
    drop(read::<T>(data));
}

/// What signs somebody in: a token, or a challenge and the signature over it, here one and the same text.
///
/// # Panics
/// When a challenge that was never made is taken, or a token that was never given.
pub fn sign_in(data: &[u8]) {
    static OURS: OnceLock<Option<SignIn>> = OnceLock::new();
    let ours = OURS.get_or_init(|| SignIn::new(vec!["http://127.0.0.1:7878".into()]).ok());
    let (Some(ours), Ok(text)) = (ours, str::from_utf8(data)) else {
        return;
    };
    assert!(ours.check(text, 0).is_err(), "a challenge that was never made is taken");
    assert!(ours.holder(text).is_none(), "a token that was never given is taken");
    if let Ok(signature) = Signature::from_pem(text) {
        drop(signature.verify(Namespace::SignIn, data));
    }
}

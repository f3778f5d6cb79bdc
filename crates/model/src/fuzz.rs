//! Entry points for fuzzers: each takes any bytes and must neither panic nor accept what it would not write again.

use crate::body::Requested;
use crate::entry::{Entry, EntryError};
use crate::json::{self, JsonError};
use crate::signature::{LogIn, Signature, Signed};
use crate::statement::{Approval, Genesis, Workflow};

/// Canonical JSON: what is accepted writes back to the same bytes.
///
/// # Panics
/// When an accepted text has a second spelling.
pub fn json(data: &[u8]) {
    let read = json::from_slice::<serde_json::Value>(data).ok();
    assert_eq!(
        read.is_some(),
        json::check(data).is_ok(),
        "reading takes what checking takes"
    );
    if let Some(read) = read {
        let value: serde_json::Value = serde_json::from_slice(data).unwrap_or_default();
        assert_eq!(read, value, "an accepted text is read as another value");
        assert_eq!(
            serde_json::to_vec(&value).unwrap_or_default(),
            data,
            "an accepted text has a second spelling"
        );
    }
}

/// Entries: what is accepted writes back to the same bytes.
///
/// # Panics
/// When an accepted entry has a second spelling.
pub fn entry(data: &[u8]) {
    let read = Entry::parse(data);
    if let Err(why) = json::check(data)
        && read != Err(EntryError::TooLong)
    {
        assert_eq!(read, Err(JsonError::from(why).into()), "refused for another reason");
    } else if let Ok(entry) = read {
        assert_eq!(
            entry.encode().as_deref(),
            Ok(data),
            "an accepted entry has a second spelling"
        );
    }
}

/// Statements and what is around them.
pub fn statement(data: &[u8]) {
    drop(json::from_slice::<Signed<Genesis>>(data));
    drop(json::from_slice::<Signed<Workflow>>(data));
    drop(json::from_slice::<Signed<Approval>>(data));
    drop(json::from_slice::<Requested>(data));
}

/// Signatures and log-in proofs.
pub fn signature(data: &[u8]) {
    let signature = Signature(crate::bytes::Blob(data.to_vec()));
    drop(signature.verify(crate::signature::Namespace::Approve, b""));
    let (signed, rest) = data.split_at(data.len() / 2);
    let proof = LogIn {
        signed: crate::bytes::Blob(signed.to_vec()),
        signature: crate::bytes::Blob(rest.to_vec()),
    };
    drop(proof.verify());
}

//! The envelope of a log entry: canonical bytes in, typed value out, and back to the same bytes.
//!
//! INVARIANT (hashed as they came): an entry's hash is SHA-256 over the bytes that were stored, never over a
//! re-encoding; `parse` accepts only bytes that `encode` would write.

use crate::GRAMMAR_VERSION;
use crate::body::{Body, RESERVED};
use crate::bytes::Digest;
use crate::id::{BootId, EntryId, SessionId};
use crate::json::{self, JsonError, Raw};
use crate::name::NodeName;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The longest entry, in bytes. Larger things go by digest.
pub const ENTRY_LENGTH_MAX: usize = 16 * 1024;

/// Why bytes are not an entry of this grammar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Longer than [`ENTRY_LENGTH_MAX`].
    #[error("entry is longer than {ENTRY_LENGTH_MAX} bytes")]
    TooLong,
    /// A later version of the software wrote it. Never read as tampering.
    #[error("written by a newer format ({0}); use a newer version of this program")]
    Newer(String),
    /// A type that no version knows.
    #[error("unknown entry type `{0}`")]
    UnknownType(String),
    /// Not canonical, or not of the type's shape.
    #[error(transparent)]
    Json(#[from] JsonError),
}

/// Who wrote an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Writer {
    /// The node.
    pub node: NodeName,
    /// Its start.
    pub boot: BootId,
    /// Counts the entries of this start in this log, from 0.
    pub seq: u64,
}

/// An entry's place in its session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionLink {
    /// The session.
    pub id: SessionId,
    /// Counts the session's entries, from 0.
    pub seq: u64,
    /// SHA-256 of the session's previous entry; absent in the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev: Option<Digest>,
}

/// What a blob beside an entry holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlobKind {
    /// The entry's openings, encrypted (age).
    Openings,
    /// The session key, wrapped (age).
    Wraps,
}

/// A blob beside the entry, by the digest of its ciphertext.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlobRef {
    /// What it holds.
    pub kind: BlobKind,
    /// SHA-256 of the stored bytes.
    pub sha256: Digest,
    /// Their number.
    pub size: u64,
}

/// One record of an environment's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub id: EntryId,
    /// When it was written, by the writer's clock, Unix milliseconds. Order is the index, never this.
    pub time_ms: u64,
    /// Who wrote it.
    pub writer: Writer,
    /// Its place in a session, if it belongs to one.
    pub session: Option<SessionLink>,
    /// Blobs beside it.
    pub blobs: Vec<BlobRef>,
    /// What it says.
    pub body: Body,
}

#[derive(Serialize)]
struct Envelope {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    blobs: Vec<BlobRef>,
    body: serde_json::Value,
    id: EntryId,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<SessionLink>,
    time_ms: u64,
    #[serde(rename = "type")]
    kind: String,
    v: u32,
    writer: Writer,
}

/// The envelope as it is read: its body is looked at once its type is known.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read<'a> {
    #[serde(default)]
    blobs: Option<Vec<BlobRef>>,
    #[serde(borrow)]
    body: Raw<'a>,
    id: EntryId,
    #[serde(default)]
    session: Option<SessionLink>,
    time_ms: u64,
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    v: u32,
    writer: Writer,
}

/// Only what tells which grammar an entry was written in; of a later one, the rest may be anything.
#[derive(Deserialize)]
struct Version {
    v: u32,
    #[serde(rename = "type", default)]
    kind: serde_json::Value,
}

/// Why bytes that this version cannot read are of a later one, if they are.
fn newer(text: &str) -> Option<EntryError> {
    let version: Version = serde_json::from_str(text).ok()?;
    later(version.v, version.kind.as_str().unwrap_or_default())
}

/// There is no version 0: that is no earlier one either.
fn later(v: u32, kind: &str) -> Option<EntryError> {
    let reserved = v == GRAMMAR_VERSION && RESERVED.contains(&kind);
    match v {
        _ if reserved => Some(EntryError::Newer(format!("type `{kind}`"))),
        v if v > GRAMMAR_VERSION => Some(EntryError::Newer(format!("version {v}"))),
        _ => None,
    }
}

impl Entry {
    /// Reads an entry from its canonical bytes.
    ///
    /// # Errors
    /// When the bytes are too long, not canonical, of a newer grammar, or not of their type's shape.
    pub fn parse(bytes: &[u8]) -> Result<Self, EntryError> {
        if bytes.len() > ENTRY_LENGTH_MAX {
            return Err(EntryError::TooLong);
        }
        let text = json::text(bytes).map_err(JsonError::from)?;
        // That it is not canonical is said before anything else that is wrong with it.
        Self::read(text).map_err(|error| json::check(bytes).map_or_else(|e| JsonError::from(e).into(), |()| error))
    }

    fn read(text: &str) -> Result<Self, EntryError> {
        let envelope: Read<'_> = json::from_text(text).map_err(|error| match error {
            JsonError::Shape(_) => newer(text).unwrap_or(EntryError::Json(error)),
            JsonError::NotCanonical(_) => EntryError::Json(error),
        })?;
        if let Some(later) = later(envelope.v, &envelope.kind) {
            return Err(later);
        }
        if envelope.v != GRAMMAR_VERSION {
            return Err(JsonError::Shape(format!("there is no version {}", envelope.v)).into());
        }
        // The other optional fields are absent or hold something: there is no null.
        if envelope.blobs.as_ref().is_some_and(Vec::is_empty) {
            return Err(JsonError::Shape("an empty list of blobs is left out".into()).into());
        }
        let body = Body::read(&envelope.kind, envelope.body)
            .ok_or_else(|| EntryError::UnknownType(envelope.kind.chars().take(64).collect()))??;
        Ok(Self {
            id: envelope.id,
            time_ms: envelope.time_ms,
            writer: envelope.writer,
            session: envelope.session,
            blobs: envelope.blobs.unwrap_or_default(),
            body,
        })
    }

    /// The canonical bytes.
    ///
    /// # Errors
    /// When a value cannot be written in the accepted form, or the entry is too long.
    pub fn encode(&self) -> Result<Vec<u8>, EntryError> {
        let envelope = Envelope {
            blobs: self.blobs.clone(),
            body: self.body.to_value()?,
            id: self.id,
            session: self.session.clone(),
            time_ms: self.time_ms,
            kind: self.body.kind().to_owned(),
            v: GRAMMAR_VERSION,
            writer: self.writer.clone(),
        };
        let bytes = json::to_vec(&envelope)?;
        if bytes.len() > ENTRY_LENGTH_MAX {
            Err(EntryError::TooLong)
        } else {
            Ok(bytes)
        }
    }
}

/// An entry at its place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Position in the log, from 0.
    pub index: u64,
    /// SHA-256 of the entry's bytes (not the Merkle leaf hash).
    pub hash: Digest,
    /// The entry.
    pub entry: Entry,
}

impl Placed {
    /// Reads the entry at `index` from its bytes.
    ///
    /// # Errors
    /// As [`Entry::parse`].
    pub fn parse(index: u64, bytes: &[u8]) -> Result<Self, EntryError> {
        Ok(Self {
            index,
            hash: Digest::of(bytes),
            entry: Entry::parse(bytes)?,
        })
    }
}

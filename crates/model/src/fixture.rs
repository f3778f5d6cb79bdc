//! A ready world for tests: an environment `acme` of Acme Ltd, served by Northwind MSP, with people, keys, a resource
//! and a workflow; and builders for every entry of a session. Deterministic: all keys come from fixed seeds.
//!
//! Not part of the product: behind the feature `fixtures`, which only dev-dependencies enable.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test world that cannot be built must stop the test"
)]

mod founding;
mod session;

use crate::apply::{Refused, Snapshot, apply};
use crate::body::{
    ActionEnded, Body, CertificatePlan, Decision, EndCause, Ended, Granted, Intended, NodeStarted, Opened, Progress,
    ProgressLine, Recorded, RequestProof, Requested, TimeBasis,
};
use crate::bytes::{Blob, Digest};
use crate::chain::{Attachment, Opening as Terms};
use crate::commitment::{Commitment, Opening, Openings};
use crate::entity::{Entity, EntityKey};
use crate::entry::{BlobKind, BlobRef, Entry, Placed, SessionLink, Writer};
use crate::id::{ActionId, BootId, EntryId, GrantId, IdentityId, RequestId, SessionId, uuid_v7};
use crate::json;
use crate::judge::{ActionFacts, OpenFacts, Wanted, decide};
use crate::name::{AccountName, NodeName, ResourceName};
use crate::signature::{Key, LogIn, Signature, Signed, Statement, signed_bytes};
use crate::statement::{
    ActionClass, Approval, Custody, Disablement, Engagement, Enrolment, Gate, Genesis, IdentityKind, Kill, Quorum,
    Request, Resource, Revocation, Role, Scope, Surface, Workflow,
};
use crate::verdict::ControlId;
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{HashAlg, PrivateKey, SshSig};

/// 2026-01-05 09:00 UTC.
pub const START_MS: u64 = 1_767_603_600_000;
/// What entries committed by the fixture hide behind `client`.
pub const CLIENT: &str = "192.0.2.7:50022";

/// A name as its type.
pub fn name<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().expect("a valid name")
}

/// The key pair of `seed`.
#[must_use]
pub fn private(seed: u8) -> PrivateKey {
    PrivateKey::new(KeypairData::Ed25519(Ed25519Keypair::from_seed(&[seed; 32])), "").expect("an Ed25519 key")
}

/// The public key of `seed`.
#[must_use]
pub fn public(seed: u8) -> Key {
    Key::new(private(seed).public_key()).expect("an Ed25519 key")
}

/// One SSHSIG by the key of `seed`.
pub fn signature<T: Statement>(seed: u8, origin: &str, statement: &T) -> Signature {
    let message = signed_bytes(origin, statement).expect("a canonical statement");
    let sig = SshSig::sign(&private(seed), T::NAMESPACE.as_str(), HashAlg::Sha512, &message).expect("a signature");
    Signature::new(&sig).expect("a signature")
}

/// A statement signed by the keys of `seeds`.
pub fn signed<T: Statement>(seeds: &[u8], origin: &str, statement: T) -> Signed<T> {
    let signatures = seeds.iter().map(|seed| signature(*seed, origin, &statement)).collect();
    Signed { statement, signatures }
}

/// What a stock client signs when it logs in as `user` with the key of `seed`; `connection` tells connections apart.
#[must_use]
pub fn log_in(seed: u8, user: &str, connection: u64) -> LogIn {
    let key = private(seed);
    let mut bytes = wire_string(&Digest::of(&connection.to_be_bytes()).0);
    bytes.push(50);
    for part in [user.as_bytes(), b"ssh-connection", b"publickey"] {
        bytes.extend(wire_string(part));
    }
    bytes.push(1);
    for part in [
        b"ssh-ed25519",
        key.public_key().to_bytes().expect("a public key").as_slice(),
    ] {
        bytes.extend(wire_string(part));
    }
    let signature: ssh_key::Signature = signature::Signer::try_sign(&key, &bytes).expect("a signature");
    let mut wire = vec![];
    ssh_key::encoding::Encode::encode(&signature, &mut wire).expect("a signature");
    LogIn {
        signed: Blob(bytes),
        signature: Blob(wire),
    }
}

fn wire_string(part: &[u8]) -> Vec<u8> {
    let length = u32::try_from(part.len()).expect("a short part");
    [&length.to_be_bytes(), part].concat()
}

/// Seeds of the keys in this world.
pub mod seed {
    pub const OWNER_ROOT: u8 = 1;
    pub const OWNER_ROOT_2: u8 = 2;
    pub const OPERATOR_ROOT: u8 = 3;
    pub const GATEWAY_HOST_CA: u8 = 4;
    pub const USER_CA: u8 = 5;
    pub const TARGET_HOST: u8 = 6;
    /// Requester of the operator.
    pub const ALICE: u8 = 10;
    /// Second requester of the operator.
    pub const MALLORY: u8 = 11;
    /// Approver of the owner.
    pub const OLGA: u8 = 12;
    /// Business owner of the workflow.
    pub const BOB: u8 = 13;
    /// Backup owner of the workflow.
    pub const CAROL: u8 = 14;
    /// Second approver of the owner.
    pub const OSCAR: u8 = 15;
}

/// The identity whose key has `seed`.
#[must_use]
pub fn identity(seed: u8) -> IdentityId {
    IdentityId::new(START_MS, [seed; 10])
}

/// What the genesis says about log and witnesses.
#[derive(Debug, Clone)]
pub struct LogTerms {
    pub origin: String,
    pub log_key: String,
    pub witnesses: Vec<String>,
    pub gate: Gate,
    pub owner_recipients: Vec<String>,
}

impl Default for LogTerms {
    fn default() -> Self {
        Self {
            origin: "acme.gateway.example".into(),
            log_key: "acme.gateway.example+00000000+AQ==".into(),
            witnesses: vec![],
            gate: Gate::None,
            owner_recipients: vec!["age1-first".into(), "age1-second".into()],
        }
    }
}

/// A log under construction, and its state.
pub struct World {
    /// Entries' bytes, in order.
    pub log: Vec<Vec<u8>>,
    /// Blobs beside entries.
    pub blobs: Vec<(Digest, Vec<u8>)>,
    /// The state after `log`, as `apply` makes it.
    pub state: Snapshot,
    /// The writer's clock.
    pub now_ms: u64,
    /// Where the log is.
    pub terms: LogTerms,
    /// Refusals of entries that were forced in.
    pub refused: Vec<(u64, Refused)>,
    boot: BootId,
    counter: u64,
}

impl Default for World {
    fn default() -> Self {
        Self::new(LogTerms::default())
    }
}

impl World {
    /// A log with genesis, engagement, five people, one resource and one workflow.
    #[must_use]
    pub fn new(terms: LogTerms) -> Self {
        let mut world = Self::blank(terms);
        for body in world.founding() {
            world.append(body);
        }
        world
    }

    /// An empty log.
    #[must_use]
    pub fn blank(terms: LogTerms) -> Self {
        Self {
            log: vec![],
            blobs: vec![],
            state: Snapshot::empty(),
            now_ms: START_MS,
            terms,
            refused: vec![],
            boot: BootId::new(START_MS, [9; 10]),
            counter: 0,
        }
    }

    /// 10 bytes that no earlier call gave.
    pub fn fresh(&mut self) -> [u8; 10] {
        self.counter += 1;
        let mut out = [0u8; 10];
        for (slot, byte) in out.iter_mut().zip(Digest::of(&self.counter.to_be_bytes()).0) {
            *slot = byte;
        }
        out
    }

    pub fn entry_id(&mut self) -> EntryId {
        EntryId::new(self.now_ms, self.fresh())
    }

    /// Appends an entry that must be allowed.
    pub fn append(&mut self, body: Body) -> Placed {
        let entry = self.own_id(&body);
        self.append_as(entry, body, None, vec![])
    }

    /// Appends an entry of `session` that must be allowed.
    pub fn append_in(&mut self, session: SessionId, body: Body) -> Placed {
        let entry = self.own_id(&body);
        self.append_as(entry, body, Some(session), vec![])
    }

    fn own_id(&mut self, body: &Body) -> EntryId {
        match body {
            Body::Requested(requested) => requested.statement.entry,
            _ => self.entry_id(),
        }
    }

    pub fn append_as(
        &mut self,
        entry: EntryId,
        body: Body,
        session: Option<SessionId>,
        attachments: Vec<Attachment>,
    ) -> Placed {
        let refused = self.refused.len();
        let placed = self.force_as(entry, body, session, attachments);
        assert_eq!(self.refused.get(refused), None, "the fixture's own entry was refused");
        placed
    }

    /// Appends whatever a malicious operator likes; what `apply` refuses has no effect on the state.
    pub fn force(&mut self, body: Body, session: Option<SessionId>) -> Placed {
        let entry = self.own_id(&body);
        self.force_as(entry, body, session, vec![])
    }

    pub fn force_as(
        &mut self,
        entry: EntryId,
        body: Body,
        session: Option<SessionId>,
        attachments: Vec<Attachment>,
    ) -> Placed {
        let placed = self.place(entry, body, session, &attachments);
        for attachment in attachments {
            self.blobs.push((Digest::of(&attachment.bytes), attachment.bytes));
        }
        self.log
            .push(placed.entry.encode().expect("an entry that can be written"));
        match apply(&self.state, &placed) {
            Ok(changes) => self.state.accept(changes),
            Err(refused) => self.refused.push((placed.index, refused)),
        }
        self.now_ms += 1;
        placed
    }

    /// What `apply` says of a next entry, without appending it.
    ///
    /// # Errors
    /// The refusal.
    pub fn try_body(&mut self, body: Body, session: Option<SessionId>) -> Result<(), Refused> {
        let entry = self.own_id(&body);
        let placed = self.place(entry, body, session, &[]);
        apply(&self.state, &placed).map(drop)
    }

    fn place(&mut self, id: EntryId, body: Body, session: Option<SessionId>, attachments: &[Attachment]) -> Placed {
        let link = session.map(|id| match self.state.find(&EntityKey::session(id)) {
            Ok(Some(Entity::Session(known))) => SessionLink {
                id,
                seq: known.seq + 1,
                prev: Some(known.tip),
            },
            _ => SessionLink { id, seq: 0, prev: None },
        });
        let index = self.log.len() as u64;
        let blobs = attachments
            .iter()
            .map(|a| BlobRef {
                kind: a.kind,
                sha256: Digest::of(&a.bytes),
                size: a.bytes.len() as u64,
            })
            .collect();
        let writer = Writer {
            node: name::<NodeName>("gw1"),
            boot: self.boot,
            seq: index,
        };
        let entry = Entry {
            id,
            time_ms: self.now_ms,
            writer,
            session: link,
            blobs,
            body,
        };
        let bytes = entry.encode().expect("an entry that can be written");
        Placed::parse(index, &bytes).expect("an entry that can be read")
    }
}

/// A commitment that hides `value` in the field `path` of `entry`.
#[must_use]
pub fn commitment(entry: EntryId, path: &str, value: &str) -> Commitment {
    Opening::new(path, [6; 32], value.as_bytes()).commitment(entry)
}

/// 16 bytes of an id made from `n`.
#[must_use]
pub fn raw_id(n: u8) -> [u8; 16] {
    uuid_v7(START_MS, [n; 10])
}

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

    /// The bodies that found the environment, in order.
    #[must_use]
    pub fn founding(&self) -> Vec<Body> {
        let origin = &self.terms.origin;
        let mut bodies = vec![
            Body::Genesis(signed(&[seed::OWNER_ROOT], origin, self.genesis())),
            Body::Engagement(signed(&[seed::OWNER_ROOT], origin, self.engagement())),
            Body::NodeStarted(NodeStarted {
                boot: self.boot,
                software: "0.1.0".into(),
            }),
        ];
        let owner = [
            (seed::OLGA, "olga", vec![Role::Approve]),
            (seed::BOB, "bob", vec![Role::Own]),
            (seed::CAROL, "carol", vec![Role::Own]),
            (seed::OSCAR, "oscar", vec![Role::Approve]),
        ];
        for (seed, handle, roles) in owner {
            let enrolment = self.enrolment(seed, handle, "Acme Ltd", roles);
            bodies.push(Body::Enrolled(signed(&[seed::OWNER_ROOT], origin, enrolment)));
        }
        for (seed, handle) in [(seed::ALICE, "alice"), (seed::MALLORY, "mallory")] {
            let enrolment = self.enrolment(seed, handle, "Northwind MSP", vec![Role::Request]);
            bodies.push(Body::Enrolled(signed(&[seed::OPERATOR_ROOT], origin, enrolment)));
        }
        bodies.push(Body::Resource(signed(&[seed::OWNER_ROOT], origin, self.resource())));
        bodies.push(Body::Workflow(signed(&[seed::OWNER_ROOT], origin, self.workflow())));
        bodies
    }

    #[must_use]
    pub fn genesis(&self) -> Genesis {
        Genesis {
            environment: name("acme"),
            origin: self.terms.origin.clone(),
            created_ms: START_MS,
            owner: name("Acme Ltd"),
            owner_roots: vec![public(seed::OWNER_ROOT), public(seed::OWNER_ROOT_2)],
            owner_threshold: 1,
            log_key: self.terms.log_key.clone(),
            witnesses: self.terms.witnesses.clone(),
            gate: self.terms.gate,
            lag_bound_ms: 10_000,
            owner_recipients: self.terms.owner_recipients.clone(),
            operator_recipients: vec![],
            gateway_host_ca: public(seed::GATEWAY_HOST_CA),
            user_ca: public(seed::USER_CA),
            custody: Custody::Operator,
        }
    }

    #[must_use]
    pub fn engagement(&self) -> Engagement {
        Engagement {
            environment: name("acme"),
            operator: name("Northwind MSP"),
            operator_roots: vec![public(seed::OPERATOR_ROOT)],
            operator_threshold: 1,
            from_ms: START_MS - 1000,
            until_ms: START_MS + 365 * 86_400_000,
        }
    }

    #[must_use]
    pub fn enrolment(&self, seed: u8, handle: &str, organisation: &str, roles: Vec<Role>) -> Enrolment {
        Enrolment {
            environment: name("acme"),
            identity: identity(seed),
            organisation: name(organisation),
            handle: name(handle),
            kind: IdentityKind::Person,
            roles,
            keys: vec![public(seed)],
        }
    }

    #[must_use]
    pub fn resource(&self) -> Resource {
        Resource {
            environment: name("acme"),
            name: name("web1"),
            host: "127.0.0.1".into(),
            port: 22,
            host_keys: vec![public(seed::TARGET_HOST)],
            accounts: vec![name("root"), name("deploy")],
            source_addresses: vec![],
        }
    }

    #[must_use]
    pub fn workflow(&self) -> Workflow {
        Workflow {
            environment: name("acme"),
            name: name("patching"),
            owner: identity(seed::BOB),
            backup: identity(seed::CAROL),
            purposes: vec![name("security patches")],
            requesters: vec![name("Northwind MSP")],
            resources: vec![name("web1")],
            accounts: vec![name("root"), name("deploy")],
            actions: vec![ActionClass::Shell, ActionClass::Exec, ActionClass::Sftp],
            approvals: vec![Quorum {
                organisation: name("Acme Ltd"),
                count: 1,
            }],
            window_ms_max: 8 * 3_600_000,
            level: 2,
            controls: ControlId::ALL.to_vec(),
        }
    }

    #[must_use]
    pub fn scope(&self) -> Scope {
        let workflow = self
            .state
            .workflow(&EntityKey::workflow(&name("patching")))
            .expect("the workflow");
        Scope {
            workflow: name("patching"),
            policy: workflow.hash,
            purpose: name("security patches"),
            resources: vec![name("web1")],
            accounts: vec![name("root")],
            actions: workflow.statement.actions.clone(),
            from_ms: self.now_ms,
            until_ms: self.now_ms + 3_600_000,
        }
    }

    /// A request by the identity of `seed`, with the openings of its reason.
    pub fn request(&mut self, seed: u8) -> (EntryId, Body, Openings) {
        let scope = self.scope();
        self.request_for(seed, scope)
    }

    pub fn request_for(&mut self, seed: u8, scope: Scope) -> (EntryId, Body, Openings) {
        let entry = self.entry_id();
        let reason = Opening::new("reason", [3; 32], b"openssl update");
        let statement = Request {
            request: RequestId::new(self.now_ms, self.fresh()),
            entry,
            requester: identity(seed),
            scope,
            reason: reason.commitment(entry),
            ticket: None,
        };
        let proof = RequestProof::Signature(signature(seed, &self.terms.origin, &statement));
        (
            entry,
            Body::Requested(Requested { statement, proof }),
            Openings {
                entry,
                fields: vec![reason],
            },
        )
    }

    /// The approval of `request` by the identity of `seed`.
    #[must_use]
    pub fn approval(&self, seed: u8, request: RequestId) -> Body {
        let state = self.state.request(&EntityKey::request(request)).expect("the request");
        let approval = Approval {
            request,
            request_hash: state.hash,
            approver: identity(seed),
            requester: state.statement.requester,
            scope: state.statement.scope.clone(),
            surface: Surface::CommandLine,
            at_ms: self.now_ms,
        };
        Body::Approved(signed(&[seed], &self.terms.origin, approval))
    }

    /// The grant that the request's approvals give.
    pub fn grant(&mut self, request: RequestId) -> Body {
        let grant = GrantId::new(self.now_ms, self.fresh());
        let state = self.state.request(&EntityKey::request(request)).expect("the request");
        let workflow = self
            .state
            .workflow(&EntityKey::workflow(&state.statement.scope.workflow))
            .expect("the workflow");
        Body::Granted(Granted {
            grant,
            request,
            requester: state.statement.requester,
            approvals: state.approvals.iter().map(|a| a.entry).collect(),
            scope: state.statement.scope.clone(),
            level: workflow.statement.level,
            gate: self.state.genesis().expect("the genesis").gate,
            controls: workflow.statement.controls.clone(),
        })
    }

    /// Requests, approves and grants for Alice; gives the grant.
    pub fn granted(&mut self) -> GrantId {
        let (entry, body, openings) = self.request(seed::ALICE);
        let Body::Requested(requested) = &body else {
            unreachable!()
        };
        let request = requested.statement.request;
        let blob = json::to_vec(&openings).expect("canonical openings");
        self.append_as(
            entry,
            body,
            None,
            vec![Attachment {
                kind: BlobKind::Openings,
                bytes: blob,
            }],
        );
        let approval = self.approval(seed::OLGA, request);
        self.append(approval);
        let grant = self.grant(request);
        let Body::Granted(granted) = &grant else { unreachable!() };
        let id = granted.grant;
        self.append(grant);
        id
    }

    /// What Alice wants with `grant`: root on web1.
    #[must_use]
    pub fn wanted(&self, grant: GrantId) -> Wanted {
        Wanted {
            identity: identity(seed::ALICE),
            key: public(seed::ALICE),
            grant,
            resource: name::<ResourceName>("web1"),
            account: name::<AccountName>("root"),
        }
    }

    /// What an opening adds to the facts; for a permit.
    pub fn opening(&mut self) -> Terms {
        let entry = self.entry_id();
        let session = SessionId::new(self.now_ms, self.fresh());
        let client = Opening::new("client", [4; 32], CLIENT.as_bytes());
        let commitment = client.commitment(entry);
        let connection = self.counter;
        Terms {
            session,
            entry,
            proof: log_in(seed::ALICE, "root+web1.acme", connection),
            client: commitment,
            openings: json::to_vec(&Openings {
                entry,
                fields: vec![client],
            })
            .expect("canonical openings"),
            certificate: self.certificate(),
            dek: Digest::of(b"session key"),
            wraps: b"wrapped session key".to_vec(),
            controls: ControlId::ALL.to_vec(),
            time: TimeBasis::Unwitnessed("no witness".into()),
            resource: self.resource(),
        }
    }

    pub fn certificate(&mut self) -> CertificatePlan {
        let now_s = self.now_ms / 1000;
        let serial = Digest::of(&self.fresh()).to_string().chars().take(16).collect();
        CertificatePlan {
            key: public(77),
            serial,
            principal: "cs:acme:web1:root".into(),
            valid_after_s: now_s - 90,
            valid_before_s: now_s + 120,
            source_addresses: vec![],
        }
    }

    /// The body of an opening of `grant`, as an honest gateway writes it.
    pub fn opened(&mut self, grant: GrantId) -> (SessionId, Body, Vec<Attachment>) {
        let wanted = self.wanted(grant);
        let terms = self.opening();
        let facts = OpenFacts::gather(&self.state, &wanted, self.now_ms).expect("facts");
        let decision = decide(&facts).unwrap_or_else(|_| Decision {
            policy: facts.policy,
            inputs: Digest::of(&json::to_vec(&facts).expect("canonical facts")),
            at_ms: self.now_ms,
            rule: crate::judge::RULES.into(),
        });
        let body = Opened {
            grant,
            identity: wanted.identity,
            proof: terms.proof,
            resource: wanted.resource,
            resource_hash: facts.resource_hash,
            account: wanted.account,
            client: terms.client,
            certificate: terms.certificate,
            dek: terms.dek,
            wraps: Digest::of(&terms.wraps),
            level: facts.level,
            until_ms: facts.until_ms,
            gate: facts.gate,
            controls: terms.controls,
            decision,
            time: terms.time,
        };
        let attachments = vec![
            Attachment {
                kind: BlobKind::Openings,
                bytes: terms.openings,
            },
            Attachment {
                kind: BlobKind::Wraps,
                bytes: terms.wraps,
            },
        ];
        (terms.session, Body::Opened(body), attachments)
    }

    /// Opens a session on `grant`.
    pub fn open(&mut self, grant: GrantId) -> SessionId {
        let (session, body, attachments) = self.opened(grant);
        let entry = match attachments.first().map(|a| json::from_slice::<Openings>(&a.bytes)) {
            Some(Ok(openings)) => openings.entry,
            _ => self.entry_id(),
        };
        self.append_as(entry, body, Some(session), attachments);
        session
    }

    /// The intent of `command` in `session`, with the openings that show it.
    pub fn intended(
        &mut self,
        session: SessionId,
        class: ActionClass,
        command: Option<&[u8]>,
    ) -> (EntryId, ActionId, Body, Option<Openings>) {
        let entry = self.entry_id();
        let action = ActionId::new(self.now_ms, self.fresh());
        let facts = ActionFacts::gather(&self.state, session, class, self.now_ms).expect("facts");
        let inputs = Digest::of(&json::to_vec(&facts).expect("canonical facts"));
        let decision = decide(&facts).unwrap_or_else(|_| Decision {
            policy: facts.policy,
            inputs,
            at_ms: self.now_ms,
            rule: crate::judge::RULES.into(),
        });
        let opening = command.map(|bytes| Opening::new("command", [5; 32], bytes));
        let body = Intended {
            action,
            class,
            channel: 0,
            command: opening.as_ref().map(|o| o.commitment(entry)),
            pty: false,
            frame: 0,
            offset_us: 1000,
            decision,
        };
        (
            entry,
            action,
            Body::Intended(body),
            opening.map(|o| Openings { entry, fields: vec![o] }),
        )
    }

    /// Puts an exec of `command` on record and ends it with `status`.
    pub fn exec(&mut self, session: SessionId, command: &str, status: u32) -> ActionId {
        let (entry, action, body, openings) = self.intended(session, ActionClass::Exec, Some(command.as_bytes()));
        let bytes = json::to_vec(&openings.expect("openings")).expect("canonical openings");
        self.append_as(
            entry,
            body,
            Some(session),
            vec![Attachment {
                kind: BlobKind::Openings,
                bytes,
            }],
        );
        let ended = ActionEnded {
            action,
            exit_status: Some(status),
            exit_signal: None,
            bytes_in: 0,
            bytes_out: 10,
            frame: 3,
        };
        self.append_in(session, Body::ActionEnded(ended));
        action
    }

    /// What is recorded after `frames` frames in `extents` extents, under a chain that only the fixture knows.
    #[must_use]
    pub fn recorded(frames: u64, extents: u64) -> Recorded {
        Recorded {
            frames,
            extents,
            chain: Digest::of(format!("chain {frames} {extents}").as_bytes()),
        }
    }

    pub fn progress(&mut self, session: SessionId, recorded: Recorded) {
        self.append(Body::Progress(Progress {
            sessions: vec![ProgressLine { session, recorded }],
        }));
    }

    /// The end of a session as an honest gateway writes it.
    #[must_use]
    pub fn ended(cause: EndCause, recorded: Recorded) -> Ended {
        Ended {
            cause,
            due_ms: None,
            late_ms: None,
            recorded,
            bytes_in: 5,
            bytes_out: 10,
            bytes_journaled: 15,
            sync_gap_ms_max: 250,
            channels_opened: 1,
            channels_closed: 1,
            host_key: Some(public(seed::TARGET_HOST)),
        }
    }

    /// Closes `session`.
    pub fn close(&mut self, session: SessionId, recorded: Recorded) {
        self.append_in(session, Body::Ended(Self::ended(EndCause::ClientClosed, recorded)));
    }

    #[must_use]
    pub fn revocation(&self, seed: u8, grant: GrantId) -> Body {
        Body::Revoked(signed(
            &[seed],
            &self.terms.origin,
            Revocation {
                grant,
                by: identity(seed),
                at_ms: self.now_ms,
            },
        ))
    }

    #[must_use]
    pub fn kill(&self, seed: u8, session: SessionId) -> Body {
        Body::Killed(signed(
            &[seed],
            &self.terms.origin,
            Kill {
                session,
                by: identity(seed),
                at_ms: self.now_ms,
            },
        ))
    }

    #[must_use]
    pub fn disablement(&self, root: u8, seed: u8) -> Body {
        Body::Disabled(signed(
            &[root],
            &self.terms.origin,
            Disablement {
                environment: name("acme"),
                identity: identity(seed),
            },
        ))
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

//! A whole environment with a log, a witness, and one session in it, honest or broken in chosen places by an operator
//! who holds the log key. The fixture's world makes the statements; this puts them into a log that no store guards.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test that cannot set up must stop"
)]

use evidence::pack::{Contents, Loose, LooseKind, Plan, Proven, write};
use evidence::replay::{Select, World as Replayed};
use evidence::trust::Trust;
use ledger::consistency::Head;
use ledger::{Checkpoint, KeyName, NoteKey, SignedCheckpoint, Tree, WitnessKey, hash};
use model::apply::{Changes, apply};
use model::body::{ActionEnded, Body, EndCause, Ended, Opened, Progress, ProgressLine, Recorded, TimeBasis};
use model::bytes::Digest;
use model::chain::Attachment;
use model::commitment::Openings;
use model::entity::{Entity, EntityKey, SessionState, SessionStatus};
use model::entry::{BlobKind, BlobRef, Entry, Placed, SessionLink, Writer};
use model::fixture::{LogTerms, World, log_in, name, public, seed, signed};
use model::id::{EntryId, GrantId, SessionId};
use model::json;
use model::judge::{ActionFacts, decide};
use model::statement::{ActionClass, Approval, Gate, Role, Surface};
use model::verdict::ControlId;
use recording::{ExportedFrame, ExtentBuilder, FrameBody, Header, Kind, chain_start, encode_export, frame_digest};
use std::collections::BTreeMap;

pub(crate) const ORIGIN: &str = "acme.gateway.example";
pub(crate) const TYPED: u32 = 5;
pub(crate) const SHOWN: u32 = 10;

/// A place in which an operator breaks a history: one for each control.
pub(crate) type Broken = ControlId;

/// An opening that is about to be written.
pub(crate) type Wished = (SessionId, Opened, Vec<Attachment>);
/// The state before an opening, the opening, and its entry.
pub(crate) type Begun = (model::apply::Snapshot, Opened, Placed);

pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) log_key: NoteKey,
    pub(crate) witness: WitnessKey,
    /// The head that an entry's proof leads to, by the entry's index.
    pub(crate) covered: BTreeMap<u64, SignedCheckpoint>,
    pub(crate) extents: BTreeMap<SessionId, Vec<Vec<u8>>>,
    pub(crate) session: SessionId,
    pub(crate) disclosed: Vec<Openings>,
    tips: BTreeMap<SessionId, (u64, Digest)>,
    broken: Vec<Broken>,
}

pub(crate) fn keys(seed: u8) -> (NoteKey, WitnessKey) {
    let log = NoteKey::from_seed(KeyName::new(ORIGIN).unwrap(), &[seed; 32]);
    let witness = WitnessKey::from_seed(KeyName::new("witness.acme.example").unwrap(), &[seed + 1; 32]);
    (log, witness)
}

pub(crate) fn terms(log: &NoteKey, witness: &WitnessKey) -> LogTerms {
    LogTerms {
        origin: ORIGIN.into(),
        log_key: log.verifier().to_string(),
        witnesses: vec![witness.verifier().to_string()],
        gate: Gate::Witnesses(1),
        owner_recipients: vec!["age1-first".into(), "age1-second".into()],
    }
}

impl Scene {
    /// An environment without sessions.
    pub(crate) fn founded() -> Self {
        let (log_key, witness) = keys(50);
        Self {
            world: World::new(terms(&log_key, &witness)),
            log_key,
            witness,
            covered: BTreeMap::new(),
            extents: BTreeMap::new(),
            session: SessionId::from_bytes([0; 16]),
            disclosed: vec![],
            tips: BTreeMap::new(),
            broken: vec![],
        }
    }

    /// One session from request to end, broken where it is asked for.
    pub(crate) fn with(broken: &[Broken]) -> Self {
        let mut scene = Self::founded();
        scene.broken = broken.to_vec();
        let grant = scene.permission();
        scene.session = scene.run(grant);
        scene
    }

    pub(crate) fn honest() -> Self {
        Self::with(&[])
    }

    fn is(&self, control: Broken) -> bool {
        self.broken.contains(&control)
    }

    /// Request, approval, grant, and what goes wrong around them.
    pub(crate) fn permission(&mut self) -> GrantId {
        if self.is(ControlId::Ap3) {
            let mut shared = self
                .world
                .enrolment(seed::OLGA, "olga", "Acme Ltd", vec![Role::Approve]);
            shared.keys.push(public(seed::ALICE));
            self.put(
                Body::Enrolled(signed(&[seed::OWNER_ROOT], ORIGIN, shared)),
                None,
                vec![],
            );
        }
        let mut approver_key = seed::OLGA;
        if self.is(ControlId::Ap2) {
            approver_key = seed::OPERATOR_ROOT;
            let mut lent = self
                .world
                .enrolment(seed::OLGA, "olga", "Acme Ltd", vec![Role::Approve]);
            lent.keys.push(public(seed::OPERATOR_ROOT));
            self.put(Body::Enrolled(signed(&[seed::OWNER_ROOT], ORIGIN, lent)), None, vec![]);
        }
        let (entry, body, openings) = self.world.request(seed::ALICE);
        let Body::Requested(requested) = &body else {
            unreachable!()
        };
        let request = requested.statement.request;
        self.put_as(entry, body, None, openings_blob(&openings));
        self.disclosed.push(openings);
        let approval = self.approval(approver_key, request);
        self.put(approval, None, vec![]);
        let grant = self.world.grant(request);
        let Body::Granted(granted) = &grant else { unreachable!() };
        let id = granted.grant;
        self.put(grant, None, vec![]);
        if self.is(ControlId::Ap1) {
            let ended = self.world.disablement(seed::OWNER_ROOT, seed::OLGA);
            self.put(ended, None, vec![]);
        }
        if self.is(ControlId::Ow1) {
            let ended = self.world.disablement(seed::OWNER_ROOT, seed::BOB);
            self.put(ended, None, vec![]);
        }
        id
    }

    fn approval(&self, key: u8, request: model::id::RequestId) -> Body {
        let state = self.world.state.request(&EntityKey::request(request)).unwrap();
        let approval = Approval {
            request,
            request_hash: state.hash,
            approver: model::fixture::identity(seed::OLGA),
            requester: state.statement.requester,
            scope: state.statement.scope.clone(),
            surface: Surface::CommandLine,
            at_ms: self.world.now_ms,
        };
        Body::Approved(signed(&[key], ORIGIN, approval))
    }

    /// Opens, acts, records and ends one session on `grant`.
    pub(crate) fn run(&mut self, grant: GrantId) -> SessionId {
        let reused = self.is(ControlId::Id1).then(|| self.decoy(grant));
        let mut opened = self.opened(grant);
        if let Some(proof) = reused {
            opened.1.proof = proof;
        }
        self.run_opened(opened, None)
    }

    /// Acts, records and ends a session that opens so. `forged` is a grant that only its operator believes in.
    pub(crate) fn run_opened(&mut self, opened: Wished, forged: Option<GrantId>) -> SessionId {
        let session = opened.0;
        let (opening, dek) = self.begin(opened, forged);
        self.act(session, &opening);
        if self.is(ControlId::Ev1) {
            self.cover(opening.2.index);
        }
        let recorded = self.record(session, dek);
        self.end(session, recorded);
        session
    }

    /// Writes the opening and has it cosigned.
    pub(crate) fn begin(
        &mut self,
        (session, mut opened, attachments): Wished,
        forged: Option<GrantId>,
    ) -> (Begun, Digest) {
        if self.is(ControlId::Po1) {
            opened.decision.inputs = Digest::of(b"other facts");
        }
        let dek = opened.dek;
        let entry = opening_entry(&attachments);
        let mut before = self.world.state.clone();
        if let Some(granted) = forged.map(|id| self.forged(id)) {
            before.accept(granted);
        }
        let placed = self.put_as(
            entry,
            Body::Opened(Box::new(opened.clone())),
            Some(session),
            attachments,
        );
        self.world.now_ms += 500;
        if !self.is(ControlId::Ev1) {
            self.cover(placed.index);
        }
        ((before, opened, placed), dek)
    }

    /// The state that a forged grant would have made.
    pub(crate) fn forged(&self, id: GrantId) -> Changes {
        let entries = self.world.log.iter().map(|bytes| Entry::parse(bytes).unwrap());
        let granted = entries.zip(0u64..).find_map(|(entry, index)| match entry.body {
            Body::Granted(granted) if granted.grant == id => Some((granted, index)),
            _ => None,
        });
        let (granted, issued_at) = granted.unwrap();
        let state = model::entity::GrantState {
            granted,
            issued_at,
            revoked: None,
        };
        Changes(vec![(EntityKey::grant(id), Entity::Grant(Box::new(state)))])
    }

    /// An earlier session whose log-in proof is then used again.
    fn decoy(&mut self, grant: GrantId) -> model::signature::LogIn {
        let (session, opened, attachments) = self.opened(grant);
        let entry = opening_entry(&attachments);
        let proof = opened.proof.clone();
        self.put_as(entry, Body::Opened(Box::new(opened)), Some(session), attachments);
        self.world.now_ms += 500;
        proof
    }

    pub(crate) fn opened(&mut self, grant: GrantId) -> (SessionId, Opened, Vec<Attachment>) {
        let late_ms = if self.is(ControlId::Ev2) { 60_000 } else { 1000 };
        let basis = self.cosigned(self.world.now_ms - late_ms);
        let (session, body, attachments) = self.world.opened(grant);
        let Body::Opened(mut opened) = body else { unreachable!() };
        opened.time = TimeBasis::Checkpoint(basis.to_string());
        (session, *opened, attachments)
    }

    pub(crate) fn act(&mut self, session: SessionId, opening: &Begun) {
        let (entry, body, openings) = self.intent(session, opening, ActionClass::Exec);
        let Body::Intended(intended) = &body else {
            unreachable!()
        };
        let action = intended.action;
        self.put_as(entry, body, Some(session), openings_blob(&openings));
        self.disclosed.push(openings);
        if !self.is(ControlId::Re2) {
            let ended = ActionEnded {
                action,
                exit_status: Some(0),
                exit_signal: None,
                bytes_in: u64::from(TYPED),
                bytes_out: u64::from(SHOWN),
                frame: 3,
            };
            self.put(Body::ActionEnded(ended), Some(session), vec![]);
        }
    }

    /// An action's intent, as a gateway writes it that believes the session to be open.
    pub(crate) fn intent(
        &mut self,
        session: SessionId,
        (before, opened, placed): &Begun,
        class: ActionClass,
    ) -> (EntryId, Body, Openings) {
        let mut believed = before.clone();
        let state = session_state(session, opened, placed);
        believed.accept(Changes(vec![(
            EntityKey::session(session),
            Entity::Session(Box::new(state)),
        )]));
        let facts = ActionFacts::gather(&believed, session, class, self.world.now_ms).unwrap();
        let entry = self.world.entry_id();
        let command = model::commitment::Opening::new("command", [5; 32], b"uname -a");
        let decision = decide(&facts).unwrap_or_else(|_| model::body::Decision {
            policy: facts.policy,
            inputs: Digest::of(&json::to_vec(&facts).unwrap()),
            at_ms: self.world.now_ms,
            rule: model::judge::RULES.into(),
        });
        let intended = model::body::Intended {
            action: model::id::ActionId::new(self.world.now_ms, self.world.fresh()),
            class,
            channel: 0,
            command: Some(command.commitment(entry)),
            pty: false,
            frame: 0,
            offset_us: 1000,
            decision,
        };
        let openings = Openings {
            entry,
            fields: vec![command],
        };
        (entry, Body::Intended(intended), openings)
    }

    /// Two extents of three frames, and a progress entry after the first.
    pub(crate) fn record(&mut self, session: SessionId, dek: Digest) -> Recorded {
        let frames = [
            (Kind::Output, 1000, SHOWN - 4),
            (Kind::Input, 2000, TYPED),
            (Kind::Output, 3_000_000, 4),
        ];
        let start = chain_start(ORIGIN, &session.to_bytes(), &dek.0);
        let mut builder = ExtentBuilder::new(start);
        let mut previous = start;
        let mut stated = vec![];
        for part in [&frames[..2], &frames[2..]] {
            let first = stated.iter().map(|r: &Recorded| r.frames).max().unwrap_or(0);
            let sealed: Vec<_> = part
                .iter()
                .zip(first..)
                .map(|(frame, index)| sealed(session, index, frame))
                .collect();
            sealed
                .iter()
                .for_each(|(header, body)| builder.push(header, &frame_digest(body)));
            let seal = builder.cut().unwrap();
            let rows: Vec<ExportedFrame<'_>> = sealed
                .iter()
                .map(|(header, body)| ExportedFrame {
                    header: *header,
                    body: FrameBody::Sealed(body),
                })
                .collect();
            let bytes = encode_export(&seal, &session.to_bytes(), &previous, &rows);
            self.extents.entry(session).or_default().push(bytes);
            previous = seal.chain;
            stated.push(Recorded {
                frames: seal.last + 1,
                extents: seal.number + 1,
                chain: Digest(seal.chain),
            });
        }
        let line = ProgressLine {
            session,
            recorded: stated[0].clone(),
        };
        self.put(Body::Progress(Progress { sessions: vec![line] }), None, vec![]);
        stated[1].clone()
    }

    pub(crate) fn end(&mut self, session: SessionId, recorded: Recorded) {
        let mut ended = Ended {
            bytes_in: u64::from(TYPED),
            bytes_out: u64::from(SHOWN),
            bytes_journaled: u64::from(TYPED + SHOWN),
            ..World::ended(EndCause::ClientClosed, recorded)
        };
        if self.is(ControlId::Sc1) {
            ended.host_key = Some(public(99));
        }
        if self.is(ControlId::Re1) {
            ended.bytes_journaled -= 1;
        }
        if self.is(ControlId::Ex1) {
            let due_ms = self.until_ms(session);
            self.world.now_ms = due_ms + 30_000;
            (ended.cause, ended.due_ms, ended.late_ms) = (EndCause::Expired, Some(due_ms), Some(30_000));
        }
        self.put(Body::Ended(ended), Some(session), vec![]);
        self.world.now_ms += 500;
    }

    fn until_ms(&self, session: SessionId) -> u64 {
        let entries = self.world.log.iter().map(|bytes| Entry::parse(bytes).unwrap());
        let opened = entries.filter(|e| e.session.as_ref().is_some_and(|link| link.id == session));
        let until = opened.filter_map(|e| match e.body {
            Body::Opened(opened) => Some(opened.until_ms),
            _ => None,
        });
        until.max().unwrap()
    }

    /// The current head, signed by the log and cosigned at `time_ms`.
    pub(crate) fn cosigned(&self, time_ms: u64) -> SignedCheckpoint {
        let mut signed = self.signed(&self.world.log);
        signed
            .add(self.witness.cosign(signed.checkpoint(), time_ms / 1000).unwrap())
            .unwrap();
        signed
    }

    pub(crate) fn signed(&self, entries: &[Vec<u8>]) -> SignedCheckpoint {
        let mut tree = Tree::new();
        entries.iter().for_each(|entry| tree.append(hash::leaf(entry)).unwrap());
        let head = Head {
            size: tree.size(),
            root: tree.root(),
        };
        Checkpoint::new(KeyName::new(ORIGIN).unwrap(), head)
            .sign(&self.log_key)
            .unwrap()
    }

    pub(crate) fn cover(&mut self, index: u64) {
        let head = self.cosigned(self.world.now_ms);
        self.covered.insert(index, head);
    }

    pub(crate) fn put(&mut self, body: Body, session: Option<SessionId>, attachments: Vec<Attachment>) -> Placed {
        let entry = self.world.entry_id();
        self.put_as(entry, body, session, attachments)
    }

    /// Writes an entry, whatever the rules say.
    pub(crate) fn put_as(
        &mut self,
        id: EntryId,
        body: Body,
        session: Option<SessionId>,
        attachments: Vec<Attachment>,
    ) -> Placed {
        let last = Entry::parse(self.world.log.last().unwrap()).unwrap();
        let link = session.map(|id| match self.tips.get(&id) {
            Some((seq, tip)) => SessionLink {
                id,
                seq: seq + 1,
                prev: Some(*tip),
            },
            None => SessionLink { id, seq: 0, prev: None },
        });
        let blobs = attachments
            .iter()
            .map(|attachment| BlobRef {
                kind: attachment.kind,
                sha256: Digest::of(&attachment.bytes),
                size: attachment.bytes.len() as u64,
            })
            .collect();
        let entry = Entry {
            id,
            time_ms: self.world.now_ms,
            writer: Writer {
                seq: last.writer.seq + 1,
                ..last.writer
            },
            session: link.clone(),
            blobs,
            body,
        };
        let placed = Placed::parse(self.world.log.len() as u64, &entry.encode().unwrap()).unwrap();
        if let Some(link) = link {
            self.tips.insert(link.id, (link.seq, placed.hash));
        }
        self.world
            .blobs
            .extend(attachments.into_iter().map(|a| (Digest::of(&a.bytes), a.bytes)));
        self.world.log.push(entry.encode().unwrap());
        if let Ok(changes) = apply(&self.world.state, &placed) {
            self.world.state.accept(changes);
        }
        self.world.now_ms += 1;
        placed
    }

    /// What the owner gives to readers.
    pub(crate) fn trust(&self) -> Trust {
        Trust::parse(Trust::file_of(&self.world.genesis()).as_bytes()).unwrap()
    }

    pub(crate) fn replayed(&self) -> Replayed {
        self.replayed_of(Select::All)
    }

    fn replayed_of(&self, select: Select) -> Replayed {
        Replayed::replay(select, self.world.log.iter().map(Vec::as_slice)).unwrap()
    }

    /// The pack about all sessions, up to a cosigned head.
    pub(crate) fn pack(&self) -> Vec<u8> {
        self.pack_under(&self.cosigned(self.world.now_ms))
    }

    pub(crate) fn pack_under(&self, checkpoint: &SignedCheckpoint) -> Vec<u8> {
        self.pack_of(Select::All, checkpoint)
    }

    pub(crate) fn pack_of(&self, select: Select, checkpoint: &SignedCheckpoint) -> Vec<u8> {
        let plan = Plan::of(&self.replayed_of(select));
        let proven: Vec<Proven<'_>> = plan
            .proven
            .iter()
            .map(|(entry, index)| Proven {
                entry: *entry,
                index: *index,
                checkpoint: self.covered.get(index).unwrap_or(checkpoint),
            })
            .collect();
        let blob = |digest: &Digest| self.world.blobs.iter().find(|(d, _)| d == digest).unwrap().1.clone();
        let openings = plan.openings.iter().map(|(entry, digest)| Loose {
            kind: LooseKind::Openings(*entry),
            bytes: blob(digest),
        });
        let wraps = plan.wraps.iter().map(|(session, digest)| Loose {
            kind: LooseKind::Wraps(*session),
            bytes: blob(digest),
        });
        let disclosed = self.disclosed.iter().map(|openings| Loose {
            kind: LooseKind::Disclosed(openings.entry),
            bytes: json::to_vec(openings).unwrap(),
        });
        let loose: Vec<Loose> = openings.chain(wraps).chain(disclosed).collect();
        let log = &self.world.log;
        let extents = &self.extents;
        let mut out = Vec::new();
        let contents = Contents {
            environment: &name("acme"),
            checkpoint,
            sessions: &plan.sessions,
            proven: &proven,
            loose: &loose,
            bundles: &mut |first, count| {
                let first = first as usize;
                Ok(log[first..(first + usize::from(count)).min(log.len())].to_vec())
            },
            extents: &mut |session, number| Ok(extents[&session][number as usize].clone()),
        };
        write(&mut out, contents).unwrap();
        out
    }

    /// A log-in proof of the requester that nobody used yet.
    pub(crate) fn fresh_proof(&self, connection: u64) -> model::signature::LogIn {
        log_in(seed::ALICE, "root+web1.acme", connection)
    }
}

fn sealed(session: SessionId, index: u64, (kind, time_us, length): &(Kind, u64, u32)) -> (Header, Vec<u8>) {
    let header = Header {
        kind: *kind,
        channel: 0,
        index,
        time_us: *time_us,
        ciphertext_len: length + 16,
        session: session.to_bytes(),
    };
    // Nobody here has the key: any bytes are ciphertext.
    let body = (0..length + 16)
        .map(|n| (n as u8).wrapping_mul(37) ^ index as u8)
        .collect();
    (header, body)
}

pub(crate) fn openings_blob(openings: &Openings) -> Vec<Attachment> {
    vec![Attachment {
        kind: BlobKind::Openings,
        bytes: [b"sealed ", json::to_vec(openings).unwrap().as_slice()].concat(),
    }]
}

fn opening_entry(attachments: &[Attachment]) -> EntryId {
    json::from_slice::<Openings>(&attachments[0].bytes).unwrap().entry
}

fn session_state(session: SessionId, opened: &Opened, placed: &Placed) -> SessionState {
    SessionState {
        session,
        grant: opened.grant,
        identity: opened.identity,
        resource: opened.resource.clone(),
        account: opened.account.clone(),
        node: placed.entry.writer.node.clone(),
        boot: placed.entry.writer.boot,
        opened_at: placed.index,
        opened_ms: placed.entry.time_ms,
        until_ms: opened.until_ms,
        level: opened.level,
        status: SessionStatus::Open,
        seq: 0,
        tip: placed.hash,
        killed_at: None,
        recorded: None,
        live: BTreeMap::new(),
        actions: 0,
        refused: 0,
        gaps: 0,
        ended_at: None,
        ended_ms: None,
    }
}

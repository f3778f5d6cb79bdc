//! The operator's insider, for `make demo`: holds a copy of the server's disk, and with it the master key, the log's
//! signing key and every byte of evidence; the operator's root key too. Forges evidence packs as well as such a person
//! can, so that the demo can show how each is refused. It is no part of the product, and needs none of its secrets but
//! those that an operator has.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a forger that cannot set up must stop"
)]

use clap::{Parser, ValueEnum};
use evidence::pack::{Contents, Loose, LooseKind, Plan, Proven, write};
use evidence::replay::{Select, World};
use journal::Journal;
use ledger::consistency::{self, Head};
use ledger::tree::Node;
use ledger::{Checkpoint, Hash, NoteKey, NoteSignature, SignedCheckpoint, Submission, Tree, hash};
use model::body::{Body, Granted, Requested};
use model::bytes::{Blob, Digest};
use model::entry::{BlobRef, Entry, SessionLink};
use model::id::{EntryId, GrantId, IdentityId, SessionId};
use model::json;
use model::name::EnvironmentName;
use model::signature::{Key, LogIn, Signature, Signed, Statement, signed_bytes};
use model::statement::{ActionClass, Approval, Enrolment};
use ssh_key::encoding::Encode;
use ssh_key::private::Ed25519Keypair;
use ssh_key::{HashAlg, PrivateKey, SigningKey};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use store::{Clock, Store, StoreConfig};

/// Forges an evidence pack with all that an operator's insider holds.
#[derive(Debug, Parser)]
struct Arguments {
    /// What to forge
    attack: Attack,
    /// A copy of the server's folder
    #[arg(long)]
    disk: PathBuf,
    /// The operator's root key
    #[arg(long)]
    root: PathBuf,
    /// The key of a technician who helps, for `backdate`
    #[arg(long)]
    accomplice: Option<PathBuf>,
    /// The environment
    #[arg(long, default_value = "acme")]
    environment: EnvironmentName,
    /// The session that the pack is about
    #[arg(long)]
    session: SessionId,
    /// A witness to submit the forged log to
    #[arg(long)]
    witness: String,
    /// The forged pack; for `smuggle` the body to submit
    #[arg(long)]
    out: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Attack {
    /// Says that a shell was something else, and signs all of the log anew
    Edit,
    /// Leaves out the end of the log, under an older cosigned head
    Cut,
    /// Leaves out a part of the recording, and says so in the manifest
    Drop,
    /// Enrols an approver of the owner's organisation and approves with it
    Enrol,
    /// Puts a true signature of the owner's approver under another approval
    Swap,
    /// Opens a session under a grant that is over, dated back
    Backdate,
    /// Writes the approver's enrolment down, for `countersign submit`
    Smuggle,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments = Arguments::parse();
    let mut insider = Insider::new(&arguments).await;
    match arguments.attack {
        Attack::Edit => insider.edit(),
        Attack::Cut | Attack::Drop => {}
        Attack::Enrol => insider.enrol(),
        Attack::Swap => insider.swap(),
        Attack::Backdate => insider.backdate(),
        Attack::Smuggle => return insider.smuggle(),
    }
    let head = match arguments.attack {
        Attack::Cut => insider.head_before_the_end(),
        Attack::Drop => insider.heads.last().expect("a cosigned head").clone(),
        _ => insider.newly_signed().await,
    };
    insider.pack(&head).await;
}

/// What the insider holds.
struct Insider<'a> {
    arguments: &'a Arguments,
    store: Store,
    origin: String,
    log_key: NoteKey,
    root: PrivateKey,
    log: Vec<Entry>,
    bytes: Vec<Vec<u8>>,
    /// The cosigned heads that the server kept, ascending.
    heads: Vec<SignedCheckpoint>,
    session: SessionId,
}

impl<'a> Insider<'a> {
    async fn new(arguments: &'a Arguments) -> Self {
        let boot = model::id::BootId::new(0, random());
        let config = StoreConfig::new(&arguments.disk, "insider".parse().unwrap(), boot, Clock::new(|| 0));
        let store = Store::open(config).await.expect("the disk's database");
        let secret = format!("log/{}", arguments.environment);
        let secret = store.vault().open(&secret).await.expect("the log key");
        let found = store.entries(&arguments.environment, 0..u64::MAX, u32::MAX).await;
        let bytes: Vec<Vec<u8>> = found.expect("the log").into_iter().map(|(_, bytes)| bytes).collect();
        let log: Vec<Entry> = bytes.iter().map(|bytes| Entry::parse(bytes).unwrap()).collect();
        let Body::Genesis(genesis) = &log[0].body else {
            panic!("the log begins with no genesis")
        };
        let heads = kept_heads(&store, &arguments.environment).await;
        Self {
            arguments,
            store,
            origin: genesis.statement.origin.clone(),
            log_key: NoteKey::parse(std::str::from_utf8(&secret).unwrap()).unwrap(),
            root: PrivateKey::read_openssh_file(&arguments.root).expect("the operator's root key"),
            heads,
            log,
            bytes,
            session: arguments.session,
        }
    }

    // --- the forgeries

    /// A shell becomes a file transfer; what follows in the session is linked anew.
    fn edit(&mut self) {
        let session = self.session;
        let at = self.position(|entry| matches!(&entry.body, Body::Intended(_)) && is_of(entry, session));
        if let Body::Intended(intended) = &mut self.log[at].body {
            intended.class = ActionClass::Sftp;
        }
        let mut tips: BTreeMap<SessionId, Digest> = BTreeMap::new();
        for (entry, bytes) in self.log.iter_mut().zip(&mut self.bytes) {
            if let Some(link) = &mut entry.session {
                link.prev = tips.get(&link.id).copied();
            }
            *bytes = entry.encode().unwrap();
            if let Some(link) = &entry.session {
                tips.insert(link.id, Digest::of(bytes));
            }
        }
        println!("entry {at} edited: the shell is a file transfer now; the hashes after it made anew");
    }

    /// The newest head that was cosigned before the session's end was in the log.
    fn head_before_the_end(&mut self) -> SignedCheckpoint {
        let session = self.session;
        let end = self.position(|entry| matches!(&entry.body, Body::Ended(_)) && is_of(entry, session));
        let older = |head: &&SignedCheckpoint| size(head) <= end as u64;
        let head = self.heads.iter().rfind(older).expect("an older head").clone();
        println!(
            "entries {} to {} left out; the head of {} entries is older and truly cosigned",
            size(&head),
            self.log.len() - 1,
            size(&head)
        );
        self.bytes.truncate(usize::try_from(size(&head)).unwrap());
        head
    }

    /// Eve is of the owner's organisation, says the operator's root; and then Eve approves what waits.
    fn enrol(&mut self) {
        let eve = eve();
        let enrolment = self.enrolment(&eve);
        let identity = enrolment.statement.identity;
        let approval = Approval {
            approver: identity,
            ..self.approval()
        };
        let approval = self.sign(&eve, approval);
        self.append(Body::Enrolled(enrolment));
        let by = self.append(Body::Approved(approval));
        self.grant(by);
        println!("appended: the enrolment of `eve` of the owner's organisation, her approval, a grant");
    }

    /// The owner's approver has signed one approval. The signature goes under another.
    fn swap(&mut self) {
        let stolen = self.approved().signatures.clone();
        let forged = Signed {
            statement: self.approval(),
            signatures: stolen,
        };
        let by = self.append(Body::Approved(forged));
        self.grant(by);
        println!("appended: an approval that carries the approver's true signature of another one, and a grant");
    }

    /// The session's opening once more, with a log-in of its own, as if it had been opened while the grant was good.
    fn backdate(&mut self) {
        let session = self.session;
        let at = self.position(|entry| matches!(&entry.body, Body::Opened(_)) && is_of(entry, session));
        let template = self.log[at].clone();
        let Body::Opened(mut opened) = template.body else {
            return;
        };
        if let Some(path) = &self.arguments.accomplice {
            opened.proof = logged_in_again(&opened.proof, path);
        }
        opened.certificate.serial = format!("{:016x}", u64::from_be_bytes(random()) >> 1);
        self.session = SessionId::new(template.time_ms + 300, random());
        let link = SessionLink {
            id: self.session,
            seq: 0,
            prev: None,
        };
        self.append_as(Body::Opened(opened), template.time_ms + 300, Some(link), template.blobs);
        println!("appended: an opening under a grant that is over, dated back to when it was good");
    }

    fn smuggle(&self) {
        let eve = eve();
        let body = serde_json::json!({"body": self.enrolment(&eve), "type": "identity.enrolled"});
        let mut line = json::to_vec(&body).unwrap();
        line.push(b'\n');
        std::fs::write(&self.arguments.out, line).unwrap();
    }

    // --- their parts

    /// `eve`, in the place of the owner's own approver, signed by the operator's root.
    fn enrolment(&self, eve: &PrivateKey) -> Signed<Enrolment> {
        let approver = self.approved().statement.approver;
        let found = self.log.iter().find_map(|entry| match &entry.body {
            Body::Enrolled(signed) if signed.statement.identity == approver => Some(signed.statement.clone()),
            _ => None,
        });
        let statement = Enrolment {
            identity: IdentityId::new(self.now_ms(), random()),
            handle: "eve".parse().unwrap(),
            keys: vec![Key::new(eve.public_key()).unwrap()],
            ..found.expect("the approver's enrolment")
        };
        self.sign(&self.root, statement)
    }

    /// An approval that was truly given.
    fn approved(&self) -> &Signed<Approval> {
        let found = self.log.iter().find_map(|entry| match &entry.body {
            Body::Approved(signed) => Some(signed),
            _ => None,
        });
        found.expect("an approval")
    }

    /// What the owner's approver would sign for the request that waits.
    fn approval(&self) -> Approval {
        let (at, requested) = self.waiting();
        Approval {
            request: requested.statement.request,
            request_hash: Digest::of(&self.bytes[at]),
            scope: requested.statement.scope.clone(),
            at_ms: self.now_ms(),
            ..self.approved().statement.clone()
        }
    }

    fn waiting(&self) -> (usize, &Requested) {
        let found = self
            .log
            .iter()
            .enumerate()
            .rev()
            .find_map(|(at, entry)| match &entry.body {
                Body::Requested(requested) => Some((at, requested)),
                _ => None,
            });
        found.expect("a request")
    }

    fn grant(&mut self, by: EntryId) {
        let found = self.log.iter().find_map(|entry| match &entry.body {
            Body::Granted(granted) => Some(granted.clone()),
            _ => None,
        });
        let (_, requested) = self.waiting();
        let granted = Granted {
            grant: GrantId::new(self.now_ms(), random()),
            request: requested.statement.request,
            scope: requested.statement.scope.clone(),
            approvals: vec![by],
            ..found.expect("a grant")
        };
        self.append(Body::Granted(granted));
    }

    fn sign<T: Statement>(&self, key: &PrivateKey, statement: T) -> Signed<T> {
        let message = signed_bytes(&self.origin, &statement).unwrap();
        let signature = key.sign(T::NAMESPACE.as_str(), HashAlg::Sha512, &message).unwrap();
        Signed {
            statement,
            signatures: vec![Signature::new(&signature).unwrap()],
        }
    }

    fn append(&mut self, body: Body) -> EntryId {
        self.append_as(body, self.now_ms(), None, vec![])
    }

    fn append_as(&mut self, body: Body, time_ms: u64, session: Option<SessionLink>, blobs: Vec<BlobRef>) -> EntryId {
        let mut writer = self.log.last().unwrap().writer.clone();
        writer.seq += 1;
        let entry = Entry {
            id: EntryId::new(time_ms, random()),
            time_ms,
            writer,
            session,
            blobs,
            body,
        };
        self.bytes.push(entry.encode().unwrap());
        let id = entry.id;
        self.log.push(entry);
        id
    }

    /// Just after the newest entry.
    fn now_ms(&self) -> u64 {
        self.log.last().map_or(0, |entry| entry.time_ms + 1)
    }

    fn position(&self, wanted: impl Fn(&Entry) -> bool) -> usize {
        self.log.iter().position(wanted).expect("such an entry")
    }

    // --- signing and packing

    /// The forged log's head, signed with the real log key, and cosigned if the witness can be brought to it.
    async fn newly_signed(&self) -> SignedCheckpoint {
        let (tree, nodes) = tree(&self.bytes);
        let head = Head {
            size: tree.size(),
            root: tree.root(),
        };
        let name = self.log_key.verifier().name().clone();
        let mut signed = Checkpoint::new(name, head).sign(&self.log_key).unwrap();
        // Its answer to a wrong old size names the right one.
        let (status, answer) = self.submit(&signed, 0, &nodes).await;
        let (status, answer) = match (status, answer.trim().parse()) {
            (409, Ok(old)) => self.submit(&signed, old, &nodes).await,
            _ => (status, answer),
        };
        if status == 200 {
            for line in NoteSignature::parse_lines(&answer).expect("cosignatures") {
                signed.add(line).unwrap();
            }
            println!("signed with the real log key; cosigned: a witness only sees that the log grew");
        } else {
            println!("signed with the real log key; the witness refuses to cosign ({status})");
        }
        signed
    }

    async fn submit(&self, signed: &SignedCheckpoint, old: u64, nodes: &BTreeMap<(u8, u64), Hash>) -> (u16, String) {
        let proof = consistency::prove(old, size(signed), |node| {
            nodes.get(&(node.level, node.index)).copied().ok_or(())
        });
        let body = Submission::new(old, proof.expect("a proof"), signed.clone()).unwrap();
        let url = format!("{}/add-checkpoint", self.arguments.witness);
        let sent = reqwest::Client::new().post(url).body(body.to_string()).send().await;
        let answer = sent.expect("the witness answers");
        (answer.status().as_u16(), answer.text().await.unwrap_or_default())
    }

    /// The pack of the log as it is now, with what the disk holds beside it.
    async fn pack(&self, head: &SignedCheckpoint) {
        let log = &self.bytes;
        let select = Select::Sessions(BTreeSet::from([self.session]));
        let world = World::replay(select, log.iter().map(Vec::as_slice)).unwrap();
        let mut plan = Plan::of(&world);
        if self.arguments.attack == Attack::Drop {
            plan.sessions[0].extents -= 1;
            println!(
                "the last of {} extents left out; the manifest written anew",
                plan.sessions[0].extents + 1
            );
        }
        let loose = self.loose(&plan).await;
        let proven: Vec<Proven<'_>> = plan
            .proven
            .iter()
            .map(|(entry, index)| Proven {
                entry: *entry,
                index: *index,
                checkpoint: self.first_over(*index).unwrap_or(head),
            })
            .collect();
        let extents = recordings(&self.arguments.disk, self.session);
        let contents = Contents {
            environment: &self.arguments.environment,
            checkpoint: head,
            sessions: &plan.sessions,
            proven: &proven,
            loose: &loose,
            bundles: &mut |first, count| {
                let first = usize::try_from(first)?;
                Ok(log[first..first + usize::from(count)].to_vec())
            },
            extents: &mut |_, number| Ok(extents[usize::try_from(number)?].clone()),
        };
        let mut out = Vec::new();
        write(&mut out, contents).expect("a pack");
        std::fs::write(&self.arguments.out, out).unwrap();
    }

    /// The first cosigned head over an entry that is a head of the forged log too.
    fn first_over(&self, index: u64) -> Option<&SignedCheckpoint> {
        self.heads.iter().find(|head| {
            let covered = usize::try_from(size(head)).ok().and_then(|size| self.bytes.get(..size));
            let same = covered.is_some_and(|bytes| tree(bytes).0.root() == head.checkpoint().head().root);
            size(head) > index && same
        })
    }

    async fn loose(&self, plan: &Plan) -> Vec<Loose> {
        let openings = plan
            .openings
            .iter()
            .map(|(id, digest)| (LooseKind::Openings(*id), *digest));
        let wraps = plan.wraps.iter().map(|(id, digest)| (LooseKind::Wraps(*id), *digest));
        let mut loose = vec![];
        for (kind, digest) in openings.chain(wraps) {
            let found = self.store.blob(&self.arguments.environment, digest).await.unwrap();
            let bytes = found.and_then(|blob| blob.bytes).expect("a blob");
            loose.push(Loose { kind, bytes });
        }
        loose
    }
}

/// The same log-in to another connection, signed by the same person, who helps.
fn logged_in_again(proof: &LogIn, key: &Path) -> LogIn {
    let key = PrivateKey::read_openssh_file(key).expect("the accomplice's key");
    let (length, rest) = proof.signed.0.split_first_chunk::<4>().unwrap();
    let rest = &rest[u32::from_be_bytes(*length) as usize..];
    let connection: [u8; 32] = random();
    let signed = [&32u32.to_be_bytes(), connection.as_slice(), rest].concat();
    let signature = signature_of(&key, &signed);
    LogIn {
        signature: Blob(signature.encode_vec().unwrap()),
        signed: Blob(signed),
    }
}

fn signature_of<K: SigningKey>(key: &K, message: &[u8]) -> ssh_key::Signature {
    key.try_sign(message).unwrap()
}

fn is_of(entry: &Entry, session: SessionId) -> bool {
    entry.session.as_ref().is_some_and(|link| link.id == session)
}

fn size(head: &SignedCheckpoint) -> u64 {
    head.checkpoint().head().size
}

fn tree(entries: &[Vec<u8>]) -> (Tree, BTreeMap<(u8, u64), Hash>) {
    let mut tree = Tree::new();
    let mut nodes = BTreeMap::new();
    for entry in entries {
        let kept = |node: Node, hash: &Hash| {
            nodes.insert((node.level, node.index), *hash);
        };
        tree.append_with(hash::leaf(entry), kept).unwrap();
    }
    (tree, nodes)
}

async fn kept_heads(store: &Store, environment: &EnvironmentName) -> Vec<SignedCheckpoint> {
    let mut heads: Vec<SignedCheckpoint> = vec![];
    loop {
        let covered = heads.last().map_or(0, size);
        let next = store.cosigned_over(environment, Some(covered)).await;
        let Some(note) = next.expect("the kept heads") else {
            return heads;
        };
        heads.push(SignedCheckpoint::parse(note.as_bytes()).unwrap());
    }
}

fn recordings(disk: &Path, session: SessionId) -> Vec<Vec<u8>> {
    let (journal, _) = Journal::open_read_only(&disk.join("journal")).expect("the journal");
    match journal.extents(&session.to_bytes()) {
        Ok(extents) => extents.map(|extent| extent.expect("an extent").bytes).collect(),
        // A session that never was has no recording.
        Err(_) => vec![],
    }
}

/// A key of nobody's.
fn eve() -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&random()))
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("randomness");
    bytes
}

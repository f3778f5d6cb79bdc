//! The process that is made to crash: it commits, seals, erases and signs heads, and says on its standard output what
//! has been answered, one line at a time, after the answer.

use ledger::hash::Hash;
use model::body::{AttemptRefused, Body};
use model::bytes::Digest;
use model::chain::{Draft, Step};
use model::entry::BlobKind;
use model::fixture::{LogTerms, START_MS, World, commitment, identity, name, seed};
use model::id::{BootId, EntryId};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use store::{Clock, CommitError, SignedHead, Store, StoreConfig};

/// What the child was told: where, how many rounds, which start this is.
const DIRECTORY: &str = "COUNTERSIGN_CHILD_DIRECTORY";
const ROUNDS: &str = "COUNTERSIGN_CHILD_ROUNDS";
const BOOT: &str = "COUNTERSIGN_CHILD_BOOT";
/// Where it says what was answered.
const ANSWERS: &str = "COUNTERSIGN_CHILD_ANSWERS";

/// The process, ready to be started.
pub(crate) fn child(directory: &Path, boot: u64, rounds: u64) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            "--exact",
            "child::works_until_it_dies",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(DIRECTORY, directory)
        .env(ROUNDS, rounds.to_string())
        .env(BOOT, boot.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// The same under the shim, which records to `log` what happens in `directory`; answers go to a file in it.
pub(crate) fn watched(directory: &Path, log: &Path, rounds: u64) -> Command {
    let mut command = child(directory, 1, rounds);
    command
        .env(ANSWERS, directory.join("answers"))
        .env("LD_PRELOAD", shim())
        .env("COUNTERSIGN_DISK_DIR", directory)
        .env("COUNTERSIGN_DISK_LOG", log);
    command
}

/// Answers go to this file.
pub(crate) fn answers_to(command: &mut Command, file: &Path) {
    command.env(ANSWERS, file);
}

fn shim() -> &'static Path {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shim/disk.c");
        let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("disk-{}.so", std::process::id()));
        let status = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&made)
            .arg(source)
            .status();
        assert!(status.unwrap().success());
        made
    })
}

pub(crate) fn config(directory: &Path, boot: u64) -> StoreConfig {
    static CLOCK: AtomicU64 = AtomicU64::new(START_MS);
    let boot = BootId::from_bytes(model::id::uuid_v7(START_MS + boot, [7; 10]));
    let clock = Clock::new(|| CLOCK.fetch_add(1, Ordering::Relaxed));
    StoreConfig::new(directory, name("gw1"), boot, clock)
}

#[test]
#[ignore = "a process of its own, which other tests start and kill"]
fn works_until_it_dies() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let number = |name: &str| std::env::var(name).unwrap().parse::<u64>().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(work(Path::new(&directory), number(BOOT), number(ROUNDS)));
}

/// One write for each answer, so that it is said whole or not at all.
struct Answers(std::fs::File);

impl Answers {
    fn say(&mut self, line: &str) {
        self.0.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    fn committed(&mut self, id: EntryId, answer: Result<Vec<store::Receipt>, CommitError>) {
        match answer {
            Ok(receipts) => self.say(&format!("stored {} {}", receipts[0].id, receipts[0].hash)),
            Err(CommitError::Unknown(_)) => {}
            Err(_) => self.say(&format!("refused {id}")),
        }
    }
}

async fn work(directory: &Path, boot: u64, rounds: u64) {
    let Ok(store) = Store::open(config(directory, boot)).await else {
        return;
    };
    // Opened only after the data directory is there.
    let path = std::env::var_os(ANSWERS).unwrap();
    let mut answers = Answers(
        std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .unwrap(),
    );
    let acme = name("acme");
    if store.size(&acme).await.unwrap() == 0 {
        let world = World::blank(LogTerms::default());
        for (n, body) in world.founding().into_iter().enumerate() {
            // Genesis, engagement, and Alice, in whose name the rest is written.
            let alice = matches!(&body, Body::Enrolled(signed) if signed.statement.identity == identity(seed::ALICE));
            if n < 2 || alice {
                let id = EntryId::new(n as u64, [0; 10]);
                let committed = store
                    .commit(&acme, Step::record(vec![Draft::new(id, body)]).unwrap())
                    .await;
                answers.committed(id, committed.map(store::Committed::into_entries));
            }
        }
    }
    for round in 0..rounds {
        step(&store, &mut answers, boot * 1_000_000 + round).await;
    }
    store.close().await;
}

async fn step(store: &Store, answers: &mut Answers, round: u64) {
    let acme = name("acme");
    // Several at once, so that they share a transaction.
    let steps: Vec<_> = (0..=round % 3)
        .map(|n| {
            let id = EntryId::new(START_MS + round, [u8::try_from(n).unwrap(); 10]);
            let body = Body::AttemptRefused(AttemptRefused {
                identity: identity(seed::ALICE),
                operation: "open".into(),
                object: commitment(id, "object", "web1"),
                code: "no".into(),
            });
            // Now and then a large one, so that the write-ahead log is moved.
            let size = if round.is_multiple_of(5) { 200_000 } else { 300 };
            let blob = [&id.to_bytes(), vec![b'x'; size].as_slice()].concat();
            let draft = Draft::new(id, body).with(BlobKind::Openings, blob.clone());
            (
                id,
                Digest::of(&blob),
                store.commit(&acme, Step::record(vec![draft]).unwrap()),
            )
        })
        .collect();
    for (id, blob, committed) in steps {
        answers.committed(id, committed.await.map(store::Committed::into_entries));
        if round % 7 == 3 && store.delete_blob(&acme, blob).await.is_ok_and(|count| count == 1) {
            answers.say(&format!("erased {id}"));
        }
    }
    match round % 4 {
        0 => {
            let size = store.size(&acme).await.unwrap();
            let root = Hash::from_bytes([u8::try_from(size % 256).unwrap(); 32]);
            let put = store.put_signed_head(&acme, SignedHead { size, root }).await;
            if put.is_ok() {
                answers.say(&format!("head {size}"));
            }
        }
        2 => {
            let name = format!("key {round}");
            if store.vault().seal(&name, name.as_bytes()).await.is_ok() {
                answers.say(&format!("sealed {name}"));
            }
        }
        _ => {}
    }
}

//! What the journal's tests share: small journals, sessions, and reading a session back in the clear.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use journal::{Extents, Journal, JournalConfig, SessionJournal, SessionStart};
use recording::{ChainedExtent, Dek, ExportedExtent, Opener, Played, chain_start, play_extent};

pub(crate) const ORIGIN: &str = "log.example/acme";

pub(crate) fn config(dir: &Path) -> JournalConfig {
    JournalConfig {
        segment_bytes: 1024 * 1024,
        sync_every: Duration::from_millis(20),
        low_water_bytes: 0,
        stop_water_bytes: 0,
        ..JournalConfig::new(dir)
    }
}

pub(crate) fn id(number: u8) -> [u8; 16] {
    [number; 16]
}

pub(crate) fn dek(number: u8) -> Dek {
    Dek::from_bytes([number ^ 0x55; 32])
}

pub(crate) fn session(journal: &Journal, number: u8) -> SessionJournal {
    let dek = dek(number);
    let start = SessionStart {
        session: id(number),
        origin: ORIGIN,
        dek: &dek,
        opened_at_ms: 1000,
    };
    journal.session(&start).unwrap()
}

/// Reads extents, checks their chain from the start, and opens every frame.
pub(crate) fn play(number: u8, extents: Extents) -> Vec<Played> {
    let dek = dek(number);
    let mut chain = ChainedExtent::start(chain_start(ORIGIN, &id(number), &dek.commitment()));
    let mut opener = Opener::new(&dek, ORIGIN, id(number)).unwrap();
    let mut played = Vec::new();
    for extent in extents {
        let extent = extent.unwrap();
        let parsed = ExportedExtent::parse(&extent.bytes).unwrap();
        assert_eq!(parsed.seal, extent.seal);
        chain.follow(&parsed).unwrap();
        played.extend(play_extent(&mut opener, &parsed).unwrap());
    }
    played
}

/// Waits for a condition that other threads bring about.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "never came: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The fault shim, compiled once per run.
pub(crate) fn shim() -> &'static Path {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shim/fault.c");
        let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fault-{}.so", std::process::id()));
        let status = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&made)
            .arg(source)
            .arg("-ldl")
            .status();
        assert!(status.unwrap().success());
        made
    })
}

/// Runs one ignored test of this binary as a process of its own.
pub(crate) fn child(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"]);
    command
}

/// Takes what was released and does nothing with it.
pub(crate) fn pass_on<T>(_: T) {}

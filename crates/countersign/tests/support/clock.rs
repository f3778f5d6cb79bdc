//! A wall clock that a test sets, for the processes that are started with it: see `shim/clock.c`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One clock.
pub(crate) struct Clock {
    shim: PathBuf,
    offset: PathBuf,
}

impl Clock {
    /// At the true time.
    pub(crate) fn new() -> Self {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let name = format!("clock-{}-{:?}", std::process::id(), std::thread::current().id());
        let clock = Self {
            shim: place.join(format!("{name}.so")),
            offset: place.join(name),
        };
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shim/clock.c");
        let made = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&clock.shim)
            .arg(source)
            .status();
        assert!(made.expect("a compiler").success());
        clock.set(0);
        clock
    }

    /// So many seconds from the true time.
    pub(crate) fn set(&self, offset_s: i64) {
        let written = self.offset.with_extension("new");
        fs::write(&written, offset_s.to_string()).expect("a file");
        fs::rename(written, &self.offset).expect("a file");
    }

    /// For the processes that are to see it.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("LD_PRELOAD", self.shim.display().to_string()),
            ("COUNTERSIGN_CLOCK_OFFSET", self.offset.display().to_string()),
        ]
    }
}

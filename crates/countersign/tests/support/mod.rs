//! What end-to-end tests stand on: folders that sshd accepts, the real binary, processes that die with the test.
#![allow(dead_code, reason = "each test binary uses a part of this")]

pub(crate) mod clock;
pub(crate) mod running;
pub(crate) mod target;
pub(crate) mod world;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A folder under /var/tmp that only its owner can enter, removed at the end. Not /tmp: sshd's StrictModes refuses key
/// and principals files below a folder that others can write to, and some systems empty /tmp.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        let base = if Path::new("/root").is_dir() && std::fs::read_dir("/root").is_ok() {
            "/root"
        } else {
            "/var/tmp"
        };
        Self(
            tempfile::Builder::new()
                .prefix("countersign-test-")
                .tempdir_in(base)
                .expect("a folder"),
        )
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// The binary under test, run in `folder`, away from the settings of whoever runs the tests.
pub(crate) fn countersign(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command
        .current_dir(folder)
        .env_remove("COUNTERSIGN_SERVER")
        .env_remove("COUNTERSIGN_KEY")
        .env_remove("SSH_AUTH_SOCK")
        .env("HOME", folder)
        .env("XDG_CONFIG_HOME", folder.join(".config"))
        .stdin(Stdio::null());
    command
}

/// A command line's words: split at blanks, except between single quotes.
pub(crate) fn words(line: &str) -> Vec<String> {
    let quoted = line.split('\'').enumerate();
    let words = quoted.flat_map(|(at, part)| match at % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect(),
        _ => vec![part.to_owned()],
    });
    words.collect()
}

/// Runs it and expects success; gives what it printed.
pub(crate) fn ok(folder: &Path, line: &str) -> String {
    let output = countersign(folder).args(words(line)).output().expect("the binary runs");
    assert!(output.status.success(), "{line}\n{}", both(&output));
    String::from_utf8(output.stdout).expect("text")
}

/// Runs it and expects this exit code; gives what it said on standard error.
pub(crate) fn fails(folder: &Path, code: i32, line: &str) -> String {
    let output = countersign(folder).args(words(line)).output().expect("the binary runs");
    assert_eq!(output.status.code(), Some(code), "{line}\n{}", both(&output));
    String::from_utf8(output.stderr).expect("text")
}

pub(crate) fn both(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Makes an SSH key without a passphrase.
pub(crate) fn ssh_key(folder: &Path, name: &str, kind: &str) {
    let status = Command::new("ssh-keygen")
        .args(["-q", "-t", kind, "-N", "", "-C", name, "-f"])
        .arg(folder.join(name))
        .status()
        .expect("ssh-keygen runs");
    assert!(status.success());
}

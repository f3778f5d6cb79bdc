//! What the kernel saw of the real server, in order: an entry was written to the database's log and synced before anybody
//! was answered because of it: who approved over the API, the witness that was shown the new head, the target that was
//! dialed. A kill keeps the page cache and so proves nothing about syncs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set up must stop"
)]

mod support;

use serde_json::Value;
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use support::both;
use support::running::{PATIENCE, Running, within};
use support::world::World;

/// R012: synced, then said.
#[test]
fn a_sync_precedes_each_answer_of_the_server() {
    let world = World::start();
    let trace = world.folder.join("trace");
    let tracer = traced(world.server.id(), &trace);
    let (request, grant) = world.granted("10m");
    let done = world.ssh("alice", "root+web1.acme", "echo done").output().unwrap();
    assert_eq!(done.stdout, b"done\n", "{}", both(&done));
    let session = world.newest_session();
    let index = opened_at(&world, &session);
    // The tracer writes what it saw when it is told to let go.
    tracer.terminate();
    let trace = Trace::read(&trace);

    let api = format!("TCP:[{}->", world.api.strip_prefix("http://").unwrap());
    for id in [&request, &grant] {
        let synced = trace.synced(id);
        let answer = trace.first_after(trace.written(id), |call| call.is_write() && call.on(&api));
        assert!(answer.begun > synced.done, "answered before the sync: {}", answer.text);
    }
    let opened = trace.synced(&session);
    let dialed = trace.first_after(trace.written(&session), |call| {
        call.is("connect") && call.text.contains(&format!("htons({})", world.target.port))
    });
    assert!(dialed.begun > opened.done, "dialed before the opening was synced");
    let covering: Vec<String> = (index + 1..index + 20)
        .map(|size| format!("acme.gw.test\\n{size}\\n"))
        .collect();
    let shown = trace.first_after(trace.written(&session), |call| {
        call.is_write() && !call.on("store.db") && covering.iter().any(|head| call.text.contains(head))
    });
    assert!(
        shown.begun > opened.done && shown.begun < dialed.begun,
        "the witness saw no head before the dial"
    );
    // The head has a sync of its own, for a log must never sign two.
    let kept = trace.first_after(opened.done, Call::is_sync);
    assert!(
        kept.done < shown.begun,
        "the signed head was shown before it was synced"
    );
}

/// Where the session's opening stands in the log.
fn opened_at(world: &World, session: &str) -> u64 {
    let shown: Value = serde_json::from_str(&world.ok(&format!("show {session} --json --key bob"))).unwrap();
    shown["entries"][0]["index"]
        .as_u64()
        .unwrap_or_else(|| panic!("{shown:#}"))
}

/// Follows every thread of a process until it is told to stop.
fn traced(process: u32, trace: &Path) -> Running {
    let calls = "trace=write,writev,pwrite64,sendto,sendmsg,fdatasync,fsync,connect";
    let mut strace = Command::new("strace");
    let process = process.to_string();
    strace
        .args(["-f", "-yy", "-s", "20000", "-e", calls, "-p", &process, "-o"])
        .arg(trace);
    let tracer = Running::start(&mut strace);
    let attached = within(PATIENCE, || tracer.said().contains("attached").then_some(()));
    assert!(
        attached.is_some(),
        "is strace missing? .ci/setup test\n{}",
        tracer.said()
    );
    tracer
}

/// A system call, from the line where it began to the line where it was done.
struct Call {
    begun: usize,
    done: usize,
    text: String,
}

impl Call {
    fn is(&self, name: &str) -> bool {
        self.text.split('(').next() == Some(name)
    }

    fn is_write(&self) -> bool {
        ["write", "writev", "sendto", "sendmsg", "pwrite64"]
            .iter()
            .any(|name| self.is(name))
    }

    fn is_sync(&self) -> bool {
        (self.is("fdatasync") || self.is("fsync")) && self.on("store.db-wal>") && self.text.ends_with("= 0")
    }

    /// Whether its first argument names this.
    fn on(&self, file: &str) -> bool {
        self.text
            .split([',', ')'])
            .next()
            .is_some_and(|first| first.contains(file))
    }
}

struct Trace(Vec<Call>);

impl Trace {
    fn read(path: &Path) -> Self {
        let (mut calls, mut unfinished) = (vec![], HashMap::new());
        for (at, line) in fs::read_to_string(path).unwrap().lines().enumerate() {
            let (thread, rest) = line.split_once(' ').unwrap();
            let rest = rest.trim_start();
            if let Some(first) = rest.strip_suffix("<unfinished ...>") {
                unfinished.insert(thread.to_owned(), (at, first.to_owned()));
            } else if let Some((_, second)) = rest.strip_prefix("<... ").and_then(|rest| rest.split_once("resumed>")) {
                let Some((begun, first)) = unfinished.remove(thread) else {
                    continue;
                };
                let text = first + second;
                calls.push(Call { begun, done: at, text });
            } else {
                let text = rest.to_owned();
                calls.push(Call {
                    begun: at,
                    done: at,
                    text,
                });
            }
        }
        calls.sort_by_key(|call| call.begun);
        Self(calls)
    }

    fn first_after(&self, line: usize, is: impl Fn(&Call) -> bool) -> &Call {
        let found = self.0.iter().find(|call| call.begun > line && is(call));
        found.expect("a call that the trace has not")
    }

    /// Where the first entry that holds this was written.
    fn written(&self, id: &str) -> usize {
        let write = |call: &Call| call.is_write() && call.on("store.db-wal>") && call.text.contains(id);
        self.first_after(0, write).done
    }

    /// The sync that made it last.
    fn synced(&self, id: &str) -> &Call {
        self.first_after(self.written(id), Call::is_sync)
    }
}

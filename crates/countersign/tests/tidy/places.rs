//! Things that one module alone may do: reach a target (`dial`), let bytes go to the other side (`forward`), and take a
//! committed opening apart (`gate`, which alone makes `Cleared` of it). What the types cannot say, because sockets are not ours, is said here.

use super::tree::{Chain, Finding, Source, Tree};

/// Ways to open a connection.
const CONNECTS: &[&str] = &[
    "TcpStream::connect",
    "TcpStream::connect_timeout",
    "UnixStream::connect",
    "TcpSocket::connect",
    "TcpSocket::new_v4",
    "TcpSocket::new_v6",
    "client::connect",
    "client::connect_stream",
    "UdpSocket::bind",
];

/// The one file that turns what was committed into what is cleared.
const GATE: &str = "crates/publisher/src/gate.rs";

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    tree.rust()
        .filter(|source| source.is_product())
        .flat_map(misplaced)
        .collect()
}

fn misplaced(source: &Source) -> Vec<Finding> {
    let mut found = Vec::new();
    for chain in source.chains().iter().filter(|chain| !source.is_test(chain.line)) {
        if source.crate_name() == Some("gateway") && connects(chain) && !is_module(source, "dial") {
            found.push(Finding::new(
                &source.path,
                chain.line,
                format!("`{}` outside the dial module", chain.path),
            ));
        }
        if chain.method
            && chain.path == "release"
            && !(source.crate_name() == Some("gateway") && is_module(source, "forward"))
        {
            found.push(Finding::new(
                &source.path,
                chain.line,
                "`.release(` outside the gateway's forward module",
            ));
        }
        if takes_an_opening(chain) && source.path != GATE {
            found.push(Finding::new(
                &source.path,
                chain.line,
                format!("`into_gated` outside `{GATE}`"),
            ));
        }
    }
    found
}

/// A call, or the function itself as a value; not its definition.
fn takes_an_opening(chain: &Chain) -> bool {
    chain.path.ends_with("into_gated") && (chain.method || chain.path.contains("::"))
}

fn connects(chain: &Chain) -> bool {
    CONNECTS.iter().any(|end| chain.ends_with(end))
}

/// Whether the file is `name.rs`, or lies in the folder of that module.
fn is_module(source: &Source, name: &str) -> bool {
    source
        .path
        .split('/')
        .any(|part| part == name || part.strip_suffix(".rs") == Some(name))
}

#[test]
fn a_connection_outside_dial_is_found() {
    let text = "fn f() { tokio::net::TcpStream::connect(target).await }\n";
    let found = super::planted(
        check,
        &[
            ("crates/gateway/src/ssh/dial.rs", text),
            ("crates/gateway/src/ssh/relay.rs", text),
            ("crates/keeper/src/lib.rs", text),
        ],
    );
    assert_eq!(
        found,
        ["crates/gateway/src/ssh/relay.rs:1: `tokio::net::TcpStream::connect` outside the dial module"]
    );
}

#[test]
fn bytes_released_outside_forward_are_found() {
    let text = "fn f(j: Journaled) { out.write(j.release()) }\n#[cfg(test)]\nmod tests { fn f() { j.release() } }\n";
    let found = super::planted(
        check,
        &[
            ("crates/gateway/src/ssh/forward.rs", text),
            ("crates/gateway/src/ssh/relay.rs", text),
            ("crates/desk/src/forward.rs", text),
        ],
    );
    assert_eq!(
        found,
        [
            "crates/desk/src/forward.rs:1: `.release(` outside the gateway's forward module",
            "crates/gateway/src/ssh/relay.rs:1: `.release(` outside the gateway's forward module",
        ]
    );
}

#[test]
fn an_opening_taken_outside_the_gate_is_found() {
    let text = "fn f() { committed.into_gated() }\nfn g() { one.map(Committed::into_gated) }\n";
    let found = super::planted(
        check,
        &[
            (GATE, text),
            ("crates/store/src/commit.rs", "impl C { pub fn into_gated(self) {} }\n"),
            ("crates/gateway/src/ssh/ask.rs", text),
            ("crates/gateway/tests/chain/by_hand.rs", text),
        ],
    );
    assert_eq!(
        found,
        [
            "crates/gateway/src/ssh/ask.rs:1: `into_gated` outside `crates/publisher/src/gate.rs`",
            "crates/gateway/src/ssh/ask.rs:2: `into_gated` outside `crates/publisher/src/gate.rs`",
        ]
    );
}

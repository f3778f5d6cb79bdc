//! Entry points for fuzzers: what the commands and the server read from disk and network, as any bytes. None may panic.

use crate::trust::{self, EnvironmentCard, Offer, OperatorCard};
use crate::{client, config};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;

/// Settings of a person and of a server.
pub fn config(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data) {
        config::fuzz_one(text);
    }
}

/// The public cards of operator and environment, and a server's offer.
///
/// # Panics
/// When an accepted card changes as it is written again.
pub fn cards(data: &[u8]) {
    card::<EnvironmentCard>(data);
    card::<OperatorCard>(data);
    card::<Offer>(data);
}

fn card<T: Serialize + DeserializeOwned>(data: &[u8]) {
    let Ok(card) = serde_json::from_slice::<T>(data) else {
        return;
    };
    let text = serde_json::to_vec(&card).unwrap_or_default();
    let again = serde_json::from_slice::<T>(&text).and_then(|card| serde_json::to_vec(&card));
    assert_eq!(again.unwrap_or_default(), text, "a card changes as it is written again");
}

/// Files of signed statements: each accepted line is the one that is written.
///
/// # Panics
/// When an accepted statement has a second spelling.
pub fn trust_file(data: &[u8]) {
    let Ok(bodies) = trust::parse(data, Path::new("x.trust.jsonl")) else {
        return;
    };
    let accepted = data.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let accepted: Vec<u8> = accepted.flat_map(|line| [line, b"\n"].concat()).collect();
    assert_eq!(
        trust::lines(&bodies).unwrap_or_default(),
        accepted,
        "a statement has a second spelling"
    );
    bodies.iter().for_each(|body| drop(body.summary()));
}

/// Answers of a server to a client: its challenge, and how it says no.
pub fn answers(data: &[u8]) {
    client::fuzz_one(data);
}

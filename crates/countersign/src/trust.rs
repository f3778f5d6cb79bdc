//! What the parties hand each other as files: the operator's offer, the public cards of operator and environment, and
//! signed trust bodies, one canonical JSON object a line (`*.trust.jsonl`).
//!
//! Nothing in these files is secret. What is signed is verified again by whoever reads it.

use crate::exit::{Exit, Failure};
use crate::file;
pub(crate) use desk::trust::{Offer, TrustBody};
use model::json;
use model::name::{EnvironmentName, OrganisationName};
use model::signature::Key;
use model::statement::{Engagement, Gate, Genesis};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What every such file ends with.
pub(crate) const ENDING: &str = ".trust.jsonl";

/// An operator's public half.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OperatorCard {
    /// The operator.
    pub(crate) organisation: OrganisationName,
    /// Its roots.
    pub(crate) roots: Vec<Key>,
    /// How many of them must sign.
    pub(crate) threshold: u8,
    /// Its recipients (age).
    pub(crate) recipients: Vec<String>,
}

/// An environment's public half: what its people and its operator need to know of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnvironmentCard {
    /// The environment.
    pub(crate) environment: EnvironmentName,
    /// Origin of its log; part of everything that is signed for it.
    pub(crate) origin: String,
    /// Its owner.
    pub(crate) owner: OrganisationName,
    /// The owner's roots.
    pub(crate) owner_roots: Vec<Key>,
    /// How many of them must sign.
    pub(crate) owner_threshold: u8,
    /// The engaged operator.
    pub(crate) operator: OrganisationName,
    /// The log's verifier key.
    pub(crate) log_key: String,
    /// Its witnesses' verifier keys.
    pub(crate) witnesses: Vec<String>,
    /// What an opening needs of them.
    pub(crate) gate: Gate,
    /// For `known_hosts`.
    pub(crate) gateway_host_ca: Key,
    /// For the targets' `TrustedUserCAKeys`.
    pub(crate) user_ca: Key,
}

impl EnvironmentCard {
    pub(crate) fn of(genesis: &Genesis, engagement: &Engagement) -> Self {
        Self {
            environment: genesis.environment.clone(),
            origin: genesis.origin.clone(),
            owner: genesis.owner.clone(),
            owner_roots: genesis.owner_roots.clone(),
            owner_threshold: genesis.owner_threshold,
            operator: engagement.operator.clone(),
            log_key: genesis.log_key.clone(),
            witnesses: genesis.witnesses.clone(),
            gate: genesis.gate,
            gateway_host_ca: genesis.gateway_host_ca.clone(),
            user_ca: genesis.user_ca.clone(),
        }
    }
}

/// Writes bodies to a new file.
pub(crate) fn write(path: &Path, bodies: &[TrustBody]) -> Result<(), Failure> {
    file::create_public(path, &lines(bodies)?)
}

/// One canonical body a line.
pub(crate) fn lines(bodies: &[TrustBody]) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    for body in bodies {
        text.extend(json::to_vec(body).map_err(Failure::refused)?);
        text.push(b'\n');
    }
    Ok(text)
}

/// Reads a file of bodies.
pub(crate) fn read(path: &Path) -> Result<Vec<TrustBody>, Failure> {
    parse(&file::read_regular(path)?, path)
}

/// The bodies in the text of `path`; each line must be in the one accepted form.
pub(crate) fn parse(text: &[u8], path: &Path) -> Result<Vec<TrustBody>, Failure> {
    let lines = text.split(|byte| *byte == b'\n').enumerate();
    let mut bodies = Vec::new();
    for (at, line) in lines.filter(|(_, line)| !line.is_empty()) {
        let body = json::from_slice(line).map_err(|error| {
            Failure::refused(format!(
                "line {} of `{}` is not a signed trust body: {error}",
                at + 1,
                path.display()
            ))
        })?;
        bodies.push(body);
    }
    if bodies.is_empty() {
        return Err(Failure::refused(format!(
            "`{}` holds no signed trust body",
            path.display()
        )));
    }
    Ok(bodies)
}

/// The trust files of a folder, in the order of their names.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let listed = std::fs::read_dir(folder)
        .map_err(|error| Failure::unavailable(format!("folder `{}` cannot be read: {error}", folder.display())))?;
    let mut paths: Vec<PathBuf> = listed
        .flatten()
        .map(|found| found.path())
        .filter(|path| path.to_string_lossy().ends_with(ENDING))
        .collect();
    paths.sort();
    Ok(paths)
}

/// All bodies in the trust files of a folder, in the order of the files' names.
pub(crate) fn read_folder(folder: &Path) -> Result<Vec<TrustBody>, Failure> {
    let mut bodies = Vec::new();
    for path in files(folder)? {
        bodies.extend(read(&path)?);
    }
    Ok(bodies)
}

/// The one environment card in a folder.
pub(crate) fn card_in(folder: &Path) -> Result<EnvironmentCard, Failure> {
    let listed = std::fs::read_dir(folder)
        .map_err(|error| Failure::unavailable(format!("folder `{}` cannot be read: {error}", folder.display())))?;
    let mut cards = listed
        .flatten()
        .map(|found| found.path())
        .filter(|path| path.to_string_lossy().ends_with(".public.json"))
        .filter_map(|path| file::read_json(&path, "the public card of an environment").ok());
    match (cards.next(), cards.next()) {
        (Some(card), None) => Ok(card),
        (None, _) => Err(
            Failure::unavailable(format!("folder `{}` holds no environment's card", folder.display()))
                .next("make one with `countersign owner init`, or name the folder that has it with --dir"),
        ),
        _ => Err(Failure::new(
            Exit::Usage,
            format!("folder `{}` holds several environments", folder.display()),
        )
        .next("keep each environment in a folder of its own")),
    }
}

//! Submitting a checkpoint to one witness (C2SP tlog-witness) and checking what it answers.

use crate::tree::{LogTree, TreeError};
use ledger::submission::Submission;
use ledger::{Hash, NoteSignature, SignedCheckpoint, VerifierKey};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

/// How long one witness may take, its disk included.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// The longest answer that is read, in bytes.
const ANSWER_LENGTH_MAX: usize = 16 * 1024;
/// Attempts at finding the size that a witness knows.
const ATTEMPTS: usize = 3;

/// One witness, as this log sees it.
#[derive(Debug, Clone)]
pub(crate) struct Witness {
    pub(crate) key: VerifierKey,
    pub(crate) url: String,
    /// The size that it is believed to have seen.
    pub(crate) known: u64,
}

/// Why there is no cosignature.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotCosigned {
    #[error("witness `{0}` cannot be reached: {1}")]
    Unreachable(String, String),
    #[error("witness `{0}` refused: {1}")]
    Refused(String, String),
    /// It has seen more than there is.
    #[error("witness `{witness}` has seen {seen} entries of this log, which has {here}")]
    Behind { witness: String, seen: u64, here: u64 },
    /// It has seen another history.
    #[error("witness `{0}` has seen another history of this log")]
    Forked(String),
    #[error(transparent)]
    Tree(#[from] TreeError),
}

enum Answer {
    Signatures(String),
    /// It knows this size.
    Knows(u64),
    Inconsistent,
    Refused(String),
}

/// Has `signed`, the head of `tree`, cosigned, and adds the cosignature to it.
pub(crate) async fn cosign(
    client: &reqwest::Client,
    witness: &mut Witness,
    tree: &RwLock<LogTree>,
    signed: &SignedCheckpoint,
) -> Result<NoteSignature, NotCosigned> {
    let name = witness.key.name().to_string();
    let here = signed.checkpoint().head().size;
    for _ in 0..ATTEMPTS {
        let old = witness.known.min(here);
        let proof = prove(tree, old, here)?;
        let body = Submission::new(old, proof, signed.clone())
            .map_err(|error| NotCosigned::Refused(name.clone(), error.to_string()))?
            .to_string();
        match send(client, witness, body).await? {
            Answer::Signatures(lines) => {
                let signature =
                    check(&lines, &witness.key, signed).map_err(|why| NotCosigned::Refused(name.clone(), why))?;
                witness.known = here;
                return Ok(signature);
            }
            Answer::Knows(seen) if seen > here => {
                return Err(NotCosigned::Behind {
                    witness: name.clone(),
                    seen,
                    here,
                });
            }
            Answer::Knows(seen) if seen == old => return Err(NotCosigned::Forked(name.clone())),
            Answer::Knows(seen) => witness.known = seen,
            Answer::Inconsistent => return Err(NotCosigned::Forked(name.clone())),
            Answer::Refused(why) => return Err(NotCosigned::Refused(name.clone(), why)),
        }
    }
    Err(NotCosigned::Refused(
        name.clone(),
        "it names another size each time".into(),
    ))
}

/// Only this log's task lets the tree grow, and it is here: the tree still ends at `here`.
fn prove(tree: &RwLock<LogTree>, old: u64, here: u64) -> Result<Vec<Hash>, TreeError> {
    if old == 0 || old == here {
        return Ok(Vec::new());
    }
    tree.read()
        .unwrap_or_else(PoisonError::into_inner)
        .prove_consistency(old)
}

async fn send(client: &reqwest::Client, witness: &Witness, body: String) -> Result<Answer, NotCosigned> {
    let unreachable = |error: reqwest::Error| {
        NotCosigned::Unreachable(witness.key.name().to_string(), error.without_url().to_string())
    };
    let url = format!("{}/add-checkpoint", witness.url.trim_end_matches('/'));
    let request = client.post(url).timeout(ANSWER_WITHIN).body(body);
    let mut response = request.send().await.map_err(unreachable)?;
    let status = response.status().as_u16();
    let mut bytes = Vec::new();
    while let Some(part) = response.chunk().await.map_err(unreachable)? {
        bytes.extend_from_slice(&part);
        if bytes.len() > ANSWER_LENGTH_MAX {
            return Ok(Answer::Refused("its answer is too long".into()));
        }
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(match (status, text.trim().parse::<u64>()) {
        (200, _) => Answer::Signatures(text),
        (409, Ok(size)) => Answer::Knows(size),
        (409 | 422, _) => Answer::Inconsistent,
        _ => Answer::Refused(format!(
            "status {status}: {}",
            text.chars().take(200).collect::<String>().trim()
        )),
    })
}

/// The one line by `key` in an answer, if it cosigns `signed`.
pub(crate) fn check(lines: &str, key: &VerifierKey, signed: &SignedCheckpoint) -> Result<NoteSignature, String> {
    let signatures = NoteSignature::parse_lines(lines).map_err(|error| error.to_string())?;
    let signature = signatures
        .into_iter()
        .find(|s| s.is_by(key))
        .ok_or("its answer holds no line by its key")?;
    let mut tried = signed.clone();
    tried.add(signature.clone()).map_err(|error| error.to_string())?;
    match tried.cosigned_at(key) {
        Ok(Some(_)) => Ok(signature),
        Ok(None) => Err("its answer is no cosignature".into()),
        Err(error) => Err(error.to_string()),
    }
}

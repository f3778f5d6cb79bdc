//! Keeps the first cosigned head over each opening, approval and end: what a pack later proves their time with. A head
//! that was not kept cannot be had again with its old time; a later one then stands in, and proves less.
//!
//! One file per environment, `heads/<environment>.jsonl` in the data directory: `{"note":…,"size":…}`, ascending.

use crate::exit::Failure;
use axum::Router;
use axum::extract::{Path as Segments, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use ledger::SignedCheckpoint;
use model::body::Body;
use model::entry::Entry;
use model::name::EnvironmentName;
use publisher::Cosigned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use tokio::sync::mpsc;

/// How many new heads may wait to be kept; then the publisher waits.
pub(super) const QUEUE: usize = 64;
/// How long after a failure it is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// Entries that are looked at together.
const PAGE: u32 = 500;

/// One kept head.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kept {
    pub(crate) note: String,
    pub(crate) size: u64,
}

/// The folder of kept heads.
#[derive(Debug, Clone)]
pub(crate) struct Heads {
    folder: PathBuf,
}

impl Heads {
    pub(crate) fn of(data: &Path) -> Self {
        Self {
            folder: data.join("heads"),
        }
    }

    fn path(&self, environment: &EnvironmentName) -> PathBuf {
        self.folder.join(format!("{environment}.jsonl"))
    }

    /// The first kept head over the entry at `index`, or the newest of all.
    pub(crate) fn find(
        &self,
        environment: &EnvironmentName,
        index: Option<u64>,
    ) -> io::Result<Option<SignedCheckpoint>> {
        let file = match File::open(self.path(environment)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut found = None;
        for line in BufReader::new(file).lines() {
            // A line that a crash cut off is not a head.
            let Some((size, note)) = head(&line?) else { continue };
            found = Some(note);
            if index.is_some_and(|index| size > index) {
                break;
            }
        }
        let covers = |note: &SignedCheckpoint| index.is_none_or(|index| note.checkpoint().head().size > index);
        Ok(found.filter(covers))
    }

    fn newest_size(&self, environment: &EnvironmentName) -> io::Result<u64> {
        Ok(self
            .find(environment, None)?
            .map_or(0, |note| note.checkpoint().head().size))
    }

    fn append(&self, environment: &EnvironmentName, note: &SignedCheckpoint) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let kept = Kept {
            size: note.checkpoint().head().size,
            note: note.to_string(),
        };
        // A line that a crash cut off must not take this one with it: an empty line is no head, and harms nothing.
        let mut line = vec![b'\n'];
        line.extend(serde_json::to_vec(&kept)?);
        line.push(b'\n');
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path(environment))?;
        file.write_all(&line)?;
        file.sync_data()
    }
}

/// Size and note of a line.
pub(crate) fn head(line: &str) -> Option<(u64, SignedCheckpoint)> {
    let kept: Kept = serde_json::from_str(line).ok()?;
    Some((kept.size, SignedCheckpoint::parse(kept.note.as_bytes()).ok()?))
}

/// Keeps the heads that `new` brings, each before the next, until nobody brings any. One that cannot be kept is tried
/// again: meanwhile nothing is published, and nothing that waits for its gate begins.
pub(super) async fn keep(heads: Heads, store: Store, mut new: mpsc::Receiver<(EnvironmentName, Cosigned)>) {
    let mut looked = BTreeMap::new();
    while let Some((environment, cosigned)) = new.recv().await {
        let mut told = false;
        while let Err(error) = keep_one(&heads, &store, &environment, &cosigned.checkpoint, &mut looked).await {
            if !std::mem::replace(&mut told, true) {
                tracing::error!(%environment, %error, "a cosigned head cannot be kept; it is tried again");
            }
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }
}

/// `looked` holds up to which entry each log's were looked at.
async fn keep_one(
    heads: &Heads,
    store: &Store,
    environment: &EnvironmentName,
    note: &SignedCheckpoint,
    looked: &mut BTreeMap<EnvironmentName, u64>,
) -> Result<(), Failure> {
    let size = note.checkpoint().head().size;
    let mut from = match looked.get(environment) {
        Some(from) => *from,
        None => heads.newest_size(environment).map_err(Failure::unavailable)?,
    };
    while from < size {
        let entries = store
            .entries(environment, from..size, PAGE)
            .await
            .map_err(Failure::unavailable)?;
        let Some((last, _)) = entries.last() else { break };
        from = last.saturating_add(1);
        if entries.iter().any(|(_, bytes)| is_proven_later(bytes)) {
            heads.append(environment, note).map_err(Failure::unavailable)?;
            break;
        }
    }
    looked.insert(environment.clone(), size);
    Ok(())
}

/// Whether a pack gives this entry a proof of its own.
fn is_proven_later(bytes: &[u8]) -> bool {
    Entry::parse(bytes).is_ok_and(|entry| {
        matches!(
            entry.body,
            Body::Opened(_) | Body::Approved(_) | Body::Granted(_) | Body::Ended(_) | Body::Lost(_)
        )
    })
}

/// `GET /{environment}/cosigned/{index}`: the first kept head over the entry at `index`.
pub(super) fn router(heads: Heads) -> Router {
    Router::new()
        .route("/{environment}/cosigned/{index}", get(cosigned))
        .with_state(Arc::new(heads))
}

async fn cosigned(
    State(heads): State<Arc<Heads>>,
    Segments((environment, index)): Segments<(String, u64)>,
) -> Response {
    let Ok(environment) = environment.parse::<EnvironmentName>() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let found = tokio::task::spawn_blocking(move || heads.find(&environment, Some(index))).await;
    match found {
        Ok(Ok(Some(note))) => ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], note.to_string()).into_response(),
        Ok(Ok(None)) => (StatusCode::NOT_FOUND, "no cosigned head over this entry was kept\n").into_response(),
        _ => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::consistency::Head;
    use ledger::{Checkpoint, Hash, KeyName, NoteKey};

    #[test]
    fn the_first_head_over_an_entry_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let heads = Heads::of(folder.path());
        let acme: EnvironmentName = "acme".parse().unwrap();
        assert!(heads.find(&acme, None).unwrap().is_none());
        let key = NoteKey::from_seed(KeyName::new("acme.gw").unwrap(), &[1; 32]);
        for size in [3, 7] {
            let head = Head {
                size,
                root: Hash::EMPTY_ROOT,
            };
            let note = Checkpoint::new(key.verifier().name().clone(), head).sign(&key).unwrap();
            heads.append(&acme, &note).unwrap();
        }
        OpenOptions::new()
            .append(true)
            .open(heads.path(&acme))
            .unwrap()
            .write_all(b"{\"note\":\"cut")
            .unwrap();
        let size = |index| {
            heads
                .find(&acme, index)
                .unwrap()
                .map(|note| note.checkpoint().head().size)
        };
        assert_eq!(size(Some(2)), Some(3));
        assert_eq!(size(Some(3)), Some(7));
        assert_eq!(size(Some(7)), None);
        assert_eq!(size(None), Some(7));
        let head = Head {
            size: 9,
            root: Hash::EMPTY_ROOT,
        };
        let note = Checkpoint::new(key.verifier().name().clone(), head).sign(&key).unwrap();
        heads.append(&acme, &note).unwrap();
        assert_eq!(size(Some(7)), Some(9), "what follows a cut line is found");
    }
}

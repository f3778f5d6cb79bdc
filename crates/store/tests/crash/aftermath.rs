//! What must hold of a data directory after a crash.

use crate::child::config;
use model::entry::Entry;
use model::fixture::name;
use std::path::Path;
use store::Store;

/// Opens the directory as the next start would, and compares it with what was answered; says what is wrong.
pub(crate) async fn inspect(directory: &Path, boot: u64, answers: &[String]) -> Result<(), String> {
    let store = Store::open(config(directory, boot))
        .await
        .map_err(|error| format!("it does not open: {error}"))?;
    let found = compare(&store, answers).await;
    store.close().await;
    found
}

async fn compare(store: &Store, answers: &[String]) -> Result<(), String> {
    let acme = name("acme");
    let mut log = vec![];
    loop {
        let page = store
            .entries(&acme, log.len() as u64..u64::MAX, 1000)
            .await
            .map_err(text)?;
        if page.is_empty() {
            break;
        }
        for (index, bytes) in page {
            let entry = Entry::parse(&bytes).map_err(|error| format!("entry {index}: {error}"))?;
            if index != log.len() as u64 {
                return Err(format!("entry {} is missing", log.len()));
            }
            log.push(format!("{} {}", entry.id, model::bytes::Digest::of(&bytes)));
        }
    }
    for answer in answers {
        holds(store, &log, answer)
            .await
            .map_err(|error| format!("`{answer}`: {error}"))?;
    }
    let before = store.canonical_digest().await.map_err(text)?;
    store.rebuild(&acme).await.map_err(text)?;
    if store.canonical_digest().await.map_err(text)? != before {
        return Err("the projections are not what the entries say".into());
    }
    Ok(())
}

async fn holds(store: &Store, log: &[String], answer: &str) -> Result<(), String> {
    let acme = name("acme");
    let (word, rest) = answer.split_once(' ').unwrap();
    let true_of_it = match word {
        "stored" => log.iter().any(|line| line == rest),
        "refused" => !log.iter().any(|line| line.starts_with(rest)),
        "head" => {
            let head = store.signed_head(&acme).await.map_err(text)?;
            head.is_some_and(|head| head.size >= rest.parse().unwrap())
        }
        "sealed" => {
            let opened = store.vault().open(rest).await.map_err(text)?;
            &**opened == rest.as_bytes()
        }
        "erased" => {
            let blobs = store.blobs_of(&acme, rest.parse().unwrap()).await.map_err(text)?;
            blobs.len() == 1 && blobs[0].bytes.is_none()
        }
        other => panic!("`{other}` is no answer"),
    };
    if true_of_it {
        Ok(())
    } else {
        Err("it does not hold any more".into())
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Lines that are whole.
pub(crate) fn lines(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    text.split_inclusive('\n')
        .filter_map(|line| line.strip_suffix('\n'))
        .map(str::to_owned)
        .collect()
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// Larger sweeps are asked for.
pub(crate) fn soak() -> bool {
    std::env::var_os("COUNTERSIGN_SOAK").is_some()
}

/// Memory, where there is some: the shim tells what a disk would have kept.
pub(crate) fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

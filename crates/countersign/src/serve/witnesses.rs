//! Which witness answers at which address. A key that was not written down is asked for, and remembered in
//! `witnesses.json`, so that a later start does not need the witness to be up.
//!
//! Asking is safe: a cosignature counts only under a key that the environment's genesis names.

use crate::config::WitnessPlace;
use crate::exit::Failure;
use crate::file;
use ledger::VerifierKey;
use publisher::WitnessAddress;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

const REMEMBERED: &str = "witnesses.json";
/// A witness that is being started at the same moment is waited for this often, half a second each.
const ATTEMPTS: u32 = 10;
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
const ANSWER_LENGTH_MAX: usize = 4096;

pub(super) async fn find(data: &Path, places: &[WitnessPlace]) -> Result<Vec<WitnessAddress>, Failure> {
    let path = data.join(REMEMBERED);
    let mut remembered: BTreeMap<String, String> = if path.exists() {
        file::read_json(&path, "the list of witnesses")?
    } else {
        BTreeMap::new()
    };
    let before = remembered.clone();
    let mut found = vec![];
    for place in places {
        let known = remembered.get(&place.url).and_then(|key| key.parse().ok());
        let key: VerifierKey = match place.key.clone().or(known) {
            Some(key) => key,
            None => ask(&place.url).await?,
        };
        remembered.insert(place.url.clone(), key.to_string());
        found.push(WitnessAddress {
            key,
            url: place.url.clone(),
        });
    }
    if remembered != before {
        let text = serde_json::to_string_pretty(&remembered).map_err(Failure::unavailable)?;
        file::replace(&path, format!("{text}\n").as_bytes())?;
    }
    Ok(found)
}

async fn ask(url: &str) -> Result<VerifierKey, Failure> {
    let unknown = |why: String| {
        Failure::unavailable(format!("the key of witness `{url}` is not known: {why}")).next(format!(
            "start that witness first, or write its key down: --witness '{url}#VKEY'"
        ))
    };
    let http = reqwest::Client::builder()
        .timeout(ANSWER_WITHIN)
        .no_proxy()
        .build()
        .map_err(|error| unknown(error.to_string()))?;
    let mut why = String::new();
    for _ in 0..ATTEMPTS {
        match http.get(format!("{url}/vkey")).send().await {
            Ok(answer) => {
                let text = answer.text().await.map_err(|error| unknown(error.to_string()))?;
                let fits = text.len() <= ANSWER_LENGTH_MAX;
                let key = text.trim().parse().ok().filter(|_| fits);
                return key.ok_or_else(|| unknown("what answers there is no witness".into()));
            }
            Err(error) => {
                why = if error.is_connect() {
                    "nobody answers there".into()
                } else {
                    error.to_string()
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Err(unknown(why))
}

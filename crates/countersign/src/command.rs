//! One file for each group of commands. Each has its arguments, its help and a `run`.

pub(crate) mod access;
pub(crate) mod checkpoint;
pub(crate) mod decide;
pub(crate) mod environment;
pub(crate) mod export;
pub(crate) mod held;
pub(crate) mod operator;
pub(crate) mod owner;
pub(crate) mod people;
pub(crate) mod play;
pub(crate) mod rebuild;
pub(crate) mod resource;
pub(crate) mod session;
pub(crate) mod ssh_config;
pub(crate) mod submit;
pub(crate) mod tell;
pub(crate) mod verify;
pub(crate) mod witness;

use serde::de::DeserializeOwned;

/// Reads one of a type's words, as it stands in statements: `approve`, `shell`, `CS-AP-1`.
pub(crate) fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::String(text.to_owned()))
        .map_err(|error| error.to_string().replace("unknown variant", "there is no"))
}

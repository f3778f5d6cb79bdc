//! Entry points for fuzzers: any bytes in; none may panic, and what is accepted has one encoding.

use crate::pack::Manifest;
use crate::record::Record;
use crate::trust::Trust;
use crate::verify::verify;

/// Packs: read to the end or refused, with and without the trust that the pack itself suggests.
///
/// # Panics
/// When the verifier answers with a status that its exit code does not have.
pub fn pack(data: &[u8]) {
    if let Ok(verified) = verify(data, None, &mut |_| ()) {
        assert_ne!(verified.report.status.exit_code(), 0, "trusted without trust");
        for session in verified.sessions() {
            drop(verified.explain(*session));
        }
    }
}

/// Trust files.
pub fn trust(data: &[u8]) {
    drop(Trust::parse(data));
}

/// Manifests: what is accepted writes back to the same bytes.
///
/// # Panics
/// When an accepted manifest has a second spelling.
pub fn manifest(data: &[u8]) {
    if let Ok(manifest) = Manifest::parse(data) {
        assert_eq!(
            manifest.encode().as_deref(),
            Ok(data),
            "a manifest has a second spelling"
        );
    }
}

/// Evidence records: what is accepted says the same when it is written again.
///
/// # Panics
/// When an accepted record does not survive its own form.
pub fn record(data: &[u8]) {
    if let Ok(record) = Record::parse(data) {
        let again = record.to_json().unwrap_or_default();
        assert_eq!(
            Record::parse(again.as_bytes()),
            Ok(record),
            "a record changes when it is written again"
        );
    }
}

//! `[journal]` in `server.toml`: how the recordings use their disk.

use crate::exit::Failure;
use journal::JournalConfig;
use serde::Deserialize;
use std::path::Path;

const MIB: u64 = 1024 * 1024;
/// The largest segment.
const SEGMENT_MIB_MAX: u64 = 1024;
/// The largest water mark.
const WATER_MIB_MAX: u64 = 1024 * 1024;

/// As written. All keys are optional.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawJournal {
    segment_mib: Option<u64>,
    low_water_mib: Option<u64>,
    stop_water_mib: Option<u64>,
}

impl RawJournal {
    /// Checked; an error names the key and its place. A mark that is not said keeps to the one that is.
    pub(super) fn checked(&self, data: &Path, path: &Path) -> Result<JournalConfig, Failure> {
        let usual = JournalConfig::new(data.join("journal"));
        let wrong = |key: &str, mib: u64, why: String| {
            Failure::usage(format!("`{key}` of [journal] in `{}`: `{mib}` {why}", path.display()))
        };
        let segment = self.segment_mib.unwrap_or(usual.segment_bytes / MIB);
        if !(1..=SEGMENT_MIB_MAX).contains(&segment) {
            return Err(wrong(
                "segment_mib",
                segment,
                format!("is not between 1 and {SEGMENT_MIB_MAX}"),
            ));
        }
        let stop = self.stop_water_mib.unwrap_or(usual.stop_water_bytes / MIB);
        if stop > WATER_MIB_MAX {
            return Err(wrong("stop_water_mib", stop, format!("is more than {WATER_MIB_MAX}")));
        }
        let low = self
            .low_water_mib
            .unwrap_or((usual.low_water_bytes / MIB).max(stop).max(segment));
        if !(segment..=WATER_MIB_MAX).contains(&low) {
            let why = format!("is not between one segment, {segment}, and {WATER_MIB_MAX}");
            return Err(wrong("low_water_mib", low, why));
        }
        let stop = if self.stop_water_mib.is_none() {
            stop.min(low)
        } else {
            stop
        };
        if stop > low {
            let why = format!("is more than `low_water_mib`, {low}: sessions would begin only to be stopped");
            return Err(wrong("stop_water_mib", stop, why));
        }
        Ok(JournalConfig {
            segment_bytes: segment * MIB,
            low_water_bytes: low * MIB,
            stop_water_bytes: stop * MIB,
            ..usual
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<[u64; 3], String> {
        let raw: RawJournal = toml::from_str(text).map_err(|error| error.to_string())?;
        let checked = raw.checked(Path::new("data"), Path::new("data/server.toml"));
        let checked = checked.map_err(|error| error.to_string())?;
        assert_eq!(checked.dir, Path::new("data/journal"));
        let bytes = [checked.segment_bytes, checked.low_water_bytes, checked.stop_water_bytes];
        Ok(bytes.map(|bytes| bytes / MIB))
    }

    #[test]
    fn what_is_not_said_follows_from_what_is() {
        assert_eq!(checked(""), Ok([64, 1024, 256]));
        assert_eq!(checked("low_water_mib = 100"), Ok([64, 100, 100]));
        assert_eq!(checked("stop_water_mib = 4096"), Ok([64, 4096, 4096]));
        assert_eq!(
            checked("segment_mib = 1\nlow_water_mib = 2\nstop_water_mib = 0"),
            Ok([1, 2, 0])
        );
    }

    #[test]
    fn a_limit_that_cannot_be_kept_names_its_key() {
        for (text, said) in [
            (
                "segment_mib = 0",
                "`segment_mib` of [journal] in `data/server.toml`: `0` is not between 1 and 1024",
            ),
            ("segment_mib = 2048", "`segment_mib`"),
            (
                "low_water_mib = 10",
                "`low_water_mib` of [journal] in `data/server.toml`: `10` is not between one segment, 64",
            ),
            ("low_water_mib = 99999999999999", "`low_water_mib`"),
            ("stop_water_mib = 99999999999999", "`stop_water_mib`"),
            ("low_water_mib = 100\nstop_water_mib = 200", "`stop_water_mib`"),
            ("segment_mib = -1", "segment_mib"),
            ("segments = 1", "unknown field `segments`"),
        ] {
            let error = checked(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}

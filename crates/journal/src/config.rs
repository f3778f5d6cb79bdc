//! What a journal is told when it is opened.

use std::path::PathBuf;
use std::time::Duration;

/// The largest single append: one full frame with what may precede it.
pub(crate) const MAX_APPEND: u64 = 72 * 1024;
const MIN_SEGMENT: u64 = 512 * 1024;
const MAX_SEGMENT: u64 = 1024 * 1024 * 1024;
const MAX_SYNC_EVERY: Duration = Duration::from_millis(250);

/// Where and how frames are kept.
#[derive(Clone, Debug)]
pub struct JournalConfig {
    /// The directory of the segment files; made when missing.
    pub dir: PathBuf,
    /// The size that each segment is given up front, in bytes.
    pub segment_bytes: u64,
    /// The longest time between a write and the start of its sync; at most 250 ms.
    pub sync_every: Duration,
    /// A sync slower than this stops forwarding.
    pub slow_sync: Duration,
    /// Below this many free bytes no new session is admitted.
    pub low_water_bytes: u64,
    /// Below this many free bytes every session is stopped.
    pub stop_water_bytes: u64,
}

/// Why a configuration is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Segments too small to hold a frame and its reserve, or absurdly large.
    #[error("segment size `{0}` is not between 512 KiB and 1 GiB")]
    SegmentBytes(u64),
    /// Syncs too rare.
    #[error("frames must be synced at least every 250 ms, not every `{0:?}`")]
    SyncEvery(Duration),
    /// The slow-sync limit is not above the interval.
    #[error("the slow-sync limit `{0:?}` must be longer than the sync interval")]
    SlowSync(Duration),
    /// The water marks are the wrong way round.
    #[error("the stop mark `{stop}` must not be above the low mark `{low}`")]
    WaterMarks {
        /// The low mark.
        low: u64,
        /// The stop mark.
        stop: u64,
    },
}

impl JournalConfig {
    /// The defaults, in `dir`.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            segment_bytes: 64 * 1024 * 1024,
            sync_every: Duration::from_millis(200),
            slow_sync: Duration::from_secs(2),
            low_water_bytes: 1024 * 1024 * 1024,
            stop_water_bytes: 256 * 1024 * 1024,
        }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if !(MIN_SEGMENT..=MAX_SEGMENT).contains(&self.segment_bytes) {
            return Err(ConfigError::SegmentBytes(self.segment_bytes));
        }
        if self.sync_every > MAX_SYNC_EVERY {
            return Err(ConfigError::SyncEvery(self.sync_every));
        }
        if self.slow_sync <= self.sync_every {
            return Err(ConfigError::SlowSync(self.slow_sync));
        }
        if self.stop_water_bytes > self.low_water_bytes {
            return Err(ConfigError::WaterMarks {
                low: self.low_water_bytes,
                stop: self.stop_water_bytes,
            });
        }
        Ok(())
    }

    /// What every segment keeps back for halt frames, so that a full disk can still be said.
    pub(crate) fn reserve(&self) -> u64 {
        (self.segment_bytes / 16).min(4 * 1024 * 1024)
    }
}

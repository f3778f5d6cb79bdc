//! The one place that reads clocks. Everything else takes the time as an argument.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970, as this machine believes; 0 before it.
#[allow(clippy::disallowed_methods, reason = "this module is the one reader of the clock")]
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Seconds since 1970.
pub(crate) fn now_s() -> u64 {
    now_ms() / 1000
}

/// A stopwatch that no change of the wall clock touches.
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// How long it has run.
    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    /// The same in milliseconds.
    pub(crate) fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// `2026-01-05 09:00:00Z`, as every output of this program writes a time.
pub(crate) fn text(unix_ms: u64) -> String {
    let stamp = i64::try_from(unix_ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    stamp.map_or_else(
        || format!("{unix_ms} ms"),
        |stamp| stamp.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
    )
}

/// `1 h 30 min`: a length as a person says it.
pub(crate) fn length(ms: u64) -> String {
    let s = ms / 1000;
    let parts = [
        (s / 86_400, "d"),
        (s / 3600 % 24, "h"),
        (s / 60 % 60, "min"),
        (s % 60, "s"),
    ];
    let words: Vec<String> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .take(2)
        .map(|(count, unit)| format!("{count} {unit}"))
        .collect();
    if words.is_empty() {
        format!("{ms} ms")
    } else {
        words.join(" ")
    }
}

/// Reads `90s`, `15m`, `4h`, `7d` into milliseconds.
pub(crate) fn parse_length(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.strip_prefix(digits).unwrap_or_default();
    let factor = match unit {
        "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(format!("`{text}` is not a length; write `90s`, `15m`, `4h` or `7d`")),
    };
    let count: u64 = digits
        .parse()
        .map_err(|_| format!("`{text}` is not a length; write `90s`, `15m`, `4h` or `7d`"))?;
    count
        .checked_mul(factor)
        .filter(|ms| *ms > 0)
        .ok_or_else(|| format!("`{text}` is no usable length"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_as_people_write_them() {
        assert_eq!(parse_length("90s"), Ok(90_000));
        assert_eq!(parse_length("4h"), Ok(14_400_000));
        for bad in ["", "4", "h", "4 h", "-1h", "0s", "99999999999999999d", "1h30m"] {
            assert!(parse_length(bad).is_err(), "{bad}");
        }
        assert_eq!(length(5_400_000), "1 h 30 min");
        assert_eq!(length(250), "250 ms");
    }

    #[test]
    fn times_are_written_in_utc() {
        assert_eq!(text(1_767_603_600_000), "2026-01-05 09:00:00Z");
    }
}

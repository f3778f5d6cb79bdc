//! Times as people read them: UTC, ISO 8601. Only printing; no calendar is ever judged by.

/// Seconds since the Unix epoch as `2026-01-05T09:00:00Z`.
#[must_use]
pub fn seconds(unix_s: u64) -> String {
    let (days, rest) = (unix_s / 86_400, unix_s % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Milliseconds since the Unix epoch as `2026-01-05T09:00:00.000Z`.
#[must_use]
pub fn millis(unix_ms: u64) -> String {
    let whole = seconds(unix_ms / 1000);
    format!("{}.{:03}Z", whole.trim_end_matches('Z'), unix_ms % 1000)
}

/// Year, month and day of a day since the epoch, in the Gregorian calendar, counted in years that begin in March.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_days() {
        for (unix_s, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_767_603_600, "2026-01-05T09:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(seconds(unix_s), text);
        }
        assert_eq!(millis(1_767_603_600_042), "2026-01-05T09:00:00.042Z");
        // The largest time that an entry can carry still prints.
        assert!(millis((1 << 53) - 1).ends_with('Z'));
    }
}

//! What a session's controls count: frames and bytes of each kind, and the longest silence.

use crate::frame::{Header, Kind};

/// Frames and plaintext bytes of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindTotals {
    /// Frames.
    pub frames: u64,
    /// Plaintext bytes.
    pub bytes: u64,
}

/// Counts over a session's frames, in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    kinds: [KindTotals; Kind::ALL.len()],
    /// Time of the first frame, if there is one, in µs since the opening.
    pub first_us: Option<u64>,
    /// Time of the newest frame.
    pub last_us: u64,
    /// The longest time between two neighbouring frames, the opening counted as one.
    pub longest_silence_us: u64,
}

impl Totals {
    /// Counts one more frame.
    pub fn add(&mut self, header: &Header) {
        if let Some(kind) = self.kinds.get_mut(place(header.kind)) {
            kind.frames += 1;
            kind.bytes += header.plaintext_len();
        }
        let silence = header.time_us.saturating_sub(self.last_us);
        self.longest_silence_us = self.longest_silence_us.max(silence);
        self.first_us.get_or_insert(header.time_us);
        self.last_us = self.last_us.max(header.time_us);
    }

    /// Counts the silence up to the session's end.
    pub fn end(&mut self, time_us: u64) {
        let silence = time_us.saturating_sub(self.last_us);
        self.longest_silence_us = self.longest_silence_us.max(silence);
        self.last_us = self.last_us.max(time_us);
    }

    /// The counts of one kind.
    #[must_use]
    pub fn of(&self, kind: Kind) -> KindTotals {
        self.kinds.get(place(kind)).copied().unwrap_or_default()
    }

    /// Frames of every kind.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.kinds.iter().map(|kind| kind.frames).sum()
    }

    /// Bytes that went to the user: output and error output.
    #[must_use]
    pub fn bytes_out(&self) -> u64 {
        self.of(Kind::Output).bytes + self.of(Kind::ErrorOutput).bytes
    }

    /// Bytes that went to the target.
    #[must_use]
    pub fn bytes_in(&self) -> u64 {
        self.of(Kind::Input).bytes
    }
}

fn place(kind: Kind) -> usize {
    usize::from(kind.code()).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r055_the_longest_silence_is_found_and_bytes_are_counted_by_direction() {
        let mut totals = Totals::default();
        for (kind, time_us, plaintext) in [
            (Kind::Output, 5, 10),
            (Kind::Input, 100, 1),
            (Kind::ErrorOutput, 110, 4),
        ] {
            totals.add(&Header {
                kind,
                channel: 1,
                index: 0,
                time_us,
                ciphertext_len: plaintext + 16,
                session: [0; 16],
            });
        }
        assert_eq!((totals.bytes_out(), totals.bytes_in(), totals.frames()), (14, 1, 3));
        assert_eq!((totals.first_us, totals.longest_silence_us), (Some(5), 95));
    }
}

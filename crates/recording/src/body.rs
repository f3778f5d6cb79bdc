//! The plaintext of frames that are not plain bytes: resize, exit, gap.
//!
//! Opened and mark bodies are UTF-8 text that the gateway chooses; closed bodies are empty.

/// A terminal's new size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resize {
    /// Columns.
    pub columns: u16,
    /// Rows.
    pub rows: u16,
}

/// How a channel's program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this status.
    Status(u32),
    /// By this signal, in SSH's spelling without `SIG`.
    Signal(String),
    /// The target closed without saying.
    Unsaid,
}

/// Why evidence may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum GapReason {
    /// A sync reported failure: what it covered may be lost.
    SyncFailed = 1,
    /// A sync took longer than allowed: forwarding stopped.
    SlowSync = 2,
    /// No space left: forwarding stopped.
    NoSpace = 3,
    /// A write failed: forwarding stopped.
    WriteFailed = 4,
    /// A write was cut short: forwarding stopped.
    ShortWrite = 5,
    /// The gateway was stopped or paused from outside.
    Stopped = 6,
}

impl GapReason {
    const ALL: [Self; 6] = [
        Self::SyncFailed,
        Self::SlowSync,
        Self::NoSpace,
        Self::WriteFailed,
        Self::ShortWrite,
        Self::Stopped,
    ];
}

/// What a gap frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Why.
    pub reason: GapReason,
    /// The first frame that may be missing.
    pub from: u64,
    /// How many frames from there may be missing; 0 when every frame is known to be kept.
    pub frames: u64,
    /// Session time since which nothing was passed on; the gap frame's own time ends it.
    pub since_us: u64,
}

/// Why a body is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the frame's body is malformed")]
pub struct BodyError;

impl Resize {
    /// The body's bytes.
    #[must_use]
    pub const fn encode(self) -> [u8; 4] {
        let [a, b] = self.columns.to_be_bytes();
        let [c, d] = self.rows.to_be_bytes();
        [a, b, c, d]
    }

    /// Reads a body.
    ///
    /// # Errors
    /// When it is not exactly four bytes.
    pub fn decode(body: &[u8]) -> Result<Self, BodyError> {
        let &[a, b, c, d] = body else {
            return Err(BodyError);
        };
        Ok(Self {
            columns: u16::from_be_bytes([a, b]),
            rows: u16::from_be_bytes([c, d]),
        })
    }
}

impl Exit {
    /// The body's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Status(status) => [&[0][..], &status.to_be_bytes()].concat(),
            Self::Signal(name) => [&[1], name.as_bytes()].concat(),
            Self::Unsaid => vec![2],
        }
    }

    /// Reads a body.
    ///
    /// # Errors
    /// When it is none of the three forms, or a signal's name is not 1 to 32 ASCII letters and digits.
    pub fn decode(body: &[u8]) -> Result<Self, BodyError> {
        match body.split_first() {
            Some((0, status)) => {
                let status = status.try_into().map_err(|_| BodyError)?;
                Ok(Self::Status(u32::from_be_bytes(status)))
            }
            Some((1, name)) => signal(name).map(Self::Signal).ok_or(BodyError),
            Some((2, [])) => Ok(Self::Unsaid),
            _ => Err(BodyError),
        }
    }
}

impl Gap {
    /// The body's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.reason as u8];
        for number in [self.from, self.frames, self.since_us] {
            out.extend(number.to_be_bytes());
        }
        out
    }

    /// Reads a body.
    ///
    /// # Errors
    /// When it is not exactly a gap's 25 bytes with a known reason.
    pub fn decode(body: &[u8]) -> Result<Self, BodyError> {
        let (reason, rest) = body.split_first().ok_or(BodyError)?;
        let reason = GapReason::ALL
            .into_iter()
            .find(|known| *known as u8 == *reason)
            .ok_or(BodyError)?;
        let (from, rest) = rest.split_first_chunk().ok_or(BodyError)?;
        let (frames, rest) = rest.split_first_chunk().ok_or(BodyError)?;
        let since = rest.try_into().map_err(|_| BodyError)?;
        Ok(Self {
            reason,
            from: u64::from_be_bytes(*from),
            frames: u64::from_be_bytes(*frames),
            since_us: u64::from_be_bytes(since),
        })
    }
}

fn signal(name: &[u8]) -> Option<String> {
    let fits = (1..=32).contains(&name.len()) && name.iter().all(u8::is_ascii_alphanumeric);
    fits.then(|| name.iter().map(|&byte| char::from(byte)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_survive_their_encoding() {
        let size = Resize { columns: 80, rows: 24 };
        assert_eq!(Resize::decode(&size.encode()), Ok(size));
        for exit in [Exit::Status(255), Exit::Signal("TERM".into()), Exit::Unsaid] {
            assert_eq!(Exit::decode(&exit.encode()), Ok(exit));
        }
        let gap = Gap {
            reason: GapReason::NoSpace,
            from: 4,
            frames: 2,
            since_us: 9,
        };
        assert_eq!(Gap::decode(&gap.encode()), Ok(gap));
    }

    #[test]
    fn a_body_with_a_byte_more_or_less_is_refused() {
        assert!(Resize::decode(&[0; 5]).is_err());
        assert!(Exit::decode(&[0, 1]).is_err());
        assert!(Exit::decode(b"\x01TE RM").is_err());
        assert!(Gap::decode(&[1; 24]).is_err());
        assert!(Gap::decode(&[99; 25]).is_err());
    }
}

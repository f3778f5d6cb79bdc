//! How a use case ends when it does not end well. Every one of them fails in the same few ways, and gateway and API
//! both have to tell them apart: what the caller may correct, what is decided, what could not be written.
//!
//! Not here: committing a refusal (see `attempt`). INVARIANT (refused on record): a [`Failure::Refused`] that names an
//! identified caller is in the log before it is returned.

use model::apply::Refused;
use model::id::EntryId;
use model::judge::Refusal;

/// Why a use case gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// A rule forbids it.
    #[error("{because}")]
    Refused {
        /// The rule, as a code.
        code: &'static str,
        /// What is wrong and what to do next.
        because: String,
        /// What the caller may have meant, where several things fit.
        candidates: Vec<String>,
    },
    /// Something is missing from what the caller sent, or is not what it should be.
    #[error("{field}: {because}")]
    Field {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        because: String,
    },
    /// What the caller names does not exist, or is not the caller's to see: the two look alike.
    #[error("there is no {0} that you may see")]
    Absent(&'static str),
    /// Nothing was decided and nothing is on record.
    #[error("{0}; nothing was done, try again")]
    Unavailable(String),
    /// It may or may not be on record; look the entry up before doing it again.
    #[error("it is not known whether entry {0} is stored; look it up before you try again")]
    Unknown(EntryId),
}

impl Failure {
    /// Refuses by `code`.
    pub fn refused(code: &'static str, because: impl Into<String>) -> Self {
        Self::Refused {
            code,
            because: because.into(),
            candidates: vec![],
        }
    }

    /// Names a field that is missing.
    #[must_use]
    pub fn missing(field: &'static str) -> Self {
        Self::Field {
            field,
            because: "is missing".into(),
        }
    }

    /// Names a field that is wrong.
    pub fn field(field: &'static str, because: impl Into<String>) -> Self {
        Self::Field {
            field,
            because: because.into(),
        }
    }

    /// The code that programs read and that an entry of the refusal carries.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused { code, .. } => code,
            Self::Field { .. } => "field",
            Self::Absent(_) => "absent",
            Self::Unavailable(_) => "unavailable",
            Self::Unknown(_) => "unknown",
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::refused(refusal.code, refusal.because)
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        let code = refused.code();
        match refused {
            Refused::Rule { because, .. } => Self::refused(code, because),
            other => Self::refused(code, other.to_string()),
        }
    }
}

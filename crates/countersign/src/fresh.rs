//! Randomness from the system, and the ids that are made of it.

use crate::clock;
use crate::exit::Failure;

/// `N` random bytes.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], Failure> {
    let mut out = [0; N];
    getrandom::fill(&mut out)
        .map_err(|error| Failure::unavailable(format!("the system gives no random bytes: {error}")))?;
    Ok(out)
}

/// A fresh id, by its type's constructor: `fresh::id(IdentityId::new)`.
pub(crate) fn id<T>(new: impl Fn(u64, [u8; 10]) -> T) -> Result<T, Failure> {
    Ok(new(clock::now_ms(), bytes()?))
}

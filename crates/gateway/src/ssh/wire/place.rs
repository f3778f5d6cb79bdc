//! Where somebody wants to go, as typed: a full name `resource.environment`, a short name, or an address. A short name
//! or address counts only if it is the only one of its kind among what this person may reach.

use std::fmt;

use model::name::{EnvironmentName, ResourceName};

/// The longest place, as the longest host name.
pub const PLACE_BYTES_MAX: usize = 253;
/// The port that the gateway answers for a resource's name behind `-J`.
pub const SSH_PORT: u32 = 22;
/// Candidates that a refusal names.
const CANDIDATES_MAX: usize = 20;

/// A place as it was typed: lower case, bounded, without characters that a host name or address cannot have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(String);

impl Place {
    /// Takes a name or address; nothing where it cannot be one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=PLACE_BYTES_MAX).contains(&text.len());
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':');
        (fits && text.bytes().all(plain)).then(|| Self(text.to_ascii_lowercase()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A resource that a person may reach or ask for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reachable {
    /// Its environment.
    pub environment: EnvironmentName,
    /// Its name there.
    pub resource: ResourceName,
    /// The host name or address under which the gateway reaches it.
    pub host: String,
}

impl Reachable {
    /// `resource.environment`.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.resource, self.environment)
    }
}

/// Why a place is not one resource.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// Nothing of that name; it may exist and not be this person's to ask for.
    #[error("you may reach no resource `{0}`; `ls` lists what you may ask for")]
    Unknown(String),
    /// Several.
    #[error("`{place}` is more than one resource; name one of: {}", candidates.join(", "))]
    Ambiguous {
        /// As typed.
        place: String,
        /// Full names, at most twenty.
        candidates: Vec<String>,
    },
}

/// The one resource among `reachable` that `place` means. A full name always wins.
///
/// # Errors
/// When it is none, or more than one.
pub fn resolve<'a>(place: &Place, reachable: &'a [Reachable]) -> Result<&'a Reachable, Unresolved> {
    if let Some(found) = reachable.iter().find(|r| r.full_name() == place.0) {
        return Ok(found);
    }
    let mut found: Vec<&Reachable> = reachable
        .iter()
        .filter(|r| r.resource.as_str() == place.0 || r.host.eq_ignore_ascii_case(&place.0))
        .collect();
    found.sort_unstable();
    found.dedup();
    match found.as_slice() {
        [] => Err(Unresolved::Unknown(place.0.clone())),
        [one] => Ok(one),
        many => Err(Unresolved::Ambiguous {
            place: place.0.clone(),
            candidates: many.iter().take(CANDIDATES_MAX).map(|r| r.full_name()).collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(resource: &str, environment: &str, host: &str) -> Reachable {
        Reachable {
            environment: environment.parse().unwrap(),
            resource: resource.parse().unwrap(),
            host: host.into(),
        }
    }

    fn resolved(place: &str, reachable: &[Reachable]) -> Result<String, Unresolved> {
        resolve(&Place::parse(place).unwrap(), reachable).map(Reachable::full_name)
    }

    /// Two environments may both have `web1` at one address.
    #[test]
    fn a_full_name_is_never_ambiguous() {
        let all = [at("web1", "acme", "10.0.0.5"), at("web1", "beta", "10.0.0.5")];
        assert_eq!(resolved("web1.acme", &all), Ok("web1.acme".into()));
        assert_eq!(resolved("WEB1.beta", &all), Ok("web1.beta".into()));
        for short in ["web1", "10.0.0.5"] {
            let candidates = vec!["web1.acme".into(), "web1.beta".into()];
            assert_eq!(
                resolved(short, &all),
                Err(Unresolved::Ambiguous {
                    place: short.into(),
                    candidates
                })
            );
        }
    }

    #[test]
    fn a_short_name_or_address_counts_where_it_is_the_only_one() {
        let all = [
            at("web1", "acme", "10.0.0.5"),
            at("db1", "acme", "fd00::7"),
            at("web2", "beta", "host.example"),
        ];
        assert_eq!(resolved("web1", &all), Ok("web1.acme".into()));
        assert_eq!(resolved("fd00::7", &all), Ok("db1.acme".into()));
        assert_eq!(resolved("Host.Example", &all), Ok("web2.beta".into()));
        assert_eq!(resolved("web3", &all), Err(Unresolved::Unknown("web3".into())));
        assert_eq!(resolved("web1.acme", &[]), Err(Unresolved::Unknown("web1.acme".into())));
    }

    #[test]
    fn places_are_bounded_and_plain() {
        for bad in ["", "a b", "a/b", "a@b", "a%b", "é", &"a".repeat(PLACE_BYTES_MAX + 1)] {
            assert_eq!(Place::parse(bad), None, "{bad}");
        }
    }
}

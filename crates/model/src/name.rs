//! Names that people type: environments, resources, accounts, handles, purposes. Bounded and plain, so that they
//! can stand in an SSH user name, a certificate principal and a file name without quoting surprises.

use crate::json::Text;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Why a text cannot be a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {} {kind}: {rule}", article(kind))]
pub struct NotAName {
    text: String,
    kind: &'static str,
    rule: &'static str,
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    }
}

fn is_label(text: &str) -> bool {
    let edge = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    (1..=63).contains(&bytes.len())
        && bytes.iter().all(|b| edge(*b) || *b == b'-' || *b == b'_')
        && bytes.first().copied().is_some_and(edge)
        && bytes.last().copied().is_some_and(edge)
}

fn is_account(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() && b != b':')
}

fn is_line(text: &str) -> bool {
    (1..=256).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $check:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NotAName;
            fn from_str(text: &str) -> Result<Self, NotAName> {
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    return Ok(Self(text.into()));
                }
                Err(NotAName { text: text.chars().take(64).collect(), kind: $kind, rule: $rule })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Text::deserialize(deserializer)?.0.parse().map_err(D::Error::custom)
            }
        }
    )*};
}

names! {
    /// What one owner protects, such as `acme`.
    EnvironmentName, "name of an environment", "use 1 to 63 of a-z, 0-9, `-`, `_`, beginning and ending with a letter or digit", is_label;
    /// A protected thing inside one environment, such as `web1`.
    ResourceName, "name of a resource", "use 1 to 63 of a-z, 0-9, `-`, `_`, beginning and ending with a letter or digit", is_label;
    /// A named privileged purpose, such as `patching`.
    WorkflowName, "name of a workflow", "use 1 to 63 of a-z, 0-9, `-`, `_`, beginning and ending with a letter or digit", is_label;
    /// The short, lasting pseudonym of an identity, such as `alice`.
    Handle, "handle", "use 1 to 63 of a-z, 0-9, `-`, `_`, beginning and ending with a letter or digit", is_label;
    /// A writing process, such as `gw1`.
    NodeName, "name of a node", "use 1 to 63 of a-z, 0-9, `-`, `_`, beginning and ending with a letter or digit", is_label;
    /// The account used on a resource, such as `root`.
    AccountName, "account", "use 1 to 64 printable ASCII characters without `:`", is_account;
    /// The full name of an organisation.
    OrganisationName, "name of an organisation", "use 1 to 256 characters without control characters", is_line;
    /// What a workflow may be used for, such as `security patches`.
    Purpose, "purpose", "use 1 to 256 characters without control characters", is_line;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_plain() {
        for good in ["acme", "a", "web-1", "x_9"] {
            assert!(good.parse::<ResourceName>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a/b", "é", &"a".repeat(64)] {
            assert!(bad.parse::<ResourceName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn accounts_allow_what_people_have() {
        for good in ["root", "DOMAIN\\adm", "a@b", "svc+x"] {
            assert!(good.parse::<AccountName>().is_ok(), "{good}");
        }
        for bad in ["", "a b", "a:b", "a\n", "é"] {
            assert!(bad.parse::<AccountName>().is_err(), "{bad}");
        }
    }
}

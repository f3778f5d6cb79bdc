//! The user name of a connection: `account+place[+hint]` at the gateway itself, `account[+hint]` behind `-J`.
//!
//! The four characters that the form needs, `\ @ + %`, are written `%5C %40 %2B %25` inside an account's name. A user
//! name without `+` names no target: that connection is for the gateway's own words.

use std::fmt;
use std::str::FromStr;

use model::id::RequestId;
use model::name::AccountName;

use super::place::Place;

/// The longest user name that is looked at.
pub const USER_BYTES_MAX: usize = 512;
/// The longest ticket.
const TICKET_BYTES_MAX: usize = 128;

/// Why a user name names no target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotATarget {
    /// Too long to be looked at.
    #[error("the user name is longer than {USER_BYTES_MAX} bytes")]
    Long,
    /// More than account, place and request.
    #[error("`{0}` has too many `+`; the form is account+resource.environment or account+resource.environment+request")]
    Parts(String),
    /// A part that must be there is empty.
    #[error("`{0}` lacks a part; the form is account+resource.environment")]
    Empty(String),
    /// A `%` that is not followed by two hexadecimal digits.
    #[error("`{0}`: write `%25` for `%`, `%2B` for `+`, `%40` for `@`, `%5C` for `\\`")]
    Percent(String),
    /// Not an account's name.
    #[error("`{0}` is not an account")]
    Account(String),
    /// Not the name or address of a resource.
    #[error("`{0}` is not the name or address of a resource")]
    Place(String),
    /// Neither a request's id nor a ticket.
    #[error("`{0}` is neither a request nor a ticket")]
    Hint(String),
}

/// Which of several grants is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// The request that it answers.
    Request(RequestId),
    /// The ticket that it was asked under.
    Ticket(String),
}

/// The account and, where it was said, the grant: what a user name says behind `-J`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// As whom.
    pub account: AccountName,
    /// Under which grant, if it was said.
    pub hint: Option<Hint>,
}

/// A whole target: what a user name says at the gateway itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// As whom, where.
    pub account: Account,
    /// Where, as it was written.
    pub place: Place,
}

impl Target {
    /// Reads `account+place[+hint]`; nothing where there is no `+`.
    ///
    /// # Errors
    /// When there is a `+` and the rest does not fit.
    pub fn parse(user: &str) -> Result<Option<Self>, NotATarget> {
        bounded(user)?;
        let mut parts = user.split('+');
        let (Some(account), Some(place)) = (parts.next(), parts.next()) else {
            return Ok(None);
        };
        let hint = parts.next();
        no_more(user, parts.next())?;
        let place = Place::parse(place).ok_or_else(|| NotATarget::Place(shown(place)))?;
        Ok(Some(Self {
            account: account_of(user, account, hint)?,
            place,
        }))
    }
}

impl Account {
    /// Reads `account[+hint]`.
    ///
    /// # Errors
    /// When it does not fit.
    pub fn parse(user: &str) -> Result<Self, NotATarget> {
        bounded(user)?;
        let mut parts = user.split('+');
        let account = parts.next().unwrap_or_default();
        let hint = parts.next();
        no_more(user, parts.next())?;
        account_of(user, account, hint)
    }
}

fn bounded(user: &str) -> Result<(), NotATarget> {
    if user.len() > USER_BYTES_MAX {
        Err(NotATarget::Long)
    } else {
        Ok(())
    }
}

fn no_more(user: &str, part: Option<&str>) -> Result<(), NotATarget> {
    match part {
        Some(_) => Err(NotATarget::Parts(shown(user))),
        None => Ok(()),
    }
}

fn account_of(user: &str, account: &str, hint: Option<&str>) -> Result<Account, NotATarget> {
    if account.is_empty() || hint == Some("") {
        return Err(NotATarget::Empty(shown(user)));
    }
    let text = decode(account).ok_or_else(|| NotATarget::Percent(shown(account)))?;
    let account = AccountName::from_str(&text).map_err(|_| NotATarget::Account(shown(&text)))?;
    let hint = hint.map(Hint::parse).transpose()?;
    Ok(Account { account, hint })
}

impl Hint {
    fn parse(text: &str) -> Result<Self, NotATarget> {
        let decoded = decode(text).ok_or_else(|| NotATarget::Percent(shown(text)))?;
        if let Ok(request) = decoded.parse() {
            return Ok(Self::Request(request));
        }
        let fits = (1..=TICKET_BYTES_MAX).contains(&decoded.len()) && decoded.bytes().all(|b| b.is_ascii_graphic());
        if fits {
            Ok(Self::Ticket(decoded))
        } else {
            Err(NotATarget::Hint(shown(text)))
        }
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(id) => id.fmt(f),
            Self::Ticket(text) => f.write_str(&encode(text)),
        }
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode(self.account.as_str()))?;
        self.hint.iter().try_for_each(|hint| write!(f, "+{hint}"))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", encode(self.account.account.as_str()), self.place)?;
        self.account.hint.iter().try_for_each(|hint| write!(f, "+{hint}"))
    }
}

/// Takes `%XX` for the byte, all else as it is. Only printable ASCII may come of it.
fn decode(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let (high, low) = (rest.next()?.to_digit(16)?, rest.next()?.to_digit(16)?);
        let byte = u8::try_from(high * 16 + low).ok()?;
        if !byte.is_ascii_graphic() {
            return None;
        }
        out.push(char::from(byte));
    }
    Some(out)
}

/// Writes `\ @ + %` as `%XX`.
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("%5C"),
            '@' => out.push_str("%40"),
            '+' => out.push_str("%2B"),
            '%' => out.push_str("%25"),
            c => out.push(c),
        }
    }
    out
}

/// A piece of input for a message: short, without control characters.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(user: &str) -> Target {
        Target::parse(user).unwrap().unwrap()
    }

    #[test]
    fn account_and_place_are_read() {
        let read = target("root+web1.acme");
        assert_eq!(read.account.account.as_str(), "root");
        assert_eq!(read.place.as_str(), "web1.acme");
        assert_eq!(read.account.hint, None);
    }

    #[test]
    fn a_request_or_a_ticket_may_follow() {
        let id = RequestId::new(1_700_000_000_000, [7; 10]);
        assert_eq!(
            target(&format!("root+web1.acme+{id}")).account.hint,
            Some(Hint::Request(id))
        );
        assert_eq!(
            target("root+web1.acme+CHG123").account.hint,
            Some(Hint::Ticket("CHG123".into()))
        );
        assert_eq!(
            Account::parse("root+CHG123").unwrap().hint,
            Some(Hint::Ticket("CHG123".into()))
        );
    }

    #[test]
    fn a_user_without_a_plus_names_no_target() {
        assert_eq!(Target::parse("alice"), Ok(None));
        assert_eq!(Target::parse(""), Ok(None));
        assert_eq!(Account::parse("root").unwrap().account.as_str(), "root");
    }

    #[test]
    fn the_four_characters_are_decoded_and_printed_again() {
        for (written, account) in [
            ("CORP%5Cadm+dc1.acme", "CORP\\adm"),
            ("a%40b+web1", "a@b"),
            ("svc%2Bx+web1", "svc+x"),
            ("p%25+web1", "p%"),
        ] {
            let read = target(written);
            assert_eq!(read.account.account.as_str(), account);
            assert_eq!(read.to_string(), written);
        }
        assert_eq!(target("CORP%5cadm+dc1").account.account.as_str(), "CORP\\adm");
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_reason() {
        for (user, error) in [
            ("+web1", NotATarget::Empty("+web1".into())),
            ("root+", NotATarget::Place(String::new())),
            ("root+web1+", NotATarget::Empty("root+web1+".into())),
            ("root+web1+a+b", NotATarget::Parts("root+web1+a+b".into())),
            ("ro%4+web1", NotATarget::Percent("ro%4".into())),
            ("ro%zz+web1", NotATarget::Percent("ro%zz".into())),
            ("ro%00+web1", NotATarget::Percent("ro%00".into())),
            ("a:b+web1", NotATarget::Account("a:b".into())),
            ("root+web 1", NotATarget::Place("web 1".into())),
            ("root+web1+a b", NotATarget::Hint("a b".into())),
        ] {
            assert_eq!(Target::parse(user), Err(error), "{user}");
        }
        assert_eq!(Target::parse(&"a".repeat(USER_BYTES_MAX + 1)), Err(NotATarget::Long));
    }
}

//! The one accepted JSON encoding: RFC 8785 restricted to what an entry needs.
//!
//! Objects with ASCII keys in ascending order and no duplicates, arrays, strings, booleans and integers of
//! magnitude at most 2^53 − 1. No floats, exponents, nulls, `-0`, insignificant space, lone surrogates or
//! unneeded escapes; at most [`DEPTH_MAX`] levels. Whoever passes [`check`] re-encodes to the same bytes.
//!
//! INVARIANT (one encoding): `check(b).is_ok()` implies that parsing `b` and writing it again gives `b`.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Nesting allowed in one text.
pub const DEPTH_MAX: usize = 8;
/// The longest canonical text that is looked at, in bytes.
pub const LENGTH_MAX: usize = 64 * 1024;
const INTEGER_MAX: u64 = (1 << 53) - 1;

/// Why a text is not canonical, and at which byte.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not canonical JSON at byte {at}: {what}")]
pub struct NotCanonical {
    /// Offset of the first offending byte.
    pub at: usize,
    /// What was wrong there.
    pub what: &'static str,
}

/// Why a value could not be read from, or written as, canonical JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The bytes are not in the accepted form.
    #[error(transparent)]
    NotCanonical(#[from] NotCanonical),
    /// The bytes are canonical, but not a value of the wanted type.
    #[error("{0}")]
    Shape(String),
}

/// Writes `value` in the accepted form.
///
/// # Errors
/// When the value holds something the form does not allow: a float, a null, a key outside ASCII, too deep nesting.
pub fn to_vec<T: Serialize>(value: &T) -> Result<Vec<u8>, JsonError> {
    // Through `Value`, whose maps are ordered by bytes.
    let tree = serde_json::to_value(value).map_err(|e| JsonError::Shape(e.to_string()))?;
    let bytes = serde_json::to_vec(&tree).map_err(|e| JsonError::Shape(e.to_string()))?;
    check(&bytes)?;
    Ok(bytes)
}

/// Reads a `T` from bytes in the accepted form.
///
/// # Errors
/// When the bytes are not canonical, or are not a `T`.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    check(bytes)?;
    serde_json::from_slice(bytes).map_err(|e| JsonError::Shape(e.to_string()))
}

/// Checks that `bytes` are one value in the accepted form, without building it.
///
/// # Errors
/// The first place where they are not.
pub fn check(bytes: &[u8]) -> Result<(), NotCanonical> {
    if bytes.len() > LENGTH_MAX {
        return Err(NotCanonical {
            at: LENGTH_MAX,
            what: "text is too long",
        });
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err(NotCanonical {
            at: 0,
            what: "not UTF-8",
        });
    };
    let mut scanner = Scanner {
        bytes: text.as_bytes(),
        at: 0,
    };
    scanner.value(0)?;
    if scanner.at == bytes.len() {
        Ok(())
    } else {
        scanner.fail("text goes on after the value")
    }
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    fn fail<T>(&self, what: &'static str) -> Result<T, NotCanonical> {
        Err(NotCanonical { at: self.at, what })
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn eat(&mut self, byte: u8, what: &'static str) -> Result<(), NotCanonical> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            self.fail(what)
        }
    }

    fn value(&mut self, depth: usize) -> Result<(), NotCanonical> {
        match self.peek() {
            Some(b'{') if depth < DEPTH_MAX => self.object(depth),
            Some(b'[') if depth < DEPTH_MAX => self.array(depth),
            Some(b'{' | b'[') => self.fail("nested too deep"),
            Some(b'"') => self.string().map(drop),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'-' | b'0'..=b'9') => self.integer(),
            Some(b'n') => self.fail("null is not used"),
            Some(_) => self.fail("expected a value"),
            None => self.fail("text ends early"),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), NotCanonical> {
        for byte in word {
            self.eat(*byte, "expected `true` or `false`")?;
        }
        Ok(())
    }

    fn integer(&mut self) -> Result<(), NotCanonical> {
        let negative = self.peek() == Some(b'-');
        if negative {
            self.at += 1;
        }
        let start = self.at;
        let mut magnitude: u64 = 0;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            magnitude = magnitude.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
            self.at += 1;
        }
        let digits = self.bytes.get(start..self.at).unwrap_or_default();
        match digits {
            [] => self.fail("expected a digit"),
            [b'0'] if negative => self.fail("`-0` is not used"),
            [b'0', _, ..] => self.fail("leading zero"),
            _ if magnitude > INTEGER_MAX => self.fail("integer beyond 2^53 - 1"),
            _ if matches!(self.peek(), Some(b'.' | b'e' | b'E')) => self.fail("only integers are used"),
            _ => Ok(()),
        }
    }

    /// Gives the raw text between the quotes.
    fn string(&mut self) -> Result<&'a [u8], NotCanonical> {
        self.eat(b'"', "expected a string")?;
        let start = self.at;
        loop {
            match self.peek() {
                None => return self.fail("text ends inside a string"),
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(0..=0x1f) => return self.fail("unescaped control character"),
                Some(_) => self.at += 1,
            }
        }
        let raw = self.bytes.get(start..self.at).unwrap_or_default();
        self.at += 1;
        Ok(raw)
    }

    fn escape(&mut self) -> Result<(), NotCanonical> {
        let rest = self.bytes.get(self.at + 1..).unwrap_or_default();
        match rest {
            [b'"' | b'\\' | b'b' | b't' | b'n' | b'f' | b'r', ..] => self.at += 2,
            [b'u', b'0', b'0', high @ (b'0' | b'1'), low, ..] if needs_hex(*high, *low) => self.at += 6,
            _ => return self.fail("escape that is not the canonical one"),
        }
        Ok(())
    }

    fn array(&mut self, depth: usize) -> Result<(), NotCanonical> {
        self.at += 1;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value(depth + 1)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return self.fail("expected `,` or `]`"),
            }
        }
        self.at += 1;
        Ok(())
    }

    fn object(&mut self, depth: usize) -> Result<(), NotCanonical> {
        self.at += 1;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        let mut last: Option<&[u8]> = None;
        loop {
            let key = self.string()?;
            if !key
                .iter()
                .all(|b| matches!(b, b' '..=b'~') && !matches!(b, b'\\' | b'"'))
            {
                return self.fail("key outside plain ASCII");
            }
            if last.is_some_and(|last| last >= key) {
                return self.fail("keys not in ascending order");
            }
            last = Some(key);
            self.eat(b':', "expected `:`")?;
            self.value(depth + 1)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return self.fail("expected `,` or `}`"),
            }
        }
        self.at += 1;
        Ok(())
    }
}

/// Control characters without a short escape are written `\u00xx` in lower case.
fn needs_hex(high: u8, low: u8) -> bool {
    let low_is_hex = matches!(low, b'0'..=b'9' | b'a'..=b'f');
    let has_short_form = high == b'0' && matches!(low, b'8' | b'9' | b'a' | b'c' | b'd');
    low_is_hex && !has_short_form
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_the_canonical_form() {
        for text in [
            r#"{"a":1,"b":[true,false,"x"]}"#,
            "{}",
            "[]",
            "0",
            "-1",
            "9007199254740991",
            r#""\u001f\n\"\\""#,
            "\"\u{7f}é😀\"",
        ] {
            assert_eq!(check(text.as_bytes()), Ok(()), "{text}");
        }
    }

    #[test]
    fn refuses_every_other_spelling() {
        for text in [
            "",
            " 1",
            "1 ",
            "{\"b\":1,\"a\":2}",
            "{\"a\":1,\"a\":2}",
            "-0",
            "01",
            "1.0",
            "1e3",
            "9007199254740992",
            "null",
            r#""\u001F""#,
            r#""\u000a""#,
            r#""\u0041""#,
            r#""\/""#,
            r#""\ud800""#,
            "\"\n\"",
            "[1,]",
            "{\"é\":1}",
            "[",
            "{\"a\"}",
            "[[[[[[[[[1]]]]]]]]]",
            "tru",
            "\"",
            "1,2",
        ] {
            assert!(check(text.as_bytes()).is_err(), "{text}");
        }
        assert!(check(b"\"\xff\"").is_err());
    }

    proptest::proptest! {
        #[test]
        fn what_we_write_we_accept(text in ".*", n in -((1i64 << 53) - 1)..(1i64 << 53)) {
            let value = serde_json::json!({"z": text, "a": [n, {"k": true}]});
            let bytes = to_vec(&value).unwrap();
            let again: serde_json::Value = from_slice(&bytes).unwrap();
            proptest::prop_assert_eq!(to_vec(&again).unwrap(), bytes);
        }

        #[test]
        fn what_we_accept_writes_back(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64)) {
            if check(&bytes).is_ok() {
                let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
                proptest::prop_assert_eq!(serde_json::to_vec(&value).unwrap(), bytes);
            }
        }
    }
}

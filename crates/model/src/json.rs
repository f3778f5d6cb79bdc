//! The one accepted JSON encoding: RFC 8785 restricted to what an entry needs.
//!
//! Objects with ASCII keys in ascending order and no duplicates, arrays, strings, booleans and integers of
//! magnitude at most 2^53 − 1. No floats, exponents, nulls, `-0`, insignificant space, lone surrogates or
//! unneeded escapes; at most [`DEPTH_MAX`] levels. Whoever passes [`check`] re-encodes to the same bytes.
//!
//! INVARIANT (one encoding): `check(b).is_ok()` implies that parsing `b` and writing it again gives `b`.

mod read;

pub(crate) use read::Raw;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

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

/// A string on its way into a type of its own; borrowed where it can be.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

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
    from_text(text(bytes)?)
}

/// As [`from_slice`], of a value that may borrow.
pub(crate) fn from_text<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, JsonError> {
    from_part(text, 0)
}

/// As [`from_text`], of a part of a text that stands inside `depth` others.
fn from_part<'a, T: Deserialize<'a>>(text: &'a str, depth: usize) -> Result<T, JsonError> {
    if let Some(value) = read::at_once(text, depth) {
        return Ok(value);
    }
    Scanner { text, at: 0 }.all()?;
    let why = serde_json::from_str::<T>(text).err();
    let why = why.map_or("an array stands where an object belongs".into(), |e| e.to_string());
    Err(JsonError::Shape(why))
}

/// Checks that `bytes` are one value in the accepted form, without building it.
///
/// # Errors
/// The first place where they are not.
pub fn check(bytes: &[u8]) -> Result<(), NotCanonical> {
    let text = text(bytes)?;
    Scanner { text, at: 0 }.all()
}

/// The text that `bytes` may be one value of.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, NotCanonical> {
    if bytes.len() > LENGTH_MAX {
        return Err(NotCanonical {
            at: LENGTH_MAX,
            what: "text is too long",
        });
    }
    std::str::from_utf8(bytes).map_err(|_| NotCanonical {
        at: 0,
        what: "not UTF-8",
    })
}

/// The grammar, one step at a time: [`check`] walks through, [`read`] takes what it passes.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn all(mut self) -> Result<(), NotCanonical> {
        self.value(0)?;
        self.end()
    }

    fn end(&self) -> Result<(), NotCanonical> {
        if self.at == self.text.len() {
            Ok(())
        } else {
            self.fail("text goes on after the value")
        }
    }

    fn fail<T>(&self, what: &'static str) -> Result<T, NotCanonical> {
        Err(NotCanonical { at: self.at, what })
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
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
            Some(b'{') => {
                self.enter(depth)?;
                let mut last = None;
                while self.key(&mut last)?.is_some() {
                    self.value(depth + 1)?;
                }
                Ok(())
            }
            Some(b'[') => {
                self.enter(depth)?;
                let mut first = true;
                while self.item(&mut first)? {
                    self.value(depth + 1)?;
                }
                Ok(())
            }
            Some(b'"') => self.string().map(drop),
            Some(b't' | b'f') => self.boolean().map(drop),
            Some(b'-' | b'0'..=b'9') => self.integer().map(drop),
            Some(b'n') => self.fail("null is not used"),
            Some(_) => self.fail("expected a value"),
            None => self.fail("text ends early"),
        }
    }

    /// Passes over a value without a look at what it holds: as far as its brackets are closed.
    fn pass(&mut self) -> Result<(), NotCanonical> {
        let mut open = 0_usize;
        loop {
            match self.peek() {
                Some(b'"') => self.string().map(drop)?,
                Some(b'{' | b'[') => (open, self.at) = (open + 1, self.at + 1),
                Some(b'}' | b']') => (open, self.at) = (open.saturating_sub(1), self.at + 1),
                Some(_) if open > 0 => self.at += 1,
                _ => return self.value(DEPTH_MAX),
            }
            if open == 0 {
                return Ok(());
            }
        }
    }

    /// Passes the bracket that opens an object or array.
    fn enter(&mut self, depth: usize) -> Result<(), NotCanonical> {
        if depth < DEPTH_MAX {
            self.at += 1;
            Ok(())
        } else {
            self.fail("nested too deep")
        }
    }

    fn boolean(&mut self) -> Result<bool, NotCanonical> {
        let value = self.peek() == Some(b't');
        for byte in if value { "true" } else { "false" }.bytes() {
            self.eat(byte, "expected `true` or `false`")?;
        }
        Ok(value)
    }

    /// Gives the magnitude, and whether it is below zero.
    fn integer(&mut self) -> Result<(u64, bool), NotCanonical> {
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
        match self.since(start).as_bytes() {
            [] => self.fail("expected a digit"),
            [b'0'] if negative => self.fail("`-0` is not used"),
            [b'0', _, ..] => self.fail("leading zero"),
            _ if magnitude > INTEGER_MAX => self.fail("integer beyond 2^53 - 1"),
            _ if matches!(self.peek(), Some(b'.' | b'e' | b'E')) => self.fail("only integers are used"),
            _ => Ok((magnitude, negative)),
        }
    }

    /// Gives the text between the quotes as it is written, and whether it holds an escape.
    fn string(&mut self) -> Result<(&'a str, bool), NotCanonical> {
        self.eat(b'"', "expected a string")?;
        let (start, mut escaped) = (self.at, false);
        loop {
            self.at += until(self.rest(), stops);
            match self.peek() {
                None => return self.fail("text ends inside a string"),
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(_) => return self.fail("unescaped control character"),
            }
            escaped = true;
        }
        let raw = self.since(start);
        self.at += 1;
        Ok((raw, escaped))
    }

    fn escape(&mut self) -> Result<(), NotCanonical> {
        match self.rest() {
            [_, b'"' | b'\\' | b'b' | b't' | b'n' | b'f' | b'r', ..] => self.at += 2,
            [_, b'u', b'0', b'0', high @ (b'0' | b'1'), low, ..] if needs_hex(*high, *low) => self.at += 6,
            _ => return self.fail("escape that is not the canonical one"),
        }
        Ok(())
    }

    /// Passes to the next value of an array, if there is one.
    fn item(&mut self, first: &mut bool) -> Result<bool, NotCanonical> {
        match self.peek() {
            Some(b']') => {
                self.at += 1;
                return Ok(false);
            }
            Some(b',') if !*first => self.at += 1,
            _ if !*first => return self.fail("expected `,` or `]`"),
            _ => *first = false,
        }
        Ok(true)
    }

    /// Passes over a string that can be a key.
    fn name(&mut self) -> Option<&'a str> {
        let [b'"', rest @ ..] = self.rest() else { return None };
        let length = until(rest, |word| stops(word) | beyond_name(word));
        let start = self.at + 1;
        let end = start + length;
        (rest.get(length) == Some(&b'"')).then(|| self.at = end + 1)?;
        self.text.get(start..end)
    }

    /// Passes to the next value of an object and gives its key, if there is one. `last` is the key before it.
    fn key(&mut self, last: &mut Option<&'a str>) -> Result<Option<&'a str>, NotCanonical> {
        match self.peek() {
            Some(b'}') => {
                self.at += 1;
                return Ok(None);
            }
            Some(b',') if last.is_some() => self.at += 1,
            _ if last.is_some() => return self.fail("expected `,` or `}`"),
            _ => {}
        }
        let Some(key) = self.name() else {
            self.string()?;
            return self.fail("key outside plain ASCII");
        };
        if last.is_some_and(|last| !rises(last, key)) {
            return self.fail("keys not in ascending order");
        }
        *last = Some(key);
        self.eat(b':', "expected `:`")?;
        Ok(Some(key))
    }
}

/// Whether `key` comes after `last`; most show it in their first letter.
fn rises(last: &str, key: &str) -> bool {
    last.as_bytes().first() < key.as_bytes().first() || last < key
}

/// How many bytes there are before the first that `stops`; eight at a time, as strings are most of a text. After the
/// last comes a zero, where all stop.
fn until(bytes: &[u8], stops: impl Fn(u64) -> u64) -> usize {
    let place = |word: [u8; 8]| match stops(u64::from_le_bytes(word)) {
        0 => None,
        stops => Some(stops.trailing_zeros() as usize / 8),
    };
    let (words, tail) = bytes.as_chunks::<8>();
    for (number, word) in words.iter().enumerate() {
        if let Some(place) = place(*word) {
            return 8 * number + place;
        }
    }
    let mut last = [0; 8];
    last.iter_mut().zip(tail).for_each(|(to, from)| *to = *from);
    8 * words.len() + place(last).unwrap_or_default()
}

const ONES: u64 = u64::MAX / 0xff;
const HIGH: u64 = ONES << 7;

/// The high bit of each byte that a string does not hold as it is: a quote, a backslash, a control character. Of those
/// above the lowest some may be set without cause: what is borrowed goes upwards.
fn stops(word: u64) -> u64 {
    // With this bit turned, the quote is what follows the control characters.
    let turned = word ^ (ONES * 0x02);
    (below(turned, 0x21) | equal(word, b'\\')) & HIGH
}

/// In the same way, what a key holds even less: anything outside ASCII, and its last character.
fn beyond_name(word: u64) -> u64 {
    (word | equal(word, 0x7f)) & HIGH
}

fn below(word: u64, bound: u8) -> u64 {
    word.wrapping_sub(ONES * u64::from(bound)) & !word
}

fn equal(word: u64, byte: u8) -> u64 {
    below(word ^ (ONES * u64::from(byte)), 1)
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
    fn what_is_wrong_is_told_as_before() {
        #[derive(Debug, PartialEq, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Pair {
            a: u8,
            b: String,
        }
        let read = |text: &str| from_slice::<Pair>(text.as_bytes()).map_err(|e| e.to_string());
        let pair = Pair { a: 1, b: "x\ny".into() };
        assert_eq!(read(r#"{"a":1,"b":"x\ny"}"#), Ok(pair));
        for (text, why) in [
            (
                r#"{"b":"x","a":1}"#,
                "not canonical JSON at byte 12: keys not in ascending order",
            ),
            (r#"{"a":1, "b":"x"}"#, "not canonical JSON at byte 7: expected a string"),
            (r#"{"é":1}"#, "not canonical JSON at byte 5: key outside plain ASCII"),
            (r#"{"a":1"#, "not canonical JSON at byte 6: expected `,` or `}`"),
            (
                r#"{"a":256,"b":"x"}"#,
                "invalid value: integer `256`, expected u8 at line 1 column 8",
            ),
            (r#"{"a":1}"#, "missing field `b` at line 1 column 7"),
            (
                r#"{"a":1,"b":"x","c":[]}"#,
                "unknown field `c`, expected `a` or `b` at line 1 column 18",
            ),
            (r#"[1,"x"]"#, "an array stands where an object belongs"),
        ] {
            assert_eq!(read(text), Err(why.to_owned()), "{text}");
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
            assert!(read::at_once::<serde_json::Value>(text, 0).is_none(), "{text}");
        }
        assert!(check(b"\"\xff\"").is_err());
    }

    #[test]
    fn each_byte_stops_where_it_should() {
        for byte in 0..=u8::MAX {
            let stop = byte < 0x20 || matches!(byte, b'"' | b'\\');
            let key = !stop && (b' '..=b'~').contains(&byte);
            for (length, place) in (1..20).flat_map(|length| (0..length).map(move |place| (length, place))) {
                let mut bytes = vec![b'a'; length];
                bytes[place] = byte;
                let wanted = |passes: bool| if passes { length } else { place };
                assert_eq!(until(&bytes, stops), wanted(!stop), "{bytes:?}");
                let named = until(&bytes, |word| stops(word) | beyond_name(word));
                assert_eq!(named, wanted(key), "{bytes:?}");
            }
        }
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

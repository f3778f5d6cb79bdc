//! Canonical text into values in one pass: the grammar's steps, as serde asks for them.
//!
//! It only says whether all is well. Who gets nothing asks [`super::check`] and serde_json why, so that each reason has one
//! place.
//!
//! INVARIANT (one encoding): what is read here, [`super::check`] accepts, and serde_json reads as the same value. Unlike
//! serde_json it takes no array for an object.

use super::{JsonError, NotCanonical, Scanner, from_part};
use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IgnoredAny, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};
use std::fmt;

/// The value in `text`, which stands inside `depth` others; nothing when it is not canonical, or not a `T`.
pub(super) fn at_once<'a, T: Deserialize<'a>>(text: &'a str, depth: usize) -> Option<T> {
    let scanner = Scanner { text, at: 0 };
    let mut reader = Reader { scanner, depth };
    let value = T::deserialize(&mut reader).ok()?;
    reader.scanner.end().ok()?;
    Some(value)
}

/// A member of the outermost object that was passed over and not checked: who takes the rest for good reads it too.
/// serde_json, which is only asked what is wrong elsewhere, leaves it empty.
pub(crate) struct Raw<'a>(&'a str);

impl<'a> Raw<'a> {
    /// Checks and reads it.
    pub(crate) fn read<T: Deserialize<'a>>(self) -> Result<T, JsonError> {
        from_part(self.0, 1)
    }
}

const RAW: &str = "raw canonical text";

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Passed;
        impl<'de> Visitor<'de> for Passed {
            type Value = Raw<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(RAW)
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Raw<'de>, E> {
                Ok(Raw(text))
            }
            fn visit_newtype_struct<D: Deserializer<'de>>(self, other: D) -> Result<Raw<'de>, D::Error> {
                IgnoredAny::deserialize(other).map(|_| Raw(""))
            }
        }
        deserializer.deserialize_newtype_struct(RAW, Passed)
    }
}

/// Something is wrong.
#[derive(Debug)]
struct No;

impl fmt::Display for No {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not canonical JSON of the wanted type")
    }
}

impl std::error::Error for No {}

impl Error for No {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

impl From<NotCanonical> for No {
    fn from(_: NotCanonical) -> Self {
        Self
    }
}

struct Reader<'a> {
    scanner: Scanner<'a>,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn string<V: Visitor<'a>>(&mut self, visitor: V) -> Result<V::Value, No> {
        let start = self.scanner.at;
        match self.scanner.string()? {
            (text, false) => visitor.visit_borrowed_str(text),
            _ => visitor.visit_string(serde_json::from_str(self.scanner.since(start)).map_err(No::custom)?),
        }
    }

    fn integer<V: Visitor<'a>>(&mut self, visitor: V) -> Result<V::Value, No> {
        match self.scanner.integer()? {
            (magnitude, false) => visitor.visit_u64(magnitude),
            (magnitude, true) => visitor.visit_i64(-i64::try_from(magnitude).map_err(No::custom)?),
        }
    }

    fn object<V: Visitor<'a>>(&mut self, visitor: V) -> Result<V::Value, No> {
        self.inside(|reader| {
            let mut members = Members {
                reader,
                last: None,
                open: true,
            };
            let value = visitor.visit_map(&mut members)?;
            if members.open { Err(No) } else { Ok(value) }
        })
    }

    fn array<V: Visitor<'a>>(&mut self, visitor: V) -> Result<V::Value, No> {
        self.inside(|reader| {
            let mut items = Items {
                reader,
                first: true,
                open: true,
            };
            let value = visitor.visit_seq(&mut items)?;
            // The visitor of a tuple stops after its last element.
            if items.open && items.next()? {
                Err(No)
            } else {
                Ok(value)
            }
        })
    }

    /// A variant with content: an object of one member.
    fn variant<V: Visitor<'a>>(&mut self, visitor: V) -> Result<V::Value, No> {
        self.inside(|reader| {
            let mut last = None;
            let name = reader.scanner.key(&mut last)?.ok_or(No)?;
            let value = visitor.visit_enum(Variant {
                name,
                reader: &mut *reader,
            })?;
            match reader.scanner.key(&mut last)? {
                None => Ok(value),
                Some(_) => Err(No),
            }
        })
    }

    fn inside<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, No>) -> Result<T, No> {
        self.scanner.enter(self.depth)?;
        self.depth += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = No;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, No> {
        match self.scanner.peek() {
            Some(b'{') => self.object(visitor),
            Some(b'[') => self.array(visitor),
            Some(b'"') => self.string(visitor),
            Some(b't' | b'f') => visitor.visit_bool(self.scanner.boolean()?),
            _ => self.integer(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, No> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, No> {
        if name != RAW {
            return visitor.visit_newtype_struct(self);
        }
        let start = self.scanner.at;
        self.scanner.pass()?;
        visitor.visit_borrowed_str(self.scanner.since(start))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, No> {
        match self.scanner.peek() {
            Some(b'{') => self.object(visitor),
            _ => Err(No),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, No> {
        self.scanner.value(self.depth)?;
        visitor.visit_unit()
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, No> {
        if self.scanner.peek() == Some(b'{') {
            return self.variant(visitor);
        }
        match self.scanner.string()? {
            (variant, false) => BorrowedStrDeserializer::new(variant).deserialize_enum(name, variants, visitor),
            _ => Err(No),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier
    }
}

struct Members<'r, 'a> {
    reader: &'r mut Reader<'a>,
    last: Option<&'a str>,
    open: bool,
}

impl<'a> MapAccess<'a> for &mut Members<'_, 'a> {
    type Error = No;

    fn next_key_seed<K: DeserializeSeed<'a>>(&mut self, seed: K) -> Result<Option<K::Value>, No> {
        let key = self.reader.scanner.key(&mut self.last)?;
        self.open = key.is_some();
        key.map(|key| seed.deserialize(BorrowedStrDeserializer::new(key)))
            .transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'a>>(&mut self, seed: V) -> Result<V::Value, No> {
        seed.deserialize(&mut *self.reader)
    }
}

struct Items<'r, 'a> {
    reader: &'r mut Reader<'a>,
    first: bool,
    open: bool,
}

impl Items<'_, '_> {
    fn next(&mut self) -> Result<bool, No> {
        self.open = self.reader.scanner.item(&mut self.first)?;
        Ok(self.open)
    }
}

impl<'a> SeqAccess<'a> for &mut Items<'_, 'a> {
    type Error = No;

    fn next_element_seed<T: DeserializeSeed<'a>>(&mut self, seed: T) -> Result<Option<T::Value>, No> {
        if self.next()? {
            seed.deserialize(&mut *self.reader).map(Some)
        } else {
            Ok(None)
        }
    }
}

struct Variant<'r, 'a> {
    name: &'a str,
    reader: &'r mut Reader<'a>,
}

impl<'a> EnumAccess<'a> for Variant<'_, 'a> {
    type Error = No;
    type Variant = Self;

    fn variant_seed<N: DeserializeSeed<'a>>(self, seed: N) -> Result<(N::Value, Self), No> {
        let name = BorrowedStrDeserializer::<No>::new(self.name);
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'a> VariantAccess<'a> for Variant<'_, 'a> {
    type Error = No;

    fn unit_variant(self) -> Result<(), No> {
        Err(No)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'a>>(self, seed: T) -> Result<T::Value, No> {
        seed.deserialize(self.reader)
    }

    fn tuple_variant<V: Visitor<'a>>(self, _: usize, visitor: V) -> Result<V::Value, No> {
        self.reader.array(visitor)
    }

    fn struct_variant<V: Visitor<'a>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, No> {
        self.reader.object(visitor)
    }
}

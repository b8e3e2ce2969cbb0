//! A fast reader for plain JSON, which is what most payloads are.
//!
//! `serde_json` looks at as many bytes at a time as a pointer has, which on wasm
//! is half of what the machine can do, and a replay spends most of its time
//! there. This reader takes eight or sixteen (`plain/scan.rs`), and knows only
//! what is frequent: objects, lists, whole numbers, text. Whatever else it meets
//! ([`Unplain`]), a mistake above all, is left to `serde_json`, which then reads
//! all of it again. So it never has to explain anything, and what it does answer
//! is what `serde_json` would have.

mod scan;

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
    Visitor,
    value::{BorrowedStrDeserializer, StrDeserializer},
};

/// `serde_json` goes 128 deep.
const DEPTH: u8 = 100;

/// Something that only `serde_json` can tell more about.
#[derive(Debug)]
pub(super) struct Unplain;

type Result<T> = std::result::Result<T, Unplain>;

impl fmt::Display for Unplain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not plain JSON")
    }
}

impl std::error::Error for Unplain {}

impl Error for Unplain {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// Reads JSON that holds one value.
#[inline]
pub(super) fn from_slice<'de, T: serde::Deserialize<'de>>(json: &'de [u8]) -> Result<T> {
    let mut reader = Plain { json, at: 0, depth: DEPTH };
    let value = T::deserialize(&mut reader)?;
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err(Unplain),
    }
}

struct Plain<'de> {
    /// Only the texts that are asked for need be UTF-8.
    json: &'de [u8],
    /// How much of it has been read, in bytes.
    at: usize,
    /// How much deeper it may go.
    depth: u8,
}

/// Text between quotes.
enum Text<'de> {
    /// As it stands there.
    Plain(&'de str),
    Unescaped(String),
}

impl<'de> Plain<'de> {
    #[inline]
    fn byte(&self) -> Option<u8> {
        self.json.get(self.at).copied()
    }

    /// The next byte that is no space.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        match self.byte() {
            Some(b' ' | b'\n' | b'\t' | b'\r') => self.peek_behind_spaces(),
            other => other,
        }
    }

    /// Most JSON has no spaces, and a loop costs something even if it ends at once.
    #[cold]
    fn peek_behind_spaces(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.byte() {
            self.at += 1;
        }
        self.byte()
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Result<()> {
        match self.peek() {
            Some(next) if next == byte => {
                self.at += 1;
                Ok(())
            }
            _ => Err(Unplain),
        }
    }

    fn word(&mut self, word: &str) -> Result<()> {
        match self.json[self.at..].starts_with(word.as_bytes()) {
            true => {
                self.at += word.len();
                Ok(())
            }
            false => Err(Unplain),
        }
    }

    /// Goes on to the next quote, backslash or control character. Answers
    /// whether all that it passed is ASCII.
    #[inline]
    fn skip_plain(&mut self) -> bool {
        let (end, is_ascii) = scan::text(self.json, self.at);
        self.at = end;
        is_ascii
    }

    /// What has been read since `start`, as text.
    #[inline]
    fn read(&self, start: usize, is_ascii: bool) -> Result<&'de str> {
        let text = self.json.get(start..self.at).ok_or(Unplain)?;
        match is_ascii {
            // SAFETY: ASCII is UTF-8.
            #[allow(unsafe_code, reason = "it would be checked once more, byte by byte")]
            true => Ok(unsafe { std::str::from_utf8_unchecked(text) }),
            false => std::str::from_utf8(text).map_err(|_| Unplain),
        }
    }

    /// The text behind a quote that has been read.
    #[inline]
    fn text(&mut self) -> Result<Text<'de>> {
        let start = self.at;
        let is_ascii = self.skip_plain();
        match self.byte() {
            Some(b'"') => {
                let text = self.read(start, is_ascii)?;
                self.at += 1;
                Ok(Text::Plain(text))
            }
            _ => self.unescaped(start, is_ascii),
        }
    }

    #[cold]
    fn unescaped(&mut self, mut start: usize, mut is_ascii: bool) -> Result<Text<'de>> {
        let mut text = String::new();
        loop {
            text.push_str(self.read(start, is_ascii)?);
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Text::Unescaped(text));
                }
                Some(b'\\') => text.push(self.escape()?),
                _ => return Err(Unplain),
            }
            start = self.at;
            is_ascii = self.skip_plain();
        }
    }

    /// The character behind a backslash; those that are written as numbers are
    /// rare.
    fn escape(&mut self) -> Result<char> {
        let character = match self.json.get(self.at + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            _ => return Err(Unplain),
        };
        self.at += 2;
        Ok(character)
    }

    fn skip_text(&mut self) -> Result<()> {
        loop {
            self.skip_plain();
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => drop(self.escape()?),
                _ => return Err(Unplain),
            }
        }
    }

    /// A number that begins with `first`, which has not been read.
    #[inline]
    fn number<V: Visitor<'de>>(&mut self, first: u8, visitor: V) -> Result<V::Value> {
        let start = self.at;
        let negative = first == b'-';
        self.at += usize::from(negative);
        let digits = self.at;
        let (end, number) = scan::digits(self.json, digits);
        self.at = end;
        let length = end - digits;
        let leading_zero = length > 1 && self.json[digits] == b'0';
        if matches!(self.byte(), Some(b'.' | b'e' | b'E')) {
            return self.float(start, visitor);
        }
        if length == 0 || length > 18 || leading_zero || (negative && number == 0) {
            return Err(Unplain);
        }
        match negative {
            true => visitor.visit_i64(-(number as i64)),
            false => visitor.visit_u64(number),
        }
    }

    /// Rounding is `serde_json`'s, so that it never depends on what else there is.
    fn float<V: Visitor<'de>>(&mut self, start: usize, visitor: V) -> Result<V::Value> {
        while matches!(self.byte(), Some(b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')) {
            self.at += 1;
        }
        let text = self.json.get(start..self.at).ok_or(Unplain)?;
        visitor.visit_f64(serde_json::from_slice(text).map_err(|_| Unplain)?)
    }

    fn skip_value(&mut self) -> Result<()> {
        match self.peek().ok_or(Unplain)? {
            b'"' => {
                self.at += 1;
                self.skip_text()
            }
            first @ (b'-' | b'0'..=b'9') => self.number(first, serde::de::IgnoredAny).map(drop),
            b'{' | b'[' => (&mut *self).deserialize_any(serde::de::IgnoredAny).map(drop),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => Err(Unplain),
        }
    }

    /// Something else than what was asked for, or spaces before it.
    #[cold]
    fn other<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        self.deserialize_any(visitor)
    }

    /// What stands between brackets, of which the first has not been read.
    #[inline]
    fn nested<T>(&mut self, close: u8, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.at += 1;
        self.depth = self.depth.checked_sub(1).ok_or(Unplain)?;
        let value = read(self)?;
        self.depth += 1;
        self.expect(close)?;
        Ok(value)
    }

    /// Whether another entry follows; the first one needs no comma before it.
    #[inline]
    fn has_next(&mut self, close: u8, first: &mut bool) -> Result<bool> {
        match self.peek() {
            Some(byte) if byte == close => Ok(false),
            Some(b',') if !*first => {
                self.at += 1;
                Ok(true)
            }
            Some(_) if std::mem::take(first) => Ok(true),
            _ => Err(Unplain),
        }
    }
}

/// Reads what is mostly digits without looking at all that it could be.
macro_rules! if_digits {
    ($($method:ident)+) => { $(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            match self.byte() {
                Some(first @ b'0'..=b'9') => self.number(first, visitor),
                _ => self.other(visitor),
            }
        }
    )+ };
}

impl<'de> Deserializer<'de> for &mut Plain<'de> {
    type Error = Unplain;

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.peek().ok_or(Unplain)? {
            b'"' => self.deserialize_str(visitor),
            first @ (b'-' | b'0'..=b'9') => self.number(first, visitor),
            b'{' => self.nested(b'}', |reader| visitor.visit_map(Entries { reader, first: true })),
            b'[' => self.nested(b']', |reader| visitor.visit_seq(Entries { reader, first: true })),
            b't' => self.word("true").and_then(|()| visitor.visit_bool(true)),
            b'f' => self.word("false").and_then(|()| visitor.visit_bool(false)),
            b'n' => self.word("null").and_then(|()| visitor.visit_unit()),
            _ => Err(Unplain),
        }
    }

    #[inline]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.expect(b'"')?;
        match self.text()? {
            Text::Plain(text) => visitor.visit_borrowed_str(text),
            Text::Unescaped(text) => visitor.visit_string(text),
        }
    }

    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_str(visitor)
    }

    #[inline]
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_str(visitor)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.peek() {
            Some(b'n') => self.word("null").and_then(|()| visitor.visit_none()),
            _ => visitor.visit_some(self),
        }
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value> {
        // Raw values of `serde_json`, which talk to its own reader.
        match name.starts_with("$serde_json") {
            true => Err(Unplain),
            false => visitor.visit_newtype_struct(self),
        }
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match self.byte() {
            Some(b'{') => self.nested(b'}', |reader| visitor.visit_map(Entries { reader, first: true })),
            _ => self.other(visitor),
        }
    }

    if_digits!(deserialize_u64 deserialize_u32 deserialize_u16 deserialize_u8);
    if_digits!(deserialize_i64 deserialize_i32 deserialize_i16 deserialize_i8);

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                match self.text()? {
                    Text::Plain(name) => visitor.visit_enum(BorrowedStrDeserializer::new(name)),
                    Text::Unescaped(name) => visitor.visit_enum(StrDeserializer::new(&name)),
                }
            }
            Some(b'{') => self.nested(b'}', |reader| visitor.visit_enum(Variant { reader })),
            _ => Err(Unplain),
        }
    }

    #[inline]
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.skip_value()?;
        visitor.visit_unit()
    }

    // Bytes may be text that is no UTF-8, and a character may be anything.
    fn deserialize_bytes<V: Visitor<'de>>(self, _: V) -> Result<V::Value> {
        Err(Unplain)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, _: V) -> Result<V::Value> {
        Err(Unplain)
    }

    serde::forward_to_deserialize_any! {
        bool i128 u128 f32 f64 char unit unit_struct seq tuple tuple_struct map
    }
}

/// The entries of an object or a list.
struct Entries<'r, 'de> {
    reader: &'r mut Plain<'de>,
    first: bool,
}

impl<'de> SeqAccess<'de> for Entries<'_, 'de> {
    type Error = Unplain;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        match self.reader.has_next(b']', &mut self.first)? {
            true => seed.deserialize(&mut *self.reader).map(Some),
            false => Ok(None),
        }
    }
}

impl<'de> MapAccess<'de> for Entries<'_, 'de> {
    type Error = Unplain;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        if !self.reader.has_next(b'}', &mut self.first)? {
            return Ok(None);
        }
        self.reader.expect(b'"')?;
        // Keys that are to be numbers are refused by these, and so left over.
        match self.reader.text()? {
            Text::Plain(key) => seed.deserialize(BorrowedStrDeserializer::new(key)),
            Text::Unescaped(key) => seed.deserialize(key.into_deserializer()),
        }
        .map(Some)
    }

    #[inline]
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        self.reader.expect(b':')?;
        seed.deserialize(&mut *self.reader)
    }
}

/// A variant with something in it: `{"name": value}`.
struct Variant<'r, 'de> {
    reader: &'r mut Plain<'de>,
}

impl<'de> EnumAccess<'de> for Variant<'_, 'de> {
    type Error = Unplain;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self)> {
        let name = seed.deserialize(&mut *self.reader)?;
        self.reader.expect(b':')?;
        Ok((name, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de> {
    type Error = Unplain;

    fn unit_variant(self) -> Result<()> {
        serde::Deserialize::deserialize(self.reader)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value> {
        seed.deserialize(self.reader)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value> {
        self.reader.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value> {
        self.reader.deserialize_any(visitor)
    }
}

#[cfg(test)]
mod tests;

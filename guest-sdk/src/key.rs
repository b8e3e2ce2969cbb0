//! Keys: what may be one, and how they are written down.
//!
//! Keys are in the tuple encoding of FoundationDB: typed, self-describing, and
//! in the order of the keys themselves. So the host can show a table without
//! asking the plug-in, and a range of keys is a range of bytes.
//!
//! Here are the traits and the tuples; `key/parts.rs` holds the encoding of
//! each type that a part of a key can have.

mod parts;

use std::{
    fmt,
    ops::{Bound, Range, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive},
};

use serde::Serialize;

/// The type of one part of a key, as the host is told.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyKind {
    String,
    Integer,
    Boolean,
    Bytes,
    Float,
}

/// Bytes that are no key of the expected type.
#[doc(hidden)]
#[derive(Debug, PartialEq, Eq)]
pub struct KeyError;

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key that is not of the table's key type")
    }
}

/// What a part of a key can be: `String`, an integer of up to 64 bits, `bool`,
/// `f64`, `Vec<u8>`, [`Date`](crate::Date) or [`Timestamp`](crate::Timestamp).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a part of a key",
    label = "not a key",
    note = "a key is a String, an integer, a bool, an f64, a Vec<u8>, a Date, a Timestamp, or a tuple of up to four of them"
)]
pub trait KeyPart: Sized + 'static {
    #[doc(hidden)]
    const KIND: KeyKind;
    #[doc(hidden)]
    fn decode_part(input: &mut &[u8]) -> Result<Self, KeyError>;
}

/// What can be a table's key: a [`KeyPart`] or a tuple of up to four of them.
///
/// Rows come in the order of their keys: numbers by size, strings by their
/// bytes, tuples part by part.
///
/// ```
/// use projectionist_sdk::prelude::*;
///
/// #[derive(Projection)]
/// struct Sales {
///     by_shop_and_day: Table<(String, Date), u64>,
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the key of a table",
    label = "not a key",
    note = "a key is a String, an integer, a bool, an f64, a Vec<u8>, a Date, a Timestamp, or a tuple of up to four of them"
)]
pub trait Key: Sized + 'static {
    #[doc(hidden)]
    const KINDS: &'static [KeyKind];
    #[doc(hidden)]
    fn decode(input: &mut &[u8]) -> Result<Self, KeyError>;
}

/// What can stand for a key of type `K` when looking it up: a `K`, or a borrowed
/// form of it, as `&str` for `String` and `(&str, u64)` for `(String, u64)`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a key of this table",
    label = "the table's keys are of type `{K}`",
    note = "pass a `{K}` or a borrowed form of it"
)]
pub trait AsKey<K> {
    #[doc(hidden)]
    fn encode(&self, out: &mut Vec<u8>);
}

/// What can stand for the first parts of a key of type `K`, in
/// [`Table::prefix`](crate::Table::prefix): for keys of type `(String, u64)` a
/// `&str`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the beginning of a key of this table",
    label = "the table's keys are of type `{K}`",
    note = "pass the first part of the key, or a tuple of its first parts"
)]
pub trait AsPrefix<K> {
    #[doc(hidden)]
    fn encode_prefix(&self, out: &mut Vec<u8>);
}

/// What can be a range of keys of type `K`: Rust's ranges of what can stand for
/// such a key, as `"a".."b"`, `10..=20`, `date..`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a range of keys of this table",
    label = "the table's keys are of type `{K}`",
    note = "pass a range of a `{K}` or of a borrowed form of it"
)]
pub trait AsRange<K> {
    #[doc(hidden)]
    fn start(&self) -> Bound<Vec<u8>>;
    #[doc(hidden)]
    fn end(&self) -> Bound<Vec<u8>>;
}

macro_rules! ranges {
    ($($range:ty, |$this:ident| $start:expr, $end:expr;)+) => { $(
        impl<K, Q: AsKey<K>> AsRange<K> for $range {
            fn start(&self) -> Bound<Vec<u8>> {
                let $this = self;
                let _ = $this;
                $start.map(encoded)
            }

            fn end(&self) -> Bound<Vec<u8>> {
                let $this = self;
                let _ = $this;
                $end.map(encoded)
            }
        }
    )+ };
}

ranges! {
    Range<Q>, |range| Bound::Included(&range.start), Bound::Excluded(&range.end);
    RangeInclusive<Q>, |range| Bound::Included(range.start()), Bound::Included(range.end());
    RangeFrom<Q>, |range| Bound::Included(&range.start), Bound::<&Q>::Unbounded;
    RangeTo<Q>, |range| Bound::<&Q>::Unbounded, Bound::Excluded(&range.end);
    RangeToInclusive<Q>, |range| Bound::<&Q>::Unbounded, Bound::Included(&range.end);
    (Bound<Q>, Bound<Q>), |range| range.0.as_ref(), range.1.as_ref();
}

impl<K> AsRange<K> for RangeFull {
    fn start(&self) -> Bound<Vec<u8>> {
        Bound::Unbounded
    }

    fn end(&self) -> Bound<Vec<u8>> {
        Bound::Unbounded
    }
}

impl<K, Q: AsKey<K> + ?Sized> AsKey<K> for &Q {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        (**self).encode(out);
    }
}

impl<K, Q: AsPrefix<K> + ?Sized> AsPrefix<K> for &Q {
    fn encode_prefix(&self, out: &mut Vec<u8>) {
        (**self).encode_prefix(out);
    }
}

impl<P: KeyPart> Key for P {
    const KINDS: &'static [KeyKind] = &[P::KIND];

    fn decode(input: &mut &[u8]) -> Result<Self, KeyError> {
        P::decode_part(input)
    }
}

macro_rules! tuples {
    ($(($($part:ident $query:ident $value:ident),+))+) => { $(
        impl<$($part: KeyPart),+> Key for ($($part,)+) {
            const KINDS: &'static [KeyKind] = &[$($part::KIND),+];

            fn decode(input: &mut &[u8]) -> Result<Self, KeyError> {
                Ok(($($part::decode_part(input)?,)+))
            }
        }

        impl<$($part: KeyPart, $query: AsKey<$part>),+> AsKey<($($part,)+)> for ($($query,)+) {
            #[inline]
            fn encode(&self, out: &mut Vec<u8>) {
                let ($($value,)+) = self;
                $($value.encode(out);)+
            }
        }
    )+ };
}

tuples! {
    (A P a)
    (A P a, B Q b)
    (A P a, B Q b, C R c)
    (A P a, B Q b, C R c, D S d)
}

macro_rules! prefixes {
    ($(($($part:ident $query:ident),+) ($($rest:ident),+))+) => { $(
        impl<$($part: KeyPart, $query: AsKey<$part>,)+ $($rest: KeyPart),+> AsPrefix<($($part,)+ $($rest,)+)>
            for ($($query,)+)
        {
            fn encode_prefix(&self, out: &mut Vec<u8>) {
                AsKey::<($($part,)+)>::encode(self, out);
            }
        }
    )+ };
}

prefixes! {
    (A P) (B)
    (A P) (B, C)
    (A P) (B, C, D)
    (A P, B Q) (C)
    (A P, B Q) (C, D)
    (A P, B Q, C R) (D)
}

/// The bytes of a key.
pub(crate) fn encoded<K>(key: impl AsKey<K>) -> Vec<u8> {
    let mut bytes = Vec::new();
    key.encode(&mut bytes);
    bytes
}

/// Decodes a whole key.
pub(crate) fn decode<K: Key>(mut bytes: &[u8]) -> Result<K, KeyError> {
    let key = K::decode(&mut bytes)?;
    if bytes.is_empty() { Ok(key) } else { Err(KeyError) }
}

/// A key as the host would show it: its part, or an array of its parts.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn to_json(mut bytes: &[u8], kinds: &[KeyKind]) -> serde_json::Value {
    fn part<P: KeyPart + Serialize>(bytes: &mut &[u8]) -> serde_json::Value {
        P::decode_part(bytes).map_or(serde_json::Value::Null, |part| serde_json::json!(part))
    }
    let part = |kind: &KeyKind| match kind {
        KeyKind::String => part::<String>(&mut bytes),
        KeyKind::Integer if bytes.first().is_some_and(|code| *code < 0x14) => part::<i64>(&mut bytes),
        KeyKind::Integer => part::<u64>(&mut bytes),
        KeyKind::Boolean => part::<bool>(&mut bytes),
        KeyKind::Bytes => part::<Vec<u8>>(&mut bytes),
        KeyKind::Float => part::<f64>(&mut bytes),
    };
    let mut parts: Vec<_> = kinds.iter().map(part).collect();
    if parts.len() == 1 { parts.remove(0) } else { parts.into() }
}

/// The end of the range of keys that begin with these whole parts: no part
/// begins with 0xFF, but an escaped zero byte of a longer string goes on so.
pub(crate) fn end_of_parts(prefix: &[u8]) -> Vec<u8> {
    [prefix, &[0xff]].concat()
}

/// The end of the range of byte strings that begin with these bytes.
pub(crate) fn end_of_bytes(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

#[cfg(test)]
mod tests;

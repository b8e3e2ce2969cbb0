//! Keys: the tuple encoding of FoundationDB, and JSON.
//!
//! A key is a tuple of parts. Its encoding sorts byte by byte as the tuples sort
//! part by part (text and bytes by their bytes, numbers by their value), says of
//! every part what type it has, and puts all keys that begin with the same parts
//! side by side. The [specification] is short.
//!
//! As JSON, text, numbers, booleans and null are themselves and bytes are
//! base64. A number that JSON cannot write is text: `"NaN"`, `"inf"`, `"-inf"`.
//! A key of one part is shown as that part, one of several as an array
//! ([`shown`]).
//!
//! - `decode.rs`: from bytes. `encode.rs`: into bytes, and ranges of keys.
//! - What a URL means by a key depends on the declared types: `query`.
//!
//! The crate `foundationdb-tuple` is not used outside the tests: its decoder
//! takes no unsigned 64-bit integers without big ones, and recurses as deep as
//! a key tells it to, which a plug-in could use to end the host.
//!
//! [specification]: https://github.com/apple/foundationdb/blob/main/design/tuple.md

mod decode;
mod encode;
#[cfg(test)]
mod tests;

use base64::{Engine, prelude::BASE64_STANDARD};
pub use decode::{decode, suffix};
pub use encode::{encode, prefix_range, text_prefix_range};
use serde_json::{Number, Value};

/// One part of a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Nothing; sorts before everything else.
    Null,
    /// Any bytes.
    Bytes(Vec<u8>),
    /// Text.
    String(String),
    /// A tuple within the tuple.
    Tuple(Vec<Part>),
    /// A whole number, from [`i64::MIN`] to [`u64::MAX`]. Others are never
    /// decoded, and encoded as the nearest of these.
    Integer(i128),
    /// A floating-point number of 32 bits.
    Single(f32),
    /// A floating-point number of 64 bits.
    Float(f64),
    /// `false` sorts before `true`.
    Boolean(bool),
    /// A UUID.
    Uuid([u8; 16]),
}

/// Bytes that are no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key 0x{} is not in the tuple encoding: {reason} at byte {at}", hex(.key))]
pub struct KeyError {
    /// The key.
    pub key: Vec<u8>,
    /// Where it goes wrong, from 0.
    pub at: usize,
    /// What is wrong there.
    pub reason: &'static str,
}

/// The parts of an encoded key, as JSON.
pub fn to_json(key: &[u8]) -> Result<Vec<Value>, KeyError> {
    Ok(decode(key)?.into_iter().map(Value::from).collect())
}

/// A key as people see it: the part of a key of one part, an array of others.
pub fn shown(key: &[u8]) -> Result<Value, KeyError> {
    let mut parts = to_json(key)?;
    Ok(if parts.len() == 1 { parts.remove(0) } else { Value::Array(parts) })
}

impl From<Part> for Value {
    fn from(part: Part) -> Self {
        match part {
            Part::Null => Value::Null,
            Part::Bytes(bytes) => Value::String(BASE64_STANDARD.encode(bytes)),
            Part::String(text) => Value::String(text),
            Part::Tuple(parts) => parts.into_iter().map(Value::from).collect(),
            Part::Integer(number) => integer(number),
            // By way of its shortest decimals: 0.1 is not to show as 0.10000000149.
            Part::Single(number) => float(number.to_string().parse().unwrap_or(f64::NAN)),
            Part::Float(number) => float(number),
            Part::Boolean(boolean) => Value::Bool(boolean),
            Part::Uuid(bytes) => Value::String(uuid(&bytes)),
        }
    }
}

fn integer(number: i128) -> Value {
    match i64::try_from(number) {
        Ok(number) => number.into(),
        Err(_) => u64::try_from(number).unwrap_or(u64::MAX).into(),
    }
}

fn float(number: f64) -> Value {
    Number::from_f64(number).map_or_else(|| Value::String(number.to_string()), Value::Number)
}

fn uuid(bytes: &[u8; 16]) -> String {
    let digits = hex(bytes);
    let groups = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    groups.join("-")
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes that announce a part's type.
mod code {
    pub(super) const NULL: u8 = 0x00;
    pub(super) const BYTES: u8 = 0x01;
    pub(super) const STRING: u8 = 0x02;
    pub(super) const TUPLE: u8 = 0x05;
    /// 0; the eight codes on either side are integers of one to eight bytes.
    pub(super) const ZERO: u8 = 0x14;
    pub(super) const SINGLE: u8 = 0x20;
    pub(super) const FLOAT: u8 = 0x21;
    pub(super) const FALSE: u8 = 0x26;
    pub(super) const TRUE: u8 = 0x27;
    pub(super) const UUID: u8 = 0x30;
    /// Behind a zero byte that does not end what it stands in.
    pub(super) const ESCAPE: u8 = 0xff;
}

//! How each type that a part of a key can have is written and read.

use std::borrow::Cow;

use super::{AsKey, AsPrefix, KeyError, KeyKind, KeyPart};
use crate::{Date, Timestamp};

const BYTES: u8 = 0x01;
const STRING: u8 = 0x02;
const ZERO: u8 = 0x14;
const DOUBLE: u8 = 0x21;
const FALSE: u8 = 0x26;
const TRUE: u8 = 0x27;

fn take<'a>(input: &mut &'a [u8], length: usize) -> Result<&'a [u8], KeyError> {
    let (taken, rest) = input.split_at_checked(length).ok_or(KeyError)?;
    *input = rest;
    Ok(taken)
}

fn take_code(input: &mut &[u8]) -> Result<u8, KeyError> {
    Ok(take(input, 1)?[0])
}

/// Eight at a time, wherever it runs: the standard library takes as many as a
/// pointer has bytes, four on wasm.
#[inline]
fn contains_zero(bytes: &[u8]) -> bool {
    const LOW: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let (words, rest) = bytes.as_chunks::<8>();
    let has_zero = |word: &[u8; 8]| {
        let word = u64::from_ne_bytes(*word);
        word.wrapping_sub(LOW) & !word & HIGH != 0
    };
    words.iter().any(has_zero) || rest.contains(&0)
}

/// Bytes up to a zero; a zero within is followed by 0xFF.
#[inline]
fn encode_bytes(code: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(code);
    if contains_zero(bytes) {
        for byte in bytes {
            out.push(*byte);
            if *byte == 0 {
                out.push(0xff);
            }
        }
    } else {
        out.extend_from_slice(bytes);
    }
    out.push(0);
}

fn decode_bytes(code: u8, input: &mut &[u8]) -> Result<Vec<u8>, KeyError> {
    if take_code(input)? != code {
        return Err(KeyError);
    }
    let mut bytes = Vec::new();
    loop {
        let zero = input.iter().position(|byte| *byte == 0).ok_or(KeyError)?;
        bytes.extend_from_slice(take(input, zero)?);
        take(input, 1)?;
        if input.first() != Some(&0xff) {
            return Ok(bytes);
        }
        bytes.push(0);
        take(input, 1)?;
    }
}

/// As few bytes as the number needs, their count in the code; those of a
/// negative number inverted, so that more bytes sort lower.
#[inline]
fn encode_integer(negative: bool, magnitude: u64, out: &mut Vec<u8>) {
    let length = 8 - magnitude.leading_zeros() / 8;
    let (code, bits) = match negative {
        false => (ZERO + length as u8, magnitude),
        true => (ZERO - length as u8, !magnitude),
    };
    // All eight bytes, and what is too much is taken back: on wasm, a copy whose
    // length is not known is a call out of the guest.
    let mut part = [code; 9];
    part[1..].copy_from_slice(&bits.rotate_right(8 * length).to_be_bytes());
    out.extend_from_slice(&part);
    out.truncate(out.len() - (8 - length as usize));
}

fn decode_integer(input: &mut &[u8]) -> Result<i128, KeyError> {
    let code = take_code(input)?;
    let length = usize::from(code.abs_diff(ZERO));
    if length > 8 {
        return Err(KeyError);
    }
    let mut bytes = [0; 8];
    bytes[8 - length..].copy_from_slice(take(input, length)?);
    let number = i128::from(u64::from_be_bytes(bytes));
    if code >= ZERO {
        return Ok(number);
    }
    let all_ones = (1_i128 << (8 * length)) - 1;
    Ok(number - all_ones)
}

/// Makes a type a part of a key: how it is written, then how it is read.
macro_rules! part {
    ($part:ty, $kind:ident, |$value:ident, $out:ident| $encode:expr, |$input:ident| $decode:expr $(, also $other:ty)*) => {
        impl KeyPart for $part {
            const KIND: KeyKind = KeyKind::$kind;

            fn decode_part($input: &mut &[u8]) -> Result<Self, KeyError> {
                $decode
            }
        }
        as_key!($part, $part, |$value, $out| $encode);
        $( as_key!($part, $other, |$value, $out| $encode); )*
    };
}

/// Lets a type stand for a part of a key, alone or as its first part.
macro_rules! as_key {
    ($part:ty, $query:ty, |$value:ident, $out:ident| $encode:expr) => {
        impl AsKey<$part> for $query {
            #[inline]
            fn encode(&self, $out: &mut Vec<u8>) {
                let $value = self;
                $encode
            }
        }
        impl<B: KeyPart> AsPrefix<($part, B)> for $query {
            fn encode_prefix(&self, out: &mut Vec<u8>) {
                AsKey::<$part>::encode(self, out);
            }
        }
        impl<B: KeyPart, C: KeyPart> AsPrefix<($part, B, C)> for $query {
            fn encode_prefix(&self, out: &mut Vec<u8>) {
                AsKey::<$part>::encode(self, out);
            }
        }
        impl<B: KeyPart, C: KeyPart, D: KeyPart> AsPrefix<($part, B, C, D)> for $query {
            fn encode_prefix(&self, out: &mut Vec<u8>) {
                AsKey::<$part>::encode(self, out);
            }
        }
    };
}

macro_rules! unsigned {
    ($($part:ty)+) => { $(
        part!(
            $part, Integer,
            |value, out| encode_integer(false, *value as u64, out),
            |input| decode_integer(input)?.try_into().map_err(|_| KeyError)
        );
    )+ };
}

macro_rules! signed {
    ($($part:ty)+) => { $(
        part!(
            $part, Integer,
            |value, out| encode_integer(*value < 0, value.unsigned_abs() as u64, out),
            |input| decode_integer(input)?.try_into().map_err(|_| KeyError)
        );
    )+ };
}

unsigned!(u8 u16 u32 u64 usize);
signed!(i8 i16 i32 i64 isize);

part!(
    String, String,
    |value, out| encode_bytes(STRING, value.as_bytes(), out),
    |input| String::from_utf8(decode_bytes(STRING, input)?).map_err(|_| KeyError),
    also str, also Cow<'_, str>
);

part!(
    Vec<u8>,
    Bytes,
    |value, out| encode_bytes(BYTES, value, out),
    |input| decode_bytes(BYTES, input),
    also[u8]
);

part!(bool, Boolean, |value, out| out.push(if *value { TRUE } else { FALSE }), |input| {
    match take_code(input)? {
        TRUE => Ok(true),
        FALSE => Ok(false),
        _ => Err(KeyError),
    }
});

const SIGN: u64 = 1 << 63;

part!(
    f64,
    Float,
    |value, out| {
        let bits = value.to_bits();
        out.push(DOUBLE);
        out.extend_from_slice(&(if bits & SIGN == 0 { bits | SIGN } else { !bits }).to_be_bytes());
    },
    |input| {
        if take_code(input)? != DOUBLE {
            return Err(KeyError);
        }
        let bits = u64::from_be_bytes(take(input, 8)?.try_into().map_err(|_| KeyError)?);
        Ok(f64::from_bits(if bits & SIGN == 0 { !bits } else { bits & !SIGN }))
    }
);

part!(Timestamp, Integer, |value, out| AsKey::<i64>::encode(&value.as_micros(), out), |input| {
    i64::decode_part(input).map(Timestamp::from_micros)
});

part!(Date, String, |value, out| AsKey::<String>::encode(&value.to_string(), out), |input| {
    String::decode_part(input)?.parse().map_err(|_| KeyError)
});

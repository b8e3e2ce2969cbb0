//! Parts into bytes, and ranges of keys.

use super::{Part, code};

/// Encodes a key.
pub fn encode(parts: &[Part]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        push(&mut bytes, part, false);
    }
    bytes
}

/// The keys that begin with these parts, the key of just these included:
/// from the first (included) up to the second (excluded).
pub fn prefix_range(parts: &[Part]) -> (Vec<u8>, Vec<u8>) {
    let start = encode(parts);
    let mut end = start.clone();
    // No part begins with it, and behind a text's end it would mean more text.
    end.push(code::ESCAPE);
    (start, end)
}

/// Like [`prefix_range`], but of the last part, if it is text or bytes, only
/// the beginning is given: `src/` finds `src/lib.rs`.
pub fn text_prefix_range(parts: &[Part]) -> (Vec<u8>, Vec<u8>) {
    if !matches!(parts.last(), Some(Part::String(_) | Part::Bytes(_))) {
        return prefix_range(parts);
    }
    let mut start = encode(parts);
    start.pop(); // the zero that ends it
    let mut end = start.clone();
    // The code of the type stands in front and is not 0xff: this ends.
    while end.last() == Some(&0xff) {
        end.pop();
    }
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    (start, end)
}

fn push(bytes: &mut Vec<u8>, part: &Part, nested: bool) {
    match part {
        Part::Null if nested => bytes.extend([code::NULL, code::ESCAPE]),
        Part::Null => bytes.push(code::NULL),
        Part::Bytes(content) => push_escaped(bytes, code::BYTES, content),
        Part::String(text) => push_escaped(bytes, code::STRING, text.as_bytes()),
        Part::Tuple(parts) => {
            bytes.push(code::TUPLE);
            for part in parts {
                push(bytes, part, true);
            }
            bytes.push(0);
        }
        Part::Integer(number) => push_integer(bytes, *number),
        Part::Single(number) => {
            bytes.push(code::SINGLE);
            let bits = number.to_bits();
            let flip = if bits >> 31 == 1 { u32::MAX } else { 1 << 31 };
            bytes.extend((bits ^ flip).to_be_bytes());
        }
        Part::Float(number) => {
            bytes.push(code::FLOAT);
            let bits = number.to_bits();
            let flip = if bits >> 63 == 1 { u64::MAX } else { 1 << 63 };
            bytes.extend((bits ^ flip).to_be_bytes());
        }
        Part::Boolean(boolean) => bytes.push(if *boolean { code::TRUE } else { code::FALSE }),
        Part::Uuid(uuid) => {
            bytes.push(code::UUID);
            bytes.extend(uuid);
        }
    }
}

fn push_escaped(bytes: &mut Vec<u8>, code: u8, content: &[u8]) {
    bytes.push(code);
    for (number, run) in content.split(|byte| *byte == 0).enumerate() {
        if number > 0 {
            bytes.extend([0, code::ESCAPE]);
        }
        bytes.extend_from_slice(run);
    }
    bytes.push(0);
}

/// As few bytes as it takes; of negative numbers the complement, so that they
/// sort too.
fn push_integer(bytes: &mut Vec<u8>, number: i128) {
    let number = number.clamp(i64::MIN.into(), u64::MAX.into());
    let magnitude = number.unsigned_abs() as u64;
    let length = 8 - magnitude.leading_zeros() as usize / 8;
    let (code, shown) = if number < 0 {
        (code::ZERO - length as u8, !magnitude)
    } else {
        (code::ZERO + length as u8, magnitude)
    };
    bytes.push(code);
    bytes.extend(&shown.to_be_bytes()[8 - length..]);
}

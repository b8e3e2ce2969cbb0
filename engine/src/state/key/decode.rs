//! Bytes into parts. Whatever the bytes, it ends with parts or an error.

use super::{KeyError, Part, code};

/// Tuples within tuples: more than anybody wants, less than the stack bears.
const DEEPEST: usize = 16;

/// Decodes a key.
pub fn decode(key: &[u8]) -> Result<Vec<Part>, KeyError> {
    let mut decoder = Decoder { key, at: 0 };
    let mut parts = Vec::new();
    while decoder.at < key.len() {
        parts.push(decoder.part(0)?);
    }
    Ok(parts)
}

/// The last `count` parts of a key, still encoded: the key of a table's row
/// within the key of an index on it.
pub fn suffix(key: &[u8], count: usize) -> Result<&[u8], KeyError> {
    let mut decoder = Decoder { key, at: 0 };
    let mut starts = Vec::new();
    while decoder.at < key.len() {
        starts.push(decoder.at);
        decoder.part(0)?;
    }
    starts.push(key.len());
    let first = starts.len().checked_sub(count + 1);
    first.map(|first| &key[starts[first]..]).ok_or_else(|| decoder.error("too few parts"))
}

struct Decoder<'a> {
    key: &'a [u8],
    at: usize,
}

impl Decoder<'_> {
    fn part(&mut self, depth: usize) -> Result<Part, KeyError> {
        let begin = self.at;
        let [code] = self.take::<1>()?;
        Ok(match code {
            // Within a tuple, its end was ruled out before.
            code::NULL if depth > 0 => {
                self.at += 1;
                Part::Null
            }
            code::NULL => Part::Null,
            code::BYTES => Part::Bytes(self.escaped()?),
            code::STRING => {
                let bytes = self.escaped()?;
                Part::String(String::from_utf8(bytes).map_err(|_| self.error("text that is no UTF-8"))?)
            }
            code::TUPLE if depth == DEEPEST => return Err(self.error("tuples nested too deeply")),
            code::TUPLE => Part::Tuple(self.tuple(depth + 1)?),
            0x0c..=0x1c => self.integer(code)?,
            code::SINGLE => {
                let bits = u32::from_be_bytes(self.take()?);
                let flip = if bits >> 31 == 0 { u32::MAX } else { 1 << 31 };
                Part::Single(f32::from_bits(bits ^ flip))
            }
            code::FLOAT => {
                let bits = u64::from_be_bytes(self.take()?);
                let flip = if bits >> 63 == 0 { u64::MAX } else { 1 << 63 };
                Part::Float(f64::from_bits(bits ^ flip))
            }
            code::FALSE => Part::Boolean(false),
            code::TRUE => Part::Boolean(true),
            code::UUID => Part::Uuid(self.take()?),
            _ => {
                self.at = begin;
                return Err(self.error("an unknown or unsupported type"));
            }
        })
    }

    fn tuple(&mut self, depth: usize) -> Result<Vec<Part>, KeyError> {
        let mut parts = Vec::new();
        loop {
            match (self.key.get(self.at), self.key.get(self.at + 1)) {
                (None, _) => return Err(self.error("the key ends within a tuple")),
                (Some(&code::NULL), next) if next != Some(&code::ESCAPE) => {
                    self.at += 1;
                    return Ok(parts);
                }
                _ => parts.push(self.part(depth)?),
            }
        }
    }

    fn escaped(&mut self) -> Result<Vec<u8>, KeyError> {
        let mut content = Vec::new();
        loop {
            let rest = &self.key[self.at..];
            let Some(zero) = rest.iter().position(|byte| *byte == 0) else {
                return Err(self.error("text or bytes without an end"));
            };
            content.extend(&rest[..zero]);
            self.at += zero + 1;
            if rest.get(zero + 1) != Some(&code::ESCAPE) {
                return Ok(content);
            }
            content.push(0);
            self.at += 1;
        }
    }

    fn integer(&mut self, code: u8) -> Result<Part, KeyError> {
        let length = usize::from(code.abs_diff(code::ZERO));
        let negative = code < code::ZERO;
        let Some(given) = self.key.get(self.at..self.at + length) else {
            return Err(self.error("the key ends within a number"));
        };
        let mut bytes = [if negative { 0xff } else { 0 }; 8];
        bytes[8 - length..].copy_from_slice(given);
        let shown = u64::from_be_bytes(bytes);
        let number = if negative { -i128::from(!shown) } else { i128::from(shown) };
        if number < i128::from(i64::MIN) {
            return Err(self.error("a number below those of 64 bits"));
        }
        self.at += length;
        Ok(Part::Integer(number))
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], KeyError> {
        let Some(bytes) = self.key[self.at..].first_chunk::<N>() else {
            return Err(self.error("the key ends within a part"));
        };
        self.at += N;
        Ok(*bytes)
    }

    fn error(&self, reason: &'static str) -> KeyError {
        KeyError { key: self.key.to_vec(), at: self.at, reason }
    }
}

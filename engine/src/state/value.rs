//! Values: MessagePack into JSON.
//!
//! Maps, arrays, text, numbers, booleans and nil are themselves; of a map, keys
//! that are not text become text, and of equal keys the last one counts; they
//! stay in the order in which they stand. Bytes
//! are base64. A timestamp is RFC 3339; another extension is an object with its
//! `type` and its `data` in base64. NaN and the infinities are null, as in
//! JavaScript. No bytes at all are null: an index's values.
//!
//! Whatever the bytes, it ends with a value or an error: they come from guests.

use base64::{Engine, prelude::BASE64_STANDARD};
use rmp::Marker;
use serde_json::{Map, Number, Value, json};

/// As deep as `serde_json` reads.
const DEEPEST: usize = 128;

/// Bytes that are no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value is not MessagePack: {reason} at byte {at}")]
pub struct ValueError {
    /// Where it goes wrong, from 0.
    pub at: usize,
    /// What is wrong there.
    pub reason: &'static str,
}

/// A value as JSON.
pub fn to_json(bytes: &[u8]) -> Result<Value, ValueError> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let mut reader = Reader { bytes, at: 0 };
    let value = reader.value(0)?;
    if reader.at < bytes.len() {
        return Err(reader.error("more bytes than the value has"));
    }
    Ok(value)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Value, ValueError> {
        let [marker] = self.fixed()?;
        Ok(match Marker::from_u8(marker) {
            Marker::Null => Value::Null,
            Marker::True => Value::Bool(true),
            Marker::False => Value::Bool(false),
            Marker::FixPos(number) => number.into(),
            Marker::FixNeg(number) => number.into(),
            Marker::U8 => u8::from_be_bytes(self.fixed()?).into(),
            Marker::U16 => u16::from_be_bytes(self.fixed()?).into(),
            Marker::U32 => u32::from_be_bytes(self.fixed()?).into(),
            Marker::U64 => u64::from_be_bytes(self.fixed()?).into(),
            Marker::I8 => i8::from_be_bytes(self.fixed()?).into(),
            Marker::I16 => i16::from_be_bytes(self.fixed()?).into(),
            Marker::I32 => i32::from_be_bytes(self.fixed()?).into(),
            Marker::I64 => i64::from_be_bytes(self.fixed()?).into(),
            // By way of its shortest decimals: 0.1 is not to show as 0.10000000149.
            Marker::F32 => {
                let number = f32::from_be_bytes(self.fixed()?);
                float(number.to_string().parse().unwrap_or(f64::NAN))
            }
            Marker::F64 => float(f64::from_be_bytes(self.fixed()?)),
            Marker::FixStr(length) => self.text(length.into())?.into(),
            Marker::Str8 => self.sized_text(Self::length8)?,
            Marker::Str16 => self.sized_text(Self::length16)?,
            Marker::Str32 => self.sized_text(Self::length32)?,
            Marker::Bin8 => self.sized_bytes(Self::length8)?,
            Marker::Bin16 => self.sized_bytes(Self::length16)?,
            Marker::Bin32 => self.sized_bytes(Self::length32)?,
            Marker::FixArray(length) => self.array(length.into(), depth)?,
            Marker::Array16 => self.sized(Self::length16, depth, Self::array)?,
            Marker::Array32 => self.sized(Self::length32, depth, Self::array)?,
            Marker::FixMap(length) => self.map(length.into(), depth)?,
            Marker::Map16 => self.sized(Self::length16, depth, Self::map)?,
            Marker::Map32 => self.sized(Self::length32, depth, Self::map)?,
            Marker::FixExt1 => self.extension(1)?,
            Marker::FixExt2 => self.extension(2)?,
            Marker::FixExt4 => self.extension(4)?,
            Marker::FixExt8 => self.extension(8)?,
            Marker::FixExt16 => self.extension(16)?,
            Marker::Ext8 => {
                let length = self.length8()?;
                self.extension(length)?
            }
            Marker::Ext16 => {
                let length = self.length16()?;
                self.extension(length)?
            }
            Marker::Ext32 => {
                let length = self.length32()?;
                self.extension(length)?
            }
            Marker::Reserved => return Err(self.error("the one marker that has no meaning")),
        })
    }

    fn array(&mut self, length: usize, depth: usize) -> Result<Value, ValueError> {
        self.enter(length, depth)?;
        (0..length).map(|_| self.value(depth + 1)).collect()
    }

    fn map(&mut self, length: usize, depth: usize) -> Result<Value, ValueError> {
        self.enter(length, depth)?;
        let mut map = Map::new();
        for _ in 0..length {
            let key = match self.value(depth + 1)? {
                Value::String(key) => key,
                key => key.to_string(),
            };
            map.insert(key, self.value(depth + 1)?);
        }
        Ok(Value::Object(map))
    }

    /// Refuses what is too deep, and what promises more than there are bytes.
    fn enter(&self, length: usize, depth: usize) -> Result<(), ValueError> {
        if depth >= DEEPEST {
            return Err(self.error("arrays or maps nested too deeply"));
        }
        if length > self.bytes.len() - self.at {
            return Err(self.error("fewer items than promised"));
        }
        Ok(())
    }

    fn sized(
        &mut self,
        length: impl Fn(&mut Self) -> Result<usize, ValueError>,
        depth: usize,
        read: impl Fn(&mut Self, usize, usize) -> Result<Value, ValueError>,
    ) -> Result<Value, ValueError> {
        let length = length(self)?;
        read(self, length, depth)
    }

    fn sized_text(
        &mut self,
        length: impl Fn(&mut Self) -> Result<usize, ValueError>,
    ) -> Result<Value, ValueError> {
        let length = length(self)?;
        Ok(self.text(length)?.into())
    }

    fn sized_bytes(
        &mut self,
        length: impl Fn(&mut Self) -> Result<usize, ValueError>,
    ) -> Result<Value, ValueError> {
        let length = length(self)?;
        Ok(BASE64_STANDARD.encode(self.take(length)?).into())
    }

    fn text(&mut self, length: usize) -> Result<&'a str, ValueError> {
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map_err(|_| self.error("text that is no UTF-8"))
    }

    fn extension(&mut self, length: usize) -> Result<Value, ValueError> {
        let kind = i8::from_be_bytes(self.fixed()?);
        let data = self.take(length)?;
        let timestamp = if kind == -1 { timestamp(data) } else { None };
        Ok(timestamp.unwrap_or_else(|| json!({ "type": kind, "data": BASE64_STANDARD.encode(data) })))
    }

    fn length8(&mut self) -> Result<usize, ValueError> {
        Ok(u8::from_be_bytes(self.fixed()?).into())
    }

    fn length16(&mut self) -> Result<usize, ValueError> {
        Ok(u16::from_be_bytes(self.fixed()?).into())
    }

    fn length32(&mut self) -> Result<usize, ValueError> {
        Ok(u32::from_be_bytes(self.fixed()?) as usize)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], ValueError> {
        let Some(bytes) = self.bytes[self.at..].first_chunk::<N>() else {
            return Err(self.error("the value ends too early"));
        };
        self.at += N;
        Ok(*bytes)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ValueError> {
        let Some(bytes) = self.bytes[self.at..].get(..length) else {
            return Err(self.error("the value ends too early"));
        };
        self.at += length;
        Ok(bytes)
    }

    fn error(&self, reason: &'static str) -> ValueError {
        ValueError { at: self.at, reason }
    }
}

fn float(number: f64) -> Value {
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

/// MessagePack's own extension -1, in its three sizes.
fn timestamp(data: &[u8]) -> Option<Value> {
    let (seconds, nanos) = match data.len() {
        4 => (i64::from(u32::from_be_bytes(data.try_into().ok()?)), 0),
        8 => {
            let packed = u64::from_be_bytes(data.try_into().ok()?);
            (i64::try_from(packed & 0x3_ffff_ffff).ok()?, packed >> 34)
        }
        12 => {
            let nanos = u32::from_be_bytes(data[..4].try_into().ok()?);
            (i64::from_be_bytes(data[4..].try_into().ok()?), nanos.into())
        }
        _ => return None,
    };
    let timestamp = jiff::Timestamp::new(seconds, i32::try_from(nanos).ok()?).ok()?;
    Some(timestamp.to_string().into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rmpv::Value as Packed;

    use super::*;

    fn packed(value: &Packed) -> Vec<u8> {
        let mut bytes = Vec::new();
        rmpv::encode::write_value(&mut bytes, value).unwrap();
        bytes
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-200_i64..200).prop_map(Value::from),
            (-1e9..1e9_f64).prop_map(Value::from),
            ".{0,40}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 60, 20, |value| {
            prop_oneof![
                proptest::collection::vec(value.clone(), 0..20).prop_map(Value::from),
                proptest::collection::hash_map(".{0,4}", value, 0..20)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn reads_what_serde_writes(value in any_json()) {
            let bytes = rmp_serde::to_vec_named(&value).unwrap();
            prop_assert_eq!(to_json(&bytes).unwrap(), value);
        }

        #[test]
        fn any_bytes_end_in_a_value_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = to_json(&bytes);
        }

        /// Nearly right is worse than random.
        #[test]
        fn a_damaged_value_ends_in_a_value_or_an_error(
            value in any_json(), at: prop::sample::Index, byte: u8, cut: bool,
        ) {
            let mut bytes = rmp_serde::to_vec_named(&value).unwrap();
            let at = at.index(bytes.len());
            if cut { bytes.truncate(at) } else { bytes[at] = byte }
            let _ = to_json(&bytes);
        }
    }

    #[test]
    fn shows_what_json_has_no_words_for() {
        let show = |value: &Packed| to_json(&packed(value)).unwrap();
        assert_eq!(show(&Packed::Binary(vec![0, 255, 1])), json!("AP8B"));
        assert_eq!(show(&Packed::F32(0.1)), json!(0.1));
        assert_eq!(show(&Packed::F64(f64::INFINITY)), json!(null));
        assert_eq!(show(&Packed::Ext(7, vec![1, 2])), json!({ "type": 7, "data": "AQI=" }));
        assert_eq!(show(&Packed::Ext(-1, vec![0, 0, 0, 1])), json!("1970-01-01T00:00:01Z"));
        let map = [(Packed::from(1), Packed::from(true)), (Packed::Nil, Packed::from("x"))];
        assert_eq!(show(&Packed::Map(map.into())), json!({ "1": true, "null": "x" }));
        assert_eq!(to_json(b"").unwrap(), json!(null));
    }

    #[test]
    fn fields_stay_in_their_order() {
        let map = ["zebra", "ant", "mole"].map(|name| (Packed::from(name), Packed::from(1)));
        let shown = to_json(&packed(&Packed::Map(map.into()))).unwrap();
        assert_eq!(shown.to_string(), r#"{"zebra":1,"ant":1,"mole":1}"#);
    }

    #[test]
    fn bombs_are_errors() {
        assert_eq!(
            to_json(&[0xdd, 0xff, 0xff, 0xff, 0xff, 0]).unwrap_err().reason,
            "fewer items than promised"
        );
        assert_eq!(to_json(&[0xdb, 0xff, 0xff, 0xff, 0xff]).unwrap_err().reason, "the value ends too early");
        assert_eq!(to_json(&[0x91; 100_000]).unwrap_err().reason, "arrays or maps nested too deeply");
        assert_eq!(
            to_json(&[0xc1]).unwrap_err().to_string(),
            "the value is not MessagePack: the one marker that has no meaning at byte 1"
        );
        assert_eq!(to_json(&[1, 2]).unwrap_err().reason, "more bytes than the value has");
    }
}

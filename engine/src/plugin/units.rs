//! Sizes and spans of time as people write them.

use std::{str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, de};

/// A number of bytes: in a settings file text such as `64 MiB` or a plain
/// number, on a command line either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// So many bytes, or as many as memory can have.
    pub fn in_memory(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_size(text).map(Self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected text such as \"64 MiB\" or a number of bytes")]
        enum Written {
            Bytes(u64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Bytes(bytes) => Ok(Self(bytes)),
            Written::Text(text) => text.parse().map_err(de::Error::custom),
        }
    }
}

/// A span of time: text such as `7d`, in a settings file and on a command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_duration(text).map(Self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Parses `64 MiB`, `1.5 GB`, `512kB` or a plain number of bytes. A letter
/// alone is meant in powers of two: `512k` is 512 KiB.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size: write it like \"64 MiB\", \"1 GB\" or 1048576");
    let (number, unit) = split(text).ok_or_else(wrong)?;
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        _ => return Err(wrong()),
    };
    let bytes = number * factor as f64;
    if bytes >= u64::MAX as f64 { Err(wrong()) } else { Ok(bytes as u64) }
}

/// Parses `250ms`, `2s`, `1.5 s`, `5m`, `1h` or `7d`. A unit is required.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no span of time: write it like \"250ms\", \"2s\" or \"5m\"");
    let (number, unit) = split(text).ok_or_else(wrong)?;
    let seconds = match unit {
        "ms" => number / 1e3,
        "s" => number,
        "m" | "min" => number * 60.0,
        "h" => number * 3_600.0,
        "d" => number * 86_400.0,
        _ => return Err(wrong()),
    };
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}

/// Writes a number of bytes so that people can read it: `256 MiB`.
pub fn format_size(bytes: u64) -> String {
    for (unit, name) in [(1u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
        if bytes >= unit {
            let tenths = (bytes as f64 / unit as f64 * 10.0).round() / 10.0;
            return format!("{tenths} {name}");
        }
    }
    format!("{bytes} bytes")
}

/// Writes a span of time so that people can read it: `250ms`, `2s`.
pub fn format_duration(duration: Duration) -> String {
    match duration.as_millis() {
        millis if millis % 1000 != 0 => format!("{millis}ms"),
        millis => format!("{}s", millis / 1000),
    }
}

fn split(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number = text[..end].parse::<f64>().ok()?;
    Some((number, text[end..].trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("1048576", 1 << 20),
            ("64 MiB", 64 << 20),
            ("64MiB", 64 << 20),
            (" 1 GB ", 1_000_000_000),
            ("1.5 kib", 1536),
            ("10 b", 10),
            ("512k", 512 << 10),
            ("1 M", 1 << 20),
            ("2g", 2 << 30),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "-1", "1 XB", "1 2", "1..5", "99999999999999999999 GiB", "one"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations() {
        for (text, millis) in [
            ("250ms", 250),
            ("2s", 2000),
            ("1.5 s", 1500),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("7d", 604_800_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "2", "s", "-2s", "2 days", "1e400s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn formats_read_back() {
        for bytes in [0, 5, 1 << 10, 3 << 20, 256 << 20, 1 << 30] {
            assert_eq!(parse_size(&format_size(bytes).replace(" bytes", "")), Ok(bytes));
        }
        assert_eq!(format_size(1_600_000), "1.5 MiB");
        for millis in [1, 250, 2000, 90_000] {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }
    }
}

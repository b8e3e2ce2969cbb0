//! Numbers, durations and sizes for people.

use std::time::Duration;

/// With thousands separators: `154,852`.
pub fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number and its noun: `1 event`, `2,000 events`.
pub fn count(value: u64, noun: &str) -> String {
    format!("{} {noun}{}", number(value), if value == 1 { "" } else { "s" })
}

/// How a digest begins: as many characters as people read.
pub fn short(digest: &str) -> &str {
    &digest[..digest.len().min(12)]
}

/// As coarse as reads well: `18 ms`, `1.2 s`, `3 min 20 s`, `2 h 5 min`.
pub fn duration(value: Duration) -> String {
    let seconds = value.as_secs();
    match seconds {
        0 => match value.as_millis() {
            0 => format!("{} µs", value.as_micros()),
            millis => format!("{millis} ms"),
        },
        1..60 => format!("{:.1} s", value.as_secs_f64()),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// `512 B`, `1.4 MiB`.
pub fn bytes(value: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if value < 1_024 {
        return format!("{value} B");
    }
    let mut scaled = value as f64 / 1_024.0;
    let mut unit = 0;
    while scaled >= 1_024.0 && unit < UNITS.len() - 1 {
        scaled /= 1_024.0;
        unit += 1;
    }
    format!("{scaled:.1} {}", UNITS[unit])
}

/// How many of something a second, rounded to three significant digits, for
/// more would pretend to a precision that no measurement has: `129,000`.
pub fn rate(count: u64, elapsed: Duration) -> String {
    let exact = count as f64 / elapsed.as_secs_f64().max(1e-6);
    let magnitude = 10f64.powi((exact.max(1.0).log10().floor() as i32 - 2).max(0));
    number(((exact / magnitude).round() * magnitude) as u64)
}

/// Text for a terminal: control characters, which could move the cursor or
/// change colours, are escaped.
pub fn printable(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    text.chars()
        .map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let texts = [0, 7, 999, 1_000, 154_852, 1_234_567_890].map(number);
        assert_eq!(texts, ["0", "7", "999", "1,000", "154,852", "1,234,567,890"]);
        assert_eq!(count(1, "event"), "1 event");
        assert_eq!(count(0, "event"), "0 events");
    }

    #[test]
    fn durations() {
        let texts = [80, 18_000, 1_234_000, 200_000_000, 7_500_000_000, 180_000_000_000]
            .map(|micros| duration(Duration::from_micros(micros)));
        assert_eq!(texts, ["80 µs", "18 ms", "1.2 s", "3 min 20 s", "2 h 5 min", "2 d 2 h"]);
    }

    #[test]
    fn sizes() {
        assert_eq!([0, 1_023, 1_024, 1_500_000].map(bytes), ["0 B", "1023 B", "1.0 KiB", "1.4 MiB"]);
    }

    #[test]
    fn rates() {
        assert_eq!(rate(154_852, Duration::from_millis(1_200)), "129,000");
        assert_eq!(rate(5, Duration::from_secs(1)), "5");
        assert_eq!(rate(0, Duration::ZERO), "0");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\n"), "a\\u{1b}[2Jb\\n");
        assert_eq!(printable("größe"), "größe");
    }
}

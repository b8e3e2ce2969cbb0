//! Points in time and calendar days, UTC. A projection has no clock, and takes its
//! times from the events; a reaction may ask for the time.

#[cfg(not(target_family = "wasm"))]
use std::cell::Cell;
use std::{fmt, ops::Add, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const DAY: i64 = 86_400_000_000;

/// A point in time: microseconds since the Unix epoch, UTC.
///
/// Prints, serializes and parses as RFC 3339.
///
/// ```
/// use projectionist_sdk::Timestamp;
///
/// let time: Timestamp = "2017-08-29T16:01:55+02:00".parse()?;
/// assert_eq!(time.to_string(), "2017-08-29T14:01:55Z");
/// assert_eq!(time.date().to_string(), "2017-08-29");
/// assert_eq!(time.hour(), 14);
/// # Ok::<(), projectionist_sdk::TimeError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From microseconds since the Unix epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// The day that it falls on, in UTC.
    pub const fn date(self) -> Date {
        Date::from_days(self.0.div_euclid(DAY))
    }

    /// The hour of the day, 0 to 23, in UTC.
    pub const fn hour(self) -> u8 {
        (self.0.rem_euclid(DAY) / 3_600_000_000) as u8
    }

    /// The time that has passed since an earlier one; zero if that is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0).max(0) as u64)
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }
}

/// The time, for reactions; in a projection it stands still, at the Unix epoch. In
/// native tests it is what the test says:
/// [`ReactionHarness::at`](crate::harness::ReactionHarness::at).
pub fn now() -> Timestamp {
    #[cfg(target_family = "wasm")]
    {
        let now = wasip2::clocks::wall_clock::now();
        let seconds = i64::try_from(now.seconds).unwrap_or(i64::MAX);
        Timestamp(seconds.saturating_mul(1_000_000).saturating_add(i64::from(now.nanoseconds / 1_000)))
    }
    #[cfg(not(target_family = "wasm"))]
    NOW.get()
}

#[cfg(not(target_family = "wasm"))]
thread_local! {
    static NOW: Cell<Timestamp> = const { Cell::new(Timestamp(0)) };
}

/// Sets the clock of native tests.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn set_now(now: Timestamp) {
    NOW.set(now);
}

/// Why a text is no time or date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeError {
    text: String,
    wanted: &'static str,
}

impl fmt::Display for TimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not {}", self.text, self.wanted)
    }
}

impl std::error::Error for TimeError {}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.rem_euclid(DAY);
        let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
        write!(f, "{}T{:02}:{:02}:{:02}", self.date(), seconds / 3600, seconds / 60 % 60, seconds % 60)?;
        if fraction != 0 {
            f.write_str(format!(".{fraction:06}").trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

impl FromStr for Timestamp {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        parse_timestamp(text).ok_or_else(|| TimeError {
            text: text.to_owned(),
            wanted: "a time of RFC 3339, such as 2017-08-29T14:01:55Z",
        })
    }
}

fn parse_timestamp(text: &str) -> Option<Timestamp> {
    let (date, rest) = text.split_at_checked(10)?;
    let date: Date = date.parse().ok()?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, rest) = rest.split_at_checked(8)?;
    let seconds = 60 * minutes(&clock[..5])? + number(clock[5..].strip_prefix(':')?, 60)?;
    let (fraction, zone) = match rest.strip_prefix('.') {
        None => (0, rest),
        Some(rest) => {
            let length = rest.bytes().take_while(u8::is_ascii_digit).count();
            let digits = format!("{:0<6}", &rest[..length]);
            (if length == 0 { return None } else { digits[..6].parse().ok()? }, &rest[length..])
        }
    };
    let offset = match zone {
        "Z" | "z" => 0,
        _ => match zone.split_at_checked(1)? {
            ("+", zone) => minutes(zone)?,
            ("-", zone) => -minutes(zone)?,
            _ => return None,
        },
    };
    Some(Timestamp(date.days() * DAY + (seconds - 60 * offset) * 1_000_000 + fraction))
}

/// `hh:mm`
fn minutes(text: &str) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    Some(60 * number(hours, 23)? + number(minutes, 59)?)
}

/// Two digits.
fn number(text: &str, largest: i64) -> Option<i64> {
    let valid = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| valid && *number <= largest)
}

/// A day of the Gregorian calendar.
///
/// Prints, serializes, parses, and as a key sorts, as `2017-08-29`.
///
/// ```
/// use projectionist_sdk::{Date, Timestamp};
///
/// let date = Timestamp::from_micros(0).date();
/// assert_eq!((date.year(), date.month(), date.day()), (1970, 1, 1));
/// assert_eq!(date.weekday(), 4, "a Thursday");
/// assert_eq!("2017-08-29".parse::<Date>()?.to_string(), "2017-08-29");
/// # Ok::<(), projectionist_sdk::TimeError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    year: i32,
    month: u8,
    day: u8,
}

impl Date {
    /// The year.
    pub const fn year(self) -> i32 {
        self.year
    }

    /// The month, from 1.
    pub const fn month(self) -> u8 {
        self.month
    }

    /// The day of the month, from 1.
    pub const fn day(self) -> u8 {
        self.day
    }

    /// The day of the week, from 1 (Monday) to 7 (Sunday), as ISO 8601 counts.
    pub const fn weekday(self) -> u8 {
        (self.days() + 3).rem_euclid(7) as u8 + 1
    }

    /// Days since 1970-01-01. (Howard Hinnant's algorithm: years begin in March,
    /// so that the day that is sometimes there comes last.)
    pub const fn days(self) -> i64 {
        let month = self.month as i64;
        let year = self.year as i64 - (month <= 2) as i64;
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + self.day as i64 - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * 146_097 + day_of_era - 719_468
    }

    /// The day that is so many days after 1970-01-01.
    pub const fn from_days(days: i64) -> Self {
        let days = days + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        Self {
            year: (year_of_era + era * 400 + (month <= 2) as i64) as i32,
            month: month as u8,
            day: day as u8,
        }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl FromStr for Date {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let parse = || {
            let (rest, day) = text.rsplit_once('-')?;
            let (year, month) = rest.rsplit_once('-')?;
            let date = Self {
                year: year.parse().ok()?,
                month: number(month, 12)? as u8,
                day: number(day, 31)? as u8,
            };
            // A day that the month does not have comes back as another.
            (Self::from_days(date.days()) == date && year.len() >= 4).then_some(date)
        };
        parse().ok_or_else(|| TimeError { text: text.to_owned(), wanted: "a date, such as 2017-08-29" })
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn days_and_dates_agree(days in -1_000_000_i64..4_000_000) {
            let date = Date::from_days(days);
            prop_assert_eq!(date.days(), days);
            let next = Date::from_days(days + 1);
            prop_assert!(next > date);
            prop_assert!(next.day() == 1 || next.day() == date.day() + 1);
        }

        #[test]
        fn times_come_back(micros in -60_000_000_000_000_000_i64..200_000_000_000_000_000) {
            let time = Timestamp::from_micros(micros);
            prop_assert_eq!(time.to_string().parse(), Ok(time));
        }
    }

    #[test]
    fn known_times() {
        let parse = |text: &str| text.parse::<Timestamp>().map(Timestamp::as_micros).ok();
        assert_eq!(parse("2017-08-29T14:01:55Z"), Some(1_504_015_315_000_000));
        assert_eq!(parse("2017-08-29T14:01:55.25Z"), Some(1_504_015_315_250_000));
        assert_eq!(parse("1969-12-31T23:59:59.999999Z"), Some(-1));
        assert_eq!(parse("2024-02-29T00:00:00-01:30"), Some(1_709_170_200_000_000));
        for wrong in ["", "2017-08-29", "2017-02-30T00:00:00Z", "2017-08-29T14:01:55", "2017-08-29T1é:01:55Z"]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}

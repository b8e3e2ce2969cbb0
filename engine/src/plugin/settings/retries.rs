//! How a reaction goes on after a failure.

use std::time::Duration;

use serde::Deserialize;

use super::{SettingsError, duration};

/// How a reaction goes on after a failure: it waits longer and longer, and then gives
/// the event up.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Retries {
    /// How long it waits after the first failure.
    #[serde(deserialize_with = "duration")]
    pub first: Duration,
    /// How many times longer after each further one.
    pub factor: f64,
    /// How long it waits at most.
    #[serde(deserialize_with = "duration")]
    pub most: Duration,
    /// By which part of that it may wait less or more, at random.
    pub jitter: f64,
    /// After so many failures the event becomes a dead letter …
    pub attempts: u32,
    /// … or after so long since the first.
    #[serde(deserialize_with = "duration")]
    pub total: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            factor: 2.0,
            most: Duration::from_secs(300),
            jitter: 0.2,
            attempts: 20,
            total: Duration::from_secs(24 * 3600),
        }
    }
}

impl Retries {
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        let range = |field, value: String, range: &str| {
            Err(SettingsError::Range { field, value, range: range.to_owned() })
        };
        if self.first < Duration::from_millis(1) || self.first > self.most {
            return range("retries.first", format!("{:?}", self.first), "from 1ms to retries.most");
        }
        if !(1.0..=100.0).contains(&self.factor) {
            return range("retries.factor", self.factor.to_string(), "from 1 to 100");
        }
        if !(0.0..=1.0).contains(&self.jitter) {
            return range("retries.jitter", self.jitter.to_string(), "from 0 to 1");
        }
        if self.attempts == 0 {
            return range("retries.attempts", self.attempts.to_string(), "at least 1");
        }
        Ok(())
    }
}

//! Many times of the same thing, and what they come to.

use std::time::Duration;

use anyhow::{Context as _, Result};

/// How long something took, each time.
#[derive(Clone, Default)]
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    pub(crate) fn push(&mut self, took: Duration) {
        self.0.push(took);
    }

    /// In milliseconds, what this share of them did not exceed: 0.99 for p99.
    pub(crate) fn percentile(mut self, share: f64) -> Result<f64> {
        self.0.sort_unstable();
        let index = (self.0.len() as f64 * share).ceil() as usize;
        let value = self.0.get(index.saturating_sub(1)).context("nothing was measured")?;
        Ok(value.as_secs_f64() * 1e3)
    }

    pub(crate) fn median(self) -> Result<f64> {
        self.percentile(0.5)
    }

    pub(crate) fn p99(self) -> Result<f64> {
        self.percentile(0.99)
    }
}

impl Extend<Duration> for Latencies {
    fn extend<T: IntoIterator<Item = Duration>>(&mut self, times: T) {
        self.0.extend(times);
    }
}

impl IntoIterator for Latencies {
    type Item = Duration;
    type IntoIter = std::vec::IntoIter<Duration>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let of = |count: u64, share| {
            let mut latencies = Latencies::default();
            latencies.extend((1..=count).rev().map(Duration::from_millis));
            latencies.percentile(share).ok()
        };
        assert_eq!(of(100, 0.99), Some(99.0));
        assert_eq!(of(101, 0.5), Some(51.0));
        assert_eq!(of(1, 0.99), Some(1.0));
        assert_eq!(of(0, 0.5), None);
    }
}

//! How metrics are written: one family after the other, each with all of its samples.

use std::fmt;

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeGaugeValue},
    metrics::{MetricType, exemplar::Exemplar},
    registry::Unit,
};

/// What tells a sample from the others of its family: names and values.
pub(super) type Labels<'a, const N: usize> = [(&'static str, &'a str); N];

/// No sample is shown with an event of its own.
const NO_EXEMPLAR: Option<&Exemplar<Labels<'_, 0>, u64>> = None;

/// What is written so far.
pub(super) struct Families<'a>(pub(super) DescriptorEncoder<'a>);

impl Families<'_> {
    /// What goes up and down. The unit is the last word of the whole name.
    pub(super) fn gauge<'s, const N: usize, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        unit: Option<&str>,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'s, N>, V)>,
    ) -> fmt::Result {
        let unit = unit.map(|unit| Unit::Other(unit.to_owned()));
        let mut family = self.0.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
        for (labels, value) in samples {
            match N {
                0 => family.encode_gauge(&value)?,
                _ => family.encode_family(&labels)?.encode_gauge(&value)?,
            }
        }
        Ok(())
    }

    /// What only ever grows, or begins anew. `_total` is added to its name.
    pub(super) fn counter<'s, const N: usize>(
        &mut self,
        name: &str,
        unit: Option<&str>,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'s, N>, u64)>,
    ) -> fmt::Result {
        let unit = unit.map(|unit| Unit::Other(unit.to_owned()));
        let mut family = self.0.encode_descriptor(name, help, unit.as_ref(), MetricType::Counter)?;
        for (labels, value) in samples {
            family.encode_family(&labels)?.encode_counter(&value, NO_EXEMPLAR)?;
        }
        Ok(())
    }

    /// What is said in labels alone. `_info` is added to its name.
    pub(super) fn info<'s, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = Labels<'s, N>>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Info)?;
        samples.into_iter().try_for_each(|labels| family.encode_info(&labels))
    }
}

/// A time or a span, from microseconds to seconds.
pub(super) fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

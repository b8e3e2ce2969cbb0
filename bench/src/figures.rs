//! What was measured: medians with their spread, beside what was to be reached.

use serde::{Deserialize, Serialize};

/// One thing that was measured, several times.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    /// Empty for a ratio.
    pub(crate) unit: String,
    pub(crate) values: Vec<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<Target>,
}

/// What a figure should reach.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    pub(crate) fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(target) => value >= target,
            Self::AtMost(target) => value <= target,
        }
    }
}

impl Figure {
    pub(crate) fn new(name: impl Into<String>, unit: &str, values: Vec<f64>) -> Self {
        Self { name: name.into(), unit: unit.to_owned(), values, target: None }
    }

    /// One figure over another, pair by pair.
    pub(crate) fn ratio(name: impl Into<String>, over: &Self, under: &Self) -> Self {
        let pairs = over.values.iter().zip(&under.values);
        Self::new(name, "", pairs.map(|(over, under)| over / under).collect())
    }

    /// The geometric mean of several ratios, run by run.
    pub(crate) fn geometric_mean(name: impl Into<String>, ratios: &[Self]) -> Self {
        let runs = ratios.iter().map(|ratio| ratio.values.len()).min().unwrap_or(0);
        let mean = |run: usize| {
            let logs: f64 = ratios.iter().map(|ratio| ratio.values[run].ln()).sum();
            (logs / ratios.len() as f64).exp()
        };
        Self::new(name, "", (0..runs).map(mean).collect())
    }

    pub(crate) fn at_least(mut self, target: f64) -> Self {
        self.target = Some(Target::AtLeast(target));
        self
    }

    pub(crate) fn at_most(mut self, target: f64) -> Self {
        self.target = Some(Target::AtMost(target));
        self
    }

    pub(crate) fn median(&self) -> f64 {
        self.spread()[1]
    }

    /// Minimum, median and maximum.
    pub(crate) fn spread(&self) -> [f64; 3] {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        let (low, high) = (sorted.len().saturating_sub(1) / 2, sorted.len() / 2);
        [at(0), f64::midpoint(at(low), at(high)), at(sorted.len().saturating_sub(1))]
    }

    /// Median, minimum, maximum and target, as they are shown.
    pub(crate) fn cells(&self) -> [String; 4] {
        let [min, median, max] = self.spread().map(|value| shown(value, &self.unit));
        let target = match self.target {
            None => String::new(),
            Some(target) => {
                let (sign, value) = match target {
                    Target::AtLeast(value) => ('≥', value),
                    Target::AtMost(value) => ('≤', value),
                };
                let met = if target.is_met(self.median()) { "reached" } else { "missed" };
                format!("{sign} {} {met}", shown(value, &self.unit))
            }
        };
        [median, min, max, target]
    }
}

/// A table on the terminal.
pub(crate) fn print(figures: &[Figure]) {
    let name = figures.iter().map(|figure| figure.name.chars().count()).max().unwrap_or(0);
    println!("{:<name$}  {:>12}  {:>12}  {:>12}", "", "median", "min", "max");
    for figure in figures {
        let [median, min, max, target] = figure.cells();
        let row = format!(
            "{:<name$}  {median:>12}  {min:>12}  {max:>12}  {:<9}  {target}",
            figure.name, figure.unit
        );
        println!("{}", row.trim_end());
    }
}

/// Few digits for what is small, groups of three for what is large.
fn shown(value: f64, unit: &str) -> String {
    if unit.is_empty() || value.abs() < 10.0 {
        return format!("{value:.2}");
    }
    if value.abs() < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

//! Medians, and the table that is printed.

/// One thing that was measured, several times.
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    pub(crate) values: Vec<f64>,
}

impl Figure {
    pub(crate) fn new(name: impl Into<String>, unit: &'static str, values: Vec<f64>) -> Self {
        Self { name: name.into(), unit, values }
    }

    /// One figure over another, pair by pair.
    pub(crate) fn ratio(name: impl Into<String>, over: &Self, under: &Self) -> Self {
        let pairs = over.values.iter().zip(&under.values);
        Self::new(name, "", pairs.map(|(over, under)| over / under).collect())
    }

    /// Minimum, median and maximum.
    fn spread(&self) -> [f64; 3] {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        let (low, high) = (sorted.len().saturating_sub(1) / 2, sorted.len() / 2);
        [at(0), f64::midpoint(at(low), at(high)), at(sorted.len().saturating_sub(1))]
    }
}

pub(crate) fn print(figures: &[Figure], runs: usize) {
    let name = figures.iter().map(|figure| figure.name.len()).max().unwrap_or(0);
    println!("{:<name$}  {:>12}  {:>12}  {:>12}", format!("median of {runs}"), "median", "min", "max");
    for figure in figures {
        let [min, median, max] = figure.spread().map(|value| shown(value, figure.unit));
        println!("{:<name$}  {median:>12}  {min:>12}  {max:>12}  {}", figure.name, figure.unit);
    }
}

fn shown(value: f64, unit: &str) -> String {
    if unit.is_empty() {
        return format!("{value:.2}");
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

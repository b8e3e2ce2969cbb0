//! Charts: horizontal bars, as SVG that is legible on light and dark pages.

use std::fmt::Write as _;

use crate::Figure;

const WIDTH: usize = 760;
const BAR: usize = 18;
const GAP: usize = 8;
/// Room for the longest figure with its unit.
const VALUE: usize = 140;

/// Colours that stand out from white and from black.
pub(super) const LIMIT: &str = "#8c959f";
pub(super) const OWN: &str = "#0f7b6c";
pub(super) const OTHER: &str = "#bf8700";

/// One bar, as long as its figure's median.
pub(super) struct Bar {
    name: String,
    length: f64,
    value: String,
    color: &'static str,
}

impl Bar {
    pub(super) fn new(name: &str, figure: &Figure, color: &'static str) -> Self {
        let [median, ..] = figure.cells();
        let value = format!("{median} {}", figure.unit);
        Self { name: name.to_owned(), length: figure.median(), value, color }
    }
}

/// One bar a figure that has the first figure's unit; none if that has none, or
/// shares it with no other.
pub(super) fn bars(figures: &[Figure]) -> Option<String> {
    let unit = figures.first().map(|figure| &figure.unit).filter(|unit| !unit.is_empty())?;
    let bars: Vec<Bar> = figures
        .iter()
        .filter(|figure| figure.unit == *unit)
        .map(|figure| {
            let color = if figure.name.contains("native") { LIMIT } else { OWN };
            Bar::new(&figure.name, figure, color)
        })
        .collect();
    (bars.len() > 1).then(|| draw(&bars))
}

/// The bars one below the other, on a linear scale from zero.
pub(super) fn draw(bars: &[Bar]) -> String {
    let most = bars.iter().map(|bar| bar.length).fold(f64::MIN_POSITIVE, f64::max);
    // So wide are the letters, more or less.
    let label = 16 + 7 * bars.iter().map(|bar| bar.name.chars().count()).max().unwrap_or(0);
    let room = WIDTH.saturating_sub(label + VALUE) as f64;
    let height = bars.len() * (BAR + GAP) + GAP;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <style>text {{ fill: #24292f }} @media (prefers-color-scheme: dark) {{ text {{ fill: #e6edf3 }} }}</style>\n"
    );
    for (index, Bar { name, length, value, color }) in bars.iter().enumerate() {
        let top = GAP + index * (BAR + GAP);
        let width = (length / most * room).max(1.0);
        let (text, end) = (top + BAR - 5, label as f64 + width + 6.0);
        writeln!(
            svg,
            "<text x=\"{}\" y=\"{text}\" text-anchor=\"end\">{}</text>\n\
             <rect x=\"{label}\" y=\"{top}\" width=\"{width:.1}\" height=\"{BAR}\" fill=\"{color}\"/>\n\
             <text x=\"{end:.1}\" y=\"{text}\">{}</text>",
            label - 8,
            escaped(name),
            escaped(value)
        )
        .expect("a string takes everything");
    }
    svg.push_str("</svg>\n");
    svg
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

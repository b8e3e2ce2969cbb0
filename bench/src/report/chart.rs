//! Charts: horizontal bars, as SVG that is legible on light and dark pages.

use std::fmt::Write as _;

use crate::Figure;

const WIDTH: usize = 760;
const LABEL: usize = 330;
const BAR: usize = 18;
const GAP: usize = 8;

/// One bar a figure that has the first figure's unit; none if that has none, or
/// shares it with no other.
pub(super) fn bars(figures: &[Figure]) -> Option<String> {
    let unit = figures.first().map(|figure| &figure.unit).filter(|unit| !unit.is_empty())?;
    let figures: Vec<&Figure> = figures.iter().filter(|figure| figure.unit == *unit).collect();
    if figures.len() < 2 {
        return None;
    }
    let most = figures.iter().map(|figure| figure.median()).fold(f64::MIN_POSITIVE, f64::max);
    let room = (WIDTH - LABEL - 120) as f64;
    let height = figures.len() * (BAR + GAP) + GAP;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <style>text {{ fill: #24292f }} @media (prefers-color-scheme: dark) {{ text {{ fill: #e6edf3 }} }}</style>\n"
    );
    for (index, figure) in figures.iter().enumerate() {
        let top = GAP + index * (BAR + GAP);
        let width = (figure.median() / most * room).max(1.0);
        let color = if figure.name.contains("native") { "#8c959f" } else { "#0f7b6c" };
        let (text, end) = (top + BAR - 5, LABEL as f64 + width + 6.0);
        let [median, ..] = figure.cells();
        let name = escaped(&figure.name);
        writeln!(
            svg,
            "<text x=\"{}\" y=\"{text}\" text-anchor=\"end\">{name}</text>\n\
             <rect x=\"{LABEL}\" y=\"{top}\" width=\"{width:.1}\" height=\"{BAR}\" fill=\"{color}\"/>\n\
             <text x=\"{end:.1}\" y=\"{text}\">{median} {unit}</text>",
            LABEL - 8
        )
        .expect("a string takes everything");
    }
    svg.push_str("</svg>\n");
    Some(svg)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

//! How the screen looks.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Borders, LineGauge, Paragraph, Wrap},
};
use serde_json::Value;

use super::screen::{Prompt, Question, Screen};
use crate::{
    cli::support::{
        difference::{differences, shown},
        text,
    },
    query::StepDocument,
};

/// Narrower than this, the panes stand below one another.
const NARROW: u16 = 80;

const HELP: &str = "q quit  → ← step  PgDn PgUp ten  g go to  b breakpoint  c C next, last  ↑ ↓ Tab scroll";

/// Draws it.
pub(super) fn draw(frame: &mut Frame<'_>, screen: &Screen) {
    let rows = [1, 1].map(Constraint::Length).into_iter().chain([Constraint::Min(3)]);
    let rows = Layout::vertical(rows.chain([1, 1].map(Constraint::Length)));
    let [title, progress, main, status, help] = rows.areas(frame.area());
    frame.render_widget(headline(screen), title);
    let ratio = screen.position() as f64 / screen.head.max(1) as f64;
    let label = format!("{} of {}", text::number(screen.position()), text::number(screen.head));
    let gauge = LineGauge::default().ratio(ratio.clamp(0.0, 1.0)).label(label);
    frame.render_widget(gauge.filled_style(Style::new().fg(Color::Cyan)), progress);
    let panes: [Rect; 3] = match main.width < NARROW {
        true => Layout::vertical([Constraint::Fill(2), Constraint::Fill(2), Constraint::Fill(1)]).areas(main),
        false => {
            let [left, right] = Layout::horizontal([Constraint::Fill(1); 2]).areas(main);
            let [changes, output] = Layout::vertical([Constraint::Fill(2), Constraint::Fill(1)]).areas(right);
            [left, changes, output]
        }
    };
    let step = screen.step();
    let contents = [
        ("event", step.map(event).unwrap_or_default()),
        ("changes", step.map(changes).unwrap_or_default()),
        ("output", step.map(output).unwrap_or_default()),
    ];
    for (index, (area, (title, lines))) in panes.into_iter().zip(contents).enumerate() {
        let focused = index == screen.focus;
        let style = if focused { Style::new().fg(Color::Cyan) } else { Style::new().fg(Color::DarkGray) };
        let block = Block::new().borders(Borders::ALL).border_style(style).title(title);
        // The last line stays in sight.
        let scroll = screen.scroll[index].min(lines.len().saturating_sub(1) as u16);
        let pane = Paragraph::new(lines).block(block).wrap(Wrap { trim: false }).scroll((scroll, 0));
        frame.render_widget(pane, area);
    }
    frame.render_widget(bottom(screen), status);
    frame.render_widget(Line::styled(HELP, Style::new().fg(Color::DarkGray)), help);
}

fn headline(screen: &Screen) -> Line<'static> {
    let field = |name: &str| {
        let field = screen.step().and_then(|step| step.event.get(name)).and_then(Value::as_str);
        field.map(text::printable)
    };
    let time = field("time").or(field("recorded"));
    let parts = [Some(text::printable(&screen.name)), field("type"), field("subject"), time];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    Line::styled(parts.join(" · "), Style::new().add_modifier(Modifier::BOLD))
}

/// The prompt, or what there is to say, or the breakpoints.
fn bottom(screen: &Screen) -> Line<'static> {
    if let Some(Prompt { question, text }) = &screen.prompt {
        let question = match question {
            Question::Position => "go to position",
            Question::Breakpoint => "set or lift a breakpoint, like type=TYPE or change=TABLE/KEY",
        };
        return Line::from(format!("{question}: {text}▏"));
    }
    if let Some(note) = &screen.note {
        return Line::styled(text::printable(note), Style::new().fg(Color::Yellow));
    }
    let breakpoints: Vec<_> =
        screen.breakpoints.iter().map(|known| text::printable(&known.to_string())).collect();
    match breakpoints.as_slice() {
        [] => Line::default(),
        several => Line::from(format!("breakpoints: {}", several.join("  "))),
    }
}

fn event(step: &StepDocument) -> Vec<Line<'static>> {
    let json = serde_json::to_string_pretty(&step.event).expect("JSON always encodes");
    json.lines().map(|line| Line::from(clean(line))).collect()
}

fn changes(step: &StepDocument) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    if let Some(failure) = &step.failure {
        let what = match failure.halts {
            true => "the version halts here:",
            false => "a dead letter:",
        };
        let style = Style::new().fg(Color::Red);
        lines.extend([Line::styled(what, style), Line::styled(clean(&failure.reason), style)]);
    }
    for change in &step.changes {
        let row = &change.row;
        let head = format!("{} {}", text::printable(&change.table), shown(&row.key));
        lines.push(Line::styled(head, Style::new().add_modifier(Modifier::BOLD)));
        for difference in differences(row.before.as_ref(), row.after.as_ref()) {
            let colour = match difference.sign {
                '+' => Color::Green,
                '-' => Color::Red,
                _ => Color::Yellow,
            };
            lines.push(Line::styled(format!("  {}", clean(&difference.line())), Style::new().fg(colour)));
        }
    }
    if lines.is_empty() {
        lines.push(Line::styled("it changed nothing", Style::new().fg(Color::DarkGray)));
    }
    lines
}

fn output(step: &StepDocument) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    if step.output_left_out > 0 {
        let left_out = text::count(step.output_left_out, "line");
        lines.push(Line::styled(format!("({left_out} before these)"), Style::new().fg(Color::DarkGray)));
    }
    lines.extend(step.output.iter().map(|line| match line.stream.as_str() {
        "stderr" => Line::from(Span::styled(clean(&line.line), Style::new().fg(Color::Red))),
        _ => Line::from(clean(&line.line)),
    }));
    lines
}

/// Text without anything that could move the cursor.
fn clean(line: &str) -> String {
    text::printable(&line.replace('\t', "    "))
}

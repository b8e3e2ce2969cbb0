use expect_test::{Expect, expect};
use proptest::prelude::*;
use ratatui::{
    Terminal,
    backend::TestBackend,
    crossterm::event::{KeyCode, KeyEvent},
};
use serde_json::{Value, json};

use super::{
    breakpoint::Breakpoint,
    draw::draw,
    pages::Asked,
    screen::{Screen, Wish},
};
use crate::query::{FailureDocument, OutputLine, RowComparison, StepDocument, StepsPage, TableChange};

/// A server in miniature: a step at every third position, of one type or another.
struct Server {
    steps: Vec<StepDocument>,
    head: u64,
}

fn position(step: &StepDocument) -> u64 {
    step.event["position"].as_u64().unwrap()
}

impl Server {
    fn with(count: u64) -> Self {
        let step = |number: u64| StepDocument {
            event: json!({
                "id": number.to_string(), "type": if number.is_multiple_of(7) { "seventh" } else { "other" },
                "subject": "Cargo.toml", "time": "2017-08-29T14:01:55Z", "position": number * 3,
                "data": {"author": "Ada"},
            }),
            changes: vec![TableChange {
                table: "files".into(),
                row: RowComparison {
                    key: json!("Cargo.toml"),
                    before: (number > 1).then(|| json!({"changes": number - 1, "last_author": "Grace"})),
                    after: Some(json!({"changes": number, "last_author": "Ada"})),
                },
            }],
            output: vec![OutputLine { stream: "stdout".into(), line: format!("seen\t{number}") }],
            output_left_out: 0,
            failure: None,
        };
        Self { steps: (1..=count).map(step).collect(), head: count * 3 }
    }

    /// As the real one does, but that it looks no further than a hundred positions at a time.
    fn read(&self, asked: &Asked) -> StepsPage {
        let (from, to) = (asked.from.unwrap_or(1), asked.to.unwrap_or(self.head).min(self.head));
        let is_met = |step: &&StepDocument| {
            asked.breakpoints.is_empty()
                || asked.breakpoints.iter().any(|breakpoint| step.event["type"] == *breakpoint.value)
        };
        let (first, last) = match asked.reverse {
            true => (from.max(to.saturating_sub(99)), to),
            false => (from, to.min(from + 99)),
        };
        let mut steps: Vec<_> = self
            .steps
            .iter()
            .filter(|step| (first..=last).contains(&position(step)))
            .filter(is_met)
            .cloned()
            .collect();
        if asked.reverse {
            steps.reverse();
        }
        let next = match (steps.get(asked.limit), asked.reverse) {
            (Some(step), _) => Some(position(step)),
            (None, false) => (last < to).then_some(last + 1),
            (None, true) => (first > from).then(|| first - 1),
        };
        steps.truncate(asked.limit);
        StepsPage { version: "v".into(), head: self.head, steps, next }
    }

    /// Does what is wanted until nothing is. Answers whether it is the end.
    fn serve(&self, screen: &mut Screen, mut wish: Wish) -> bool {
        loop {
            wish = match wish {
                Wish::Wait => return false,
                Wish::Quit => return true,
                Wish::Ask(asked, purpose) => screen.answer(&asked, purpose, self.read(&asked)),
            };
        }
    }

    fn press(&self, screen: &mut Screen, keys: impl IntoIterator<Item = KeyCode>) -> bool {
        keys.into_iter().any(|key| {
            let wish = screen.key(KeyEvent::from(key));
            self.serve(screen, wish)
        })
    }

    fn opened(&self, breakpoints: &[&str]) -> Screen {
        let breakpoints = breakpoints.iter().map(|text| text.parse::<Breakpoint>().unwrap()).collect();
        let mut screen = Screen::new("churn".into(), breakpoints);
        let wish = screen.go(1);
        self.serve(&mut screen, wish);
        screen
    }
}

fn keys(text: &str) -> impl Iterator<Item = KeyCode> {
    text.chars().map(|char| if char == '\n' { KeyCode::Enter } else { KeyCode::Char(char) })
}

fn shows(screen: &Screen, (width, height): (u16, u16), expected: Expect) {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, screen)).unwrap();
    let buffer = terminal.backend().buffer();
    let row = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    let frame: String = (0..height).map(|y| format!("{}\n", row(y).trim_end())).collect();
    expected.assert_eq(&frame);
}

#[test]
fn a_step_is_shown() {
    let server = Server::with(400);
    let mut screen = server.opened(&["type=seventh"]);
    server.press(&mut screen, keys("n"));
    shows(
        &screen,
        (100, 18),
        expect![[r#"
            churn · other · Cargo.toml · 2017-08-29T14:01:55Z
            6 of 1,200 ─────────────────────────────────────────────────────────────────────────────────────────
            ┌event───────────────────────────────────────────┐┌changes─────────────────────────────────────────┐
            │{                                               ││files Cargo.toml                                │
            │  "id": "2",                                    ││  ~ changes: 1 → 2                              │
            │  "type": "other",                              ││  ~ last_author: Grace → Ada                    │
            │  "subject": "Cargo.toml",                      ││                                                │
            │  "time": "2017-08-29T14:01:55Z",               ││                                                │
            │  "position": 6,                                ││                                                │
            │  "data": {                                     ││                                                │
            │    "author": "Ada"                             │└────────────────────────────────────────────────┘
            │  }                                             │┌output──────────────────────────────────────────┐
            │}                                               ││seen    2                                       │
            │                                                ││                                                │
            │                                                ││                                                │
            └────────────────────────────────────────────────┘└────────────────────────────────────────────────┘
            breakpoints: type=seventh
            q quit  → ← step  PgDn PgUp ten  g go to  b breakpoint  c C next, last  ↑ ↓ Tab scroll
        "#]],
    );
    server.press(&mut screen, keys("b"));
    shows(
        &screen,
        (100, 8),
        expect![[r#"
            churn · other · Cargo.toml · 2017-08-29T14:01:55Z
            6 of 1,200 ─────────────────────────────────────────────────────────────────────────────────────────
            ┌event───────────────────────────────────────────┐┌changes─────────────────────────────────────────┐
            │{                                               ││files Cargo.toml                                │
            │  "id": "2",                                    │└────────────────────────────────────────────────┘
            └────────────────────────────────────────────────┘┌output──────────────────────────────────────────┐
            set or lift a breakpoint, like type=TYPE or change=TABLE/KEY: ▏
            q quit  → ← step  PgDn PgUp ten  g go to  b breakpoint  c C next, last  ↑ ↓ Tab scroll
        "#]],
    );
    server.press(&mut screen, keys("type=x\ng1,200\n"));
    shows(
        &screen,
        (60, 20),
        expect![[r#"
            churn · other · Cargo.toml · 2017-08-29T14:01:55Z
            1,200 of 1,200 ─────────────────────────────────────────────
            ┌event─────────────────────────────────────────────────────┐
            │{                                                         │
            │  "id": "400",                                            │
            │  "type": "other",                                        │
            │  "subject": "Cargo.toml",                                │
            └──────────────────────────────────────────────────────────┘
            ┌changes───────────────────────────────────────────────────┐
            │files Cargo.toml                                          │
            │  ~ changes: 399 → 400                                    │
            │  ~ last_author: Grace → Ada                              │
            │                                                          │
            │                                                          │
            └──────────────────────────────────────────────────────────┘
            ┌output────────────────────────────────────────────────────┐
            │seen    400                                               │
            └──────────────────────────────────────────────────────────┘
            breakpoints: type=seventh  type=x
            q quit  → ← step  PgDn PgUp ten  g go to  b breakpoint  c C
        "#]],
    );
}

#[test]
fn a_failure_is_shown() {
    let mut server = Server::with(3);
    server.steps[2].failure =
        Some(FailureDocument { reason: "it panicked: no such account".into(), halts: true });
    server.steps[2].changes.clear();
    let mut screen = server.opened(&[]);
    server.press(&mut screen, keys("nnn"));
    shows(
        &screen,
        (100, 12),
        expect![[r#"
            churn · other · Cargo.toml · 2017-08-29T14:01:55Z
            9 of 9 ─────────────────────────────────────────────────────────────────────────────────────────────
            ┌event───────────────────────────────────────────┐┌changes─────────────────────────────────────────┐
            │{                                               ││the version halts here:                         │
            │  "id": "3",                                    ││it panicked: no such account                    │
            │  "type": "other",                              ││                                                │
            │  "subject": "Cargo.toml",                      │└────────────────────────────────────────────────┘
            │  "time": "2017-08-29T14:01:55Z",               │┌output──────────────────────────────────────────┐
            │  "position": 9,                                ││seen    3                                       │
            └────────────────────────────────────────────────┘└────────────────────────────────────────────────┘
            it halts here
            q quit  → ← step  PgDn PgUp ten  g go to  b breakpoint  c C next, last  ↑ ↓ Tab scroll
        "#]],
    );
}

#[test]
fn the_end_and_what_cannot_be_done_are_told() {
    let server = Server::with(30);
    let mut screen = server.opened(&[]);
    let mut told = |keys: &str, expected: &str| {
        assert!(!server.press(&mut screen, self::keys(keys)));
        assert_eq!(screen.note.as_deref().unwrap_or_default(), expected, "{keys}");
    };
    told("p", "this is the first event");
    told("c", "there is no breakpoint; b sets one");
    told("gx\n", "\"x\" is no position");
    told("g91\n", "there is no event for this plug-in from there on");
    told("g90\nn", "this is the last event so far");
    told(
        "bnonsense\n",
        "write a breakpoint like type=TYPE, subject=SUBJECT, key=TABLE/KEY, change=TABLE/KEY",
    );
    told("btype=seventh\nc", "no step from here on meets a breakpoint");
    // Once more lifts it.
    told("btype=seventh\nc", "there is no breakpoint; b sets one");
    assert!(server.press(&mut screen, keys("q")));
    assert!(!server.press(&mut screen, keys("bq")), "q is a letter in what is written");
}

#[test]
fn without_any_event_nothing_goes_wrong() {
    let server = Server::with(0);
    let mut screen = server.opened(&["type=seventh"]);
    server.press(&mut screen, keys("npcCjk "));
    server.press(&mut screen, [KeyCode::PageDown, KeyCode::End, KeyCode::Home, KeyCode::Tab]);
    assert_eq!(screen.position(), 0);
}

proptest! {
    /// Whatever is pressed, what is shown is what a search through all steps would find.
    #[test]
    fn keys_lead_where_a_search_would(count in 1_u64..300, pressed in prop::collection::vec(0_usize..9, 1..40)) {
        let server = Server::with(count);
        let mut screen = server.opened(&["type=seventh"]);
        let mut number = 1;
        let sevenths = |number: u64| (1..=count).filter(|other| other % 7 == 0).partition::<Vec<_>, _>(|other| *other < number);
        for key in pressed {
            let (key, to) = match key {
                0 | 1 => (KeyCode::Right, (number + 1).min(count)),
                2 | 3 => (KeyCode::Left, (number - 1).max(1)),
                4 => (KeyCode::PageDown, (number + 10).min(count)),
                5 => (KeyCode::PageUp, number.saturating_sub(10).max(1)),
                6 => (KeyCode::Char('c'), sevenths(number + 1).1.first().copied().unwrap_or(number)),
                7 => (KeyCode::Char('C'), sevenths(number).0.last().copied().unwrap_or(number)),
                _ => (KeyCode::End, count),
            };
            server.press(&mut screen, [key]);
            number = to;
            prop_assert_eq!(screen.position(), number * 3, "{:?}", key);
            prop_assert_eq!(&screen.step().unwrap().event["id"], &Value::from(number.to_string()));
        }
    }
}

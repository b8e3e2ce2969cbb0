//! What is shown of history, and what keys do to it. Knows neither terminal nor server.

use std::collections::VecDeque;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{breakpoint::Breakpoint, pages::Asked};
use crate::{
    cli::support::text,
    event::Position,
    query::{StepDocument, StepsPage},
};

/// How many steps are read at once.
const PAGE: usize = 50;
/// How far a page key goes.
const SEVERAL: isize = 10;
/// How many steps are kept at hand.
const KEPT: usize = 2_000;

/// The panes, in the order in which they get the focus.
pub(super) const PANES: usize = 3;

/// What is shown.
pub(super) struct Screen {
    pub(super) name: String,
    /// Steps without a gap, oldest first.
    steps: VecDeque<StepDocument>,
    /// Which of them is shown.
    at: usize,
    /// How many steps are still to be gone, forwards or backwards.
    pending: isize,
    /// The log's last position.
    pub(super) head: Position,
    pub(super) breakpoints: Vec<Breakpoint>,
    /// A line that is being written.
    pub(super) prompt: Option<Prompt>,
    /// What there is to say.
    pub(super) note: Option<String>,
    /// How far each pane is scrolled.
    pub(super) scroll: [u16; PANES],
    pub(super) focus: usize,
}

/// A line that is being written.
pub(super) struct Prompt {
    pub(super) question: Question,
    pub(super) text: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    Position,
    Breakpoint,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Nothing: wait for a key.
    Wait,
    /// The server is to be asked; its answer goes to [`Screen::answer`].
    Ask(Asked, Purpose),
    /// The end.
    Quit,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Steps around which all begins anew.
    Go,
    /// Steps behind those that are there, or before.
    More,
    /// The next step that meets a breakpoint.
    Find,
}

impl Screen {
    pub(super) fn new(name: String, breakpoints: Vec<Breakpoint>) -> Self {
        Self {
            name,
            steps: VecDeque::new(),
            at: 0,
            pending: 0,
            head: 0,
            breakpoints,
            prompt: None,
            note: None,
            scroll: [0; PANES],
            focus: 0,
        }
    }

    /// The step that is shown.
    pub(super) fn step(&self) -> Option<&StepDocument> {
        self.steps.get(self.at)
    }

    /// The position of the event that is shown; 0 where there is none.
    pub(super) fn position(&self) -> Position {
        self.step().map_or(0, position)
    }

    /// To the first step from a position on.
    pub(super) fn go(&mut self, from: Position) -> Wish {
        self.note = Some(format!("folding up to position {} …", text::number(from)));
        Wish::Ask(Asked { from: Some(from.max(1)), limit: PAGE, ..Asked::default() }, Purpose::Go)
    }

    /// What a key does.
    pub(super) fn key(&mut self, key: KeyEvent) -> Wish {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return Wish::Quit;
        }
        self.note = None;
        if let Some(prompt) = self.prompt.take() {
            return self.written(prompt, key.code);
        }
        match key.code {
            KeyCode::Char('q') => Wish::Quit,
            KeyCode::Right | KeyCode::Char('n' | ' ') => self.walk(1),
            KeyCode::Left | KeyCode::Char('p') => self.walk(-1),
            KeyCode::PageDown => self.walk(SEVERAL),
            KeyCode::PageUp => self.walk(-SEVERAL),
            KeyCode::Home => self.go(1),
            KeyCode::End => {
                self.note = Some("folding up to the log's last event …".to_owned());
                Wish::Ask(Asked { reverse: true, limit: PAGE, ..Asked::default() }, Purpose::Go)
            }
            KeyCode::Char('g') => self.ask(Question::Position),
            KeyCode::Char('b') => self.ask(Question::Breakpoint),
            KeyCode::Char('c') => self.find(self.position() + 1, false),
            KeyCode::Char('C') => self.find(self.position().saturating_sub(1), true),
            KeyCode::Tab => {
                self.focus = (self.focus + 1) % PANES;
                Wish::Wait
            }
            KeyCode::Down | KeyCode::Char('j') => self.scroll_by(1),
            KeyCode::Up | KeyCode::Char('k') => self.scroll_by(-1),
            _ => Wish::Wait,
        }
    }

    /// What the server has answered.
    pub(super) fn answer(&mut self, asked: &Asked, purpose: Purpose, page: StepsPage) -> Wish {
        self.head = page.head;
        self.note = None;
        match purpose {
            Purpose::Go => self.gone(asked, page),
            Purpose::More => self.more(asked, page),
            Purpose::Find => self.found(asked, page),
        }
    }

    /// What was asked for is not to be had, or not wanted any more.
    pub(super) fn failed(&mut self, reason: String) {
        self.pending = 0;
        self.note = Some(reason);
    }

    fn gone(&mut self, asked: &Asked, mut page: StepsPage) -> Wish {
        if asked.reverse {
            page.steps.reverse();
        }
        if page.steps.is_empty() {
            return match page.next {
                Some(next) => Wish::Ask(onwards(asked, next), Purpose::Go),
                None => {
                    self.note = Some(match asked.reverse {
                        true => "there is no event for this plug-in".to_owned(),
                        false => "there is no event for this plug-in from there on".to_owned(),
                    });
                    Wish::Wait
                }
            };
        }
        self.at = if asked.reverse { page.steps.len() - 1 } else { 0 };
        self.steps = page.steps.into();
        self.pending = 0;
        self.shows_another();
        Wish::Wait
    }

    fn more(&mut self, asked: &Asked, page: StepsPage) -> Wish {
        if page.steps.is_empty() {
            return match page.next {
                Some(next) => Wish::Ask(onwards(asked, next), Purpose::More),
                None => {
                    self.pending = 0;
                    self.note = Some(match asked.reverse {
                        true => "this is the first event".to_owned(),
                        false => "this is the last event so far".to_owned(),
                    });
                    Wish::Wait
                }
            };
        }
        for step in page.steps {
            match asked.reverse {
                true => {
                    self.steps.push_front(step);
                    self.at += 1;
                }
                false => self.steps.push_back(step),
            }
        }
        let wish = self.walk(0);
        self.forget();
        wish
    }

    fn found(&mut self, asked: &Asked, page: StepsPage) -> Wish {
        match (page.steps.first(), page.next) {
            (Some(step), _) => {
                let position = position(step);
                let known = self.steps.iter().position(|step| self::position(step) == position);
                match known {
                    Some(at) => {
                        self.at = at;
                        self.shows_another();
                        Wish::Wait
                    }
                    None => self.go(position),
                }
            }
            (None, Some(next)) => self.find(next, asked.reverse),
            (None, None) => {
                let where_to = if asked.reverse { "before" } else { "from here on" };
                self.note = Some(format!("no step {where_to} meets a breakpoint"));
                Wish::Wait
            }
        }
    }

    /// To the next step that meets a breakpoint, from a position on or back.
    fn find(&mut self, at: Position, reverse: bool) -> Wish {
        if self.breakpoints.is_empty() {
            self.note = Some("there is no breakpoint; b sets one".to_owned());
            return Wish::Wait;
        }
        if (reverse && at == 0) || (!reverse && self.is_halted()) {
            self.note = Some(if reverse { "this is the first event" } else { "it halts here" }.to_owned());
            return Wish::Wait;
        }
        self.note = Some(format!("looking at position {} …  Esc: stop looking", text::number(at)));
        let breakpoints = self.breakpoints.clone();
        let asked = Asked { limit: 1, breakpoints, reverse, ..Asked::default() };
        Wish::Ask(onwards(&asked, at), Purpose::Find)
    }

    /// Goes some steps, as far as they are there, and asks for the others.
    fn walk(&mut self, steps: isize) -> Wish {
        self.pending += steps;
        let last = self.steps.len().saturating_sub(1) as isize;
        let to = (self.at as isize + self.pending).clamp(0, last);
        self.pending -= to - self.at as isize;
        if to as usize != self.at {
            self.at = to as usize;
            self.shows_another();
        }
        if self.pending > 0 && self.is_halted() {
            self.pending = 0;
            self.note = Some("it halts here".to_owned());
        }
        let (Some(first), Some(last)) = (self.steps.front(), self.steps.back()) else {
            self.pending = 0;
            return Wish::Wait;
        };
        let asked = Asked { limit: PAGE, reverse: self.pending < 0, ..Asked::default() };
        match self.pending {
            0 => Wish::Wait,
            1.. => Wish::Ask(onwards(&asked, position(last) + 1), Purpose::More),
            _ if position(first) <= 1 => {
                self.pending = 0;
                self.note = Some("this is the first event".to_owned());
                Wish::Wait
            }
            _ => Wish::Ask(onwards(&asked, position(first) - 1), Purpose::More),
        }
    }

    /// Whether the version goes no further than what is shown.
    fn is_halted(&self) -> bool {
        self.step().and_then(|step| step.failure.as_ref()).is_some_and(|failure| failure.halts)
    }

    fn ask(&mut self, question: Question) -> Wish {
        self.prompt = Some(Prompt { question, text: String::new() });
        Wish::Wait
    }

    /// A key while a line is being written.
    fn written(&mut self, mut prompt: Prompt, key: KeyCode) -> Wish {
        match key {
            KeyCode::Esc => return Wish::Wait,
            KeyCode::Enter => return self.entered(&prompt),
            KeyCode::Backspace => drop(prompt.text.pop()),
            KeyCode::Char(char) => prompt.text.push(char),
            _ => {}
        }
        self.prompt = Some(prompt);
        Wish::Wait
    }

    fn entered(&mut self, Prompt { question, text }: &Prompt) -> Wish {
        let text = text.trim();
        match question {
            _ if text.is_empty() => {}
            Question::Position => match text.replace(',', "").parse() {
                Ok(position) => return self.go(position),
                Err(_) => self.note = Some(format!("\"{text}\" is no position")),
            },
            Question::Breakpoint => match text.parse::<Breakpoint>() {
                Ok(breakpoint) => match self.breakpoints.iter().position(|known| *known == breakpoint) {
                    Some(known) => drop(self.breakpoints.remove(known)),
                    None => self.breakpoints.push(breakpoint),
                },
                Err(reason) => self.note = Some(reason),
            },
        }
        Wish::Wait
    }

    fn scroll_by(&mut self, lines: i16) -> Wish {
        let scroll = &mut self.scroll[self.focus];
        *scroll = scroll.saturating_add_signed(lines);
        Wish::Wait
    }

    fn shows_another(&mut self) {
        self.scroll = [0; PANES];
    }

    /// Keeps the steps around the one that is shown.
    fn forget(&mut self) {
        while self.steps.len() > KEPT {
            match self.at > KEPT / 2 {
                true => {
                    self.steps.pop_front();
                    self.at -= 1;
                }
                false => drop(self.steps.pop_back()),
            }
        }
    }
}

/// The same from a position on, or back.
fn onwards(asked: &Asked, at: Position) -> Asked {
    let (from, to) = if asked.reverse { (None, Some(at)) } else { (Some(at), None) };
    Asked { from, to, ..asked.clone() }
}

fn position(step: &StepDocument) -> Position {
    step.event.get("position").and_then(serde_json::Value::as_u64).unwrap_or_default()
}

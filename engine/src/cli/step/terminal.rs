//! The terminal: keys in, frames out, and the server asked meanwhile.

use std::{io, time::Duration};

use anyhow::{Context as _, Result};
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
};
use tokio::sync::mpsc;

use super::{
    draw::draw,
    pages::Pages,
    screen::{Screen, Wish},
};

/// How often the thread that waits for keys looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(100);

/// Shows a screen until somebody has seen enough.
pub(super) async fn run(screen: &mut Screen, first: Wish, pages: &Pages) -> Result<()> {
    // What cannot be asked at all is said before the screen changes.
    let first = match first {
        Wish::Ask(asked, purpose) => {
            let page = pages.read(&asked).await?;
            screen.answer(&asked, purpose, page)
        }
        wish => wish,
    };
    let mut terminal = ratatui::try_init().context("this terminal cannot be drawn on")?;
    let shown = show(screen, first, pages, &mut terminal).await;
    let restored = ratatui::try_restore();
    shown.and(restored.map_err(Into::into))
}

async fn show(screen: &mut Screen, first: Wish, pages: &Pages, terminal: &mut DefaultTerminal) -> Result<()> {
    let mut keys = keys()?;
    let mut wish = first;
    loop {
        terminal.draw(|frame| draw(frame, screen))?;
        wish = match wish {
            Wish::Quit => return Ok(()),
            Wish::Wait => match keys.recv().await.transpose()? {
                Some(Input::Key(key)) => screen.key(key),
                Some(Input::Resized) => Wish::Wait,
                None => return Ok(()),
            },
            Wish::Ask(asked, purpose) => tokio::select! {
                page = pages.read(&asked) => match page {
                    Ok(page) => screen.answer(&asked, purpose, page),
                    Err(error) => {
                        screen.failed(format!("{error:#}"));
                        Wish::Wait
                    }
                },
                stopped = stopped(&mut keys) => {
                    screen.failed("stopped".to_owned());
                    if stopped? { Wish::Quit } else { Wish::Wait }
                }
            },
        };
    }
}

/// Waits until somebody does not want to wait any longer; answers whether they want to end
/// altogether.
async fn stopped(keys: &mut mpsc::Receiver<io::Result<Input>>) -> Result<bool> {
    loop {
        match keys.recv().await.transpose()? {
            Some(Input::Key(key)) => match key.code {
                KeyCode::Esc => return Ok(false),
                KeyCode::Char('q') => return Ok(true),
                KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Ok(true),
                _ => {}
            },
            Some(Input::Resized) => {}
            None => return Ok(true),
        }
    }
}

/// What comes from the terminal.
enum Input {
    Key(KeyEvent),
    Resized,
}

/// The keys, as they are pressed; a thread waits for them.
fn keys() -> Result<mpsc::Receiver<io::Result<Input>>> {
    let (sender, receiver) = mpsc::channel(64);
    let read = move || {
        while !sender.is_closed() {
            let input = match event::poll(LOOK).and_then(|ready| ready.then(event::read).transpose()) {
                Ok(Some(Event::Key(key))) if key.kind != KeyEventKind::Release => Ok(Input::Key(key)),
                Ok(Some(Event::Resize(..))) => Ok(Input::Resized),
                Ok(_) => continue,
                Err(error) => Err(error),
            };
            let failed = input.is_err();
            if sender.blocking_send(input).is_err() || failed {
                return;
            }
        }
    };
    std::thread::Builder::new().name("keys".into()).spawn(read).context("no thread could be started")?;
    Ok(receiver)
}

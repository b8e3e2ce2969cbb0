//! `step`: what each event did, forwards and backwards.
//!
//! On a terminal: `step/screen.rs` is what is shown and what keys do, `step/draw.rs` how it
//! looks, `step/terminal.rs` brings both to the terminal and asks the server. Elsewhere a
//! JSON document a step. `step/pages.rs`: the server's steps; `step/breakpoint.rs`.

mod breakpoint;
mod draw;
mod pages;
mod screen;
mod terminal;
#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal as _};

use anyhow::Result;

use self::{
    breakpoint::Breakpoint,
    pages::{Asked, Pages},
    screen::Screen,
};
use super::{
    Context,
    support::{client::Place, output::Output, values::at_least_one},
};
use crate::event::Position;

/// As many steps as a page of the server may hold.
const PAGE: usize = 1_000;

/// Step through history: event by event, the event, the rows that it changed, and what the plug-in printed
///
/// The version's code folds history once more for it, apart from what runs. On a terminal, arrow keys step forwards
/// and backwards, b sets a breakpoint, c goes on to the next one, C back to the one before, q ends. Elsewhere, or with
/// --json, each step is a JSON document in a line.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The plug-in
    name: String,
    /// From the event at this position on [default: the first, or with --reverse the last]
    #[arg(long, value_name = "POSITION")]
    from: Option<Position>,
    /// Stop here: type=TYPE, subject=SUBJECT, key=TABLE/KEY (the row is written) or change=TABLE/KEY (it changes); can
    /// be given several times. In JSON: show only steps that meet one
    #[arg(long = "break", value_name = "BREAKPOINT")]
    breakpoints: Vec<Breakpoint>,
    /// Backwards, for JSON
    #[arg(long)]
    reverse: bool,
    /// At most so many steps, for JSON [default: no limit]
    #[arg(long, short = 'n', value_parser = at_least_one)]
    limit: Option<usize>,
    /// A version that is kept, by how its digest begins [default: the live one]
    #[arg(long, value_name = "DIGEST")]
    version: Option<String>,
    #[command(flatten)]
    place: Place,
}

/// Runs the command.
pub async fn run(args: Args, context: &mut Context) -> Result<()> {
    let client = args.place.required_server(&context.settings)?;
    let pages = Pages::new(client, args.name.clone(), args.version.clone());
    let is_shown = io::stdout().is_terminal() && io::stdin().is_terminal();
    if context.output.is_json() || !is_shown || args.reverse || args.limit.is_some() {
        return list(&args, &pages, &mut context.output).await;
    }
    let mut screen = Screen::new(args.name, args.breakpoints);
    let first = screen.go(args.from.unwrap_or(1));
    terminal::run(&mut screen, first, &pages).await
}

/// A JSON document a step.
async fn list(args: &Args, pages: &Pages, output: &mut Output) -> Result<()> {
    let mut left = args.limit.unwrap_or(usize::MAX);
    let mut at = args.from;
    loop {
        let (from, to) = if args.reverse { (None, at) } else { (at, None) };
        let breakpoints = args.breakpoints.clone();
        let asked = Asked { from, to, reverse: args.reverse, limit: left.min(PAGE), breakpoints };
        let page = pages.read(&asked).await?;
        page.steps.iter().try_for_each(|step| output.json(step))?;
        output.flush()?;
        left -= page.steps.len().min(left);
        at = page.next;
        if at.is_none() || left == 0 {
            return Ok(());
        }
    }
}

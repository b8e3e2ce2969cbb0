//! Where the last run ended, and what had been given up and is taken up again.

use std::collections::BTreeSet;

use super::Runner;
use crate::{
    event::{Block, Position},
    plugin::description::OnFailure,
    projection::Halt,
    reaction::{backlog::Backlog, setbacks::Setbacks, timers::Timers},
    state::{Answered, BookEntry},
};

impl Runner {
    /// Goes on where the last run ended, however it did.
    pub(super) async fn recover(&mut self) -> Result<(), Halt> {
        let books = self.state().books().map_err(Halt::of_host)?;
        let checkpoint = self.state().checkpoint().position;
        let mut open = Vec::with_capacity(books.open.len());
        for position in books.open {
            open.push((position, self.source.at(position).await?));
        }
        self.backlog = Backlog::new(books.handled_to.max(checkpoint), open);
        self.setbacks = Setbacks::new(books.waiting);
        self.outgoing = books.outbox.last().map_or(1, |last| last.number + 1);
        self.outbox = books.outbox.into();
        self.timers = Timers::new(books.timers);
        self.release_or_hold()?;
        let open: Vec<(Position, Block)> = self.backlog.open().collect();
        for (position, event) in open {
            match event.is_empty() {
                true => self.vanished(position),
                false => self.admit(&event, &[position]).await?,
            }
        }
        // What had been given up may stand anywhere.
        let revived = self.setbacks.waiting().map(|waiting| waiting.position).filter(|position| {
            *position <= self.backlog.read_to() && self.backlog.event(*position).is_none()
        });
        for position in revived.collect::<Vec<_>>() {
            let event = self.source.at(position).await?;
            self.revive(position, event).await?;
        }
        self.find_interrupted().await
    }

    /// Events that had called when the last run ended, however it did, come first.
    async fn find_interrupted(&mut self) -> Result<(), Halt> {
        let handled_to = self.backlog.read_to();
        let waiting = self.setbacks.waiting().map(|waiting| waiting.position);
        let open = self.backlog.open().map(|(position, _)| position).chain(waiting);
        let open: BTreeSet<Position> = open.filter(|position| *position <= handled_to).collect();
        let mut found = self.state().answered(handled_to + 1, Position::MAX).map_err(Halt::of_host)?;
        if let Some(last) = found.last().map(|answered| answered.position) {
            // They had been read, so there is room for them.
            let mut read_to = None;
            while self.backlog.read_to() < last && read_to != Some(self.backlog.read_to()) {
                read_to = Some(self.backlog.read_to());
                self.read(self.log.head()).await?;
            }
        }
        for position in open {
            found.extend(self.state().answered(position, position).map_err(Halt::of_host)?);
        }
        // What has failed since its calls waits, with nothing kept for it.
        found.retain(|Answered { position, last, .. }| {
            let is_over = self.setbacks.of(*position).is_some_and(|waiting| waiting.next > *last);
            self.keys.contains_key(position) && !self.setbacks.holds(*position) && !is_over
        });
        found.sort_unstable_by_key(|answered| answered.first);
        self.interrupted = found.into_iter().map(|answered| answered.position).collect();
        Ok(())
    }

    /// Dead letters that were left open hold up their lanes, or do no more.
    fn release_or_hold(&mut self) -> Result<(), Halt> {
        for letter in self.state().dead_letters().map_err(Halt::of_host)? {
            if self.backlog.event(letter.position).is_some() {
                match self.holds() {
                    true => self.setbacks.hold(letter.position),
                    false => self.backlog.close(letter.position),
                }
            }
        }
        Ok(())
    }

    /// Whether a dead letter holds up its lane.
    pub(super) fn holds(&self) -> bool {
        self.version.plugin().on_failure() == OnFailure::HoldLane
    }

    /// Lets an event be handled that had been given up; whether it may run now, the
    /// books say.
    pub(super) async fn revive(&mut self, position: Position, event: Block) -> Result<(), Halt> {
        if event.is_empty() {
            self.vanished(position);
            return Ok(());
        }
        self.backlog.revive(position, event.clone());
        self.admit(&event, &[position]).await
    }

    /// Of an event that was not handled, an upcaster that has come since leaves nothing.
    fn vanished(&mut self, position: Position) {
        if self.setbacks.of(position).is_some() {
            self.entries.push(BookEntry::Handled(position));
        }
        self.close(position);
    }
}

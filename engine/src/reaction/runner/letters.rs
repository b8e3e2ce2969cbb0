//! What can be done about dead letters.

use std::collections::VecDeque;

use super::Runner;
use crate::{
    projection::Halt,
    reaction::handle::{Command, LetterError, Letters, What},
    state::{BookEntry, DeadLetter, Waiting},
};

impl Runner {
    /// Does something about dead letters.
    pub(super) async fn obey(&mut self, command: Command) -> Result<(), Halt> {
        let Command { letters, what, reply } = command;
        let done = self.about_letters(letters, what).await;
        let answer = match &done {
            Ok(done) => done.clone(),
            Err(halt) => Err(LetterError::Host { reason: halt.to_string() }),
        };
        // Whoever asked may have gone away.
        let _ = reply.send(answer);
        done.map(drop)
    }

    async fn about_letters(
        &mut self,
        letters: Letters,
        what: What,
    ) -> Result<Result<usize, LetterError>, Halt> {
        let mut found = self.state().dead_letters().map_err(Halt::of_host)?;
        if let Letters::One(position) = letters {
            found.retain(|letter| letter.position == position);
            if found.is_empty() {
                return Ok(Err(LetterError::Unknown { position }));
            }
        }
        let (now, count) = (self.now(), found.len());
        let mut events = VecDeque::new();
        if matches!(what, What::Retry) {
            for DeadLetter { position, .. } in &found {
                match self.source.at(*position).await {
                    Ok(event) => events.push_back(event),
                    // It stays what it is, and all others as well.
                    Err(halt) => return Ok(Err(LetterError::Host { reason: halt.to_string() })),
                }
            }
        }
        let (mut revived, mut dropped) = (Vec::new(), Vec::new());
        for DeadLetter { position, reason, .. } in found {
            match what {
                What::Drop => {
                    // Timers are nobody's to upcast.
                    let event = self.source.recorded_at(position)?;
                    if let Some(timer) = self.timers.of(&event) {
                        let gone = BookEntry::TimerGone(timer.key.clone());
                        self.timers.apply(&gone);
                        self.entries.push(gone);
                    }
                    self.entries.push(BookEntry::Dropped(position));
                    dropped.push(position);
                }
                What::Retry => {
                    let waiting = Waiting { position, attempts: 0, since: now, next: now, reason };
                    self.entries.push(BookEntry::Revived(waiting.clone()));
                    self.setbacks.let_go(waiting);
                    revived.push((position, events.pop_front().unwrap_or_default()));
                }
            }
        }
        self.save().map_err(Halt::of_host)?;
        if !revived.is_empty() {
            // Whoever asks for it holds the cause to be gone.
            self.succeeds();
        }
        for (position, event) in revived {
            match self.setbacks.release(position).then(|| self.keys.get(&position)).flatten() {
                // It is the first of its lane.
                Some(key) => self.lanes.resume(key, position),
                None => self.revive(position, event).await?,
            }
        }
        for position in dropped {
            if self.setbacks.release(position)
                && let Some(key) = self.keys.get(&position).cloned()
            {
                self.close(position);
                self.lanes.finished(&key, |position| self.setbacks.stops(position));
            }
        }
        Ok(Ok(count))
    }
}

//! Steps along the log.

use std::sync::Arc;

use super::{
    code::Code,
    division::Division,
    source::Source,
    stepper::{Step, Stepper},
    version::Halt,
};
use crate::{
    event::{Block, Partition, Position},
    log::EventLog,
    state::View,
};

/// How many events are chosen from at once.
const PORTION: usize = 1024;

/// A stepper on its way along the log.
pub struct Walk {
    stepper: Stepper,
    source: Source,
    /// The events that come next …
    ahead: Block,
    /// … from this one on …
    next: usize,
    /// … and there are no others up to here.
    ahead_to: Position,
}

impl Walk {
    /// From a state of the plug-in on.
    pub fn new(code: &Code, base: Arc<View>, log: Arc<dyn EventLog>) -> Self {
        let division = Arc::new(Division::new(1));
        let source = Source::new(log, code, Partition::WHOLE, division);
        let stepper = Stepper::new(code.plugin(), base);
        Self { ahead_to: stepper.position(), stepper, source, ahead: Block::default(), next: 0 }
    }

    /// What takes the steps.
    pub fn stepper(&self) -> &Stepper {
        &self.stepper
    }

    /// Up to where events are folded.
    pub fn position(&self) -> Position {
        self.stepper.position()
    }

    /// Takes the next step; none where the plug-in wants no event any more up to `last`,
    /// where it stands then.
    ///
    /// # Errors
    /// If the log or the state cannot be read, or the plug-in cannot be started.
    pub async fn next(&mut self, last: Position) -> Result<Option<Step>, Halt> {
        loop {
            if let Some(head) = self.ahead.heads.get(self.next) {
                if head.position > last {
                    self.stepper.pass(last);
                    return Ok(None);
                }
                let rest = &self.ahead.heads[self.next..];
                // An upcaster may have split it: what stands at one position is one step.
                let end = self.next + rest.iter().take_while(|other| other.position == head.position).count();
                let event = self.ahead.select(self.next..end, |_| true);
                let step = self.stepper.step(&event).await?;
                if step.as_ref().is_some_and(|step| step.halt().is_none()) {
                    self.next = end;
                }
                return Ok(step);
            }
            self.stepper.pass(self.ahead_to.min(last));
            if self.ahead_to >= last {
                return Ok(None);
            }
            let portion = self.source.portion(self.ahead_to + 1, last, PORTION).await?;
            let Some(portion) = portion else { return Ok(None) };
            (self.ahead, self.next, self.ahead_to) = (portion.events, 0, portion.to);
        }
    }

    /// Takes steps back, so that it stands at `position`; no further than it can. Answers
    /// whether it stands there.
    pub fn back_to(&mut self, position: Position) -> bool {
        let is_there = self.stepper.back_to(position);
        (self.ahead, self.next, self.ahead_to) = (Block::default(), 0, self.stepper.position());
        is_there
    }
}

//! What a runner does about an event that cannot be folded: finds it, and then
//! keeps it as a dead letter or halts.

use super::{
    super::{
        suspect::{Finding, Suspect},
        version::{EventAtFault, Halt},
    },
    Runner, StepError,
};
use crate::{clock, event::Position, plugin::description::OnFailure, state::DeadLetter};

/// So many traps that no single event causes are borne before the runner halts.
const UNEXPLAINED_FAILURES: u32 = 16;
/// After so many positions without one, they are forgotten.
const FORGIVEN_AFTER: u64 = 1_000_000;

impl Runner {
    /// Goes back to the checkpoint and narrows down what is at fault.
    pub(super) fn failed(
        &mut self,
        first: Position,
        last: Position,
        named: Option<Position>,
        reason: String,
    ) -> Result<(), Halt> {
        // Neither the instance nor the state holds anything of other events that is not committed.
        let isolated = self.started_at + 1 == first && self.checkpoint() + 1 == first;
        self.commit.failed(self.dirty, self.memory());
        self.instance = None;
        self.position = self.checkpoint();
        self.forget_uncommitted();
        self.last_failure.clone_from(&reason);
        match Suspect::after_failure(first, last, named, isolated) {
            Finding::Among(suspect) => {
                tracing::debug!(
                    plugin = self.version.name(),
                    first,
                    last,
                    reason,
                    "looking for the event at fault"
                );
                self.suspect = Some(suspect);
                Ok(())
            }
            Finding::Event(position) => {
                self.suspect = None;
                self.give_up_on(position, reason)
            }
        }
    }

    /// The policy for an event that cannot be folded.
    fn give_up_on(&mut self, position: Position, reason: String) -> Result<(), Halt> {
        let block = self.log.block(position).map_err(Halt::of_host)?;
        // An altered log has several events at one position, or none.
        let event = block.and_then(|block| {
            let at = block.between(position, position);
            block.heads[at].first().map(|head| block.event(head))
        });
        let Some(event) = event else { return Err(Halt { event: None, reason, host: false }) };
        let (id, event_type) = (event.envelope.id, event.envelope.event_type);
        if self.on_failure == OnFailure::Halt {
            return Err(Halt { event: Some(EventAtFault { position, id, event_type }), reason, host: false });
        }
        tracing::warn!(plugin = self.version.name(), position, id, reason, "kept as a dead letter");
        let dead =
            DeadLetter { position, event_id: id, event_type, reason, attempts: 0, recorded: clock::now() };
        self.position = position;
        self.save(Some(&dead))
    }

    /// Ends the search once the suspects have passed after all.
    pub(super) fn clear_suspect(&mut self) -> Result<(), StepError> {
        if !self.suspect.is_some_and(|suspect| suspect.passed(self.position)) {
            return Ok(());
        }
        self.suspect = None;
        self.call_size.reset();
        if self.position > self.last_unexplained + FORGIVEN_AFTER {
            self.unexplained = 0;
        }
        self.last_unexplained = self.position;
        self.unexplained += 1;
        let reason = &self.last_failure;
        tracing::warn!(
            plugin = self.version.name(),
            position = self.position,
            reason,
            "passed at the second try"
        );
        match self.unexplained < UNEXPLAINED_FAILURES {
            true => Ok(()),
            false => Err(StepError::Halt(Halt {
                event: None,
                host: false,
                reason: format!(
                    "failed {UNEXPLAINED_FAILURES} times before position {}, but never with a single event and a \
                     fresh instance, so it seems to keep something outside its tables; the last time: {reason}",
                    self.position
                ),
            })),
        }
    }
}

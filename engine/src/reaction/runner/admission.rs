//! The lanes that events come into.

use std::sync::Arc;

use super::Runner;
use crate::{
    event::{Block, Head, Partition, Position},
    plugin::{NoState, description::Lane},
    projection::Halt,
    reaction::lanes::LaneKey,
};

impl Runner {
    /// Lets those of a block's events that are in the backlog, at these positions, come
    /// into their lanes.
    pub(super) async fn admit(&mut self, events: &Block, positions: &[Position]) -> Result<(), Halt> {
        let keys = self.lanes_of(events).await?;
        let mut wanted = positions.iter().peekable();
        for (head, key) in events.heads.iter().zip(keys) {
            if wanted.next_if(|position| **position == head.position).is_some() {
                self.lanes.admit(key.clone(), head.position, self.setbacks.stops(head.position));
                self.keys.insert(head.position, key);
            }
        }
        Ok(())
    }

    /// The lane of each event of a block.
    async fn lanes_of(&mut self, events: &Block) -> Result<Vec<LaneKey>, Halt> {
        let of_subject = |head: &Head| match events.slice(head.subject) {
            [] => LaneKey::Alone(head.position),
            subject => LaneKey::Named(String::from_utf8_lossy(subject).into()),
        };
        match self.version.plugin().description().lane {
            Lane::One => Ok(vec![LaneKey::One; events.len()]),
            Lane::Subject => Ok(events.heads.iter().map(of_subject).collect()),
            Lane::Key if events.heads.is_empty() => Ok(Vec::new()),
            Lane::Key => {
                let failed = |reason: String| Halt {
                    event: None,
                    reason: format!("the lanes of events could not be worked out: {reason}"),
                    host: false,
                };
                let mut instance = match self.idle.pop() {
                    Some(instance) => instance,
                    None => {
                        let started = self.version.plugin().start(Arc::new(NoState), Partition::WHOLE).await;
                        started.map_err(|error| failed(error.to_string()))?
                    }
                };
                let names = instance.lanes(events).await.map_err(|error| failed(error.to_string()))?;
                self.idle.push(instance);
                Ok(names.into_iter().map(|name| LaneKey::Named(name.into())).collect())
            }
        }
    }
}

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
            Lane::Key => match self.worked_out(events).await {
                Ok(names) => Ok(names.into_iter().map(|name| LaneKey::Named(name.into())).collect()),
                Err(_) if events.len() > 1 => self.one_by_one(events).await,
                Err(reason) => {
                    // It will say what is wrong with it when it is handled, if anything is.
                    let position = events.first();
                    tracing::warn!(plugin = self.version.name(), position, reason, "an event without a lane");
                    Ok(vec![LaneKey::Alone(position)])
                }
            },
        }
    }

    /// One event is at fault; the others have their lanes.
    async fn one_by_one(&mut self, events: &Block) -> Result<Vec<LaneKey>, Halt> {
        let mut keys = Vec::with_capacity(events.len());
        for index in 0..events.len() {
            let event = events.select(index..index + 1, |_| true);
            keys.extend(Box::pin(self.lanes_of(&event)).await?);
        }
        Ok(keys)
    }

    /// What the reaction says.
    async fn worked_out(&mut self, events: &Block) -> Result<Vec<String>, String> {
        let plugin = Arc::clone(self.version.plugin());
        let mut instance = match self.idle.pop() {
            Some(instance) => instance,
            None => {
                let started = plugin.start(Arc::new(NoState), Partition::WHOLE).await;
                started.map_err(|error| error.to_string())?
            }
        };
        let limit = plugin.settings().limits.time;
        let names = tokio::time::timeout(limit, instance.lanes(events)).await;
        let names = names.map_err(|_| "it took too long (limits.time)".to_owned())?;
        let names = names.map_err(|error| error.to_string())?;
        self.idle.push(instance);
        Ok(names)
    }
}

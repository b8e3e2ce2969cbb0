//! Events that a plug-in could not fold, kept with the reason.

use redb::TableDefinition;
use serde::{Deserialize, Serialize};

use crate::event::{Block, Position, Timestamp};

/// By position; MessagePack with named fields.
pub(crate) const DEAD_LETTERS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("dead-letters");

/// An event that a plug-in could not fold. The event itself stands in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Where the event stands in the log.
    pub position: Position,
    /// The event's id.
    pub event_id: String,
    /// The event's type.
    pub event_type: String,
    /// Why it could not be folded.
    pub reason: String,
    /// How many times it was tried; 0 where that is not counted.
    #[serde(default)]
    pub attempts: u32,
    /// When it was put aside.
    pub recorded: Timestamp,
}

impl DeadLetter {
    /// Of the only event of a block.
    pub(crate) fn of(event: &Block, reason: String, attempts: u32, recorded: Timestamp) -> Option<Self> {
        let event = event.events().next()?;
        let (event_id, event_type) = (event.envelope.id, event.envelope.event_type);
        Some(Self { position: event.position, event_id, event_type, reason, attempts, recorded })
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        rmp_serde::to_vec_named(self).expect("strings and numbers always encode")
    }
}

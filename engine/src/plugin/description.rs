//! What a plug-in says about itself: the JSON document that `describe` answers.
//!
//! Fields that the host does not know are ignored, so that newer plug-ins run
//! on older hosts; wrong ones refuse the plug-in with the reason.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a plug-in is, told by what its component exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It folds events into state.
    Projection,
    /// It answers events with effects.
    Reaction,
    /// It gives old events a new shape.
    Upcaster,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Projection => "projection",
            Self::Reaction => "reaction",
            Self::Upcaster => "upcaster",
        })
    }
}

/// A plug-in's description of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Description {
    /// What it was built with (`projectionist-sdk 0.1.0`), for people.
    pub sdk: Option<String>,
    /// What it is for, in a sentence or two.
    pub summary: Option<String>,
    /// The types of events that it wants; absent: all.
    pub events: Option<Vec<String>>,
    /// Its tables, in the order by which they are numbered.
    pub tables: Vec<TableDescription>,
    /// The queries that it answers.
    pub queries: Vec<QueryDescription>,
    /// By what its events are divided among instances that fold side by side;
    /// absent: one instance folds them all.
    pub partition_by: Option<PartitionBy>,
    /// What to do with an event that it cannot fold; the settings file may say
    /// otherwise.
    pub on_failure: Option<OnFailure>,
    /// What a new version of a reaction does; a reaction has to say.
    pub new_version: Option<NewVersion>,
    /// Which events of a reaction have to wait for one another.
    pub lane: Lane,
    /// What an upcaster makes of which events.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub upcasts: Vec<UpcastDescription>,
}

/// What an upcaster makes of events of one shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpcastDescription {
    /// The events that it takes.
    pub from: Shape,
    /// What they become.
    pub to: Shape,
}

/// A type and a version of its schema.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct Shape {
    /// The events' type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// What they name as their `dataschema`; absent: they name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataschema: Option<String>,
}

/// In words.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.dataschema {
            Some(dataschema) => write!(f, "type \"{}\" with dataschema \"{dataschema}\"", self.event_type),
            None => write!(f, "type \"{}\" without dataschema", self.event_type),
        }
    }
}

/// A table, or an index over one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TableDescription {
    /// Its name; an index is named `table.index`.
    pub name: String,
    /// The types of the key's parts. For an index: the parts that it sorts by,
    /// then those of the table's key.
    pub key: Vec<KeyPart>,
    /// The table that this is an index of. An index's values are empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index_of: Option<String>,
}

/// The type of one part of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyPart {
    /// UTF-8 text.
    String,
    /// A signed or unsigned integer of up to 64 bits.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// Any bytes; base64 in JSON.
    Bytes,
    /// A 64-bit floating-point number.
    Float,
}

/// A query that the plug-in answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct QueryDescription {
    /// Its name.
    pub name: String,
    /// What it answers, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// A JSON Schema of the object that holds its parameters.
    #[serde(default)]
    pub parameters: serde_json::Value,
}

/// What decides which instance folds an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartitionBy {
    /// Its subject: the host gives each instance its own.
    Subject,
    /// A key that the plug-in works out: each instance is given all events and
    /// folds its own.
    Key,
}

/// What a new version of a reaction does with what the version before has handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NewVersion {
    /// It goes on from where the old one stood, with the state that it left.
    Continue,
    /// It makes its tables anew of all of history, without effects, and goes on from
    /// where the old one stood.
    Rebuild,
}

/// Which events of a reaction are handled in their order: those of one lane.
/// Lanes go side by side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lane {
    /// Those of one subject; one without a subject has a lane to itself.
    #[default]
    Subject,
    /// All.
    One,
    /// Those of one key, which the reaction works out.
    Key,
}

/// What to do with an event that cannot be folded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// Stop there and say so; a candidate fails.
    #[default]
    Halt,
    /// Keep the event as a dead letter and go on; what reactions do.
    DeadLetter,
    /// Keep the event as a dead letter, and let those behind it in its lane wait until
    /// somebody has it tried again or drops it; for reactions.
    HoldLane,
}

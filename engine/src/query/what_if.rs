//! What would have been: histories that did not happen, each beside the one that did.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Compared, Comparison};
use crate::event::Position;

/// Histories that did not happen, beside the real one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct WhatIf {
    /// The position up to which all were folded.
    pub position: Position,
    /// Whether all came to the real state: nothing that was altered made a difference.
    pub same: bool,
    /// What really came of it: the live version's state at the position.
    pub real: Compared,
    /// What would have come of it, in the order of the request.
    pub scenarios: Vec<ScenarioOutcome>,
}

/// What would have come of one history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ScenarioOutcome {
    /// Its name.
    pub name: String,
    /// How many events it leaves out.
    pub left_out: u64,
    /// How many it replaces.
    pub replaced: u64,
    /// How many it inserts.
    pub inserted: u64,
    /// Which of its alterations, counted from 1, met no event.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without_effect: Vec<u64>,
    /// Why the code cannot fold this history; then there is nothing to compare.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub halted: Option<String>,
    /// The real state and this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
}

impl ScenarioOutcome {
    /// Whether it comes to the real state.
    pub fn is_same(&self) -> bool {
        self.comparison.as_ref().is_some_and(|comparison| comparison.same)
    }
}

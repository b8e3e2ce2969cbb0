//! What another version answers to a question, at the position of an answer that there is.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value};

use super::{TableRead, call::call, read_key, read_table};
use crate::{
    event::Position,
    projection::Version,
    state::{StateError, View},
};

/// How long a version is waited for that is on its way to the position.
const PATIENCE: Duration = Duration::from_secs(1);

/// A read of a version.
#[derive(Clone, Debug, PartialEq)]
pub enum Question {
    /// The row of a key.
    Row {
        /// The table's name.
        table: String,
        /// The key's parts.
        key: Vec<String>,
    },
    /// Some rows of a table.
    Page {
        /// The table's name.
        table: String,
        /// Which.
        read: TableRead,
    },
    /// One of the plug-in's queries.
    Query {
        /// Its name.
        query: String,
        /// Its parameters.
        arguments: Map<String, Value>,
    },
}

/// Why there is no answer to compare.
#[derive(Debug, thiserror::Error)]
pub enum ReflectError {
    /// The version is not at the position, and does not come there soon.
    #[error("the version is at another position")]
    Elsewhere,
    /// It cannot answer.
    #[error("{0}")]
    Failed(String),
}

fn failed(error: impl std::fmt::Display) -> ReflectError {
    ReflectError::Failed(error.to_string())
}

/// Asks a version that follows the log. The answer is JSON; `null` for a key that is not there.
pub async fn reflect(
    version: &Arc<Version>,
    question: Question,
    position: Position,
) -> Result<Vec<u8>, ReflectError> {
    let view = view_at(version, position).await?;
    match question {
        Question::Query { query, arguments } => {
            call(version, view, &query, arguments).await.map(|answer| answer.body).map_err(failed)
        }
        Question::Row { table, key } => {
            let row = read_key(&view, version.plugin().description(), &table, &key).map_err(failed)?;
            serde_json::to_vec(&row).map_err(failed)
        }
        Question::Page { table, read } => {
            let plugin = Arc::clone(version.plugin());
            let reading = move || read_table(&view, plugin.description(), &table, &read);
            let page = tokio::task::spawn_blocking(reading).await.map_err(failed)?.map_err(failed)?;
            serde_json::to_vec(&page).map_err(failed)
        }
    }
}

/// A version's state at a position. One that has not come there is held there, for as long as it
/// takes to get hold of the state.
async fn view_at(version: &Arc<Version>, position: Position) -> Result<Arc<View>, ReflectError> {
    match version.state().view() {
        Ok(view) if view.position() == position => return Ok(view),
        Ok(view) if view.position() > position => return Err(ReflectError::Elsewhere),
        Ok(_) | Err(StateError::Apart { .. }) => {}
        Err(error) => return Err(failed(error)),
    }
    let arriving = async {
        let hold = version.hold().await;
        hold.at(position);
        let mut progress = version.progress();
        let arrived = progress.wait_for(|progress| progress.position >= position).await.is_ok();
        arrived.then_some(hold)
    };
    let _hold = tokio::time::timeout(PATIENCE, arriving).await.ok().flatten();
    match version.state().view() {
        Ok(view) if view.position() == position => Ok(view),
        Ok(_) | Err(StateError::Apart { .. }) => Err(ReflectError::Elsewhere),
        Err(error) => Err(failed(error)),
    }
}

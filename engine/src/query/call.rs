//! Asking a plug-in: the queries that its author wrote.

use std::sync::Arc;

use crate::{
    event::{Partition, Position},
    plugin::CallError,
    projection::Version,
    state::{StateError, View},
};

/// The answer to a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The position of the state that it was read from.
    pub position: Position,
    /// JSON, as the plug-in wrote it.
    pub body: Vec<u8>,
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The plug-in refused or failed.
    #[error(transparent)]
    Plugin(#[from] CallError),
    /// It could not be started.
    #[error("the plug-in could not be started for the query: {0}")]
    Start(String),
    /// The store failed.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Runs a query of the plug-in over one consistent view, in an instance of
/// its own: it sees committed state only, disturbs no fold, and nothing of it
/// is left behind.
pub async fn call(
    version: &Version,
    query: &str,
    arguments: serde_json::Map<String, serde_json::Value>,
) -> Result<Answer, AskError> {
    call_in(version, version.state().view()?, query, arguments).await
}

/// The same over a view that is at hand.
pub(super) async fn call_in(
    version: &Version,
    view: Arc<View>,
    query: &str,
    arguments: serde_json::Map<String, serde_json::Value>,
) -> Result<Answer, AskError> {
    if !version.plugin().description().queries.iter().any(|known| known.name == query) {
        return Err(CallError::UnknownQuery.into());
    }
    let position = view.position();
    let instance = version.plugin().start(view, Partition::WHOLE).await;
    let mut instance = instance.map_err(|error| AskError::Start(error.to_string()))?;
    let arguments = serde_json::Value::Object(arguments).to_string().into_bytes();
    let body = instance.query(query, arguments).await?;
    Ok(Answer { position, body })
}

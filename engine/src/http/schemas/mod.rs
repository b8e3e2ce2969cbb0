//! `/schemas`: the types of events, and what events of them must fit.
//!
//! - `types.rs`: `/schemas` and `/schemas/{type}`: listed, looked at, checked or not.
//! - `versions.rs`: `/schemas/{type}/schema?dataschema=`: one version's JSON Schema: read,
//!   registered, removed.
//!
//! All but reading one schema may wait for the disk or the log, and runs where that holds up nobody.

mod types;
mod versions;

use std::sync::Arc;

use utoipa_axum::{router::OpenApiRouter, routes};

use super::problem::{Kind, Problem};
use crate::schema::{DocumentError, SchemaError, Schemas};

/// The routes.
pub(crate) fn routes(schemas: Arc<Schemas>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(types::list))
        .routes(routes!(types::one, types::change))
        .routes(routes!(versions::read, versions::register, versions::remove))
        .with_state(schemas)
}

/// Does something that may take its time.
async fn aside<T: Send + 'static, E: Into<Problem> + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Problem::new(Kind::Internal, "the engine failed while it worked on schemas"))?
        .map_err(Into::into)
}

impl From<SchemaError> for Problem {
    fn from(error: SchemaError) -> Self {
        let detail = error.to_string();
        match error {
            SchemaError::Document(error) => match error {
                DocumentError::NotJson { .. } => Problem::new(Kind::InvalidSchema, detail),
                DocumentError::TooLarge { size } => Problem::new(Kind::TooLarge, detail).with("size", size),
                DocumentError::NotASchema { path, reason } => {
                    Problem::new(Kind::InvalidSchema, detail).with("path", path).with("reason", reason)
                }
                DocumentError::Elsewhere { uri } => {
                    Problem::new(Kind::InvalidSchema, detail).with("refers-to", uri)
                }
            },
            SchemaError::Name { .. } => Problem::new(Kind::InvalidSchema, detail),
            SchemaError::Unknown { event_type, dataschema } => {
                let detail = format!("{detail}; GET /schemas lists those that are");
                Problem::new(Kind::NoSuchSchema, detail)
                    .with("event-type", event_type)
                    .with("dataschema", dataschema.filter(|dataschema| !dataschema.is_empty()))
            }
            SchemaError::InUse { event_type, dataschema, position } => {
                Problem::new(Kind::SchemaInUse, detail)
                    .with("event-type", event_type)
                    .with("dataschema", Some(dataschema).filter(|dataschema| !dataschema.is_empty()))
                    .with("position", position)
            }
            SchemaError::State(error) => error.into(),
            SchemaError::Log(error) => error.into(),
        }
    }
}

//! A running plug-in.

use std::sync::Arc;

use wasmtime::{Store, component::Func};

use super::{
    bindings::{ProjectionPlugin, plugin_interface::QueryFailure, projection_interface::Failure},
    changes::Changes,
    crossing::Crossing,
    error::{ApplyError, CallError, PluginError},
    guest::{self, Guest},
    state::StateReader,
    stop,
};
use crate::event::Block;

/// A running plug-in. After an error other than [`CallError::UnknownQuery`],
/// [`CallError::BadArguments`] or [`CallError::Failed`] it cannot be used any
/// further: drop it and start another.
///
/// None of its calls needs a runtime; they yield to whatever executor polls
/// them every few milliseconds.
pub struct Instance {
    store: Store<Guest>,
    exports: ProjectionPlugin,
    /// Called without the generated bindings: see `crossing.rs`.
    apply: Func,
    name: Arc<str>,
    tables: Arc<[String]>,
}

impl Instance {
    pub(super) fn new(
        store: Store<Guest>,
        exports: ProjectionPlugin,
        apply: Func,
        name: Arc<str>,
        tables: Arc<[String]>,
    ) -> Self {
        Self { store, exports, apply, name, tables }
    }

    /// Lets it read another state from now on.
    pub fn set_state(&mut self, state: Arc<dyn StateReader>) {
        self.store.data_mut().state = state;
    }

    /// How many bytes of memory it has by now.
    pub fn memory(&self) -> u64 {
        self.store.data().meter.memory as u64
    }

    /// Folds a block, which holds only events of types that it subscribed to.
    /// Answers about how many bytes a flush would return now.
    pub async fn apply(&mut self, block: &Block) -> Result<u64, ApplyError> {
        let names: Vec<&str> = block.names.iter().map(String::as_str).collect();
        guest::begin(&mut self.store, false);
        let crossing = Crossing::new(block, &names);
        let call = match self.apply.typed::<(Crossing<'_>,), (Result<u64, Failure>,)>(&self.store) {
            Ok(apply) => apply.call_async(&mut self.store, (crossing,)).await,
            Err(error) => Err(error),
        };
        match self.end(call, false) {
            Ok((Ok(bytes),)) => Ok(bytes),
            Ok((Err(failure),)) if block.heads.iter().any(|head| head.position == failure.position) => {
                Err(ApplyError::Failure {
                    position: failure.position,
                    message: stop::shortened(&failure.message),
                })
            }
            Ok((Err(failure),)) => Err(ApplyError::Trap {
                reason: format!(
                    "blames event {}, which it was not given: {}",
                    failure.position,
                    stop::shortened(&failure.message)
                ),
            }),
            Err(reason) => Err(ApplyError::Trap { reason }),
        }
    }

    /// Takes all changes since the last flush.
    pub async fn flush(&mut self) -> Result<Changes, PluginError> {
        guest::begin(&mut self.store, true);
        let call = self.exports.projectionist_plugin_plugin().call_flush(&mut self.store).await;
        let flushed = self.end(call, true).map_err(|reason| PluginError::Stopped {
            plugin: self.name.to_string(),
            doing: "flushing",
            reason,
        })?;
        Changes::check(flushed, &self.tables, self.store.data().meter.limits.flush)
            .map_err(|reason| PluginError::Flush { plugin: self.name.to_string(), reason })
    }

    /// Answers a query: JSON in, JSON out.
    pub async fn query(&mut self, name: &str, arguments: Vec<u8>) -> Result<Vec<u8>, CallError> {
        guest::begin(&mut self.store, false);
        let call =
            self.exports.projectionist_plugin_plugin().call_query(&mut self.store, name, &arguments).await;
        match self.end(call, false) {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(QueryFailure::NotFound)) => Err(CallError::UnknownQuery),
            Ok(Err(QueryFailure::BadArguments(message))) => {
                Err(CallError::BadArguments(stop::shortened(&message)))
            }
            Ok(Err(QueryFailure::Failed(message))) => Err(CallError::Failed(stop::shortened(&message))),
            Err(reason) => Err(CallError::Trapped(reason)),
        }
    }

    fn end<T>(&mut self, call: wasmtime::Result<T>, flushing: bool) -> Result<T, String> {
        match call {
            Ok(answer) => {
                self.store.data().printer.end();
                Ok(answer)
            }
            Err(error) => Err(stop::explain(&mut self.store, &error, flushing)),
        }
    }
}

//! What makes state of history.

use std::sync::Arc;

use super::upcast::Upcasters;
use crate::plugin::Plugin;

/// The code of a version: a plug-in, and what gives events their newest shape before it.
#[derive(Clone)]
pub struct Code {
    digest: String,
    plugin: Arc<Plugin>,
    upcasters: Arc<Upcasters>,
}

impl Code {
    /// A plug-in that is given events as the log has them. `digest`: what tells the version from
    /// others of its name, in hexadecimal.
    pub fn new(digest: &str, plugin: Arc<Plugin>) -> Self {
        Self { digest: digest.to_owned(), plugin, upcasters: Arc::default() }
    }

    /// The same, given events in the shape that these give them.
    pub fn upcast_by(self, upcasters: Arc<Upcasters>) -> Self {
        Self { upcasters, ..self }
    }

    /// The plug-in's name.
    pub fn name(&self) -> &str {
        self.plugin.name()
    }

    /// What tells the version from the others of its name, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The plug-in.
    pub fn plugin(&self) -> &Arc<Plugin> {
        &self.plugin
    }

    /// What gives old events their newest shape before it folds them.
    pub fn upcasters(&self) -> &Arc<Upcasters> {
        &self.upcasters
    }
}

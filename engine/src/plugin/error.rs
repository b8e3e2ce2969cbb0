//! What can go wrong with a plug-in. Reasons are sentences for people: what
//! happened and what to do about it, never a backtrace.

use crate::event::Position;

/// A plug-in that cannot be loaded or that has stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PluginError {
    /// The file is something else.
    #[error("{plugin} is no WebAssembly component: {reason}")]
    NotAComponent {
        /// The plug-in.
        plugin: String,
        /// What it is instead.
        reason: String,
    },
    /// A component that does not fit this host.
    #[error("{plugin} does not fit this host: {reason}")]
    Unfit {
        /// The plug-in.
        plugin: String,
        /// Which import or export, and what to do.
        reason: String,
    },
    /// What it says about itself is wrong.
    #[error("{plugin} describes itself wrongly: {reason}")]
    Description {
        /// The plug-in.
        plugin: String,
        /// Which part.
        reason: String,
    },
    /// It has trapped or was stopped by the host.
    #[error("{plugin} was stopped while {doing}: it {reason}")]
    Stopped {
        /// The plug-in.
        plugin: String,
        /// `starting`, `describing itself`, `flushing`.
        doing: &'static str,
        /// What it did, as a predicate: "used more than …".
        reason: String,
    },
    /// It has flushed something that cannot be committed.
    #[error("{plugin} flushed what cannot be committed: {reason}")]
    Flush {
        /// The plug-in.
        plugin: String,
        /// Which change.
        reason: String,
    },
    /// A secret that its settings name has no value.
    #[error("{plugin} cannot start: {reason}")]
    Secret {
        /// The plug-in.
        plugin: String,
        /// Which, and where it was looked for.
        reason: String,
    },
    /// The host itself could not do it.
    #[error("the sandbox for {plugin} could not be set up: {reason}")]
    Host {
        /// The plug-in.
        plugin: String,
        /// What failed.
        reason: String,
    },
}

/// A block that was not folded. The instance cannot be used any further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// The plug-in says that it cannot fold an event.
    #[error("cannot fold event {position}: {message}")]
    Failure {
        /// The event.
        position: Position,
        /// Why, in the plug-in's words.
        message: String,
    },
    /// It has trapped or was stopped by the host, at whichever event.
    #[error("it {reason}")]
    Trap {
        /// What it did, as a predicate: "used more than …".
        reason: String,
    },
}

/// An event that was not answered. After a trap the instance cannot be used any
/// further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReactError {
    /// The world was in the way; later it may not be.
    #[error("{reason}")]
    Retry {
        /// Why, in the plug-in's words.
        reason: String,
    },
    /// The event can never be handled.
    #[error("{reason}")]
    Reject {
        /// Why, in the plug-in's words.
        reason: String,
    },
    /// It has trapped or was stopped by the host.
    #[error("it {reason}")]
    Trap {
        /// What it did, as a predicate: "used more than …".
        reason: String,
    },
}

/// A query that has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The plug-in has no query of that name.
    #[error("there is no such query")]
    UnknownQuery,
    /// The arguments are not what the query takes.
    #[error("wrong arguments: {0}")]
    BadArguments(String),
    /// The plug-in could not answer.
    #[error("{0}")]
    Failed(String),
    /// It has trapped or was stopped by the host.
    #[error("the plug-in was stopped: it {0}")]
    Trapped(String),
}

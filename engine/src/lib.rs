//! Projectionist: a WebAssembly plug-in projection engine.
//!
//! One process tails an append-only event log and drives sandboxed components
//! that fold events into state. The modules, from the bottom up; each may use
//! only those above it in this list, and `log`, `state` and `plugin` never use
//! one another:
//!
//! - [`event`]: events, their envelope, the block in which they travel.
//! - [`log`]: where events are kept: append, read, follow.
//! - [`state`]: what versions have folded: tables, checkpoint, digest.
//! - [`schema`]: schemas of events: registered, checked, inferred.
//! - [`plugin`]: the sandbox: compile, limits, instances.
//! - [`projection`]: the fold: catch-up, live, replay, commit policy.
//! - [`reaction`]: effects: lanes, calls, timers, retries, the outbox.
//! - [`query`]: reading state: tables, plug-in queries, waiting for a position.
//! - [`deploy`]: versions of a name: watch the folder, replay, promote.
//! - [`fixture`]: events given to a plug-in, and what is expected of it.
//! - [`http`]: one file a resource.
//! - [`cli`]: one file a command.
//!
//! Beside them stand [`clock`], the only place that asks what time it is, [`client`]:
//! HTTP clients, and `filter`: Bloom filters, for the sorted runs of `log` and of `state`.

pub mod cli;
pub mod client;
pub mod clock;
pub mod deploy;
pub mod engine;
pub mod event;
mod filter;
pub mod fixture;
pub mod http;
pub mod log;
pub mod plugin;
pub mod projection;
pub mod query;
pub mod reaction;
pub mod schema;
pub mod state;

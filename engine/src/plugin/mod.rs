//! The sandbox: plug-ins as WebAssembly components.
//!
//! The way of a file, from the outside in:
//!
//! - [`Settings`] (`settings.rs`, `units.rs`): the file beside the component.
//!   `settings/http.rs`, `settings/secrets.rs`: what it may call, and use unseen.
//! - [`Host`] (`host.rs`): the engine; loads components. `inspect.rs` says what
//!   a file is and whether it fits, `cache.rs` keeps compiled code on disk,
//!   `code.rs` lets plug-ins of the same bytes share it in memory.
//! - [`Plugin`] (`component.rs`): a component that has been loaded and has
//!   described itself ([`description`], `validate.rs`).
//! - [`Instance`] (`instance.rs`): a running one: apply, flush ([`Changes`]),
//!   query. `crossing.rs`: how a block gets into it.
//! - `guest.rs`: what the host keeps for an instance: meters, output, state.
//! - `wasi/`: what a guest finds of WASI: nothing that differs from run to run.
//! - [`Outbound`] (`outbound.rs`): who makes a reaction's calls.
//! - [`StateReader`] (`state.rs`): what a guest can read of its own state.
//! - [`Upcast`] (`upcast.rs`): what an upcaster makes of a block.
//! - `stop.rs`: why an instance was stopped, in words.
//! - `output.rs`: what a guest prints.
//!
//! Not here: where state is kept (`state`), which events a plug-in gets and
//! when its changes are committed (`projection`). `wasmtime` appears nowhere
//! else; no type of it leaves this module. A projection can read no clock, no
//! random bytes, no file and no socket, and nothing here may give it one.

mod bindings;
mod cache;
mod changes;
mod code;
mod component;
mod crossing;
pub mod description;
mod error;
mod guest;
mod host;
mod inspect;
mod instance;
mod outbound;
mod output;
mod settings;
mod state;
mod stop;
mod units;
mod upcast;
mod validate;
mod wasi;

pub use changes::Changes;
pub use component::Plugin;
pub use error::{ApplyError, CallError, PluginError, ReactError};
pub use host::{Host, HostSettings};
pub use inspect::names_upcaster;
pub use instance::{Instance, NewEvent, Reacted, TimerChange};
pub use outbound::{Outbound, OutboundError};
pub use output::{Output, Printed, Stream};
pub use settings::{
    CACHE_VARIABLE, Deploy, Http, Limits, Policies, Retries, Secret, Settings, SettingsError, VerifyEvery,
    http::{Breaker, Host as HttpHost, NotAllowed},
    secrets::{SecretError, SentSecrets},
    version_digest,
};
pub use state::{NoState, Row, StateReader};
pub use units::{ByteSize, Span, format_duration, format_size, parse_duration, parse_size};
pub use upcast::{Shaped, Upcast};

/// The version of `projectionist:plugin` that this host speaks.
pub const INTERFACE_VERSION: &str = "0.1.0";

//! What authors of Projectionist plug-ins write against.
//!
//! A projection is a struct of [`Table`]s and an `impl` of handlers, each called
//! with the events of a type, in the order of the log:
//!
//! ```
//! use projectionist_sdk::prelude::*;
//!
//! #[derive(Deserialize)]
//! struct FileChanged {
//!     author: String,
//! }
//!
//! #[derive(Default, Serialize, Deserialize)]
//! struct Churn {
//!     changes: u64,
//!     last_author: String,
//! }
//!
//! /// How often each file changes, and at whose hands.
//! #[derive(Projection)]
//! struct FileChurn {
//!     #[index(by_changes: u64 = changes)]
//!     files: Table<String, Churn>,
//! }
//!
//! #[projection]
//! impl FileChurn {
//!     #[on("git.file.modified")]
//!     fn modified(&mut self, event: &Event, data: FileChanged) {
//!         let file = self.files.entry(event.subject());
//!         file.changes += 1;
//!         file.last_author = data.author;
//!     }
//!
//!     /// The files that changed most often.
//!     #[query]
//!     fn hottest(&self, limit: usize) -> Vec<(String, Ref<'_, Churn>)> {
//!         self.files_by_changes().iter().rev().take(limit).collect()
//!     }
//! }
//!
//! // A native test needs no wasm toolchain.
//! let mut harness = projectionist_sdk::harness::Harness::<FileChurn>::new();
//! harness
//!     .event("git.file.modified", "src/lib.rs", json!({"author": "ann"}))
//!     .event("git.file.modified", "README.md", json!({"author": "ann"}))
//!     .event("git.file.modified", "src/lib.rs", json!({"author": "bob"}));
//! assert_eq!(
//!     harness.query("hottest", json!({"limit": 1})),
//!     json!([["src/lib.rs", {"changes": 2, "last_author": "bob"}]])
//! );
//! ```
//!
//! The crate's manifest beside it:
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib", "rlib"]
//!
//! [dependencies]
//! projectionist-sdk = "0.1"
//! serde = { version = "1", features = ["derive"] }
//! ```
//!
//! Built for the target `wasm32-wasip2` it is a component; put into the plug-ins
//! folder, it sees all of history. What it must hold to: the same events always
//! give the same state. So it remembers everything in its tables and nothing
//! elsewhere, takes times from the events ([`Event::time`]), and numbers that
//! look random too ([`Event::random`], [`Event::uuid`]).
//!
//! A reaction answers events with effects: it appends events, and keeps tables of
//! its own. What a handler returns happens once, whatever fails in between:
//!
//! ```
//! use projectionist_sdk::prelude::*;
//!
//! #[derive(Deserialize)]
//! struct Placed {
//!     amount: u64,
//! }
//!
//! /// Has large orders looked at.
//! #[derive(Reaction)]
//! struct Review {}
//!
//! #[reaction(new_version = "continue")]
//! impl Review {
//!     #[on("order.placed")]
//!     fn placed(&mut self, event: &Event, order: Placed) -> Result<Option<NewEvent>, Failure> {
//!         if order.amount == 0 {
//!             return Err(Failure::reject("an order of nothing"));
//!         }
//!         Ok((order.amount > 1000).then(|| NewEvent::new("review.asked-for").subject(event.subject())))
//!     }
//! }
//!
//! let mut harness = projectionist_sdk::harness::ReactionHarness::<Review>::new();
//! harness.event("order.placed", "order/7", json!({"amount": 5000}));
//! assert_eq!(harness.appended()[0].event_type(), "review.asked-for");
//! ```
//!
//! It can also call others over HTTP; see [`http`].
//!
//! An upcaster gives old events a new shape, so that projections and reactions see
//! only the newest. The log itself stays as it is:
//!
//! ```
//! use projectionist_sdk::prelude::*;
//!
//! #[derive(Deserialize)]
//! struct Old {
//!     author: String,
//! }
//!
//! #[derive(Serialize)]
//! struct New {
//!     name: String,
//!     pseudonym: Option<String>,
//! }
//!
//! struct Pseudonyms;
//!
//! /// Tells the name of an author from the pseudonym.
//! #[upcaster]
//! impl Pseudonyms {
//!     #[upcast(from("git.commit"), to("git.commit", "https://example.com/commit/2"))]
//!     fn apart(old: Old) -> New {
//!         match old.author.split_once(" aka ") {
//!             Some((name, pseudonym)) => New { name: name.to_owned(), pseudonym: Some(pseudonym.to_owned()) },
//!             None => New { name: old.author, pseudonym: None },
//!         }
//!     }
//! }
//!
//! use projectionist_sdk::harness::{UpcasterHarness, event};
//! let made = UpcasterHarness::<Pseudonyms>::new().upcast(event("git.commit").data(json!({"author": "Ann aka a1"})));
//! assert_eq!(made, [json!({"name": "Ann", "pseudonym": "a1"})]);
//! ```
//!
//! Of an `Option` that is `None` nothing becomes, of a `Vec` as many events as it
//! has elements, all at the position of the one that they come from. All else that
//! an event has stays as it was. An upcaster remembers nothing.
//!
//! In the plug-ins folder it is at work at once: whatever its events are part of is made anew with it.
//!
//! # What is where
//! - `table/`: [`Table`] with its cache, its [`Index`]es and ordered reads
//! - `key.rs`: what can be a [`Key`](key::Key), and how keys are encoded
//! - `event.rs`, `payload.rs`, `time.rs`, `random.rs`: [`Event`] and what it gives
//! - `query.rs`, `describe.rs`, `setting.rs`: the rest of what an author meets
//! - `runner.rs`: folds blocks, flushes, answers queries
//! - [`http`]: what a reaction calls
//! - `reaction.rs`: what a reaction's handlers answer, and what calls them
//! - `upcaster.rs`: what upcasters are made of
//! - `component.rs`: the runner behind the interface in `wit/`, on wasm only
//! - `memory.rs`: what the target's C library does too slowly
//! - `harness.rs`: the runner in native tests
//! - `macros/`: a crate of its own; what it generates calls [`__private`] here
//!
//! Not here: anything of the engine. The two share only `wit/`.

// So that the macros' paths also hold within this crate.
extern crate self as projectionist_sdk;

#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod component;
mod context;
mod describe;
mod event;
#[cfg(not(target_family = "wasm"))]
pub mod harness;
pub mod http;
pub mod key;
#[cfg(any(target_family = "wasm", test))]
#[allow(unsafe_code, reason = "it stands in for a function of the C library")]
mod memory;
mod payload;
mod query;
mod random;
mod reaction;
mod runner;
mod setting;
mod table;
mod time;
mod upcaster;

pub use event::{Attribute, DataError, Event};
pub use projectionist_sdk_macros::{
    Projection, Reaction, on, on_any, on_timer, projection, query, reaction, upcast, upcaster,
};
pub use query::QueryError;
pub use random::{Random, Uuid};
pub use reaction::{Effects, Failure, NewEvent, Timer};
pub use serde_json::{Value, json};
pub use setting::setting;
pub use table::{Index, Ref, Row, Rows, Table};
pub use time::{Date, TimeError, Timestamp, now};

/// All that most plug-ins need.
pub mod prelude {
    pub use serde::{Deserialize, Serialize};

    pub use crate::{
        Date, Effects, Event, Failure, Index, NewEvent, Projection, QueryError, Reaction, Ref, Rows, Table,
        Timer, Timestamp, Value, http, json, now, on, on_any, on_timer, projection, query, reaction, upcast,
        upcaster,
    };
}

/// What the macros' output calls. May change at any time.
#[doc(hidden)]
pub mod __private {
    #[cfg(target_family = "wasm")]
    pub use wit_bindgen;

    #[cfg(target_family = "wasm")]
    pub use crate::component::{self, bindings};
    pub use crate::{
        context::Context,
        describe::{QueryDescription, TableDescription},
        key::{AsKey, Key},
        query::{AnyParameter, Arguments, KnownParameter, Probe, answer, schema, unknown},
        reaction::{Answer, Reaction, Reactor, data_or_reject, lane_of, used_reaction},
        runner::{
            Handlers, Outcome, Projection, Runner, State, data, partition_hash, partition_key_of, used,
        },
        table::{AnyTable, IndexSpec, open_table, visit_table},
        upcaster::{
            New, Shape, UpcastDescription, Upcaster, old_data, one, perhaps, said, several, used_upcaster,
        },
    };
}

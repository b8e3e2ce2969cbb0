//! Native tests: a projection or a reaction, the events it is given, and what
//! comes of them.
//!
//! - here: [`Harness`], for projections;
//! - `reacting.rs`: [`ReactionHarness`]; `calls.rs`: what it calls over HTTP;
//! - `upcasting.rs`: [`UpcasterHarness`];
//! - `given.rs`: [`event`], an event with all that it can have;
//! - `stored.rs`: committed state, in memory.
//!
//! ```
//! use projectionist_sdk::{harness::{Harness, event}, prelude::*};
//!
//! #[derive(Projection)]
//! struct Orders {
//!     totals: Table<String, u64>,
//! }
//!
//! #[projection]
//! impl Orders {
//!     #[on("order.placed")]
//!     fn placed(&mut self, event: &Event, amount: u64) {
//!         *self.totals.entry(event.subject()) += amount;
//!     }
//! }
//!
//! let mut harness = Harness::<Orders>::new();
//! harness
//!     .event("order.placed", "ann", json!(3))
//!     .fold(event("order.placed").subject("ann").data(json!(4)).time("2024-05-01T10:00:00Z").tag("gift"));
//! assert_eq!(harness.rows("totals"), [(json!("ann"), json!(7))]);
//! harness.check_replay();
//! ```

pub(crate) mod calls;
mod given;
mod reacting;
pub(crate) mod stored;
mod upcasting;

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use given::Pending;
pub use given::{GivenEvent, event};
pub use reacting::ReactionHarness;
use serde_json::Value;
use stored::Stored;
pub use upcasting::UpcasterHarness;

use crate::{
    Event,
    context::CACHE_BYTES,
    query::QueryError,
    runner::{Part, Projection, Runner},
    setting,
};

/// A projection under test. Folds events as the host would, without a host.
pub struct Harness<P> {
    runner: Runner<P>,
    stored: Rc<Stored>,
    pending: Pending,
    block_size: usize,
    cache_bytes: usize,
    settings: BTreeMap<String, String>,
    given: Vec<GivenEvent>,
}

impl<P: Projection> Default for Harness<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Projection> Harness<P> {
    /// With nothing folded yet.
    pub fn new() -> Self {
        Self::with_cache_bytes(CACHE_BYTES)
    }

    /// With a cache of another size; a small one shows that the state may be
    /// larger.
    pub fn with_cache_bytes(cache_bytes: usize) -> Self {
        Self::of_part(Part::WHOLE, cache_bytes)
    }

    fn of_part(part: Part, cache_bytes: usize) -> Self {
        let stored = Rc::new(Stored::new(P::tables().len()));
        Self {
            runner: Runner::new(stored.clone(), cache_bytes).of_part(part),
            stored,
            pending: Pending::default(),
            block_size: 1,
            cache_bytes,
            settings: BTreeMap::new(),
            given: Vec::new(),
        }
    }

    /// Sets a value of the settings file; see [`setting`](crate::setting()).
    pub fn setting(&mut self, name: &str, value: &str) -> &mut Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// How many events to fold at once; 1 unless told otherwise. The host folds
    /// hundreds to thousands at once, which must make no difference.
    pub fn block_size(&mut self, events: usize) -> &mut Self {
        self.block_size = events.max(1);
        self
    }

    /// Folds an event with JSON data; [`fold`](Self::fold) takes one with all
    /// that an event can have.
    ///
    /// # Panics
    /// If the projection cannot fold it.
    #[track_caller]
    pub fn event(&mut self, event_type: &str, subject: &str, data: Value) -> &mut Self {
        self.fold(event(event_type).subject(subject).data(data))
    }

    /// Folds an event.
    ///
    /// # Panics
    /// If the projection cannot fold it.
    #[track_caller]
    pub fn fold(&mut self, event: GivenEvent) -> &mut Self {
        if let Err(reason) = self.try_fold(event) {
            panic!("{reason}");
        }
        self
    }

    /// Folds an event, or says why the projection cannot.
    ///
    /// # Errors
    /// If the projection cannot fold it, or one before it that was waiting for
    /// its block to be full.
    pub fn try_fold(&mut self, event: GivenEvent) -> Result<&mut Self, String> {
        self.pending.push(&event);
        self.given.push(event);
        if self.pending.len() >= self.block_size {
            self.apply()?;
        }
        Ok(self)
    }

    fn apply(&mut self) -> Result<(), String> {
        let runner = &mut self.runner;
        let result = setting::with(&self.settings, || runner.apply(self.pending.block()));
        let outcome = result.map(drop).map_err(|failure| {
            let event_type = self.pending.event_type(failure.position);
            format!("the event at {} (`{event_type}`): {}", failure.position, failure.message)
        });
        self.pending.clear();
        outcome
    }

    #[track_caller]
    fn settle(&mut self) {
        if let Err(reason) = self.apply() {
            panic!("{reason}");
        }
    }

    /// Commits what changed so far, as the host does every now and then.
    ///
    /// # Panics
    /// If a waiting event cannot be folded.
    #[track_caller]
    pub fn flush(&mut self) -> &mut Self {
        self.settle();
        self.stored.commit(&self.runner.flush());
        self
    }

    /// The answer to a query.
    ///
    /// # Panics
    /// If the query has no answer.
    #[track_caller]
    pub fn query(&mut self, name: &str, arguments: Value) -> Value {
        match self.try_query(name, arguments) {
            Ok(answer) => answer,
            Err(error) => panic!("query `{name}`: {error}"),
        }
    }

    /// The answer to a query, or why it has none.
    ///
    /// # Errors
    /// If the query has no answer.
    ///
    /// # Panics
    /// If a waiting event cannot be folded.
    #[track_caller]
    pub fn try_query(&mut self, name: &str, arguments: Value) -> Result<Value, QueryError> {
        self.flush();
        // Queries are answered by an instance of their own, from what is
        // committed.
        let mut runner = Runner::<P>::new(self.stored.clone(), self.cache_bytes);
        let answer = setting::with(&self.settings, || runner.query(name, arguments.to_string().as_bytes()))?;
        Ok(serde_json::from_slice(&answer).expect("an answer is JSON"))
    }

    /// Looks at the projection's tables.
    ///
    /// # Panics
    /// If a waiting event cannot be folded.
    #[track_caller]
    pub fn read<T>(&mut self, look: impl FnOnce(&P) -> T) -> T {
        self.settle();
        setting::with(&self.settings, || look(self.runner.projection()))
    }

    /// The rows of a table (or index: `table.index`) by ascending key, as the
    /// host would show them: keys of several parts are arrays.
    ///
    /// # Panics
    /// If there is no such table, or a waiting event cannot be folded.
    #[track_caller]
    pub fn rows(&mut self, table: &str) -> Vec<(Value, Value)> {
        self.flush();
        self.stored.rows_of(&P::tables(), table)
    }

    /// What `describe` answers.
    pub fn describe(&self) -> Value {
        serde_json::from_str(&Runner::<P>::describe()).expect("a description is JSON")
    }

    /// Folds all given events again, with blocks, caches and flushes of other
    /// sizes, and checks that the same state comes of it. With `partition_by`
    /// the events of each key are also folded by themselves.
    ///
    /// # Panics
    /// If another state comes of it.
    #[track_caller]
    pub fn check_replay(&mut self) {
        self.flush();
        for (block_size, cache_bytes, flush_every) in
            [(1, 0, 1), (3, 1 << 10, 5), (usize::MAX, CACHE_BYTES, usize::MAX)]
        {
            let mut replay = Self::with_cache_bytes(cache_bytes);
            replay.settings.clone_from(&self.settings);
            replay.block_size(block_size);
            for (number, event) in self.given.iter().enumerate() {
                replay.fold(event.clone());
                if (number + 1).is_multiple_of(flush_every) {
                    replay.flush();
                }
            }
            replay.flush();
            for description in P::tables() {
                assert_eq!(
                    replay.rows(&description.name),
                    self.rows(&description.name),
                    "a replay with blocks of {block_size} gives other rows in table `{}`",
                    description.name
                );
            }
        }
        if P::PARTITION_BY.is_some() {
            self.check_partitions();
        }
    }

    /// A partition for each key: no number of them divides the events further.
    #[track_caller]
    fn check_partitions(&mut self) {
        let mut pending = Pending::default();
        self.given.iter().for_each(|event| pending.push(event));
        let block = pending.block();
        let hashes: BTreeSet<u64> =
            block.heads.iter().map(|head| P::partition_key(&Event::new(block, head))).collect();
        let mut found: Vec<BTreeMap<String, (Value, Value)>> = vec![BTreeMap::new(); P::tables().len()];
        for hash in hashes {
            let part = Part { remainder: hash % u64::MAX, of: u64::MAX };
            let mut partition = Self::of_part(part, self.cache_bytes);
            partition.settings.clone_from(&self.settings);
            for event in &self.given {
                partition.fold(event.clone());
            }
            for (description, found) in P::tables().iter().zip(&mut found) {
                for (key, value) in partition.rows(&description.name) {
                    let other = found.insert(key.to_string(), (key.clone(), value));
                    assert!(
                        other.is_none(),
                        "row {key} of table `{}` is changed at events with different partition keys, but a row \
                         has to belong to one",
                        description.name
                    );
                }
            }
        }
        for (description, found) in P::tables().iter().zip(found) {
            let rows = self.rows(&description.name);
            let rows: BTreeMap<_, _> = rows.into_iter().map(|row| (row.0.to_string(), row)).collect();
            assert_eq!(
                found, rows,
                "table `{}` has other rows when the events of each partition key are folded by themselves: a \
                 handler must only read rows of its own key",
                description.name
            );
        }
    }
}

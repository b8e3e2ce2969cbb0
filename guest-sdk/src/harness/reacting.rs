//! Native tests of reactions.

use std::{collections::BTreeMap, rc::Rc};

use serde_json::Value;

use super::{
    given::{GivenEvent, Pending, event},
    stored::Stored,
};
use crate::{
    Failure, NewEvent,
    context::CACHE_BYTES,
    query::QueryError,
    reaction::{Reaction, Reactor},
    setting,
};

/// A reaction under test. Answers events as the host would have it, without a
/// host.
///
/// ```
/// use projectionist_sdk::{harness::ReactionHarness, prelude::*};
///
/// #[derive(Reaction)]
/// struct Welcome {
///     welcomed: Table<String, u64>,
/// }
///
/// #[reaction(new_version = "continue")]
/// impl Welcome {
///     #[on("account.created")]
///     fn created(&mut self, event: &Event) -> Option<NewEvent> {
///         let times = self.welcomed.entry(event.subject());
///         *times += 1;
///         (*times == 1).then(|| NewEvent::new("account.welcomed").subject(event.subject()))
///     }
/// }
///
/// let mut harness = ReactionHarness::<Welcome>::new();
/// harness.event("account.created", "account/7", json!({})).event("account.created", "account/7", json!({}));
/// assert_eq!(harness.appended().len(), 1);
/// assert_eq!(harness.rows("welcomed"), [(json!("account/7"), json!(2))]);
/// ```
pub struct ReactionHarness<R> {
    reactor: Reactor<R>,
    stored: Rc<Stored>,
    pending: Pending,
    settings: BTreeMap<String, String>,
    appended: Vec<NewEvent>,
}

impl<R: Reaction> Default for ReactionHarness<R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<R: Reaction> ReactionHarness<R> {
    /// With nothing handled yet.
    pub fn new() -> Self {
        let stored = Rc::new(Stored::new(R::tables().len()));
        Self {
            reactor: Reactor::new(stored.clone(), CACHE_BYTES),
            stored,
            pending: Pending::default(),
            settings: BTreeMap::new(),
            appended: Vec::new(),
        }
    }

    /// Sets a value of the settings file; see [`setting`](crate::setting()).
    pub fn setting(&mut self, name: &str, value: &str) -> &mut Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Handles an event with JSON data; [`handle`](Self::handle) takes one with all
    /// that an event can have.
    ///
    /// # Panics
    /// If the reaction fails.
    #[track_caller]
    pub fn event(&mut self, event_type: &str, subject: &str, data: Value) -> &mut Self {
        self.handle(event(event_type).subject(subject).data(data))
    }

    /// Handles an event.
    ///
    /// # Panics
    /// If the reaction fails.
    #[track_caller]
    pub fn handle(&mut self, event: GivenEvent) -> &mut Self {
        if let Err(failure) = self.try_handle(event) {
            panic!("{failure}");
        }
        self
    }

    /// Handles an event: the events that it appends, or why not. After a failure
    /// nothing of it remains.
    ///
    /// # Errors
    /// If the reaction fails.
    pub fn try_handle(&mut self, event: GivenEvent) -> Result<Vec<NewEvent>, Failure> {
        self.pending.push(&event);
        let reactor = &mut self.reactor;
        let answer = setting::with(&self.settings, || reactor.react(self.pending.block()));
        self.pending.clear();
        let effects = answer?;
        self.stored.commit(&self.reactor.flush());
        self.appended.extend(effects.append.iter().cloned());
        Ok(effects.append)
    }

    /// All events that it has appended so far, in order.
    pub fn appended(&self) -> &[NewEvent] {
        &self.appended
    }

    /// The answer to a query, or why it has none.
    ///
    /// # Errors
    /// If the query has no answer.
    pub fn try_query(&mut self, name: &str, arguments: Value) -> Result<Value, QueryError> {
        let reactor = &self.reactor;
        let answer = setting::with(&self.settings, || reactor.query(name, arguments.to_string().as_bytes()))?;
        Ok(serde_json::from_slice(&answer).expect("an answer is JSON"))
    }

    /// The rows of a table (or index: `table.index`) by ascending key, as the
    /// host would show them: keys of several parts are arrays.
    ///
    /// # Panics
    /// If there is no such table.
    #[track_caller]
    pub fn rows(&mut self, table: &str) -> Vec<(Value, Value)> {
        self.stored.rows_of(&R::tables(), table)
    }

    /// What `describe` answers.
    pub fn describe(&self) -> Value {
        serde_json::from_str(&Reactor::<R>::describe()).expect("a description is JSON")
    }
}

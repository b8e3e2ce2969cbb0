//! Native tests of reactions.

use std::{
    cell::{Ref, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use serde_json::{Value, json};

use super::{
    calls::{self, Double},
    given::{GivenEvent, Pending, event},
    stored::Stored,
};
use crate::{
    Failure, NewEvent,
    context::CACHE_BYTES,
    http,
    query::QueryError,
    reaction::{Reaction, Reactor, TIMER_DUE, TimerChange},
    setting, time,
    time::Timestamp,
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
    calls: Rc<RefCell<Double>>,
    /// By key: when it is due, and what the event is about.
    timers: BTreeMap<String, (Timestamp, String)>,
    now: Timestamp,
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
            calls: Rc::default(),
            timers: BTreeMap::new(),
            now: Timestamp::default(),
        }
    }

    /// Sets a value of the settings file; see [`setting`](crate::setting()).
    pub fn setting(&mut self, name: &str, value: &str) -> &mut Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Answers the calls that it makes over HTTP from now on.
    pub fn answer_calls(
        &mut self,
        script: impl FnMut(&http::Request) -> Result<http::Response, http::Error> + 'static,
    ) -> &mut Self {
        self.calls.borrow_mut().answer_with(script);
        self
    }

    /// All calls that it has made so far, in order.
    pub fn calls(&self) -> Ref<'_, [http::Request]> {
        Ref::map(self.calls.borrow(), |double| double.made.as_slice())
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
        self.handle_as(event, None)
    }

    /// `timer`: whose event it is, if it is a timer's.
    fn handle_as(&mut self, event: GivenEvent, timer: Option<&str>) -> Result<Vec<NewEvent>, Failure> {
        time::set_now(self.now);
        let subject = event.about().to_owned();
        self.pending.push(&event);
        let reactor = &mut self.reactor;
        let answer = calls::with(&self.calls, || {
            setting::with(&self.settings, || reactor.react(self.pending.block()))
        });
        self.pending.clear();
        let effects = answer?;
        if self.reactor.has_changed() {
            self.stored.commit(&self.reactor.flush());
        }
        if let Some(timer) = timer {
            self.timers.remove(timer);
        }
        for TimerChange { key, at } in effects.timers {
            match at {
                Some(due) => drop(self.timers.insert(key, (due, subject.clone()))),
                None => drop(self.timers.remove(&key)),
            }
        }
        self.appended.extend(effects.append.iter().cloned());
        Ok(effects.append)
    }

    /// The lane of an event, where the reaction works it out (`lane = |event| …`).
    pub fn lane(&mut self, event: &GivenEvent) -> String {
        self.pending.push(event);
        let lane = Reactor::<R>::lanes(self.pending.block()).pop().unwrap_or_default();
        self.pending.clear();
        lane
    }

    /// Sets the clock (at the Unix epoch before), in RFC 3339, and lets the timers that are
    /// due by then be handled, one after the other, each as if at the time when it was due.
    ///
    /// # Panics
    /// If the text is no time or an earlier one, or if the reaction fails.
    #[track_caller]
    pub fn at(&mut self, time: &str) -> &mut Self {
        let until: Timestamp = time.parse().unwrap_or_else(|error| panic!("{error}"));
        assert!(until >= self.now, "{until} is before {}: time does not go back", self.now);
        while let Some((key, due, subject)) = self.next_timer().filter(|(_, due, _)| *due <= until) {
            self.now = self.now.max(due);
            let fired = event(TIMER_DUE).subject(&subject).data(json!({ "key": key, "due": due }));
            if let Err(failure) = self.handle_as(fired.time(&self.now.to_string()), Some(&key)) {
                panic!("the timer {key:?}: {failure}");
            }
        }
        self.now = until;
        self
    }

    fn next_timer(&self) -> Option<(String, Timestamp, String)> {
        let (key, (due, subject)) = self.timers.iter().min_by_key(|(key, (due, _))| (*due, *key))?;
        Some((key.clone(), *due, subject.clone()))
    }

    /// The timers that are set, by key, and when they are due.
    pub fn timers(&self) -> BTreeMap<&str, Timestamp> {
        self.timers.iter().map(|(key, (due, _))| (key.as_str(), *due)).collect()
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

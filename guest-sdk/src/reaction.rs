//! Reactions: what a handler answers, and what calls the handlers.

use std::{fmt, rc::Rc};

use serde::{Deserialize, Serialize};

use crate::{
    context::{Committed, Context},
    describe::Description,
    event::{Block, Event},
    query::{Arguments, QueryError},
    runner::Handlers,
    table::Changes,
    time::Timestamp,
};

/// An event to append, as the answer to another.
///
/// ```
/// use projectionist_sdk::{NewEvent, json};
///
/// let event = NewEvent::new("activation-mail.sent").subject("account/7").data(&json!({"to": "a@b.c"})).tag("mail");
/// ```
///
/// The host adds the id, which is the same however often the event is answered,
/// the source (`/reactions/<name>`), the time, and as extension attributes
/// `correlationid` (of the event that it answers; where that has none, its id) and
/// `causationid` (its id).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    pub(crate) event_type: String,
    pub(crate) subject: Option<String>,
    pub(crate) content_type: String,
    pub(crate) data: Vec<u8>,
    pub(crate) tags: Vec<String>,
}

impl NewEvent {
    /// An event of this type, about nothing in particular and without data.
    pub fn new(event_type: impl Into<String>) -> Self {
        let event_type = event_type.into();
        Self { event_type, subject: None, content_type: String::new(), data: Vec::new(), tags: Vec::new() }
    }

    /// What it is about.
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// JSON data.
    ///
    /// # Panics
    /// If it cannot be written as JSON: a map whose keys are no text, or an
    /// implementation of `Serialize` that fails.
    pub fn data(self, data: &impl Serialize) -> Self {
        let json = serde_json::to_vec(data).expect("the data of a new event can be written as JSON");
        self.bytes("application/json", json)
    }

    /// Any data.
    pub fn bytes(mut self, content_type: &str, data: impl Into<Vec<u8>>) -> Self {
        self.content_type = content_type.to_owned();
        self.data = data.into();
        self
    }

    /// A tag, by which appends and reads can select it.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Its type.
    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    /// What it is about; empty if nothing in particular.
    pub fn about(&self) -> &str {
        self.subject.as_deref().unwrap_or_default()
    }

    /// Its data, from JSON.
    ///
    /// # Errors
    /// If the data is no JSON of that type.
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> serde_json::Result<T> {
        serde_json::from_slice(&self.data)
    }
}

/// What an event leads to. All of it happens once, or nothing.
///
/// ```
/// use std::time::Duration;
///
/// use projectionist_sdk::prelude::*;
///
/// /// Reminds whoever has not paid after a week.
/// #[derive(Reaction)]
/// struct Reminder {}
///
/// #[reaction(new_version = "continue")]
/// impl Reminder {
///     #[on("invoice.sent")]
///     fn sent(&mut self, event: &Event) -> Effects {
///         Effects::none().timer(event.subject(), event.time() + Duration::from_secs(7 * 24 * 3600))
///     }
///
///     #[on("invoice.paid")]
///     fn paid(&mut self, event: &Event) -> Effects {
///         Effects::none().cancel(event.subject())
///     }
///
///     #[on_timer]
///     fn due(&mut self, event: &Event, timer: Timer) -> NewEvent {
///         NewEvent::new("invoice.reminded").subject(event.subject())
///     }
/// }
///
/// use projectionist_sdk::harness::{ReactionHarness, event};
///
/// let mut harness = ReactionHarness::<Reminder>::new();
/// harness.at("2024-05-01T10:00:00Z");
/// harness.handle(event("invoice.sent").subject("invoice/1").time("2024-05-01T10:00:00Z"));
/// harness.handle(event("invoice.sent").subject("invoice/2").time("2024-05-01T10:00:00Z"));
/// harness.handle(event("invoice.paid").subject("invoice/1"));
/// harness.at("2024-05-08T09:59:59Z");
/// assert_eq!(harness.appended(), []);
/// harness.at("2024-05-08T10:00:00Z");
/// assert_eq!(harness.appended(), [NewEvent::new("invoice.reminded").subject("invoice/2")]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    pub(crate) append: Vec<NewEvent>,
    pub(crate) timers: Vec<TimerChange>,
}

/// A timer that is set, moved or cancelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TimerChange {
    pub(crate) key: String,
    pub(crate) at: Option<Timestamp>,
}

/// A timer that is due, as a method with `#[on_timer]` gets it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Timer {
    /// Under which it was set.
    pub key: String,
    /// When it was due; it is never early.
    pub due: Timestamp,
}

impl Effects {
    /// None.
    pub fn none() -> Self {
        Self::default()
    }

    /// Also appends an event; events are appended in this order.
    pub fn append(mut self, event: NewEvent) -> Self {
        self.append.push(event);
        self
    }

    /// Also sets a timer, or moves the one of this key: when it is due, the method with
    /// `#[on_timer]` is called, once, with the subject of this event.
    pub fn timer(mut self, key: impl Into<String>, due: Timestamp) -> Self {
        self.timers.push(TimerChange { key: key.into(), at: Some(due) });
        self
    }

    /// Also cancels the timer of this key, if there is one.
    pub fn cancel(mut self, key: impl Into<String>) -> Self {
        self.timers.push(TimerChange { key: key.into(), at: None });
        self
    }
}

impl From<()> for Effects {
    fn from((): ()) -> Self {
        Self::none()
    }
}

impl From<NewEvent> for Effects {
    fn from(event: NewEvent) -> Self {
        Self::none().append(event)
    }
}

impl From<Option<NewEvent>> for Effects {
    fn from(event: Option<NewEvent>) -> Self {
        Self { append: event.into_iter().collect(), ..Self::none() }
    }
}

impl From<Vec<NewEvent>> for Effects {
    fn from(append: Vec<NewEvent>) -> Self {
        Self { append, ..Self::none() }
    }
}

/// Why an event was not answered. Nothing that the handler did remains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The world was in the way; the host tries again later.
    Retry(String),
    /// The event can never be handled; the host keeps it as a dead letter.
    Reject(String),
}

impl Failure {
    /// The world was in the way, and why.
    pub fn retry(reason: impl fmt::Display) -> Self {
        Self::Retry(reason.to_string())
    }

    /// The event can never be handled, and why.
    pub fn reject(reason: impl fmt::Display) -> Self {
        Self::Reject(reason.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry(reason) => write!(f, "to be tried again: {reason}"),
            Self::Reject(reason) => write!(f, "rejected: {reason}"),
        }
    }
}

impl std::error::Error for Failure {}

/// What a reaction does with events; `#[reaction]` implements it.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` answers no events",
    label = "not a reaction",
    note = "write `#[reaction(new_version = \"…\")]` over `impl {Self}`"
)]
pub trait Reaction: Handlers {
    const NEW_VERSION: &'static str;
    const LANE: &'static str;
    const ON_FAILURE: Option<&'static str>;
    fn lane(event: &Event<'_>) -> String;
    fn react(&mut self, handler: u32, event: &Event<'_>) -> Result<Effects, Failure>;
}

/// The type of the events that timers become; `#[on_timer]` knows it as well.
pub(crate) const TIMER_DUE: &str = "projectionist.timer.due";

/// Says that a reaction is used; see [`used`](crate::runner::used).
#[doc(hidden)]
pub fn used_reaction<R: Reaction>() {}

/// What a reaction's handler may return.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a reaction's handler cannot return `{Self}`",
    label = "neither effects nor a Result with them",
    note = "a handler returns nothing, a `NewEvent`, several, `Effects`, or `Result<…, Failure>` with one of them"
)]
pub trait Answer {
    fn into_effects(self) -> Result<Effects, Failure>;
}

impl Answer for () {
    fn into_effects(self) -> Result<Effects, Failure> {
        Ok(Effects::none())
    }
}

impl Answer for NewEvent {
    fn into_effects(self) -> Result<Effects, Failure> {
        Ok(self.into())
    }
}

impl Answer for Option<NewEvent> {
    fn into_effects(self) -> Result<Effects, Failure> {
        Ok(self.into())
    }
}

impl Answer for Vec<NewEvent> {
    fn into_effects(self) -> Result<Effects, Failure> {
        Ok(self.into())
    }
}

impl Answer for Effects {
    fn into_effects(self) -> Result<Effects, Failure> {
        Ok(self)
    }
}

impl<T: Into<Effects>> Answer for Result<T, Failure> {
    fn into_effects(self) -> Result<Effects, Failure> {
        self.map(Into::into)
    }
}

/// What names a lane.
#[doc(hidden)]
pub fn lane_of<'e, T: ToString>(event: &'e Event<'e>, key: impl FnOnce(&'e Event<'e>) -> T) -> String {
    key(event).to_string()
}

/// Decodes an event's data for a reaction's handler. Data that is not as expected
/// will not become so.
#[doc(hidden)]
pub fn data_or_reject<'a, T: Deserialize<'a>>(event: &Event<'a>) -> Result<T, Failure> {
    event.decode().map_err(Failure::reject)
}

/// Calls a reaction. Others may have changed its state since it was last called,
/// so each call begins with nothing in its tables' caches.
#[doc(hidden)]
pub struct Reactor<R> {
    committed: Rc<dyn Committed>,
    cache_bytes: usize,
    /// What the last call has changed, until it is taken.
    changed: Option<(R, Rc<Context>)>,
}

impl<R: Reaction> Reactor<R> {
    pub(crate) fn new(committed: Rc<dyn Committed>, cache_bytes: usize) -> Self {
        Self { committed, cache_bytes, changed: None }
    }

    fn open(&self) -> (R, Rc<Context>) {
        let context = Context::once(Rc::clone(&self.committed), self.cache_bytes);
        (R::open(&context), context)
    }

    pub(crate) fn describe() -> String {
        let description = Description {
            new_version: Some(R::NEW_VERSION),
            lane: Some(R::LANE),
            on_failure: R::ON_FAILURE,
            ..Description::of::<R>()
        };
        description.to_json()
    }

    /// Answers the only event of a block.
    pub(crate) fn react(&mut self, block: Block<'_>) -> Result<Effects, Failure> {
        self.changed = None;
        let (mut reaction, context) = self.open();
        let mut effects = Effects::none();
        for head in block.heads {
            if let Some(handler) = R::handler(&block.names[head.type_ as usize]) {
                effects = reaction.react(handler, &Event::new(block, head))?;
            }
        }
        if !effects.timers.is_empty() && R::handler(TIMER_DUE).is_none() {
            return Err(Failure::reject("a timer is set, but no method with `#[on_timer]` waits for it"));
        }
        self.changed = Some((reaction, context));
        Ok(effects)
    }

    /// Whether the last call has changed state.
    pub(crate) fn has_changed(&self) -> bool {
        self.changed.as_ref().is_some_and(|(_, context)| context.dirty.get() > 0)
    }

    /// The lane of each event of a block.
    pub(crate) fn lanes(block: Block<'_>) -> Vec<String> {
        block.heads.iter().map(|head| R::lane(&Event::new(block, head))).collect()
    }

    /// What the last call has changed.
    pub(crate) fn flush(&mut self) -> Changes {
        let mut changes = Changes::default();
        if let Some((mut reaction, _)) = self.changed.take() {
            reaction.each_table(&mut |table| table.__flush(&mut changes));
        }
        changes
    }

    pub(crate) fn query(&self, name: &str, arguments: &[u8]) -> Result<Vec<u8>, QueryError> {
        self.open().0.query(name, Arguments::parse(arguments)?)
    }
}

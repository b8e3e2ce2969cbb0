//! A running plug-in.

use std::sync::Arc;

use wasmtime::{Store, component::Func};

use super::{
    bindings::{
        events,
        plugin_interface::{self, QueryFailure},
        projection_interface::Failure,
        reaction_interface, upcaster_interface,
    },
    changes::Changes,
    crossing::Crossing,
    error::{ApplyError, CallError, PluginError, ReactError},
    guest::{self, Guest},
    outbound::{NoOutbound, Outbound},
    state::StateReader,
    stop,
    upcast::Upcast,
};
use crate::event::{Block, Position, Timestamp};

/// A running plug-in. After an error other than [`CallError::UnknownQuery`],
/// [`CallError::BadArguments`] or [`CallError::Failed`] it cannot be used any
/// further: drop it and start another.
///
/// None of its calls needs a runtime; they yield to whatever executor polls
/// them every few milliseconds.
pub struct Instance {
    store: Store<Guest>,
    exports: plugin_interface::Guest,
    calls: Calls,
    name: Arc<str>,
    tables: Arc<[String]>,
}

/// What only one kind of plug-in can be asked.
pub(super) enum Calls {
    Projection {
        /// Called without the generated bindings: see `crossing.rs`.
        apply: Func,
    },
    Reaction(reaction_interface::Guest),
    Upcaster(upcaster_interface::Guest),
}

impl Calls {
    /// What it does not do, as a predicate.
    fn does_not(&self, what: &str) -> String {
        let is = match self {
            Self::Projection { .. } => "a projection",
            Self::Reaction(_) => "a reaction",
            Self::Upcaster(_) => "an upcaster",
        };
        format!("{what}: it is {is}")
    }
}

/// An event that a reaction wants appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// What kind of fact it is.
    pub event_type: String,
    /// What it is about.
    pub subject: Option<String>,
    /// The media type of `data`; empty when there is no data.
    pub content_type: String,
    /// The payload, byte for byte.
    pub data: Vec<u8>,
    /// Strings by which appends and reads can select it.
    pub tags: Vec<String>,
}

/// A timer that a reaction sets, moves or cancels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimerChange {
    /// The reaction's own name for it.
    pub key: String,
    /// When it is due; none: never any more.
    pub at: Option<Timestamp>,
}

/// What an event leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reacted {
    /// The events to append, in order.
    pub append: Vec<NewEvent>,
    /// In order: of several of the same key the last one counts.
    pub timers: Vec<TimerChange>,
    /// Whether it has changed state, which is to be flushed then.
    pub changed: bool,
}

impl Reacted {
    /// Adds what comes after it.
    pub fn add(&mut self, mut next: Self) {
        self.append.append(&mut next.append);
        self.timers.append(&mut next.timers);
        self.changed |= next.changed;
    }
}

impl From<reaction_interface::Outcome> for Reacted {
    fn from(outcome: reaction_interface::Outcome) -> Self {
        let timer = |timer: reaction_interface::Timer| TimerChange {
            key: timer.key,
            at: timer.at.map(Timestamp::from_micros),
        };
        Self {
            append: outcome.append.into_iter().map(NewEvent::from).collect(),
            timers: outcome.timers.into_iter().map(timer).collect(),
            changed: outcome.changed,
        }
    }
}

impl From<reaction_interface::NewEvent> for NewEvent {
    fn from(event: reaction_interface::NewEvent) -> Self {
        let reaction_interface::NewEvent { type_: event_type, subject, content_type, data, tags } = event;
        Self { event_type, subject, content_type, data, tags }
    }
}

/// A block as the generated bindings take it.
struct Lowered<'b> {
    names: Vec<&'b str>,
    heads: Vec<events::Head>,
    bytes: &'b [u8],
}

impl<'b> Lowered<'b> {
    fn of(block: &'b Block) -> Self {
        Self {
            names: block.names.iter().map(String::as_str).collect(),
            heads: block.heads.iter().map(events::Head::from).collect(),
            bytes: &block.bytes,
        }
    }

    fn block(&self) -> events::Block<'_> {
        events::Block { names: &self.names, heads: &self.heads, bytes: self.bytes }
    }
}

impl Instance {
    pub(super) fn new(
        store: Store<Guest>,
        exports: plugin_interface::Guest,
        calls: Calls,
        name: Arc<str>,
        tables: Arc<[String]>,
    ) -> Self {
        Self { store, exports, calls, name, tables }
    }

    /// Lets it read another state from now on.
    pub fn set_state(&mut self, state: Arc<dyn StateReader>) {
        self.store.data_mut().state = state;
    }

    /// Lets it make its calls through somebody from now on; none: it makes none.
    pub fn set_outbound(&mut self, outbound: Option<Arc<dyn Outbound>>) {
        self.store.data_mut().calls.outbound = outbound.unwrap_or_else(|| Arc::new(NoOutbound));
    }

    /// Whether it has made so many calls that another should take its place: of each that
    /// had options of its own, `wasmtime-wasi-http` keeps these.
    pub fn is_worn(&self) -> bool {
        self.store.data().calls.made > guest::MOST_RESOURCES / 4
    }

    /// How many bytes of memory it has by now.
    pub fn memory(&self) -> u64 {
        self.store.data().meter.memory as u64
    }

    /// Folds a block, which holds only events of types that it subscribed to.
    /// Answers about how many bytes a flush would return now.
    pub async fn apply(&mut self, block: &Block) -> Result<u64, ApplyError> {
        let Calls::Projection { apply } = &self.calls else {
            return Err(ApplyError::Trap { reason: self.calls.does_not("folds nothing") });
        };
        let names: Vec<&str> = block.names.iter().map(String::as_str).collect();
        guest::begin(&mut self.store, false);
        let crossing = Crossing::new(block, &names);
        let call = match apply.typed::<(Crossing<'_>,), (Result<u64, Failure>,)>(&self.store) {
            Ok(apply) => apply.call_async(&mut self.store, (crossing,)).await,
            Err(error) => Err(error),
        };
        match self.end(call, false) {
            Ok((Ok(bytes),)) => Ok(bytes),
            Ok((Err(failure),)) => Err(self.failed(block, failure.position, &failure.message)),
            Err(reason) => Err(ApplyError::Trap { reason }),
        }
    }

    /// Answers an event, the only one of a block.
    pub async fn react(&mut self, event: &Block) -> Result<Reacted, ReactError> {
        let Calls::Reaction(reaction) = &self.calls else {
            return Err(ReactError::Trap { reason: self.calls.does_not("answers no events") });
        };
        guest::begin(&mut self.store, false);
        let lowered = Lowered::of(event);
        let call = reaction.call_react(&mut self.store, lowered.block()).await;
        match self.end(call, false) {
            Ok(Ok(outcome)) => Ok(outcome.into()),
            Ok(Err(reaction_interface::Failure::Retry(reason))) => {
                Err(ReactError::Retry { reason: stop::shortened(&reason) })
            }
            Ok(Err(reaction_interface::Failure::Reject(reason))) => {
                Err(ReactError::Reject { reason: stop::shortened(&reason) })
            }
            Err(reason) => Err(ReactError::Trap { reason }),
        }
    }

    /// The lane of each event of a block, in their order, as the reaction works it out.
    pub async fn lanes(&mut self, block: &Block) -> Result<Vec<String>, ReactError> {
        let Calls::Reaction(reaction) = &self.calls else {
            return Err(ReactError::Trap { reason: self.calls.does_not("has no lanes") });
        };
        guest::begin(&mut self.store, false);
        let lowered = Lowered::of(block);
        let call = reaction.call_lanes(&mut self.store, lowered.block()).await;
        match self.end(call, false) {
            Ok(lanes) if lanes.len() == block.len() => Ok(lanes),
            Ok(lanes) => Err(ReactError::Trap {
                reason: format!("names {} lanes for {} events", lanes.len(), block.len()),
            }),
            Err(reason) => Err(ReactError::Trap { reason }),
        }
    }

    /// Gives the events of a block, all of which it takes, their new shape.
    pub async fn upcast(&mut self, block: &Block) -> Result<Upcast, ApplyError> {
        let Calls::Upcaster(upcaster) = &self.calls else {
            return Err(ApplyError::Trap { reason: self.calls.does_not("upcasts nothing") });
        };
        guest::begin(&mut self.store, true);
        let lowered = Lowered::of(block);
        let call = upcaster.call_upcast(&mut self.store, lowered.block()).await;
        match self.end(call, false) {
            Ok(Ok(shapes)) => {
                let most = self.store.data().meter.limits.flush;
                Upcast::check(shapes, block.len(), most).map_err(|reason| ApplyError::Trap { reason })
            }
            Ok(Err(failure)) => Err(self.failed(block, failure.position, &failure.message)),
            Err(reason) => Err(ApplyError::Trap { reason }),
        }
    }

    /// Takes all changes since the last flush.
    pub async fn flush(&mut self) -> Result<Changes, PluginError> {
        guest::begin(&mut self.store, true);
        let call = self.exports.call_flush(&mut self.store).await;
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
        let call = self.exports.call_query(&mut self.store, name, &arguments).await;
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

    /// What it says about an event that it was given.
    fn failed(&self, block: &Block, position: Position, message: &str) -> ApplyError {
        let message = stop::shortened(message);
        match block.heads.iter().any(|head| head.position == position) {
            true => ApplyError::Failure { position, message },
            false => ApplyError::Trap {
                reason: format!("blames event {position}, which it was not given: {message}"),
            },
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

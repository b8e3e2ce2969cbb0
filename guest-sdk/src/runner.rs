//! Runs a projection: what the component and the native harness have in common.

use std::{
    fmt,
    hash::{BuildHasher, Hash},
    rc::Rc,
};

use foldhash::fast::FixedState;
use serde::Deserialize;

use crate::{
    context::{Committed, Context},
    describe::{Description, QueryDescription, TableDescription},
    event::{Block, Event},
    query::{Arguments, QueryError},
    table::{AnyTable, Changes},
};

/// A struct of tables; `#[derive(Projection)]` implements it.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no tables",
    label = "not a projection's state",
    note = "write `#[derive(Projection)]` over `struct {Self}`"
)]
pub trait State: Sized + 'static {
    const SUMMARY: &'static str;
    fn tables() -> Vec<TableDescription>;
    fn open(context: &Rc<Context>) -> Self;
    fn each_table(&mut self, visit: &mut dyn FnMut(&mut dyn AnyTable));
}

/// Which events a plug-in handles, and which queries it answers; `#[projection]`
/// and `#[reaction]` implement it.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` handles no events",
    label = "neither a projection nor a reaction",
    note = "write `#[projection]` over `impl {Self}`"
)]
pub trait Handlers: State {
    /// The types of events that it wants; none: all.
    const EVENTS: Option<&'static [&'static str]>;
    /// The number of the handler of a type.
    fn handler(event_type: &str) -> Option<u32>;
    fn queries() -> Vec<QueryDescription>;
    fn query(&self, name: &str, arguments: Arguments) -> Result<Vec<u8>, QueryError>;
}

/// What a projection does with events; `#[projection]` implements it.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` folds no events",
    label = "not a projection",
    note = "write `#[projection]` over `impl {Self}`"
)]
pub trait Projection: Handlers {
    const ON_FAILURE: Option<&'static str>;
    /// By what events are divided among instances: "subject" (the host does it),
    /// "key" (the SDK does) or nothing.
    const PARTITION_BY: Option<&'static str>;
    /// A hash of the key by which an event's partition is chosen.
    fn partition_key(event: &Event<'_>) -> u64;
    fn handle(&mut self, handler: u32, event: &Event<'_>) -> Result<(), String>;
}

/// Says that a projection is used, so that the compiler does not call its code
/// dead where nothing runs it.
#[doc(hidden)]
pub fn used<P: Projection>() {}

/// What a handler may return.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}`",
    label = "neither nothing nor a Result",
    note = "a handler returns nothing, or `Result<(), E>` where `E` implements Display"
)]
pub trait Outcome {
    fn into_result(self) -> Result<(), String>;
}

impl Outcome for () {
    #[inline]
    fn into_result(self) -> Result<(), String> {
        Ok(())
    }
}

impl<E: fmt::Display> Outcome for Result<(), E> {
    #[inline]
    fn into_result(self) -> Result<(), String> {
        self.map_err(|error| error.to_string())
    }
}

/// Decodes an event's data for a handler.
#[doc(hidden)]
#[inline]
pub fn data<'a, T: Deserialize<'a>>(event: &Event<'a>) -> Result<T, String> {
    event.decode().map_err(|error| error.to_string())
}

/// Lets an author's closure be written without types.
#[doc(hidden)]
pub fn partition_key_of<'a, K: Hash + 'a>(event: &'a Event<'a>, key: impl FnOnce(&'a Event<'a>) -> K) -> K {
    key(event)
}

/// Hashes the key by which an event's partition is chosen.
#[doc(hidden)]
pub fn partition_hash(key: impl Hash) -> u64 {
    // The instances of a component must agree, so it has a seed of its own.
    FixedState::with_seed(0x70_61_72_74).hash_one(key)
}

/// The part of the events that an instance folds: those whose key's hash leaves
/// this remainder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) remainder: u64,
    pub(crate) of: u64,
}

impl Part {
    pub(crate) const WHOLE: Self = Self { remainder: 0, of: 1 };

    /// As the host says it: `1/4` to `4/4`.
    #[cfg(any(target_family = "wasm", test))]
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (number, of) = text.split_once('/')?;
        let (number, of) = (number.parse::<u64>().ok()?, of.parse().ok()?);
        (1..=of).contains(&number).then(|| Self { remainder: number - 1, of })
    }

    fn has(self, hash: u64) -> bool {
        hash % self.of == self.remainder
    }
}

/// The event that could not be folded, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) position: u64,
    pub(crate) message: String,
}

/// A running projection.
#[doc(hidden)]
pub struct Runner<P> {
    projection: P,
    context: Rc<Context>,
    part: Part,
    /// The handler of each of the block's names; kept to reuse its memory.
    handlers: Vec<Option<u32>>,
    has_folded: bool,
}

impl<P: Projection> Runner<P> {
    pub(crate) fn new(committed: Rc<dyn Committed>, cache_bytes: usize) -> Self {
        let (context, part) = (Context::new(committed, cache_bytes), Part::WHOLE);
        Self { projection: P::open(&context), context, part, handlers: Vec::new(), has_folded: false }
    }

    /// Lets it pass over all other events.
    pub(crate) fn of_part(self, part: Part) -> Self {
        Self { part, ..self }
    }

    pub(crate) fn describe() -> String {
        let description = Description {
            partition_by: P::PARTITION_BY,
            on_failure: P::ON_FAILURE,
            ..Description::of::<P>()
        };
        description.to_json()
    }

    /// Folds a block; answers about how many bytes a flush would now return.
    pub(crate) fn apply(&mut self, block: Block<'_>) -> Result<u64, Failure> {
        self.has_folded = true;
        self.handlers.clear();
        self.handlers.extend(block.names.iter().map(|name| P::handler(name)));
        for head in block.heads {
            if let Some(handler) = self.handlers[head.type_ as usize] {
                let event = Event::new(block, head);
                if self.part != Part::WHOLE && !self.part.has(P::partition_key(&event)) {
                    continue;
                }
                self.projection
                    .handle(handler, &event)
                    .map_err(|message| Failure { position: head.position, message })?;
                self.tidy();
            }
        }
        Ok(self.context.dirty.get() as u64)
    }

    /// All changes since the last flush.
    pub(crate) fn flush(&mut self) -> Changes {
        let mut changes = Changes::default();
        changes.bytes.reserve(self.context.dirty.get());
        self.projection.each_table(&mut |table| table.__flush(&mut changes));
        self.context.flushed();
        changes
    }

    pub(crate) fn query(&mut self, name: &str, arguments: &[u8]) -> Result<Vec<u8>, QueryError> {
        if !self.has_folded {
            // An instance that only answers sees another committed state each
            // time; one that folds knows what it has committed.
            self.projection.each_table(&mut |table| table.__reset());
        }
        let answer = self.projection.query(name, Arguments::parse(arguments)?);
        self.tidy();
        answer
    }

    #[inline]
    fn tidy(&mut self) {
        if self.context.is_untidy() {
            self.projection.each_table(&mut |table| table.__tidy());
            self.context.tidied();
        }
    }

    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn projection(&self) -> &P {
        &self.projection
    }

    /// What a handler could do, and what follows an event.
    #[cfg(test)]
    pub(crate) fn step<T>(&mut self, step: impl FnOnce(&mut P) -> T) -> T {
        let result = step(&mut self.projection);
        self.tidy();
        result
    }

    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.context.held()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_numbered_from_one() {
        assert_eq!(Part::parse("2/3"), Some(Part { remainder: 1, of: 3 }));
        for text in ["", "0/3", "4/3", "1", "a/b", "-1/3"] {
            assert_eq!(Part::parse(text), None, "{text}");
        }
    }
}

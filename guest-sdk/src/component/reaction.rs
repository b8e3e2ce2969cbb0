//! A reaction behind the interface in `wit/`.

use std::{cell::RefCell, rc::Rc, thread::LocalKey};

use super::{
    Host,
    bindings::{
        plugin::exports::projectionist::plugin::plugin::{Changes, QueryFailure},
        reaction::exports::projectionist::plugin::reaction::{Block, Failure, NewEvent, Outcome, Timer},
    },
    cache_bytes, failed, flushed,
};
use crate::{
    event,
    reaction::{self, Reaction, Reactor},
    time::Timestamp,
};

/// Where a component keeps its reaction.
pub type Cell<R> = RefCell<Option<Reactor<R>>>;

fn with<R: Reaction, T>(cell: &'static LocalKey<Cell<R>>, run: impl FnOnce(&mut Reactor<R>) -> T) -> T {
    let start = || Reactor::new(Rc::new(Host), cache_bytes());
    cell.with_borrow_mut(|reactor| run(reactor.get_or_insert_with(start)))
}

pub fn describe<R: Reaction>() -> String {
    Reactor::<R>::describe()
}

pub fn react<R: Reaction>(cell: &'static LocalKey<Cell<R>>, block: Block) -> Result<Outcome, Failure> {
    let block = event::Block { names: &block.names, heads: &block.heads, bytes: &block.bytes };
    let (effects, changed) = with(cell, |reactor| (reactor.react(block), reactor.has_changed()));
    let effects = effects.map_err(|failure| match failure {
        reaction::Failure::Retry(reason) => Failure::Retry(reason),
        reaction::Failure::Reject(reason) => Failure::Reject(reason),
    })?;
    let event = |event: reaction::NewEvent| NewEvent {
        type_: event.event_type,
        subject: event.subject,
        content_type: event.content_type,
        data: event.data,
        tags: event.tags,
    };
    let timer =
        |timer: reaction::TimerChange| Timer { key: timer.key, at: timer.at.map(Timestamp::as_micros) };
    Ok(Outcome {
        append: effects.append.into_iter().map(event).collect(),
        timers: effects.timers.into_iter().map(timer).collect(),
        changed,
    })
}

pub fn lanes<R: Reaction>(block: Block) -> Vec<String> {
    Reactor::<R>::lanes(event::Block { names: &block.names, heads: &block.heads, bytes: &block.bytes })
}

pub fn flush<R: Reaction>(cell: &'static LocalKey<Cell<R>>) -> Changes {
    flushed(with(cell, Reactor::flush))
}

pub fn query<R: Reaction>(
    cell: &'static LocalKey<Cell<R>>,
    name: &str,
    arguments: &[u8],
) -> Result<Vec<u8>, QueryFailure> {
    with(cell, |reactor| reactor.query(name, arguments)).map_err(failed)
}

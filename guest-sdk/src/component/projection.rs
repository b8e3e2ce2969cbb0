//! A projection behind the interface in `wit/`.

use std::{cell::RefCell, rc::Rc, thread::LocalKey};

use super::{
    Host,
    bindings::{
        plugin::exports::projectionist::plugin::plugin::{Changes, QueryFailure},
        projection::exports::projectionist::plugin::projection::{Block, Failure},
    },
    cache_bytes, failed, flushed,
};
use crate::{
    event,
    runner::{Part, Projection, Runner},
};

/// Where a component keeps its projection.
pub type Cell<P> = RefCell<Option<Runner<P>>>;

fn with<P: Projection, T>(cell: &'static LocalKey<Cell<P>>, run: impl FnOnce(&mut Runner<P>) -> T) -> T {
    cell.with_borrow_mut(|runner| run(runner.get_or_insert_with(start)))
}

fn start<P: Projection>() -> Runner<P> {
    Runner::new(Rc::new(Host), cache_bytes()).of_part(part::<P>())
}

/// Which events this instance folds of those that it is given.
fn part<P: Projection>() -> Part {
    match (P::PARTITION_BY, std::env::var("PROJECTIONIST_PARTITION")) {
        (Some("key"), Ok(text)) => Part::parse(&text).expect("the host says which partition in the form 1/4"),
        // By subject: the host gives it no others.
        _ => Part::WHOLE,
    }
}

pub fn describe<P: Projection>(cell: &'static LocalKey<Cell<P>>) -> String {
    with(cell, |_| ());
    Runner::<P>::describe()
}

pub fn apply<P: Projection>(cell: &'static LocalKey<Cell<P>>, block: Block) -> Result<u64, Failure> {
    let block = event::Block { names: &block.names, heads: &block.heads, bytes: &block.bytes };
    with(cell, |runner| runner.apply(block))
        .map_err(|failure| Failure { position: failure.position, message: failure.message })
}

pub fn flush<P: Projection>(cell: &'static LocalKey<Cell<P>>) -> Changes {
    flushed(with(cell, Runner::flush))
}

pub fn query<P: Projection>(
    cell: &'static LocalKey<Cell<P>>,
    name: &str,
    arguments: &[u8],
) -> Result<Vec<u8>, QueryFailure> {
    with(cell, |runner| runner.query(name, arguments)).map_err(failed)
}

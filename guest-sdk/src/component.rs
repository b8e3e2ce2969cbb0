//! The component: a projection behind the interface in `wit/`. Wasm only.

use std::{cell::RefCell, rc::Rc, thread::LocalKey};

use bindings::{
    exports::projectionist::plugin::{
        plugin::{Changes, QueryFailure},
        projection::{Block, Failure},
    },
    projectionist::plugin::state,
};

use crate::{
    context::{CACHE_BYTES, Committed, Entries},
    event,
    query::QueryError,
    runner::{Handlers, Part, Runner},
};

/// What wit-bindgen makes of the interface.
#[allow(missing_docs, unsafe_code, unused_qualifications, clippy::all, reason = "generated")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "wit/0.1.0",
        world: "projection-plugin",
        pub_export_macro: true,
        default_bindings_module: "::projectionist_sdk::__private::bindings",
        runtime_path: "::projectionist_sdk::__private::wit_bindgen::rt",
    });
}

/// Committed state, asked of the host.
struct Host;

impl Committed for Host {
    fn get(&self, table: u32, key: &[u8]) -> Option<Vec<u8>> {
        state::get(table, key)
    }

    fn scan(&self, table: u32, start: &[u8], end: Option<&[u8]>, reverse: bool, limit: u32) -> Entries {
        let range =
            state::Range { start: Some(start.to_vec()), end: end.map(<[u8]>::to_vec), reverse, limit };
        state::scan(table, &range).into_iter().map(|entry| (entry.key, entry.value)).collect()
    }

    fn is_empty(&self, table: u32) -> bool {
        state::is_empty(table)
    }
}

/// Where a component keeps its projection.
pub type Cell<P> = RefCell<Option<Runner<P>>>;

fn with<P: Handlers, T>(cell: &'static LocalKey<Cell<P>>, run: impl FnOnce(&mut Runner<P>) -> T) -> T {
    cell.with_borrow_mut(|runner| run(runner.get_or_insert_with(start)))
}

fn start<P: Handlers>() -> Runner<P> {
    let limit = std::env::var("PROJECTIONIST_CACHE_BYTES").ok().and_then(|text| text.parse().ok());
    Runner::new(Rc::new(Host), limit.unwrap_or(CACHE_BYTES)).of_part(part::<P>())
}

/// Which events this instance folds of those that it is given.
fn part<P: Handlers>() -> Part {
    match (P::PARTITION_BY, std::env::var("PROJECTIONIST_PARTITION")) {
        (Some("key"), Ok(text)) => Part::parse(&text).expect("the host says which partition in the form 1/4"),
        // By subject: the host gives it no others.
        _ => Part::WHOLE,
    }
}

pub fn describe<P: Handlers>(cell: &'static LocalKey<Cell<P>>) -> String {
    with(cell, |_| ());
    Runner::<P>::describe()
}

pub fn apply<P: Handlers>(cell: &'static LocalKey<Cell<P>>, block: Block) -> Result<u64, Failure> {
    let block = event::Block { names: &block.names, heads: &block.heads, bytes: &block.bytes };
    with(cell, |runner| runner.apply(block))
        .map_err(|failure| Failure { position: failure.position, message: failure.message })
}

pub fn flush<P: Handlers>(cell: &'static LocalKey<Cell<P>>) -> Changes {
    let changes = with(cell, Runner::flush);
    Changes { changes: changes.list, bytes: changes.bytes }
}

pub fn query<P: Handlers>(
    cell: &'static LocalKey<Cell<P>>,
    name: &str,
    arguments: &[u8],
) -> Result<Vec<u8>, QueryFailure> {
    with(cell, |runner| runner.query(name, arguments)).map_err(|error| match error {
        QueryError::NotFound => QueryFailure::NotFound,
        QueryError::BadArguments(reason) => QueryFailure::BadArguments(reason),
        QueryError::Failed(reason) => QueryFailure::Failed(reason),
    })
}

//! The component: a projection or a reaction behind the interface in `wit/`. Wasm
//! only.
//!
//! - here: the host, and what both kinds have;
//! - `component/projection.rs`, `component/reaction.rs`,
//!   `component/upcaster.rs`: one kind each;
//! - `component/http.rs`: calls over `wasi:http`;
//! - `component/bindings.rs`: what wit-bindgen makes of the interface.

pub mod bindings;
pub mod http;
pub mod projection;
pub mod reaction;
pub mod upcaster;

use bindings::plugin::{
    exports::projectionist::plugin::plugin::{Changes, QueryFailure},
    projectionist::plugin::state,
};

use crate::{
    context::{CACHE_BYTES, Committed, Entries},
    query::QueryError,
    table,
};

/// State, asked of the host.
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

/// How much the caches of all tables may hold.
fn cache_bytes() -> usize {
    let limit = std::env::var("PROJECTIONIST_CACHE_BYTES").ok().and_then(|text| text.parse().ok());
    limit.unwrap_or(CACHE_BYTES)
}

fn flushed(changes: table::Changes) -> Changes {
    Changes { changes: changes.list, bytes: changes.bytes }
}

fn failed(error: QueryError) -> QueryFailure {
    match error {
        QueryError::NotFound => QueryFailure::NotFound,
        QueryError::BadArguments(reason) => QueryFailure::BadArguments(reason),
        QueryError::Failed(reason) => QueryFailure::Failed(reason),
    }
}

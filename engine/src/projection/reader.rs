//! State, as a component may read it.

use std::sync::Arc;

use crate::{
    plugin::StateReader,
    state::{Entry, KeyRange, Uncommitted, View},
};

fn range(start: Option<&[u8]>, end: Option<&[u8]>, reverse: bool, limit: usize) -> KeyRange {
    KeyRange { start: start.map(<[u8]>::to_vec), end: end.map(<[u8]>::to_vec), reverse, limit }
}

/// A view behind the imports of a component that answers queries.
pub struct ViewReader(pub Arc<View>);

impl StateReader for ViewReader {
    fn get(&self, table: u32, key: &[u8]) -> Result<Option<Vec<u8>>, String> {
        self.0.get(table, key).map_err(|error| error.to_string())
    }

    fn scan(
        &self,
        table: u32,
        start: Option<&[u8]>,
        end: Option<&[u8]>,
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<Entry>, String> {
        self.0.scan(table, &range(start, end, reverse, limit)).map_err(|error| error.to_string())
    }

    fn is_empty(&self, table: u32) -> Result<bool, String> {
        self.0.is_empty(table).map_err(|error| error.to_string())
    }
}

/// What an instance that folds reads of its own state.
impl StateReader for Uncommitted {
    fn get(&self, table: u32, key: &[u8]) -> Result<Option<Vec<u8>>, String> {
        self.get(table, key).map_err(|error| error.to_string())
    }

    fn scan(
        &self,
        table: u32,
        start: Option<&[u8]>,
        end: Option<&[u8]>,
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<Entry>, String> {
        self.scan(table, &range(start, end, reverse, limit)).map_err(|error| error.to_string())
    }

    fn is_empty(&self, table: u32) -> Result<bool, String> {
        self.is_empty(table).map_err(|error| error.to_string())
    }
}

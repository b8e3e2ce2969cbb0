//! Committed state, as a component may read it.

use std::sync::Arc;

use crate::{
    plugin::StateReader,
    state::{KeyRange, View},
};

/// A view behind the component's imports.
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
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, String> {
        let range =
            KeyRange { start: start.map(<[u8]>::to_vec), end: end.map(<[u8]>::to_vec), reverse, limit };
        self.0.scan(table, &range).map_err(|error| error.to_string())
    }

    fn is_empty(&self, table: u32) -> Result<bool, String> {
        self.0.is_empty(table).map_err(|error| error.to_string())
    }
}

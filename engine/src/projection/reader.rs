//! State, as a component may read it.

use crate::{
    plugin::StateReader,
    state::{Entry, KeyRange, Snapshot, Uncommitted, View},
};

/// What the imports of a component ask is what these types answer.
macro_rules! read_by_components {
    ($($state:ty),+) => { $(
        impl StateReader for $state {
            fn get(&self, table: u32, key: &[u8]) -> Result<Option<Vec<u8>>, String> {
                <$state>::get(self, table, key).map_err(|error| error.to_string())
            }

            fn scan(
                &self,
                table: u32,
                start: Option<&[u8]>,
                end: Option<&[u8]>,
                reverse: bool,
                limit: usize,
            ) -> Result<Vec<Entry>, String> {
                let (start, end) = (start.map(<[u8]>::to_vec), end.map(<[u8]>::to_vec));
                let range = KeyRange { start, end, reverse, limit };
                <$state>::scan(self, table, &range).map_err(|error| error.to_string())
            }

            fn is_empty(&self, table: u32) -> Result<bool, String> {
                <$state>::is_empty(self, table).map_err(|error| error.to_string())
            }
        }
    )+ };
}

// An instance that answers queries reads a view, one that folds reads what it has
// flushed as well.
read_by_components!(View, Uncommitted<Snapshot>, Uncommitted<View>);

//! Committed state in memory, in place of the host's.

use std::{cell::RefCell, collections::BTreeMap, ops::Bound};

use serde_json::Value;

use crate::{
    context::{Committed, Entries},
    describe::TableDescription,
    event::Span,
    key,
    table::Changes,
};

pub(crate) struct Stored(RefCell<Vec<BTreeMap<Vec<u8>, Vec<u8>>>>);

impl Stored {
    pub(crate) fn new(tables: usize) -> Self {
        Self(RefCell::new(vec![BTreeMap::new(); tables]))
    }

    /// Commits changes; they come sorted, and each key once.
    pub(crate) fn commit(&self, changes: &Changes) {
        let slice = |span: Span| &changes.bytes[span.offset as usize..][..span.length as usize];
        let keys = changes.list.iter().map(|change| (change.table, slice(change.key)));
        assert!(keys.is_sorted_by(|a, b| a < b), "changes are not sorted by table and key");
        let mut tables = self.0.borrow_mut();
        for change in &changes.list {
            let (table, key) = (&mut tables[change.table as usize], slice(change.key));
            match change.value {
                Some(value) => table.insert(key.to_vec(), slice(value).to_vec()),
                None => table.remove(key),
            };
        }
    }

    /// The rows of a table by its name, as the host would show them.
    #[track_caller]
    pub(super) fn rows_of(&self, tables: &[TableDescription], table: &str) -> Vec<(Value, Value)> {
        let Some(number) = tables.iter().position(|description| description.name == table) else {
            let names: Vec<_> = tables.iter().map(|description| description.name.as_str()).collect();
            panic!("there is no table `{table}`; there are `{}`", names.join("`, `"));
        };
        let key_to_json = |key: &[u8]| key::to_json(key, &tables[number].key);
        let value_to_json = |bytes: &[u8]| match bytes {
            [] => Value::Null,
            _ => rmp_serde::from_slice(bytes).expect("a value is MessagePack"),
        };
        self.0.borrow()[number].iter().map(|(key, value)| (key_to_json(key), value_to_json(value))).collect()
    }
}

impl Committed for Stored {
    fn get(&self, table: u32, key: &[u8]) -> Option<Vec<u8>> {
        self.0.borrow()[table as usize].get(key).cloned()
    }

    fn scan(&self, table: u32, start: &[u8], end: Option<&[u8]>, reverse: bool, limit: u32) -> Entries {
        let tables = self.0.borrow();
        let end = end.map_or(Bound::Unbounded, Bound::Excluded);
        let range = tables[table as usize].range::<[u8], _>((Bound::Included(start), end));
        let entry = |(key, value): (&Vec<u8>, &Vec<u8>)| (key.clone(), value.clone());
        match reverse {
            false => range.take(limit as usize).map(entry).collect(),
            true => range.rev().take(limit as usize).map(entry).collect(),
        }
    }

    fn is_empty(&self, table: u32) -> bool {
        self.0.borrow()[table as usize].is_empty()
    }
}

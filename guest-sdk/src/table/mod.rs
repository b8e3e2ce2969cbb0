//! Tables: a projection's state.
//!
//! - here: [`Table`], what an author sees of one;
//! - `cache.rs`: the rows that are at hand, and which of them changed;
//! - `value.rs`: [`Row`]'s reference to a value, [`Ref`];
//! - `rows.rs`: [`Rows`], reading in the order of the keys, committed rows and
//!   changed ones merged;
//! - `index.rs`: [`Index`], the same rows in another order.
//!
//! Not here: where committed rows are read (`context.rs`).

mod cache;
mod index;
mod key_bytes;
mod rows;
mod value;

#[cfg(test)]
mod tests;

use std::{marker::PhantomData, ops::Bound, rc::Rc};

pub(crate) use cache::{Cache, Changes};
pub use index::Index;
#[doc(hidden)]
pub use index::IndexSpec;
pub use rows::Rows;
pub use value::{Ref, Row};

use crate::{
    context::Context,
    key::{self, AsKey, AsPrefix, AsRange, Key},
};

/// State: values by key, kept across restarts, shown and queried by the host.
///
/// A projection is a struct of tables, and everything that it is to remember is
/// in them. Values are any type that serde can write and read; they are kept in
/// MessagePack with the names of their fields. Keys are [`Key`]s.
///
/// Rows in use stay in memory, within limits, so that folding an event seldom
/// has to ask the host for one.
///
/// ```
/// # use projectionist_sdk::{harness::Harness, prelude::*};
/// #[derive(Projection)]
/// struct Stock {
///     items: Table<String, u64>,
/// }
///
/// #[projection]
/// impl Stock {
///     #[on("item.delivered")]
///     fn delivered(&mut self, event: &Event, count: u64) {
///         *self.items.entry(event.subject()) += count;
///     }
///
///     #[on("item.discontinued")]
///     fn discontinued(&mut self, event: &Event) {
///         self.items.remove(event.subject());
///     }
/// }
///
/// let mut harness = Harness::<Stock>::new();
/// harness
///     .event("item.delivered", "tea", json!(20))
///     .event("item.delivered", "milk", json!(3))
///     .event("item.delivered", "tea", json!(5))
///     .event("item.discontinued", "milk", json!(null));
/// harness.read(|stock| {
///     assert_eq!(stock.items.get("tea").as_deref(), Some(&25));
///     assert!(!stock.items.contains("milk"));
/// });
/// ```
pub struct Table<K, V> {
    cache: Cache<V>,
    keys: PhantomData<fn(K) -> K>,
}

impl<K: Key, V: Row> Table<K, V> {
    /// The value of a key.
    pub fn get(&self, key: impl AsKey<K>) -> Option<Ref<'_, V>> {
        self.cache.get(|bytes| key.encode(bytes))
    }

    /// Whether there is a value of this key.
    pub fn contains(&self, key: impl AsKey<K>) -> bool {
        self.get(key).is_some()
    }

    /// The value of a key, to change it.
    pub fn get_mut(&mut self, key: impl AsKey<K>) -> Option<&mut V> {
        self.cache.get_mut(|bytes| key.encode(bytes))
    }

    /// The value of a key, to change it; where there is none yet, the default
    /// one.
    pub fn entry(&mut self, key: impl AsKey<K>) -> &mut V
    where
        V: Default,
    {
        self.cache.entry(|bytes| key.encode(bytes))
    }

    /// Sets the value of a key, whether or not it has one.
    pub fn insert(&mut self, key: impl AsKey<K>, value: V) {
        self.cache.set(|bytes| key.encode(bytes), Some(value));
    }

    /// Removes a key and its value, if it is there.
    pub fn remove(&mut self, key: impl AsKey<K>) {
        self.cache.set(|bytes| key.encode(bytes), None);
    }

    /// Removes a key and answers the value that it had.
    pub fn take(&mut self, key: impl AsKey<K>) -> Option<V> {
        self.cache.take(|bytes| key.encode(bytes))
    }

    /// All rows, by ascending key; with `.rev()` by descending key.
    pub fn iter(&self) -> Rows<'_, K, V> {
        Rows::of_table(&self.cache, Vec::new(), None)
    }

    /// Whether the table has no rows.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// The rows whose keys lie in a range, by ascending key; with `.rev()` by
    /// descending key.
    ///
    /// ```
    /// # use projectionist_sdk::prelude::*;
    /// # fn first_half(days: &Table<String, u64>) -> u64 {
    /// days.range("2024-01".."2024-07").map(|(_, count)| *count).sum()
    /// # }
    /// ```
    pub fn range(&self, keys: impl AsRange<K>) -> Rows<'_, K, V> {
        let start = match keys.start() {
            Bound::Unbounded => Vec::new(),
            Bound::Included(key) => key,
            Bound::Excluded(key) => successor(key),
        };
        let end = match keys.end() {
            Bound::Unbounded => None,
            Bound::Included(key) => Some(successor(key)),
            Bound::Excluded(key) => Some(key),
        };
        Rows::of_table(&self.cache, start, end)
    }

    /// The rows whose keys begin with these parts: of a table with keys of type
    /// `(String, u64)`, those with that string.
    pub fn prefix(&self, parts: impl AsPrefix<K>) -> Rows<'_, K, V> {
        let mut start = Vec::new();
        parts.encode_prefix(&mut start);
        let end = key::end_of_parts(&start);
        Rows::of_table(&self.cache, start, Some(end))
    }
}

impl<V: Row> Table<String, V> {
    /// The rows whose keys begin with this text.
    ///
    /// ```
    /// # use projectionist_sdk::prelude::*;
    /// # fn sources(files: &Table<String, u64>) -> usize {
    /// files.starts_with("src/").count()
    /// # }
    /// ```
    pub fn starts_with(&self, text: &str) -> Rows<'_, String, V> {
        let mut start = key::encoded::<String>(text);
        start.pop();
        let end = key::end_of_bytes(&start);
        Rows::of_table(&self.cache, start, end)
    }
}

impl<'a, K: Key, V: Row> IntoIterator for &'a Table<K, V> {
    type Item = (K, Ref<'a, V>);
    type IntoIter = Rows<'a, K, V>;

    fn into_iter(self) -> Rows<'a, K, V> {
        self.iter()
    }
}

/// The least byte string after this one.
pub(super) fn successor(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.push(0);
    bytes
}

/// Makes a table; what the macros call. Asks nothing of the types, so that a
/// wrong one is reported once, by `visit_table`.
#[doc(hidden)]
pub fn open_table<K, V>(
    context: &Rc<Context>,
    name: &'static str,
    number: u32,
    indexes: Vec<IndexSpec<V>>,
) -> Table<K, V> {
    Table { cache: Cache::new(context, name, number, indexes), keys: PhantomData }
}

/// Shows a table to a visitor; what the macros call.
#[doc(hidden)]
pub fn visit_table<K: Key, V: Row>(table: &mut Table<K, V>, visit: &mut dyn FnMut(&mut dyn AnyTable)) {
    visit(table);
}

/// What the macros call to read an index.
impl<K: Key, V: Row> Table<K, V> {
    #[doc(hidden)]
    pub fn __index<I: Key>(&self, number: usize) -> Index<'_, I, K, V> {
        Index::new(&self.cache, number)
    }
}

/// A table, whatever its types.
#[doc(hidden)]
pub trait AnyTable {
    /// Between events: takes in what was read, drops what is too much.
    fn __tidy(&mut self);
    /// Adds what changed since the last flush.
    fn __flush(&mut self, changes: &mut Changes);
    /// Forgets everything; nothing may have changed.
    fn __reset(&mut self);
}

impl<K: Key, V: Row> AnyTable for Table<K, V> {
    fn __tidy(&mut self) {
        self.cache.tidy();
    }

    fn __flush(&mut self, changes: &mut Changes) {
        self.cache.flush(changes);
    }

    fn __reset(&mut self) {
        self.cache.reset();
    }
}

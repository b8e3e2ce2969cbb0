//! A flush: what changed leaves, and what was changed is clean.

use super::{Cache, Known, Presence, Row, cost};
use crate::event::Span;

#[cfg(target_family = "wasm")]
pub(crate) use crate::component::bindings::plugin::exports::projectionist::plugin::plugin::Change;

/// The same record as in `wit/`, for native builds.
#[cfg(not(target_family = "wasm"))]
pub(crate) struct Change {
    pub(crate) table: u32,
    pub(crate) key: Span,
    pub(crate) value: Option<Span>,
}

/// What changed since the last flush, sorted by table and key.
#[doc(hidden)]
#[derive(Default)]
pub struct Changes {
    pub(crate) list: Vec<Change>,
    pub(crate) bytes: Vec<u8>,
}

impl Changes {
    /// Adds a change; `write` appends the value.
    pub(crate) fn push(&mut self, table: u32, key: &[u8], write: Option<impl FnOnce(&mut Vec<u8>)>) -> u32 {
        let key = self.span(|bytes| bytes.extend_from_slice(key));
        let value = write.map(|write| self.span(write));
        self.list.push(Change { table, key, value });
        value.map_or(0, |value| value.length)
    }

    fn span(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Span {
        let offset = self.bytes.len();
        write(&mut self.bytes);
        Span { offset: offset as u32, length: (self.bytes.len() - offset) as u32 }
    }
}

impl<V: Row> Cache<V> {
    pub(in crate::table) fn flush(&mut self, changes: &mut Changes) {
        self.settle();
        let mut puts = false;
        for number in self.dirty_by_key() {
            let slot = &mut self.slots[number as usize];
            let key = slot.key.as_slice();
            if let Some(value) = &slot.value {
                let write = |bytes: &mut Vec<u8>| {
                    if let Err(error) = rmp_serde::encode::write_named(bytes, value) {
                        panic!("a value of table `{}` cannot be serialized: {error}", self.name);
                    }
                };
                slot.encoded = changes.push(self.number, key, Some(write));
                slot.committed = Presence::Present;
                puts = true;
            } else if slot.committed != Presence::Absent {
                changes.push(self.number, key, None::<fn(&mut Vec<u8>)>);
                slot.committed = Presence::Absent;
                slot.encoded = 0;
            }
            slot.dirty = false;
            let cost = cost(slot);
            self.held = self.held - slot.cost as usize + cost as usize;
            self.context.release(slot.cost as usize);
            self.context.hold(cost as usize);
            slot.cost = cost;
            if self.slots[number as usize].value.is_none()
                && matches!(self.known.get(), Known::Vacant | Known::All)
            {
                self.drop_slot(number as usize);
            }
        }
        self.dirty.clear();
        *self.ordered.get_mut() = None;
        if !self.has_readers.get() {
            self.drop_all();
            if puts || self.known.get() == Known::All {
                self.known.set(Known::Some);
            }
        } else if puts && self.known.get() == Known::Vacant {
            self.known.set(Known::All);
        }
        self.indexes.flush(self.number, changes);
    }

    /// The dirty slots by their keys. The keys of a table often begin alike, so
    /// what follows their common beginning decides most comparisons.
    fn dirty_by_key(&self) -> Vec<u32> {
        let key = |number: u32| self.slots[number as usize].key();
        let Some(first) = self.dirty.first().map(|number| key(*number)) else {
            return Vec::new();
        };
        let common = self.dirty.iter().fold(first.len(), |common, number| {
            let alike = key(*number).iter().zip(&first[..common]).take_while(|(a, b)| a == b);
            alike.count()
        });
        let sample = |number: u32| {
            let rest = &key(number)[common..];
            let mut bytes = [0; 8];
            let length = rest.len().min(8);
            bytes[..length].copy_from_slice(&rest[..length]);
            u64::from_be_bytes(bytes)
        };
        let mut order: Vec<_> = self.dirty.iter().map(|number| (sample(*number), *number)).collect();
        order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| key(a.1).cmp(key(b.1))));
        order.into_iter().map(|(_, number)| number).collect()
    }
}

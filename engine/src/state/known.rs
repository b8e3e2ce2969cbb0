//! Which keys a partition can have at all, told without looking for them.

use std::sync::{Mutex, PoisonError};

use super::{Change, memtable};
use crate::filter::Filter;

/// The keys that were ever committed to a partition that began empty. Most that an
/// instance asks for while such a state grows are not there, and need not be
/// looked for.
pub(crate) struct Known {
    /// Each takes eight times as many as the one before, since the keys cannot be
    /// counted beforehand. None: anything can be there.
    layers: Mutex<Option<Vec<Layer>>>,
}

struct Layer {
    filter: Filter,
    /// How many keys it still takes.
    room: u64,
}

/// Keys of the first layer.
const FIRST_LAYER: u64 = 1 << 12;
/// The last one takes 16 million keys, in 28 MiB. Beyond, that is better used
/// otherwise.
const MOST_LAYERS: usize = 5;

impl Known {
    /// Of a partition, which has entries or not.
    pub(crate) fn of(is_empty: bool) -> Self {
        Self { layers: Mutex::new(is_empty.then(Vec::new)) }
    }

    /// Notes the key of a change that is being committed.
    pub(crate) fn add(&self, change: &Change<'_>) {
        let mut known = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(layers) = known.as_mut().filter(|_| change.value.is_some()) else { return };
        let hash = memtable::hash(change.table, change.key);
        if has(layers, hash) {
            return;
        }
        if layers.last().is_none_or(|layer| layer.room == 0) {
            if layers.len() == MOST_LAYERS {
                *known = None;
                return;
            }
            let room = FIRST_LAYER << (3 * layers.len());
            layers.push(Layer { filter: Filter::with_room_for(room), room });
        }
        if let Some(layer) = layers.last_mut() {
            layer.filter.insert(hash);
            layer.room -= 1;
        }
    }

    /// Whether a key of this [`hash`](memtable::hash) may be there; `false` is
    /// certain.
    pub(super) fn may_have(&self, hash: u128) -> bool {
        let known = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().is_none_or(|layers| has(layers, hash))
    }
}

fn has(layers: &[Layer], hash: u128) -> bool {
    // The last ones hold the most.
    layers.iter().rev().any(|layer| layer.filter.may_hold(hash))
}

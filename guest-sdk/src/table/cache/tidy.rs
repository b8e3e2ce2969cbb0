//! What leaves the cache, and what was read and comes in, between events.

use std::rc::Rc;

use super::{Cache, Known, Presence, Row, hash};
use crate::table::key_bytes::KeyBytes;

impl<V: Row> Cache<V> {
    /// Between events: takes in what was read, drops what is too much.
    pub(in crate::table) fn tidy(&mut self) {
        if !self.missed.get_mut().is_empty() {
            self.admit();
        }
        if self.context.is_over() {
            self.evict();
        }
    }

    #[cold]
    pub(super) fn admit(&mut self) {
        self.missed_bytes.set(0);
        for (key, missed) in std::mem::take(self.missed.get_mut()) {
            let hash = hash(&key);
            if self.find(hash, &key).is_some() {
                continue;
            }
            match missed.value.map(Rc::try_unwrap) {
                None => self.add(hash, &key, None, Presence::Absent, 0),
                Some(Ok(value)) => self.add(hash, &key, Some(value), Presence::Present, missed.encoded),
                // Whoever read it still holds it, which borrows forbid.
                Some(Err(_)) => continue,
            };
        }
    }

    /// Drops this table's share of what the caches hold too much.
    #[cold]
    fn evict(&mut self) {
        if self.dirty.len() + self.free.len() == self.slots.len() {
            // All that is held has changed.
            return;
        }
        let share = self.context.excess() as f64 * (self.held as f64 / self.context.held() as f64);
        let target = self.held.saturating_sub(share.ceil() as usize);
        for _ in 0..2 * self.slots.len() {
            if self.held <= target {
                break;
            }
            self.hand = (self.hand + 1) % self.slots.len();
            let slot = &self.slots[self.hand];
            if !slot.free && !slot.dirty && !slot.used.replace(false) {
                if slot.committed == Presence::Present
                    && self.known.get() == Known::All
                    && !self.dropped.add(slot.hash, self.context.admission())
                {
                    self.dropped.clear();
                    self.known.set(Known::Some);
                }
                self.drop_slot(self.hand);
            }
        }
    }

    pub(super) fn drop_slot(&mut self, number: usize) {
        let slot = &mut self.slots[number];
        if let Ok(entry) = self.lookup.find_entry(slot.hash, |other| *other as usize == number) {
            entry.remove();
        }
        self.held -= slot.cost as usize;
        self.context.release(slot.cost as usize);
        slot.free = true;
        slot.value = None;
        slot.key = KeyBytes::new(&[]);
        self.free.push(number as u32);
    }

    /// Forgets everything that is committed, because another state is committed
    /// now. Nothing may have changed.
    pub(in crate::table) fn reset(&mut self) {
        self.drop_all();
        self.missed.get_mut().clear();
        self.missed_bytes.set(0);
        self.known.set(Known::Nothing);
    }

    /// Drops all rows, none of which may have changed.
    pub(super) fn drop_all(&mut self) {
        assert!(self.dirty.is_empty(), "changes of table `{}` were not flushed", self.name);
        self.context.release(self.held);
        self.held = 0;
        self.lookup.clear();
        self.slots.clear();
        self.free.clear();
        self.dropped.clear();
    }
}

//! What the tables of one plug-in share: where committed state is read, and how
//! many bytes their caches may hold together.

use std::{cell::Cell, rc::Rc};

/// Committed keys and values, in the order in which they were asked for.
pub(crate) type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// Committed state: the host's on wasm, a map in the native harness.
pub(crate) trait Committed {
    fn get(&self, table: u32, key: &[u8]) -> Option<Vec<u8>>;
    fn scan(&self, table: u32, start: &[u8], end: Option<&[u8]>, reverse: bool, limit: u32) -> Entries;
    fn is_empty(&self, table: u32) -> bool;
}

/// How many bytes all caches of a plug-in hold unless told otherwise.
pub(crate) const CACHE_BYTES: usize = 64 << 20;

/// Shared by all tables of one plug-in.
#[doc(hidden)]
pub struct Context {
    pub(crate) committed: Rc<dyn Committed>,
    limit: usize,
    /// What the caches hold, about.
    held: Cell<usize>,
    /// Looking for something to drop is pointless below this: nearly all that
    /// is held has changed, and must stay until the flush.
    pointless: Cell<usize>,
    /// About how many bytes a flush would return.
    pub(crate) dirty: Cell<usize>,
    /// Something was read that a cache has yet to admit.
    pub(crate) missed: Cell<bool>,
    /// Whether a table asks whether it is empty before it asks for a row: that spares a
    /// fold of many events most of its reads, and costs one event one more.
    pub(crate) asks_first: bool,
}

impl Context {
    /// For a plug-in that folds event after event.
    pub(crate) fn new(committed: Rc<dyn Committed>, limit: usize) -> Rc<Self> {
        Rc::new(Self::with(committed, limit, true))
    }

    /// For one event, or one query.
    pub(crate) fn once(committed: Rc<dyn Committed>, limit: usize) -> Rc<Self> {
        Rc::new(Self::with(committed, limit, false))
    }

    fn with(committed: Rc<dyn Committed>, limit: usize, asks_first: bool) -> Self {
        Self {
            committed,
            limit,
            held: Cell::new(0),
            pointless: Cell::new(0),
            dirty: Cell::new(0),
            missed: Cell::new(false),
            asks_first,
        }
    }

    pub(crate) fn hold(&self, bytes: usize) {
        self.held.set(self.held.get() + bytes);
    }

    pub(crate) fn release(&self, bytes: usize) {
        self.held.set(self.held.get().saturating_sub(bytes));
    }

    pub(crate) fn held(&self) -> usize {
        self.held.get()
    }

    /// The caches hold more than they may.
    pub(crate) fn is_over(&self) -> bool {
        self.held.get() > self.limit.max(self.pointless.get())
    }

    /// Whether the tables have something to tidy.
    #[inline]
    pub(crate) fn is_untidy(&self) -> bool {
        self.missed.get() || self.is_over()
    }

    /// The tables are tidy.
    pub(crate) fn tidied(&self) {
        self.missed.set(false);
        if self.is_over() {
            self.pointless.set(self.held.get() + self.limit / 8);
        }
    }

    /// All changes have left.
    pub(crate) fn flushed(&self) {
        self.dirty.set(0);
        self.pointless.set(0);
    }

    /// How much to drop: down to seven eighths, so that not every event has to
    /// look for something to drop.
    pub(crate) fn excess(&self) -> usize {
        self.held.get().saturating_sub(self.limit - self.limit / 8)
    }

    /// How many bytes may wait to be admitted, and how many may say which rows
    /// were dropped; beyond that, it is forgotten.
    pub(crate) fn admission(&self) -> usize {
        self.limit / 16
    }
}

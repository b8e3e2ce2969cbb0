//! Which events of a log alterations meet.

use std::collections::{BTreeSet, HashMap};

use super::{Alteration, ContradictionError, Named, ResolveError, Selector};
use crate::{
    event::{Block, Head, Position},
    log::EventLog,
};

/// What alterations meet, by their places in the list.
#[derive(Default)]
pub(super) struct Met {
    /// Which event each that replaces one does.
    pub(super) replaced: HashMap<usize, Position>,
    /// Those that leave out at least one event.
    pub(super) leaving_out: BTreeSet<usize>,
    /// How many events are left out.
    pub(super) left_out: u64,
}

/// Looks for what alterations meet.
struct Search<'a> {
    selector: &'a Selector,
    /// By which alteration an event is replaced.
    positions: HashMap<Position, usize>,
    /// The same, by the event's id.
    ids: HashMap<&'a [u8], usize>,
    met: Met,
}

impl Met {
    /// Reads the log up to a position.
    pub(super) fn on(
        alterations: &[Alteration],
        selector: &Selector,
        log: &dyn EventLog,
        to: Position,
    ) -> Result<Self, ResolveError> {
        let mut search =
            Search { selector, positions: HashMap::new(), ids: HashMap::new(), met: Self::default() };
        for (alteration, which) in alterations.iter().enumerate() {
            if let Alteration::Replace { which, .. } = which {
                search.expect(alteration, which)?;
            }
        }
        if search.is_needless() {
            return Ok(search.met);
        }
        let mut next = 1;
        while next <= to
            && let Some(block) = log.block(next)?
        {
            search.block(&block, to)?;
            next = block.last() + 1;
        }
        Ok(search.met)
    }
}

impl<'a> Search<'a> {
    fn expect(&mut self, alteration: usize, which: &'a Named) -> Result<(), ContradictionError> {
        let earlier = match which {
            Named::Position(position) => self.positions.insert(*position, alteration),
            Named::Id(id) => self.ids.insert(id.as_bytes(), alteration),
        };
        match earlier {
            Some(earlier) => Err(ContradictionError::Twice { alteration, earlier }),
            None => Ok(()),
        }
    }

    /// Whether there is nothing to look for.
    fn is_needless(&self) -> bool {
        self.selector.is_empty() && self.ids.is_empty() && self.positions.is_empty()
    }

    fn block(&mut self, block: &Block, to: Position) -> Result<(), ContradictionError> {
        let left_out = self.selector.on(block);
        for head in &block.heads[block.between(1, to)] {
            let replaced = self.replaced(block, head)?;
            let mut leaving_out = left_out.of(head).peekable();
            if replaced.is_none() && leaving_out.peek().is_some() {
                self.met.left_out += 1;
            }
            for one in leaving_out {
                self.met.leaving_out.insert(one);
                // Who names just this event contradicts; who names many means the others.
                if let Some(other) = replaced.filter(|_| self.selector.names_one(one)) {
                    let (earlier, alteration) = (one.min(other), one.max(other));
                    return Err(ContradictionError::Twice { alteration, earlier });
                }
            }
        }
        Ok(())
    }

    /// The alteration that replaces an event.
    fn replaced(&mut self, block: &Block, head: &Head) -> Result<Option<usize>, ContradictionError> {
        // Done for each event of the log.
        let by_position = match self.positions.is_empty() {
            true => None,
            false => self.positions.get(&head.position).copied(),
        };
        let by_id = match self.ids.is_empty() {
            true => None,
            false => self.ids.get(block.slice(head.id)).copied(),
        };
        if let (Some(one), Some(other)) = (by_position, by_id) {
            let (earlier, alteration) = (one.min(other), one.max(other));
            return Err(ContradictionError::Twice { alteration, earlier });
        }
        let Some(alteration) = by_position.or(by_id) else { return Ok(None) };
        match self.met.replaced.insert(alteration, head.position) {
            Some(first) => Err(ContradictionError::Ambiguous { alteration, first, second: head.position }),
            None => Ok(Some(alteration)),
        }
    }
}

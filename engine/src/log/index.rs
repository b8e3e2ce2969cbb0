//! Where in the log things are, in memory: by id, subject, tag and type. The
//! whole index of the memory log, and of the embedded one's unsealed tail.

use std::collections::HashMap as StdHashMap;

use foldhash::fast::RandomState;

use super::{
    keys::{KeyMap, Keys},
    matcher::Query,
    prepared::{EventKeys, of_block},
};
use crate::event::{Block, Position};

/// Seeded at random, like the standard one, and several times as fast.
type HashMap<K, V> = StdHashMap<K, V, RandomState>;

/// What is known of a subject.
#[derive(Clone, Debug, Default)]
pub(super) struct Subject {
    /// How many events it has, in the whole log.
    pub(super) version: u64,
    /// Its last event; 0 if there is none.
    pub(super) last: Position,
    /// Those of its events that the index covers.
    pub(super) positions: Vec<Position>,
}

/// Positions by id, subject, tag and type.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) ids: KeyMap<Position>,
    pub(super) subjects: KeyMap<Subject>,
    tags: KeyMap<Vec<Position>>,
    types: HashMap<Box<str>, Vec<Position>>,
}

/// How many subjects without events of their own the index remembers, to spare
/// looking up their versions.
const REMEMBERED_SUBJECTS: usize = 1 << 18;

impl Index {
    /// Enters an event, all but its id and type; answers its version.
    pub(super) fn insert(&mut self, position: Position, keys: &EventKeys) -> u64 {
        for tag in &keys.tags {
            let positions = self.tags.entry(*tag).or_default();
            // An event may repeat a tag.
            if positions.last() != Some(&position) {
                positions.push(position);
            }
        }
        let Some(key) = keys.subject else { return 0 };
        let subject = self.subjects.entry(key).or_default();
        subject.version += 1;
        subject.last = position;
        subject.positions.push(position);
        subject.version
    }

    /// Enters a recorded block.
    pub(super) fn insert_block(&mut self, block: &Block, keys: Keys) {
        for (head, keys) in block.heads.iter().zip(of_block(keys, block)) {
            self.ids.insert(keys.id, head.position);
            self.insert(head.position, &keys);
            if let Some(subject) = keys.subject.and_then(|key| self.subjects.get_mut(&key)) {
                subject.version = head.version;
            }
        }
        self.insert_types(&block.names, block.heads.iter().map(|head| (head.event_type, head.position)));
    }

    /// Enters some events of a block by their types: places of names in the
    /// block, and positions.
    pub(super) fn insert_types(&mut self, names: &[String], events: impl Iterator<Item = (u32, Position)>) {
        let mut by_name = vec![Vec::new(); names.len()];
        events.for_each(|(name, position)| by_name[name as usize].push(position));
        for (name, positions) in names.iter().zip(by_name).filter(|(_, positions)| !positions.is_empty()) {
            match self.types.get_mut(&**name) {
                Some(known) => known.extend(positions),
                None => drop(self.types.insert(name.as_str().into(), positions)),
            }
        }
    }

    /// Drops all events up to a position.
    pub(super) fn forget(&mut self, to: Position) {
        fn shorten(positions: &mut Vec<Position>, to: Position) -> bool {
            let gone = positions.partition_point(|position| *position <= to);
            if gone == positions.len() {
                // Gives its memory back, unlike `drain`.
                *positions = Vec::new();
            } else {
                positions.drain(..gone);
            }
            !positions.is_empty()
        }
        self.ids.retain(|_, position| *position > to);
        self.tags.retain(|_, positions| shorten(positions, to));
        self.types.retain(|_, positions| shorten(positions, to));
        let remember = self.subjects.len() <= REMEMBERED_SUBJECTS;
        self.subjects.retain(|_, subject| shorten(&mut subject.positions, to) || remember);
    }

    /// The positions between `from` and `to`, both included, of the events that
    /// match, ascending. The query names a subject, a tag or a type.
    pub(super) fn select(&self, keys: Keys, query: Query<'_>, from: Position, to: Position) -> Vec<Position> {
        let (mut lists, types) = self.lists(keys, query);
        if lists.is_empty() {
            let mut found: Vec<_> = types.iter().flat_map(|list| within(list, from, to)).copied().collect();
            found.sort_unstable();
            found.dedup();
            return found;
        }
        let shortest = within(lists.remove(0), from, to);
        let matches = |position: &&Position| matches(query, &lists, &types, **position);
        shortest.iter().filter(matches).copied().collect()
    }

    /// The last event after a position that matches. The query names a
    /// subject, a tag or a type.
    pub(super) fn latest(&self, keys: Keys, query: Query<'_>, after: Position) -> Option<Position> {
        let (mut lists, types) = self.lists(keys, query);
        if lists.is_empty() {
            return types.iter().filter_map(|list| list.last()).filter(|last| **last > after).max().copied();
        }
        let shortest = within(lists.remove(0), after.saturating_add(1), Position::MAX);
        shortest.iter().rev().find(|position| matches(query, &lists, &types, **position)).copied()
    }

    /// The positions of the subject and of each tag, the fewest first; and
    /// those of each type.
    fn lists(&self, keys: Keys, query: Query<'_>) -> (Vec<&[Position]>, Vec<&[Position]>) {
        let mut lists: Vec<&[Position]> = Vec::new();
        if let Some(subject) = query.subject {
            lists.push(
                self.subjects
                    .get(&keys.subject(subject.as_bytes()))
                    .map_or(&[], |subject| &subject.positions),
            );
        }
        for tag in query.tags {
            lists.push(self.tags.get(&keys.tag(tag)).map_or(&[], |positions| positions));
        }
        lists.sort_by_key(|list| list.len());
        let types =
            query.types.iter().filter_map(|name| self.types.get(&**name)).map(|list| &list[..]).collect();
        (lists, types)
    }
}

/// Whether a position is in all the lists, and in one of the types'.
fn matches(query: Query<'_>, lists: &[&[Position]], types: &[&[Position]], position: Position) -> bool {
    let holds = |list: &&[Position]| list.binary_search(&position).is_ok();
    lists.iter().all(holds) && (query.types.is_empty() || types.iter().any(holds))
}

fn within(positions: &[Position], from: Position, to: Position) -> &[Position] {
    let start = positions.partition_point(|position| *position < from);
    let end = positions.partition_point(|position| *position <= to);
    &positions[start..end.max(start)]
}

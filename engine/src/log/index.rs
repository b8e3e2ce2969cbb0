//! Where in the log things are, in memory: by id, subject, tag and type. The
//! whole index of the memory log, and of the embedded one's unsealed tail.

use std::collections::HashMap as StdHashMap;

use foldhash::fast::RandomState;

use super::matcher::Query;
use crate::event::{Block, Head, Position};

/// Seeded at random, like the standard one, and several times as fast.
pub(super) type HashMap<K, V> = StdHashMap<K, V, RandomState>;

/// A source and an id as one key: the source's length, the source, the id.
/// Ids of one source lie side by side, in their own order.
pub(super) fn id_key(source: &str, id: &str, key: &mut Vec<u8>) {
    key.clear();
    key.extend_from_slice(&(source.len() as u32).to_be_bytes());
    key.extend_from_slice(source.as_bytes());
    key.extend_from_slice(id.as_bytes());
}

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
    pub(super) ids: HashMap<Box<[u8]>, Position>,
    pub(super) subjects: HashMap<Box<str>, Subject>,
    tags: HashMap<Box<str>, Vec<Position>>,
    types: HashMap<Box<str>, Vec<Position>>,
}

/// How many subjects without events of their own the index remembers, to spare
/// looking up their versions.
const REMEMBERED_SUBJECTS: usize = 1 << 16;

impl Index {
    /// Enters an event, all but its id.
    pub(super) fn insert(
        &mut self,
        position: Position,
        version: u64,
        event_type: &str,
        subject: Option<&str>,
        tags: &[String],
    ) {
        if let Some(name) = subject {
            let subject = entry(&mut self.subjects, name);
            subject.version = version;
            subject.last = position;
            subject.positions.push(position);
        }
        for tag in tags {
            let positions = entry(&mut self.tags, tag);
            // An event may repeat a tag.
            if positions.last() != Some(&position) {
                positions.push(position);
            }
        }
        entry(&mut self.types, event_type).push(position);
    }

    /// Enters an event of a block, with its id.
    pub(super) fn insert_head(&mut self, block: &Block, head: &Head) {
        let text = |span| std::str::from_utf8(block.slice(span)).unwrap_or_default();
        let mut key = Vec::new();
        id_key(block.name(head.source), text(head.id), &mut key);
        self.ids.insert(key.into(), head.position);
        let subject = Some(text(head.subject)).filter(|subject| !subject.is_empty());
        self.insert(head.position, head.version, block.name(head.event_type), subject, &block.tags(head));
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
    pub(super) fn select(&self, query: Query<'_>, from: Position, to: Position) -> Vec<Position> {
        let (mut lists, types) = self.lists(query);
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
    pub(super) fn latest(&self, query: Query<'_>, after: Position) -> Option<Position> {
        let (mut lists, types) = self.lists(query);
        if lists.is_empty() {
            return types.iter().filter_map(|list| list.last()).filter(|last| **last > after).max().copied();
        }
        let shortest = within(lists.remove(0), after.saturating_add(1), Position::MAX);
        shortest.iter().rev().find(|position| matches(query, &lists, &types, **position)).copied()
    }

    /// The positions of the subject and of each tag, the fewest first; and
    /// those of each type.
    fn lists(&self, query: Query<'_>) -> (Vec<&[Position]>, Vec<&[Position]>) {
        let mut lists: Vec<&[Position]> = Vec::new();
        if let Some(subject) = query.subject {
            lists.push(self.subjects.get(subject).map_or(&[], |subject| &subject.positions));
        }
        for tag in query.tags {
            lists.push(self.tags.get(&**tag).map_or(&[], |positions| positions));
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

/// The entry of a name, made if it is not there; looks twice rather than
/// allocating a key each time.
pub(super) fn entry<'a, V: Default>(map: &'a mut HashMap<Box<str>, V>, name: &str) -> &'a mut V {
    if !map.contains_key(name) {
        map.insert(name.into(), V::default());
    }
    map.get_mut(name).expect("it has just been inserted")
}

//! Which events are left out. There may be many alterations, so each is filed under what
//! tells most events apart, and an event is held against few of them.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::{Alteration, Criteria};
use crate::event::{Block, Head, Position};

/// Indexes into the alterations, by something that an event has.
type Filed<K> = HashMap<K, Vec<usize>, RandomState>;

/// What alterations leave out.
#[derive(Default)]
pub(super) struct Selector {
    criteria: HashMap<usize, Criteria, RandomState>,
    by_position: Filed<Position>,
    by_id: Filed<Vec<u8>>,
    by_subject: Filed<Vec<u8>>,
    by_type: Filed<String>,
}

impl Selector {
    pub(super) fn new(alterations: &[Alteration]) -> Self {
        let mut selector = Self::default();
        for (index, alteration) in alterations.iter().enumerate() {
            let Alteration::LeaveOut(criteria) = alteration else { continue };
            selector.criteria.insert(index, criteria.clone());
            let filed = match criteria {
                Criteria { position: Some(position), .. } => {
                    selector.by_position.entry(*position).or_default()
                }
                Criteria { id: Some(id), .. } => selector.by_id.entry(id.clone().into()).or_default(),
                Criteria { subject: Some(subject), .. } => {
                    selector.by_subject.entry(subject.clone().into()).or_default()
                }
                Criteria { event_type: Some(name), .. } => selector.by_type.entry(name.clone()).or_default(),
                // Whoever reads alterations refuses those that name nothing.
                _ => continue,
            };
            filed.push(index);
        }
        selector
    }

    /// Whether nothing is left out.
    pub(super) fn is_empty(&self) -> bool {
        self.criteria.is_empty()
    }

    /// Whether an alteration says of one single event that it is left out, which nothing
    /// else can be said of then.
    pub(super) fn names_one(&self, alteration: usize) -> bool {
        self.criteria
            .get(&alteration)
            .is_some_and(|criteria| criteria.position.is_some() || criteria.id.is_some())
    }

    /// Prepares it for one block.
    pub(super) fn on<'a>(&'a self, block: &'a Block) -> Matcher<'a> {
        let filed = |name: &String| self.by_type.get(name).map_or(&[][..], Vec::as_slice);
        let by_type = match self.by_type.is_empty() {
            true => Vec::new(),
            false => block.names.iter().map(filed).collect(),
        };
        Matcher { selector: self, block, by_type }
    }
}

/// What is left out of one block.
pub(super) struct Matcher<'a> {
    selector: &'a Selector,
    block: &'a Block,
    /// By name index, where any are filed under a type.
    by_type: Vec<&'a [usize]>,
}

impl<'a> Matcher<'a> {
    /// Whether an event of the block is left out.
    pub(super) fn matches(&self, head: &Head) -> bool {
        self.of(head).next().is_some()
    }

    /// The alterations by which an event of the block is left out.
    pub(super) fn of(&self, head: &Head) -> impl Iterator<Item = usize> {
        let Self { selector, block, by_type } = self;
        let by_type = by_type.get(head.event_type as usize).copied();
        let filed = [
            find(&selector.by_position, &head.position),
            find(&selector.by_id, block.slice(head.id)),
            match head.subject.length {
                0 => None,
                _ => find(&selector.by_subject, block.slice(head.subject)),
            },
            by_type,
        ];
        filed.into_iter().flatten().flatten().copied().filter(|index| self.holds(*index, head))
    }

    /// Whether an event has all that an alteration says.
    fn holds(&self, alteration: usize, head: &Head) -> bool {
        let block = self.block;
        let Criteria { position, id, event_type, subject } = &self.selector.criteria[&alteration];
        position.is_none_or(|position| head.position == position)
            && id.as_ref().is_none_or(|id| block.slice(head.id) == id.as_bytes())
            && event_type.as_ref().is_none_or(|name| block.name(head.event_type) == name)
            && subject.as_ref().is_none_or(|subject| block.slice(head.subject) == subject.as_bytes())
    }
}

/// Done for each event: most often nothing is filed in this way.
fn find<'a, K, Q>(filed: &'a Filed<K>, key: &Q) -> Option<&'a [usize]>
where
    K: std::borrow::Borrow<Q> + std::hash::Hash + Eq,
    Q: std::hash::Hash + Eq + ?Sized,
{
    if filed.is_empty() {
        return None;
    }
    filed.get(key).map(Vec::as_slice)
}

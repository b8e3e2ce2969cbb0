//! Choosing some of a block's events, copying as little as possible.

use std::ops::Range;

use super::{Block, BlockBuilder, Head, Partition, Span};

impl Block {
    /// The events of `range` (indexes into `heads`) whose type is `wanted`, as a
    /// block of their own. Where most of the bytes are wanted they are shared
    /// with this block, otherwise the chosen events are copied together.
    pub fn select(&self, range: Range<usize>, wanted: impl Fn(&str) -> bool) -> Block {
        let wanted = self.wanted(wanted);
        let whole = range == (0..self.len());
        if whole && wanted.iter().all(|wanted| *wanted) {
            return self.clone();
        }
        let heads = self.heads[range].iter();
        let chosen: Vec<_> = heads.filter(|head| wanted[head.event_type as usize]).map(Chosen::of).collect();
        if whole && chosen.len() == self.len() {
            return self.clone();
        }
        let extent = if whole { 0..self.bytes.len() } else { extent(&chosen) };
        if bytes_len(&chosen) * 2 < extent.len() {
            return self.copied(&chosen);
        }
        Block {
            names: self.names.clone(),
            heads: chosen.iter().map(|chosen| rebased(chosen.head, extent.start, 0)).collect(),
            bytes: self.bytes.slice(extent),
        }
    }

    /// The same events, divided by their subjects into so many partitions: a
    /// block for each.
    pub fn divide(
        &self,
        range: Range<usize>,
        wanted: impl Fn(&str) -> bool,
        partitions: usize,
    ) -> Vec<Block> {
        let wanted = self.wanted(wanted);
        let mut parts: Vec<Vec<Chosen<'_>>> = vec![Vec::new(); partitions];
        for head in self.heads[range].iter().filter(|head| wanted[head.event_type as usize]) {
            parts[Partition::of(self.slice(head.subject), partitions)].push(Chosen::of(head));
        }
        parts.iter().map(|part| self.copied(part)).collect()
    }

    /// Which of its names are those of wanted types.
    fn wanted(&self, wanted: impl Fn(&str) -> bool) -> Vec<bool> {
        self.names.iter().map(|name| wanted(name)).collect()
    }

    fn copied(&self, chosen: &[Chosen<'_>]) -> Block {
        // With a few events out of many, most names would travel for nothing.
        match chosen.len() < self.names.len() {
            true => with_names_of_their_own(self, chosen),
            false => copied_together(self, chosen),
        }
    }
}

/// A chosen event, and from where to where its bytes go. They lie next to one
/// another.
#[derive(Clone)]
struct Chosen<'a> {
    head: &'a Head,
    start: u32,
    end: u32,
}

impl<'a> Chosen<'a> {
    /// Done for each event of a replay, so without a branch.
    fn of(head: &'a Head) -> Self {
        let (mut start, mut end) = (u32::MAX, 0);
        for Span { offset, length } in [head.id, head.subject, head.data, head.extensions, head.tags] {
            // An empty span may point anywhere.
            let (from, to) = if length > 0 { (offset, offset + length) } else { (u32::MAX, 0) };
            start = start.min(from);
            end = end.max(to);
        }
        Self { head, start: start.min(end), end }
    }

    fn extent(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

fn bytes_len(chosen: &[Chosen<'_>]) -> usize {
    chosen.iter().map(|chosen| chosen.extent().len()).sum()
}

/// From the first byte that the events use to behind the last.
fn extent(chosen: &[Chosen<'_>]) -> Range<usize> {
    let used = || chosen.iter().filter(|chosen| chosen.end > 0);
    let start = used().map(|chosen| chosen.start).min().unwrap_or(0);
    let end = used().map(|chosen| chosen.end).max().unwrap_or(0);
    start as usize..end as usize
}

/// The same head where the bytes from `start` on stand at `place`.
fn rebased(head: &Head, start: usize, place: usize) -> Head {
    // An empty span may point anywhere; it must still lie within the bytes.
    let rebase = |span: Span| match span.length {
        0 => Span::default(),
        length => Span { offset: (span.offset as usize - start + place) as u32, length },
    };
    Head {
        id: rebase(head.id),
        subject: rebase(head.subject),
        data: rebase(head.data),
        extensions: rebase(head.extensions),
        tags: rebase(head.tags),
        ..*head
    }
}

/// One copy an event does.
fn copied_together(block: &Block, chosen: &[Chosen<'_>]) -> Block {
    let mut bytes = Vec::with_capacity(bytes_len(chosen));
    let copy = |chosen: &Chosen<'_>| {
        let head = rebased(chosen.head, chosen.start as usize, bytes.len());
        bytes.extend_from_slice(&block.bytes[chosen.extent()]);
        head
    };
    let heads = chosen.iter().map(copy).collect();
    Block { names: block.names.clone(), heads, bytes: bytes.into() }
}

fn with_names_of_their_own(block: &Block, chosen: &[Chosen<'_>]) -> Block {
    let mut builder = BlockBuilder::new();
    for chosen in chosen {
        builder.copy(block, chosen.head);
    }
    builder.build()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::{Envelope, Event, Timestamp};

    fn block(types: &[u8]) -> Block {
        let mut builder = BlockBuilder::new();
        for (index, event_type) in types.iter().enumerate() {
            let envelope = Envelope {
                id: format!("id-{index}"),
                source: "/test".into(),
                event_type: format!("type-{event_type}"),
                subject: (index % 3 > 0).then(|| format!("subject-{}", index % 5)),
                time: None,
                content_type: "application/json".into(),
                data: vec![b'1'; index % 7].into(),
                tags: (0..index % 2).map(|tag| format!("tag-{tag}")).collect(),
                extensions: Default::default(),
            };
            builder.push(index as u64 + 1, Timestamp::from_micros(index as i64), 0, &envelope);
        }
        builder.build()
    }

    proptest! {
        #[test]
        fn chosen_events_are_those_that_a_filter_keeps(
            types in prop::collection::vec(0_u8..4, 0..60),
            bounds in (0_usize..60, 0_usize..60),
            wanted in prop::collection::vec(any::<bool>(), 4),
            partitions in 1_usize..6,
        ) {
            let block = block(&types);
            let start = bounds.0.min(types.len());
            let range = start..bounds.1.clamp(start, types.len());
            let is_wanted = |name: &str| {
                name.strip_prefix("type-").is_none_or(|index| wanted[index.parse::<usize>().unwrap()])
            };
            let within = block.events().skip(range.start).take(range.len());
            let kept: Vec<Event> =
                within.filter(|event| is_wanted(&event.envelope.event_type)).collect();
            let selected: Vec<Event> = block.select(range.clone(), is_wanted).events().collect();
            prop_assert_eq!(&selected, &kept);

            let parts = block.divide(range, is_wanted, partitions);
            prop_assert_eq!(parts.len(), partitions);
            let mut left = kept;
            for (index, part) in parts.iter().enumerate() {
                let subject = |event: &Event| event.envelope.subject.clone().unwrap_or_default();
                let (own, rest): (Vec<Event>, Vec<Event>) =
                    left.into_iter().partition(|event| Partition::of(subject(event).as_bytes(), partitions) == index);
                prop_assert_eq!(part.events().collect::<Vec<_>>(), own);
                left = rest;
            }
            prop_assert_eq!(left, [], "each event is in a partition");
        }
    }
}

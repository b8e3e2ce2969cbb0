//! Choosing some of a block's events, copying as little as possible.

use std::ops::Range;

use super::{Block, BlockBuilder, Head, Partition, Span};

impl Block {
    /// The events of `range` (indexes into `heads`) whose type is `wanted` and
    /// whose subject is in the partition, as a block of their own. Where most of
    /// the bytes are wanted they are shared with this block, otherwise the chosen
    /// events are copied together.
    pub fn select(&self, range: Range<usize>, wanted: impl Fn(&str) -> bool, partition: Partition) -> Block {
        let wanted: Vec<bool> = self.names.iter().map(|name| wanted(name)).collect();
        let whole = range == (0..self.len());
        if whole && partition.is_whole() && wanted.iter().all(|wanted| *wanted) {
            return self.clone();
        }
        let is_chosen =
            |head: &&Head| wanted[head.event_type as usize] && partition.has(self.slice(head.subject));
        let chosen: Vec<&Head> = self.heads[range].iter().filter(is_chosen).collect();
        if whole && chosen.len() == self.len() {
            return self.clone();
        }
        let used: usize =
            chosen.iter().map(|head| spans(head).map(|span| span.length as usize).sum::<usize>()).sum();
        let extent = if whole { 0..self.bytes.len() } else { extent(&chosen) };
        if used * 2 >= extent.len() {
            return Block {
                names: self.names.clone(),
                heads: chosen.into_iter().map(|head| rebased(head, extent.start, 0)).collect(),
                bytes: self.bytes.slice(extent),
            };
        }
        // With a few events out of many, most names would travel for nothing.
        match chosen.len() < self.names.len() {
            true => with_names_of_their_own(self, &chosen),
            false => copied_together(self, &chosen, used),
        }
    }
}

fn spans(head: &Head) -> impl Iterator<Item = Span> {
    [head.id, head.subject, head.data, head.extensions, head.tags].into_iter()
}

/// From the first byte that the heads use to behind the last.
fn extent(heads: &[&Head]) -> Range<usize> {
    let used = || heads.iter().flat_map(|head| spans(head)).filter(|span| span.length > 0);
    let start = used().map(|span| span.offset as usize).min().unwrap_or(0);
    let end = used().map(|span| span.offset as usize + span.length as usize).max().unwrap_or(0);
    start..end
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

/// An event's bytes lie next to one another, so one copy an event does.
fn copied_together(block: &Block, chosen: &[&Head], used: usize) -> Block {
    let mut bytes = Vec::with_capacity(used);
    let copy = |head: &&Head| {
        let extent = extent(&[head]);
        let head = rebased(head, extent.start, bytes.len());
        bytes.extend_from_slice(&block.bytes[extent]);
        head
    };
    let heads = chosen.iter().map(copy).collect();
    Block { names: block.names.clone(), heads, bytes: bytes.into() }
}

fn with_names_of_their_own(block: &Block, chosen: &[&Head]) -> Block {
    let mut builder = BlockBuilder::new();
    for head in chosen {
        builder.copy(block, head);
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
        fn selected_events_are_those_that_a_filter_keeps(
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
            let mut left: Vec<Event> =
                within.filter(|event| is_wanted(&event.envelope.event_type)).collect();
            for index in 0..partitions {
                let partition = Partition { index, count: partitions };
                let subject = |event: &Event| event.envelope.subject.clone().unwrap_or_default();
                let (own, rest): (Vec<Event>, Vec<Event>) =
                    left.into_iter().partition(|event| partition.has(subject(event).as_bytes()));
                let selected: Vec<Event> =
                    block.select(range.clone(), is_wanted, partition).events().collect();
                prop_assert_eq!(selected, own);
                left = rest;
            }
            prop_assert_eq!(left, [], "each event is in a partition");
        }
    }
}

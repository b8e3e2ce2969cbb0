//! Choosing some of a block's events, copying as little as possible.

use std::ops::Range;

use super::{Block, BlockBuilder, Head, Span};

impl Block {
    /// The events of `range` (indexes into `heads`) whose type is `wanted`, as
    /// a block of their own. Where most of the bytes are wanted they are shared
    /// with this block, otherwise the chosen events are copied together.
    pub fn select(&self, range: Range<usize>, wanted: impl Fn(&str) -> bool) -> Block {
        let wanted: Vec<bool> = self.names.iter().map(|name| wanted(name)).collect();
        let whole = range == (0..self.len());
        if whole && wanted.iter().all(|wanted| *wanted) {
            return self.clone();
        }
        let chosen: Vec<&Head> =
            self.heads[range].iter().filter(|head| wanted[head.event_type as usize]).collect();
        if whole && chosen.len() == self.len() {
            return self.clone();
        }
        let used: usize =
            chosen.iter().map(|head| spans(head).map(|span| span.length as usize).sum::<usize>()).sum();
        let extent = if whole { 0..self.bytes.len() } else { extent(&chosen) };
        if used * 2 < extent.len() {
            return copied_together(self, &chosen);
        }
        Block {
            names: self.names.clone(),
            heads: chosen.into_iter().map(|head| rebased(head, extent.start as u32)).collect(),
            bytes: self.bytes.slice(extent),
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

fn rebased(head: &Head, start: u32) -> Head {
    // An empty span may point anywhere; it must still lie within the bytes.
    let rebase = |span: Span| match span.length {
        0 => Span::default(),
        length => Span { offset: span.offset - start, length },
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

fn copied_together(block: &Block, heads: &[&Head]) -> Block {
    let mut builder = BlockBuilder::new();
    for head in heads {
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
        ) {
            let block = block(&types);
            let start = bounds.0.min(types.len());
            let range = start..bounds.1.clamp(start, types.len());
            let is_wanted = |name: &str| {
                name.strip_prefix("type-").is_none_or(|index| wanted[index.parse::<usize>().unwrap()])
            };
            let expected: Vec<Event> = block
                .events()
                .skip(range.start)
                .take(range.len())
                .filter(|event| is_wanted(&event.envelope.event_type))
                .collect();
            let selected: Vec<Event> = block.select(range, is_wanted).events().collect();
            prop_assert_eq!(selected, expected);
        }
    }
}

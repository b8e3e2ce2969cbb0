//! What an upcaster makes of a block, checked.

use std::ops::Range;

use super::{bindings::upcaster_interface, units::format_size};

/// What an upcaster has made of the events of a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upcast {
    /// In the order of the events.
    pub shapes: Vec<Shaped>,
    /// What the shapes' data point into.
    pub bytes: Vec<u8>,
}

/// What an event is made into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shaped {
    /// The event: its place in the block.
    pub event: usize,
    /// Where in the bytes its data are; none: they stay as they are.
    pub data: Option<Range<usize>>,
}

impl Upcast {
    /// Checks that all shapes are of the block's events and in their order, and that their data are there.
    /// The error is a predicate: "gave …".
    pub(super) fn check(
        shapes: upcaster_interface::Shapes,
        events: usize,
        most: u64,
    ) -> Result<Self, String> {
        let upcaster_interface::Shapes { shapes, bytes } = shapes;
        if bytes.len() as u64 > most {
            return Err(format!(
                "gave data of {} in one call: {} at most (limits.flush)",
                format_size(bytes.len() as u64),
                format_size(most)
            ));
        }
        let mut before = 0;
        let shaped = |shape: upcaster_interface::Shape| {
            let event = shape.event as usize;
            if event >= events {
                return Err(format!(
                    "gave a shape for event {event} of a block with {events}, counted from 0"
                ));
            }
            if event < before {
                return Err("gave shapes in another order than that of their events".to_owned());
            }
            before = event;
            let data = match shape.data {
                None => None,
                Some(span) => {
                    let end = u64::from(span.offset) + u64::from(span.length);
                    if end > bytes.len() as u64 {
                        return Err(format!("gave data for event {event} that reach beyond their bytes"));
                    }
                    Some(span.offset as usize..end as usize)
                }
            };
            Ok(Shaped { event, data })
        };
        let shapes = shapes.into_iter().map(shaped).collect::<Result<_, _>>()?;
        Ok(Self { shapes, bytes })
    }

    /// Which shapes each of so many events is made into.
    pub fn places(&self, events: usize) -> Vec<Range<usize>> {
        let mut start = 0;
        let place = |event: usize| {
            let end = start + self.shapes[start..].iter().take_while(|shape| shape.event == event).count();
            std::mem::replace(&mut start, end)..end
        };
        (0..events).map(place).collect()
    }
}

//! Upcasters: old events in a new shape.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    event::{Block, Event, Span},
    payload,
};

/// What an upcaster makes of events; `#[upcaster]` implements it.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` upcasts no events",
    label = "not an upcaster",
    note = "write `#[upcaster]` over `impl {Self}`"
)]
pub trait Upcaster: 'static {
    const SUMMARY: &'static str;
    const UPCASTS: &'static [UpcastDescription];
    /// Makes of an event what the upcast of this number does.
    fn upcast(number: usize, event: &Event<'_>, made: &mut New) -> Result<(), String>;
}

/// Says that an upcaster is used, so that the compiler does not call its code dead
/// where nothing runs it.
#[doc(hidden)]
pub fn used_upcaster<U: Upcaster>() {}

/// What an upcaster makes of events of one shape.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Serialize)]
pub struct UpcastDescription {
    pub from: Shape,
    pub to: Shape,
}

/// A type and a version of its schema.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Shape {
    #[serde(rename = "type")]
    pub event_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataschema: Option<&'static str>,
}

impl Shape {
    fn is_of(self, event: &Event<'_>) -> bool {
        self.event_type == event.event_type() && self.dataschema == event.dataschema()
    }
}

/// Data in their new shape, one behind the other.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct New {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

impl New {
    fn push(&mut self, event: &Event<'_>, data: &impl Serialize) -> Result<(), String> {
        let offset = self.bytes.len();
        payload::encode(event.content_type(), data, &mut self.bytes)?;
        self.spans.push(Span { offset: offset as u32, length: (self.bytes.len() - offset) as u32 });
        Ok(())
    }
}

/// One event of another.
#[doc(hidden)]
pub fn one(event: &Event<'_>, data: impl Serialize, made: &mut New) -> Result<(), String> {
    made.push(event, &data)
}

/// One event of another, or none.
#[doc(hidden)]
pub fn perhaps(event: &Event<'_>, data: Option<impl Serialize>, made: &mut New) -> Result<(), String> {
    data.map_or(Ok(()), |data| made.push(event, &data))
}

/// Several events of another, in this order.
#[doc(hidden)]
pub fn several(
    event: &Event<'_>,
    data: impl IntoIterator<Item = impl Serialize>,
    made: &mut New,
) -> Result<(), String> {
    data.into_iter().try_for_each(|data| made.push(event, &data))
}

/// What a method that can fail has said.
#[doc(hidden)]
pub fn said<T, E: fmt::Display>(result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

/// Decodes an event's data for a method.
#[doc(hidden)]
pub fn old_data<'a, T: Deserialize<'a>>(event: &Event<'a>) -> Result<T, String> {
    event.decode().map_err(|error| error.to_string())
}

/// What has been made of a block: the event that each is made of, and its data.
#[derive(Debug, Default)]
pub(crate) struct Made {
    pub(crate) shapes: Vec<(u32, Span)>,
    pub(crate) bytes: Vec<u8>,
}

/// Gives events of a block their new shape, or says which one cannot have it.
pub(crate) fn upcast<U: Upcaster>(block: Block<'_>) -> Result<Made, (u64, String)> {
    // What is made is often a little more than it is made of.
    let mut new = New { bytes: Vec::with_capacity(block.bytes.len() * 3 / 2), spans: Vec::new() };
    let mut shapes = Vec::with_capacity(block.heads.len());
    for (place, head) in (0..).zip(block.heads) {
        let event = Event::new(block, head);
        let failed = |reason: String| (head.position, reason);
        let number = U::UPCASTS.iter().position(|upcast| upcast.from.is_of(&event));
        let number = number.ok_or_else(|| failed("the upcaster does not take it".to_owned()))?;
        U::upcast(number, &event, &mut new).map_err(failed)?;
        shapes.extend(new.spans.drain(..).map(|span| (place, span)));
    }
    Ok(Made { shapes, bytes: new.bytes })
}

/// What an upcaster says about itself.
#[cfg(any(target_family = "wasm", test))]
pub(crate) fn describe<U: Upcaster>() -> String {
    #[derive(Serialize)]
    struct Description {
        sdk: &'static str,
        #[serde(skip_serializing_if = "str::is_empty")]
        summary: &'static str,
        upcasts: &'static [UpcastDescription],
    }
    let sdk = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"));
    let description = Description { sdk, summary: U::SUMMARY, upcasts: U::UPCASTS };
    serde_json::to_string(&description).expect("a description has string keys only")
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    struct Names;

    /// Names of today.
    #[upcaster]
    impl Names {
        #[upcast(from("a"), to("a", "/2"))]
        fn second(old: String) -> String {
            old
        }

        #[upcast(from("a", "/2"), to("b"))]
        fn third(old: String) -> Option<String> {
            Some(old)
        }
    }

    #[test]
    fn it_says_what_it_takes_and_gives() {
        let described: Value = serde_json::from_str(&super::describe::<Names>()).expect("JSON");
        assert_eq!(described["summary"], "Names of today.");
        let second = json!({"type": "a", "dataschema": "/2"});
        let upcasts = json!([{"from": {"type": "a"}, "to": second}, {"from": second, "to": {"type": "b"}}]);
        assert_eq!(described["upcasts"], upcasts);
    }
}

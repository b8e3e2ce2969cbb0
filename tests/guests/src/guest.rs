//! What the test guests have in common.

use std::{cell::RefCell, collections::BTreeMap};

/// Generated from `wit/`.
#[allow(missing_docs, unreachable_pub, unsafe_code, unused_qualifications, reason = "generated")]
#[allow(clippy::all, reason = "generated")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit/0.1.0",
        world: "projection-plugin",
        pub_export_macro: true,
        default_bindings_module: "projectionist_test_guests::bindings",
    });
}

pub use bindings::exports::projectionist::plugin::plugin::{Change, Changes, QueryFailure};
use bindings::exports::projectionist::plugin::{plugin, projection};
pub use bindings::projectionist::plugin::{
    events::{Block, Head, Span},
    state,
};

/// A plug-in that counts events by type and does something else as well.
pub trait TestGuest {
    /// What it says about itself.
    fn describe() -> String {
        r#"{"sdk": "none", "tables": [{"name": "counts", "key": ["string"]}],
            "queries": [{"name": "total"}, {"name": "state"}]}"#
            .to_owned()
    }

    /// What it does with an event at which it misbehaves.
    fn misbehave(event: &Event<'_>) -> Result<(), String>;

    /// What it flushes instead of its counts.
    fn flush() -> Option<Changes> {
        None
    }
}

/// An event.
pub struct Event<'a> {
    /// Its place in the log.
    pub position: u64,
    /// What kind of fact it is.
    pub event_type: &'a str,
    /// Its payload.
    pub data: &'a [u8],
}

/// Makes a component of a [`TestGuest`].
#[macro_export]
macro_rules! plugin {
    ($guest:ty) => {
        $crate::bindings::export!(
            Exported with_types_in $crate::bindings
        );
        type Exported = $crate::Exported<$guest>;
    };
}

/// What [`plugin!`] exports.
pub struct Exported<G>(std::marker::PhantomData<G>);

thread_local! {
    static CHANGED: RefCell<BTreeMap<String, u64>> = const { RefCell::new(BTreeMap::new()) };
}

impl<G: TestGuest + 'static> plugin::Guest for Exported<G> {
    fn describe() -> String {
        G::describe()
    }

    fn flush() -> Changes {
        if let Some(changes) = G::flush() {
            return changes;
        }
        let mut bytes = Vec::new();
        let mut add = |part: &[u8]| {
            let span = Span { offset: bytes.len() as u32, length: part.len() as u32 };
            bytes.extend_from_slice(part);
            span
        };
        let changed = CHANGED.take();
        let mut changes: Vec<_> = changed.iter().map(|(name, count)| (key(name), value(*count))).collect();
        changes.sort();
        let changes = changes
            .iter()
            .map(|(key, value)| Change { table: 0, key: add(key), value: Some(add(value)) })
            .collect();
        Changes { changes, bytes }
    }

    fn query(name: String, arguments: Vec<u8>) -> Result<Vec<u8>, QueryFailure> {
        let range = state::Range { start: None, end: None, reverse: false, limit: 100_000 };
        match name.as_str() {
            "total" => {
                let counts = state::scan(0, &range).into_iter().map(|entry| count(&entry.value));
                Ok(counts.sum::<u64>().to_string().into_bytes())
            }
            // Everything at once: tests that the host answers all of `state`.
            "state" => {
                let names = String::from_utf8(arguments)
                    .map_err(|error| QueryFailure::BadArguments(error.to_string()))?;
                let keys: Vec<_> = names.split(',').map(key).collect();
                let many = state::get_many(0, &keys);
                let one: Vec<_> = keys.iter().map(|key| state::get(0, key)).collect();
                if many != one {
                    return Err(QueryFailure::Failed("get and get-many differ".to_owned()));
                }
                let reversed = state::scan(0, &state::Range { reverse: true, limit: 1, ..range });
                let counts: Vec<_> = many.iter().map(|value| value.as_deref().map(count)).collect();
                let answer = format!("{counts:?} {} {}", reversed.len(), state::is_empty(0));
                Ok(answer.into_bytes())
            }
            _ => Err(QueryFailure::NotFound),
        }
    }
}

impl<G: TestGuest + 'static> projection::Guest for Exported<G> {
    fn apply(block: Block) -> Result<u64, projection::Failure> {
        let slice = |span: Span| &block.bytes[span.offset as usize..][..span.length as usize];
        for head in &block.heads {
            let event_type = block.names[head.type_ as usize].as_str();
            let event = Event { position: head.position, event_type, data: slice(head.data) };
            if misbehaves_at(event_type) {
                G::misbehave(&event)
                    .map_err(|message| projection::Failure { position: head.position, message })?;
            }
            CHANGED.with_borrow_mut(|changed| match changed.get_mut(event_type) {
                Some(number) => *number += 1,
                None => {
                    let number = state::get(0, &key(event_type)).map_or(0, |value| count(&value));
                    changed.insert(event_type.to_owned(), number + 1);
                }
            });
        }
        Ok(CHANGED.with_borrow(|changed| changed.len() as u64 * 32))
    }
}

/// The setting `at` names the type of event at which it misbehaves; without it,
/// all do.
fn misbehaves_at(event_type: &str) -> bool {
    thread_local! {
        static AT: Option<String> = std::env::var("at").ok();
    }
    AT.with(|at| at.as_deref().is_none_or(|at| at == event_type))
}

/// The tuple encoding of a string without NULs.
fn key(name: &str) -> Vec<u8> {
    [&[2], name.as_bytes(), &[0]].concat()
}

/// MessagePack of a 64-bit integer.
fn value(count: u64) -> Vec<u8> {
    [&[0xcf], &count.to_be_bytes()[..]].concat()
}

fn count(value: &[u8]) -> u64 {
    value[1..].try_into().map_or(0, u64::from_be_bytes)
}

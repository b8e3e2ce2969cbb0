//! An upcaster, set up by its settings: `from` and `to` are types, `from-schema` and `to-schema` what events
//! name as their dataschema. What it makes of an event, the event's data say: `3` is split into three, each
//! with its number as data; `0` is dropped; `same` keeps its data; `fails` and `panics` do; `remembers` is split into
//! one to three, by how many events there were before: which is just what an upcaster must not do.
#![cfg(target_arch = "wasm32")]
#![allow(unsafe_code, reason = "what is generated exports functions")]

/// Generated from `wit/`.
#[allow(missing_docs, unreachable_pub, unused_qualifications, reason = "generated")]
#[allow(clippy::all, reason = "generated")]
mod bindings {
    wit_bindgen::generate!({ path: "../../wit/0.1.0", world: "upcaster-plugin" });
}

use std::sync::atomic::{AtomicU32, Ordering};

use bindings::{
    exports::projectionist::plugin::{
        plugin::{self, Changes, QueryFailure},
        upcaster::{self, Failure, Shape, Shapes},
    },
    projectionist::plugin::events::{Block, Span},
};

/// How many events said `remembers`.
static SEEN: AtomicU32 = AtomicU32::new(0);

struct Upcasts;

bindings::export!(Upcasts with_types_in bindings);

impl plugin::Guest for Upcasts {
    fn describe() -> String {
        let shape = |name: &str| {
            let setting = |name: &str| std::env::var(name).ok();
            let dataschema =
                setting(&format!("{name}-schema")).map(|uri| format!(r#", "dataschema": "{uri}""#));
            let event_type = setting(name).unwrap_or_default();
            format!(r#"{{"type": "{event_type}"{}}}"#, dataschema.unwrap_or_default())
        };
        format!(r#"{{"sdk": "none", "upcasts": [{{"from": {}, "to": {}}}]}}"#, shape("from"), shape("to"))
    }

    fn flush() -> Changes {
        Changes { changes: Vec::new(), bytes: Vec::new() }
    }

    fn query(_name: String, _arguments: Vec<u8>) -> Result<Vec<u8>, QueryFailure> {
        Err(QueryFailure::NotFound)
    }
}

impl upcaster::Guest for Upcasts {
    fn upcast(block: Block) -> Result<Shapes, Failure> {
        let mut made = Shapes { shapes: Vec::new(), bytes: Vec::new() };
        for (event, head) in (0..).zip(&block.heads) {
            let data = &block.bytes[head.data.offset as usize..][..head.data.length as usize];
            match str::from_utf8(data).unwrap_or_default().trim_matches('"') {
                "same" => made.shapes.push(Shape { event, data: None }),
                "panics" => panic!("as it was told"),
                "fails" => {
                    return Err(Failure { position: head.position, message: "as it was told".to_owned() });
                }
                count => {
                    let count = match count {
                        "remembers" => SEEN.fetch_add(1, Ordering::Relaxed) % 3 + 1,
                        count => count.parse::<u32>().unwrap_or(0),
                    };
                    for number in 1..=count {
                        let data = number.to_string();
                        let span = Span { offset: made.bytes.len() as u32, length: data.len() as u32 };
                        made.bytes.extend_from_slice(data.as_bytes());
                        made.shapes.push(Shape { event, data: Some(span) });
                    }
                }
            }
        }
        Ok(made)
    }
}

//! Calls HTTP: imports as much of `wasi:http` as shows that it links.
#![cfg(target_arch = "wasm32")]

use projectionist_test_guests::{Event, TestGuest, plugin};

#[allow(missing_docs, unreachable_pub, unsafe_code, unused_qualifications, reason = "generated")]
#[allow(clippy::all, reason = "generated")]
mod bindings {
    wit_bindgen::generate!({
        inline: "
            package test:guest;

            world fetches {
                import wasi:http/types@0.2.3;
            }

            package wasi:http@0.2.3 {
                interface types {
                    resource fields { constructor(); }
                }
            }
        ",
        generate_all,
    });
}

use bindings::wasi::http::types::Fields;

struct Fetches;

impl TestGuest for Fetches {
    fn misbehave(_event: &Event<'_>) -> Result<(), String> {
        drop(Fields::new());
        Ok(())
    }
}

plugin!(Fetches);

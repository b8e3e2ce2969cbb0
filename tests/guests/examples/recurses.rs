//! Calls itself for ever.
#![cfg(target_arch = "wasm32")]

use projectionist_test_guests::{Event, TestGuest, plugin};

struct Recurses;

impl TestGuest for Recurses {
    fn misbehave(event: &Event<'_>) -> Result<(), String> {
        fn deeper(depth: u64) -> u64 {
            std::hint::black_box(depth)
                + if depth > 0 { deeper(depth + 1) } else { 0 }
                + std::hint::black_box(1)
        }
        if deeper(event.position) == 0 { Err("came back".to_owned()) } else { Ok(()) }
    }
}

plugin!(Recurses);

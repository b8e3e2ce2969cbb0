//! Panics.
#![cfg(target_arch = "wasm32")]

use projectionist_test_guests::{Event, TestGuest, plugin};

struct Panics;

impl TestGuest for Panics {
    fn misbehave(event: &Event<'_>) -> Result<(), String> {
        panic!("there is no reel {}\nin the box", event.position);
    }
}

plugin!(Panics);

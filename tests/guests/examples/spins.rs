//! Loops for ever.
#![cfg(target_arch = "wasm32")]

use projectionist_test_guests::{Event, TestGuest, plugin};

struct Spins;

impl TestGuest for Spins {
    fn misbehave(_event: &Event<'_>) -> Result<(), String> {
        loop {
            std::hint::black_box(0);
        }
    }
}

plugin!(Spins);

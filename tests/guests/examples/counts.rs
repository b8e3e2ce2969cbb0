//! Behaves well: counts events by type.
#![cfg(target_arch = "wasm32")]

use projectionist_test_guests::{Event, TestGuest, plugin};

struct Counts;

impl TestGuest for Counts {
    fn misbehave(_event: &Event<'_>) -> Result<(), String> {
        Ok(())
    }
}

plugin!(Counts);

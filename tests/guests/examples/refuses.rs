//! Says that it cannot fold the event.
#![cfg(target_arch = "wasm32")]

use projectionist_test_guests::{Event, TestGuest, plugin};

struct Refuses;

impl TestGuest for Refuses {
    fn misbehave(event: &Event<'_>) -> Result<(), String> {
        Err(format!("{} is out of focus", event.event_type))
    }
}

plugin!(Refuses);

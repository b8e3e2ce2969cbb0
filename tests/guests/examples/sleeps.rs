//! Waits for a second.
#![cfg(target_arch = "wasm32")]

use projectionist_test_guests::{Event, TestGuest, plugin};

struct Sleeps;

impl TestGuest for Sleeps {
    fn misbehave(_event: &Event<'_>) -> Result<(), String> {
        std::thread::sleep(std::time::Duration::from_secs(1));
        Ok(())
    }
}

plugin!(Sleeps);

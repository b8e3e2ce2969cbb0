//! Prints a thousand lines an event.
#![cfg(target_arch = "wasm32")]

use projectionist_test_guests::{Event, TestGuest, plugin};

struct Talks;

impl TestGuest for Talks {
    fn misbehave(event: &Event<'_>) -> Result<(), String> {
        for line in 0..1000 {
            println!("{}: line {line}", event.position);
        }
        eprint!("not even a line");
        Ok(())
    }
}

plugin!(Talks);

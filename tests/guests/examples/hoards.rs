//! Takes memory until there is no more.
#![cfg(target_arch = "wasm32")]

use projectionist_test_guests::{Event, TestGuest, plugin};

struct Hoards;

impl TestGuest for Hoards {
    fn misbehave(_event: &Event<'_>) -> Result<(), String> {
        let mut hoard = Vec::new();
        loop {
            hoard.push(vec![1u8; 1 << 20]);
            std::hint::black_box(&hoard);
        }
    }
}

plugin!(Hoards);

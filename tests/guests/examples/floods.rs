//! Flushes ten GiB: the same ten MiB, a thousand times.
#![cfg(target_arch = "wasm32")]

use projectionist_test_guests::{Change, Changes, Event, Span, TestGuest, plugin};

struct Floods;

impl TestGuest for Floods {
    fn misbehave(_event: &Event<'_>) -> Result<(), String> {
        Ok(())
    }

    fn flush() -> Option<Changes> {
        const MIB: u32 = 1 << 20;
        let value = Span { offset: 0, length: 10 * MIB };
        let change = |key| Change { table: 0, key: Span { offset: key, length: 100 }, value: Some(value) };
        Some(Changes { changes: (0..1024).map(change).collect(), bytes: vec![b'x'; 11 * MIB as usize] })
    }
}

plugin!(Floods);

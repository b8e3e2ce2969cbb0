//! Asks for random bytes while it folds. Hash maps do that too, in their way,
//! and must work.
#![cfg(target_arch = "wasm32")]

use std::collections::HashSet;

use projectionist_test_guests::{Event, TestGuest, plugin};

struct Randomizes;

impl TestGuest for Randomizes {
    fn misbehave(event: &Event<'_>) -> Result<(), String> {
        let set: HashSet<u32> = (0..100).collect();
        println!("hashed: {:?}", set.iter().take(5).collect::<Vec<_>>());
        if event.event_type == "test.hash" {
            return Ok(());
        }
        let mut bytes = [0u8; 8];
        // SAFETY: the buffer is as long as it says.
        #[allow(unsafe_code, reason = "the standard library gives no random bytes")]
        let failed = unsafe { getentropy(bytes.as_mut_ptr(), bytes.len()) };
        if failed == 0 { Ok(()) } else { Err("no random bytes".to_owned()) }
    }
}

#[allow(unsafe_code, reason = "declares a function of the C library")]
unsafe extern "C" {
    fn getentropy(buffer: *mut u8, length: usize) -> i32;
}

plugin!(Randomizes);

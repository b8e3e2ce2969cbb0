//! Asks for random bytes while it folds. Hash maps do that too, in their way,
//! and must work; so must clocks.
#![cfg(target_arch = "wasm32")]

use std::{
    collections::HashSet,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use projectionist_test_guests::{Event, TestGuest, plugin};

struct Randomizes;

impl TestGuest for Randomizes {
    #[allow(clippy::disallowed_methods, reason = "shows that its clocks stand still")]
    fn misbehave(event: &Event<'_>) -> Result<(), String> {
        if event.event_type == "test.clock" {
            let (begun, now) = (Instant::now(), SystemTime::now());
            let since_epoch = now.duration_since(UNIX_EPOCH).map_err(|error| error.to_string())?;
            let (vars, args) = (std::env::vars().collect::<Vec<_>>(), std::env::args().count());
            println!("{since_epoch:?} {:?} {vars:?} {args}", begun.elapsed());
            return Ok(());
        }
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

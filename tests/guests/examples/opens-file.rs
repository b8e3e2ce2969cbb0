//! Reads a file.
#![cfg(target_arch = "wasm32")]

use projectionist_test_guests::{Event, TestGuest, plugin};

struct OpensFile;

impl TestGuest for OpensFile {
    fn misbehave(_event: &Event<'_>) -> Result<(), String> {
        std::fs::read("/etc/passwd").expect("the file is there");
        Ok(())
    }
}

plugin!(OpensFile);

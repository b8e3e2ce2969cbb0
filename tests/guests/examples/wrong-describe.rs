//! Describes two tables of the same name.
#![cfg(target_arch = "wasm32")]

use projectionist_test_guests::{Event, TestGuest, plugin};

struct WrongDescribe;

impl TestGuest for WrongDescribe {
    fn describe() -> String {
        r#"{"tables": [{"name": "a", "key": ["string"]}, {"name": "a", "key": ["string"]}]}"#.to_owned()
    }

    fn misbehave(_event: &Event<'_>) -> Result<(), String> {
        Ok(())
    }
}

plugin!(WrongDescribe);

//! Connects to a socket.
#![cfg(target_arch = "wasm32")]

use projectionist_test_guests::{Event, TestGuest, plugin};

struct Connects;

impl TestGuest for Connects {
    fn misbehave(_event: &Event<'_>) -> Result<(), String> {
        std::net::TcpStream::connect("127.0.0.1:80").map_err(|error| error.to_string())?;
        Ok(())
    }
}

plugin!(Connects);

//! What the end-to-end tests share. They run the real program with real
//! components over real HTTP; nothing here links the engine.
//!
//! - [`Server`] (`server.rs`): a running program on folders of its own.
//! - [`program`]: the program's other commands.
//! - [`Client`] (`client.rs`): HTTP, with every answer kept whole.
//! - [`components`]: the plug-ins as built, and variants of them.
//! - [`history`]: events to import, and what a plain fold makes of them.
//! - [`wait`]: until something holds; nothing here ever sleeps for a result.
//! - [`Random`] (`random.rs`): numbers from a printed seed.
//!
//! The tests lie in `tests/`, one file a theme. `cargo xtask test` builds what
//! they need and says where it is.

mod client;
pub mod components;
pub mod history;
pub mod program;
mod random;
mod server;
pub mod wait;

pub use client::{Answer, Client};
pub use random::Random;
pub use server::{Server, live};

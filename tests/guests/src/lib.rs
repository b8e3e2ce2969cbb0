//! Plug-ins that misbehave, for the tests: one in each file of `examples/`.
//!
//! - `guest.rs` (on wasm32): what they have in common. Each counts events by
//!   type, like `counts`, until it comes to an event at which it misbehaves.
//! - `build.rs` (elsewhere): [`component`] builds them and says where they are.
//!
//! They are written against `wit/` alone, so that they test the interface and
//! not the SDK.

#[cfg(not(target_arch = "wasm32"))]
mod build;
#[cfg(target_arch = "wasm32")]
mod guest;

#[cfg(not(target_arch = "wasm32"))]
pub use build::{component, component_bytes};
#[cfg(target_arch = "wasm32")]
pub use guest::*;

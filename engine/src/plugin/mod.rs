//! The sandbox: plug-ins as WebAssembly components.

pub mod description;

//! What `wit/0.1.0` looks like in Rust. Generated; nothing else generates
//! bindings, and no type of this module leaves `plugin`.
#![allow(missing_docs, unreachable_pub, unused_qualifications, unsafe_code, reason = "generated")]
#![allow(clippy::all, reason = "generated")]

wasmtime::component::bindgen!({
    path: "../wit/0.1.0",
    world: "projection-plugin",
    imports: { default: trappable },
    exports: { default: async },
    ownership: Borrowing { duplicate_if_necessary: true },
    require_store_data_send: true,
});

pub use self::projectionist::plugin::{events, state};
pub use exports::projectionist::plugin::{plugin as plugin_interface, projection as projection_interface};

//! What `wit/0.1.0` looks like in Rust. Generated; nothing else generates
//! bindings, and no type of this module leaves `plugin`.
#![allow(missing_docs, unreachable_pub, unused_qualifications, unsafe_code, reason = "generated")]
#![allow(clippy::all, reason = "generated")]

wasmtime::component::bindgen!({
    path: "../wit/0.1.0",
    // All kinds share the interface `plugin`, and so the bindings of it.
    inline: "package projectionist:host;
        world every-plugin {
            include projectionist:plugin/projection-plugin@0.1.0;
            include projectionist:plugin/reaction-plugin@0.1.0;
            include projectionist:plugin/upcaster-plugin@0.1.0;
        }",
    imports: { default: trappable },
    exports: { default: async },
    ownership: Borrowing { duplicate_if_necessary: true },
    require_store_data_send: true,
});

pub use self::projectionist::plugin::{events, state};
pub use exports::projectionist::plugin::{
    plugin as plugin_interface, projection as projection_interface, reaction as reaction_interface,
    upcaster as upcaster_interface,
};

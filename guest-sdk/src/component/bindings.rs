//! What wit-bindgen makes of the interface: what every plug-in exports, and what
//! projections, reactions and upcasters do besides. A component exports two of the
//! four, so each is a world of its own here.
#![allow(missing_docs, unsafe_code, unused_qualifications, clippy::all, reason = "generated")]

/// Of every plug-in, with all imports.
pub mod plugin {
    wit_bindgen::generate!({
        path: "wit/0.1.0",
        inline: "package projectionist:sdk;
            world every-plugin {
                import projectionist:plugin/state@0.1.0;
                export projectionist:plugin/plugin@0.1.0;
            }",
        generate_all,
        pub_export_macro: true,
        default_bindings_module: "::projectionist_sdk::__private::bindings::plugin",
        runtime_path: "::projectionist_sdk::__private::wit_bindgen::rt",
    });
}

/// Of projections.
pub mod projection {
    wit_bindgen::generate!({
        path: "wit/0.1.0",
        inline: "package projectionist:sdk;
            world every-projection {
                export projectionist:plugin/projection@0.1.0;
            }",
        generate_all,
        pub_export_macro: true,
        default_bindings_module: "::projectionist_sdk::__private::bindings::projection",
        runtime_path: "::projectionist_sdk::__private::wit_bindgen::rt",
        with: {
            "projectionist:plugin/events@0.1.0": super::plugin::projectionist::plugin::events,
        },
    });
}

/// Of reactions.
pub mod reaction {
    wit_bindgen::generate!({
        path: "wit/0.1.0",
        inline: "package projectionist:sdk;
            world every-reaction {
                export projectionist:plugin/reaction@0.1.0;
            }",
        generate_all,
        pub_export_macro: true,
        default_bindings_module: "::projectionist_sdk::__private::bindings::reaction",
        runtime_path: "::projectionist_sdk::__private::wit_bindgen::rt",
        with: {
            "projectionist:plugin/events@0.1.0": super::plugin::projectionist::plugin::events,
        },
    });
}

/// Of upcasters.
pub mod upcaster {
    wit_bindgen::generate!({
        path: "wit/0.1.0",
        inline: "package projectionist:sdk;
            world every-upcaster {
                export projectionist:plugin/upcaster@0.1.0;
            }",
        generate_all,
        pub_export_macro: true,
        default_bindings_module: "::projectionist_sdk::__private::bindings::upcaster",
        runtime_path: "::projectionist_sdk::__private::wit_bindgen::rt",
        with: {
            "projectionist:plugin/events@0.1.0": super::plugin::projectionist::plugin::events,
        },
    });
}

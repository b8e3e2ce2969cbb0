//! A plug-in's exports, on wasm only.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ItemImpl;

pub(crate) fn projection(input: &ItemImpl) -> TokenStream {
    let projection = &input.self_ty;
    quote! {
        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code, unused_qualifications, clippy::all)]
        const _: () = {
            use ::projectionist_sdk::__private::{
                bindings::{
                    plugin::exports::projectionist::plugin::plugin,
                    projection::exports::projectionist::plugin::projection,
                },
                component::projection as component,
            };

            struct Component;

            ::std::thread_local! {
                static RUNNER: component::Cell<#projection> = const { ::core::cell::RefCell::new(None) };
            }

            impl plugin::Guest for Component {
                fn describe() -> ::std::string::String {
                    component::describe(&RUNNER)
                }

                fn flush() -> plugin::Changes {
                    component::flush(&RUNNER)
                }

                fn query(
                    name: ::std::string::String,
                    arguments: ::std::vec::Vec<u8>,
                ) -> ::core::result::Result<::std::vec::Vec<u8>, plugin::QueryFailure> {
                    component::query(&RUNNER, &name, &arguments)
                }
            }

            impl projection::Guest for Component {
                fn apply(block: projection::Block) -> ::core::result::Result<u64, projection::Failure> {
                    component::apply(&RUNNER, block)
                }
            }

            ::projectionist_sdk::__private::bindings::plugin::export!(
                Component with_types_in ::projectionist_sdk::__private::bindings::plugin
            );
            ::projectionist_sdk::__private::bindings::projection::export!(
                Component with_types_in ::projectionist_sdk::__private::bindings::projection
            );
        };
    }
}

pub(crate) fn reaction(input: &ItemImpl) -> TokenStream {
    let reaction = &input.self_ty;
    quote! {
        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code, unused_qualifications, clippy::all)]
        const _: () = {
            use ::projectionist_sdk::__private::{
                bindings::{
                    plugin::exports::projectionist::plugin::plugin,
                    reaction::exports::projectionist::plugin::reaction,
                },
                component::reaction as component,
            };

            struct Component;

            ::std::thread_local! {
                static REACTOR: component::Cell<#reaction> = const { ::core::cell::RefCell::new(None) };
            }

            impl plugin::Guest for Component {
                fn describe() -> ::std::string::String {
                    component::describe::<#reaction>()
                }

                fn flush() -> plugin::Changes {
                    component::flush(&REACTOR)
                }

                fn query(
                    name: ::std::string::String,
                    arguments: ::std::vec::Vec<u8>,
                ) -> ::core::result::Result<::std::vec::Vec<u8>, plugin::QueryFailure> {
                    component::query(&REACTOR, &name, &arguments)
                }
            }

            impl reaction::Guest for Component {
                fn react(event: reaction::Block) -> ::core::result::Result<reaction::Outcome, reaction::Failure> {
                    component::react(&REACTOR, event)
                }

                fn lanes(events: reaction::Block) -> ::std::vec::Vec<::std::string::String> {
                    component::lanes::<#reaction>(events)
                }
            }

            ::projectionist_sdk::__private::bindings::plugin::export!(
                Component with_types_in ::projectionist_sdk::__private::bindings::plugin
            );
            ::projectionist_sdk::__private::bindings::reaction::export!(
                Component with_types_in ::projectionist_sdk::__private::bindings::reaction
            );
        };
    }
}

pub(crate) fn upcaster(input: &ItemImpl) -> TokenStream {
    let upcaster = &input.self_ty;
    quote! {
        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code, unused_qualifications, clippy::all)]
        const _: () = {
            use ::projectionist_sdk::__private::{
                bindings::{
                    plugin::exports::projectionist::plugin::plugin,
                    upcaster::exports::projectionist::plugin::upcaster,
                },
                component::upcaster as component,
            };

            struct Component;

            impl plugin::Guest for Component {
                fn describe() -> ::std::string::String {
                    component::describe::<#upcaster>()
                }

                fn flush() -> plugin::Changes {
                    component::flush()
                }

                fn query(
                    _name: ::std::string::String,
                    _arguments: ::std::vec::Vec<u8>,
                ) -> ::core::result::Result<::std::vec::Vec<u8>, plugin::QueryFailure> {
                    ::core::result::Result::Err(plugin::QueryFailure::NotFound)
                }
            }

            impl upcaster::Guest for Component {
                fn upcast(block: upcaster::Block) -> ::core::result::Result<upcaster::Shapes, upcaster::Failure> {
                    component::upcast::<#upcaster>(block)
                }
            }

            ::projectionist_sdk::__private::bindings::plugin::export!(
                Component with_types_in ::projectionist_sdk::__private::bindings::plugin
            );
            ::projectionist_sdk::__private::bindings::upcaster::export!(
                Component with_types_in ::projectionist_sdk::__private::bindings::upcaster
            );
        };
    }
}

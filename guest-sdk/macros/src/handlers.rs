//! `#[projection]` and `#[reaction]`: an `impl` of handlers and queries.

use std::collections::HashMap;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, ImplItem, ItemImpl, Result, spanned::Spanned};

use crate::{
    arguments::{ProjectionArguments, ReactionArguments},
    component,
    method::{Handler, Method, Query},
    name_of,
};

/// What the `impl` is of.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Projection,
    Reaction,
}

impl Kind {
    fn attribute(self) -> &'static str {
        match self {
            Self::Projection => "#[projection]",
            Self::Reaction => "#[reaction]",
        }
    }
}

/// Handlers and queries of an `impl`.
struct Methods {
    handlers: Vec<Handler>,
    queries: Vec<Query>,
}

pub(crate) fn expand(kind: Kind, arguments: TokenStream, mut input: ItemImpl) -> Result<TokenStream> {
    if let Some((_, path, _)) = &input.trait_ {
        let attribute = kind.attribute();
        return Err(Error::new(
            path.span(),
            format!("`{attribute}` belongs over the plug-in's own `impl`, without a trait"),
        ));
    }
    let specific = |input: &ItemImpl, methods: &Methods| match kind {
        Kind::Projection => {
            ProjectionArguments::parse(arguments).map(|arguments| projection(input, methods, &arguments))
        }
        Kind::Reaction => {
            ReactionArguments::parse(arguments).map(|arguments| reaction(input, methods, &arguments))
        }
    };
    let methods = match methods(kind, &mut input) {
        Ok(methods) => methods,
        Err(errors) => {
            // The methods stay, so that nothing else is reported as missing.
            let errors = errors.into_compile_error();
            return Ok(quote!(#input #errors));
        }
    };
    let specific = specific(&input, &methods)?;
    let shared = shared(&input, &methods);
    let component = match kind {
        Kind::Projection => component::projection(&input),
        Kind::Reaction => component::reaction(&input),
    };
    Ok(quote!(#input #shared #specific #component))
}

/// Takes the handlers and queries out of an `impl`; all that is wrong with them.
fn methods(kind: Kind, input: &mut ItemImpl) -> Result<Methods> {
    let mut methods = Methods { handlers: Vec::new(), queries: Vec::new() };
    let mut errors = None::<Error>;
    let mut note = |error: Error| match &mut errors {
        None => errors = Some(error),
        Some(errors) => errors.combine(error),
    };
    for item in &mut input.items {
        let ImplItem::Fn(method) = item else { continue };
        match Method::take(method) {
            Ok(Method::Handler(handler)) => methods.handlers.push(handler),
            Ok(Method::Query(query)) => methods.queries.push(query),
            Ok(Method::Other) => {}
            Err(error) => note(error),
        }
    }
    check_distinct(&methods.handlers, &mut note);
    if methods.handlers.is_empty() && errors.is_none() {
        let what = match kind {
            Kind::Projection => "a projection handles",
            Kind::Reaction => "a reaction answers",
        };
        errors = Some(Error::new(
            input.self_ty.span(),
            format!(
                "{what} events: write `#[on(\"type\")]` over a method `fn name(&mut self, event: &Event)`"
            ),
        ));
    }
    errors.map_or(Ok(methods), Err)
}

/// Each type has one handler, and all others have one.
fn check_distinct(handlers: &[Handler], note: &mut impl FnMut(Error)) {
    let mut by_event = HashMap::new();
    let mut any = None;
    for handler in handlers {
        let Some(events) = &handler.events else {
            if let Some(other) = any.replace(&handler.name) {
                let message = format!("`{other}` already handles all types that are left: merge the two");
                note(Error::new(handler.span, message));
            }
            continue;
        };
        for event in events {
            if let Some(other) = by_event.insert(event.value(), &handler.name) {
                let message = format!("`{other}` already handles `{}`: merge the two", event.value());
                note(Error::new(event.span(), message));
            }
        }
    }
}

/// What both kinds have: which events are handled, and the queries.
fn shared(input: &ItemImpl, Methods { handlers, queries }: &Methods) -> TokenStream {
    let plugin = &input.self_ty;
    let events = match handlers.iter().any(|handler| handler.events.is_none()) {
        true => quote!(::core::option::Option::None),
        false => {
            let events = handlers.iter().flat_map(|handler| handler.events.iter().flatten());
            quote!(::core::option::Option::Some(&[#(#events),*]))
        }
    };
    let numbered = || handlers.iter().enumerate().map(|(number, handler)| (number as u32, handler));
    let numbers = numbered().filter_map(|(number, handler)| {
        let events = handler.events.as_ref()?;
        Some(quote!(#(#events)|* => ::core::option::Option::Some(#number),))
    });
    let rest = match numbered().find(|(_, handler)| handler.events.is_none()) {
        Some((number, _)) => quote!(::core::option::Option::Some(#number)),
        None => quote!(::core::option::Option::None),
    };
    let descriptions = queries.iter().map(Query::description);
    let answers = queries.iter().map(|query| {
        let (name, call) = (name_of(&query.name), query.call());
        quote!(#name => #call,)
    });
    quote! {
        const _: () = {
            #[allow(unused_imports)]
            use ::projectionist_sdk::{
                QueryError,
                __private::{
                    AnyParameter, Arguments, Handlers, KnownParameter, Probe, QueryDescription, answer, schema,
                    unknown,
                },
            };

            #[automatically_derived]
            impl Handlers for #plugin {
                const EVENTS: ::core::option::Option<&'static [&'static str]> = #events;

                fn handler(event_type: &str) -> ::core::option::Option<u32> {
                    match event_type {
                        #(#numbers)*
                        _ => #rest,
                    }
                }

                fn queries() -> ::std::vec::Vec<QueryDescription> {
                    ::std::vec![#(#descriptions),*]
                }

                #[allow(unused_mut, unused_variables)]
                fn query(
                    &self,
                    name: &str,
                    mut arguments: Arguments,
                ) -> ::core::result::Result<::std::vec::Vec<u8>, QueryError> {
                    match name {
                        #(#answers)*
                        _ => ::core::result::Result::Err(unknown(name)),
                    }
                }
            }
        };
    }
}

/// The calls of the handlers, by their numbers.
fn calls(kind: Kind, handlers: &[Handler]) -> impl Iterator<Item = TokenStream> + '_ {
    (0_u32..).zip(handlers).map(move |(number, handler)| {
        let call = handler.call(kind);
        quote!(#number => #call,)
    })
}

fn optional(value: Option<&syn::LitStr>) -> TokenStream {
    match value {
        None => quote!(::core::option::Option::None),
        Some(value) => quote!(::core::option::Option::Some(#value)),
    }
}

fn projection(input: &ItemImpl, methods: &Methods, arguments: &ProjectionArguments) -> TokenStream {
    let projection = &input.self_ty;
    let (partition_by, partition_key) = arguments.partition();
    let on_failure = optional(arguments.on_failure.as_ref());
    let calls = calls(Kind::Projection, &methods.handlers);
    quote! {
        // On wasm the component uses it; natively perhaps only tests do.
        const _: fn() = ::projectionist_sdk::__private::used::<#projection>;

        const _: () = {
            #[allow(unused_imports)]
            use ::projectionist_sdk::{
                Event,
                __private::{Outcome, Projection, data, partition_hash, partition_key_of},
            };

            #[automatically_derived]
            impl Projection for #projection {
                const ON_FAILURE: ::core::option::Option<&'static str> = #on_failure;
                const PARTITION_BY: ::core::option::Option<&'static str> = #partition_by;

                #[allow(unused_variables)]
                fn partition_key(event: &Event<'_>) -> u64 {
                    #partition_key
                }

                fn handle(
                    &mut self,
                    handler: u32,
                    event: &Event<'_>,
                ) -> ::core::result::Result<(), ::std::string::String> {
                    match handler {
                        #(#calls)*
                        _ => ::core::result::Result::Ok(()),
                    }
                }
            }
        };
    }
}

fn reaction(input: &ItemImpl, methods: &Methods, arguments: &ReactionArguments) -> TokenStream {
    let reaction = &input.self_ty;
    let new_version = &arguments.new_version;
    let (lane, lane_of_event) = arguments.lane();
    let on_failure = optional(arguments.on_failure.as_ref());
    let calls = calls(Kind::Reaction, &methods.handlers);
    quote! {
        // On wasm the component uses it; natively perhaps only tests do.
        const _: fn() = ::projectionist_sdk::__private::used_reaction::<#reaction>;

        const _: () = {
            #[allow(unused_imports)]
            use ::projectionist_sdk::{
                Effects, Event, Failure,
                __private::{Answer, Reaction, data_or_reject, lane_of},
            };

            #[automatically_derived]
            impl Reaction for #reaction {
                const NEW_VERSION: &'static str = #new_version;
                const LANE: &'static str = #lane;
                const ON_FAILURE: ::core::option::Option<&'static str> = #on_failure;

                #[allow(unused_variables)]
                fn lane(event: &Event<'_>) -> ::std::string::String {
                    #lane_of_event
                }

                fn react(
                    &mut self,
                    handler: u32,
                    event: &Event<'_>,
                ) -> ::core::result::Result<Effects, Failure> {
                    match handler {
                        #(#calls)*
                        _ => ::core::result::Result::Ok(Effects::none()),
                    }
                }
            }
        };
    }
}

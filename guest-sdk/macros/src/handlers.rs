//! `#[projection]`: an `impl` of handlers and queries.

use std::collections::HashMap;

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Error, Expr, ImplItem, ItemImpl, LitStr, Result, parse::Parser, spanned::Spanned};

use crate::{
    method::{Handler, Method, Query},
    name_of,
};

const ARGUMENTS: &str = "the arguments are `on_failure = \"halt\"` or `on_failure = \"dead-letter\"`, and \
                         `partition_by = subject` or `partition_by = |event| …`";

/// What stands in the parentheses of `#[projection(…)]`.
#[derive(Default)]
struct Arguments {
    on_failure: Option<LitStr>,
    /// `subject`, or a function from an event to its key.
    partition_by: Option<Expr>,
}

pub(crate) fn expand(arguments: TokenStream, mut input: ItemImpl) -> Result<TokenStream> {
    if let Some((_, path, _)) = &input.trait_ {
        return Err(Error::new(
            path.span(),
            "`#[projection]` belongs over the projection's own `impl`, without a trait",
        ));
    }
    let arguments = Arguments::parse(arguments)?;
    let (mut handlers, mut queries) = (Vec::new(), Vec::new());
    let mut errors = None::<Error>;
    let mut note = |error: Error| match &mut errors {
        None => errors = Some(error),
        Some(errors) => errors.combine(error),
    };
    for item in &mut input.items {
        let ImplItem::Fn(method) = item else { continue };
        match Method::take(method) {
            Ok(Method::Handler(handler)) => handlers.push(handler),
            Ok(Method::Query(query)) => queries.push(query),
            Ok(Method::Other) => {}
            Err(error) => note(error),
        }
    }
    check_distinct(&handlers, &mut note);
    if handlers.is_empty() && errors.is_none() {
        errors = Some(Error::new(
            input.self_ty.span(),
            "a projection handles events: write `#[on(\"type\")]` over a method `fn name(&mut self, event: &Event)`",
        ));
    }
    if let Some(errors) = errors {
        // The methods stay, so that nothing else is reported as missing.
        let errors = errors.into_compile_error();
        return Ok(quote!(#input #errors));
    }
    let implementation = implementation(&input, &handlers, &queries, &arguments);
    let component = component(&input);
    Ok(quote!(#input #implementation #component))
}

impl Arguments {
    fn parse(tokens: TokenStream) -> Result<Self> {
        let mut arguments = Self::default();
        let parser = syn::meta::parser(|meta| {
            if meta.path.is_ident("partition_by") {
                arguments.partition_by = Some(meta.value()?.parse()?);
                return Ok(());
            }
            if !meta.path.is_ident("on_failure") {
                return Err(meta.error(ARGUMENTS));
            }
            let value: LitStr = meta.value()?.parse()?;
            if !["halt", "dead-letter"].contains(&value.value().as_str()) {
                return Err(Error::new(value.span(), ARGUMENTS));
            }
            arguments.on_failure = Some(value);
            Ok(())
        });
        parser.parse2(tokens)?;
        Ok(arguments)
    }

    /// What the description says, and an expression for the hash of the key of
    /// `event`.
    fn partition(&self) -> (TokenStream, TokenStream) {
        let (none, some) = (quote!(::core::option::Option::None), quote!(::core::option::Option::Some));
        match &self.partition_by {
            None => (none, quote!(0)),
            Some(Expr::Path(path)) if path.path.is_ident("subject") => {
                (quote!(#some("subject")), quote!(partition_hash(event.subject())))
            }
            Some(key) => {
                let call = quote_spanned!(key.span()=> partition_hash(partition_key_of(event, #key)));
                (quote!(#some("key")), call)
            }
        }
    }
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

fn implementation(
    input: &ItemImpl,
    handlers: &[Handler],
    queries: &[Query],
    arguments: &Arguments,
) -> TokenStream {
    let projection = &input.self_ty;
    let events = match handlers.iter().any(|handler| handler.events.is_none()) {
        true => quote!(::core::option::Option::None),
        false => {
            let events = handlers.iter().flat_map(|handler| handler.events.iter().flatten());
            quote!(::core::option::Option::Some(&[#(#events),*]))
        }
    };
    let (partition_by, partition_key) = arguments.partition();
    let on_failure = match &arguments.on_failure {
        None => quote!(::core::option::Option::None),
        Some(value) => quote!(::core::option::Option::Some(#value)),
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
    let calls = numbered().map(|(number, handler)| {
        let call = handler.call();
        quote!(#number => #call,)
    });
    let descriptions = queries.iter().map(Query::description);
    let answers = queries.iter().map(|query| {
        let (name, call) = (name_of(&query.name), query.call());
        quote!(#name => #call,)
    });
    quote! {
        // On wasm the component uses it; natively perhaps only tests do.
        const _: fn() = ::projectionist_sdk::__private::used::<#projection>;

        const _: () = {
            #[allow(unused_imports)]
            use ::projectionist_sdk::{
                Event, QueryError,
                __private::{
                    AnyParameter, Arguments, Handlers, KnownParameter, Outcome, Probe, QueryDescription, answer, data,
                    partition_hash, partition_key_of, schema, unknown,
                },
            };

            #[automatically_derived]
            impl Handlers for #projection {
                const EVENTS: ::core::option::Option<&'static [&'static str]> = #events;
                const ON_FAILURE: ::core::option::Option<&'static str> = #on_failure;
                const PARTITION_BY: ::core::option::Option<&'static str> = #partition_by;

                #[allow(unused_variables)]
                fn partition_key(event: &Event<'_>) -> u64 {
                    #partition_key
                }

                fn handler(event_type: &str) -> ::core::option::Option<u32> {
                    match event_type {
                        #(#numbers)*
                        _ => #rest,
                    }
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

/// The component's exports, on wasm only.
fn component(input: &ItemImpl) -> TokenStream {
    let projection = &input.self_ty;
    quote! {
        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code, unused_qualifications, clippy::all)]
        const _: () = {
            use ::projectionist_sdk::__private::{
                bindings::exports::projectionist::plugin::{plugin, projection},
                component,
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

            ::projectionist_sdk::__private::bindings::export!(Component with_types_in ::projectionist_sdk::__private::bindings);
        };
    }
}

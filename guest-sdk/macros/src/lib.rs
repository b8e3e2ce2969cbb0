//! The macros of `projectionist-sdk`, which documents and re-exports them.
//!
//! - `tables.rs`: `#[derive(Projection)]` and `#[derive(Reaction)]`, a struct of
//!   tables;
//! - `handlers.rs`: `#[projection]` and `#[reaction]`, an `impl` of handlers and
//!   queries; `arguments.rs`: what stands in their parentheses;
//! - `method.rs`: one method of such an `impl`;
//! - `upcaster.rs`: `#[upcaster]`, an `impl` of upcasts;
//! - `component.rs`: the exports, on wasm.
//!
//! They check the form of what the author wrote and say what to do about it;
//! what they generate only calls `projectionist_sdk::__private`.

mod arguments;
mod component;
mod handlers;
mod method;
mod tables;
mod upcaster;

use handlers::Kind;
use proc_macro::TokenStream;
use proc_macro2::Span;
use syn::{Attribute, Expr, ExprLit, Lit, Meta, parse_macro_input};

/// Makes a struct of tables a projection's state.
///
/// Each field is a `Table<K, V>`, named as the field is. An index over a table
/// is declared as `#[index(name: Type = field)]`, see `Index`. The doc comment
/// becomes the plug-in's summary.
#[proc_macro_derive(Projection, attributes(index))]
pub fn derive_projection(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as syn::DeriveInput);
    tables::expand(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes a struct of tables a reaction's state, which may have none; see
/// `#[derive(Projection)]`.
#[proc_macro_derive(Reaction, attributes(index))]
pub fn derive_reaction(input: TokenStream) -> TokenStream {
    derive_projection(input)
}

/// Makes the methods of an `impl` handlers and queries of a projection.
///
/// - `#[on("type")]`, `#[on("type", "other")]`: called for events of these types,
///   as `(&mut self, event: &Event)` or `(&mut self, event: &Event, data: Data)`
///   with any `Data: Deserialize`. May return `Result<(), impl Display>`: an
///   error is a failure at that event.
/// - `#[on_any]`: called for events of all types that have no handler of their
///   own.
/// - `#[query]`: answers `GET /projections/…/queries/<name>`, as
///   `(&self, parameters…) -> Answer` with any `Answer: Serialize`, or
///   `Result<Answer, QueryError>`. Parameters of type `Option` may be left out.
///   The doc comment becomes the query's summary.
///
/// `#[projection(on_failure = "dead-letter")]` keeps events that cannot be folded
/// as dead letters and goes on; otherwise the plug-in halts at the first.
///
/// `#[projection(partition_by = subject)]` lets several instances fold events of
/// different subjects side by side. A row then belongs to one subject: a handler
/// reads and changes only rows that no other subject's events touch (what
/// `Harness::check_replay` checks). `partition_by = |event| …` divides by another
/// key: the closure takes `&Event` and answers anything that can be hashed, and
/// as each instance asks it about all events, it should cost little.
#[proc_macro_attribute]
pub fn projection(arguments: TokenStream, input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as syn::ItemImpl);
    handlers::expand(Kind::Projection, arguments.into(), input)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Makes the methods of an `impl` handlers and queries of a reaction: as under
/// `#[projection]`, but a handler answers what the event leads to: nothing, a
/// `NewEvent` or several, `Effects`, or `Result<…, Failure>` with one of these.
///
/// `new_version = "continue"` says what a new version of the reaction does, and has
/// to be said: it goes on from where the old version stood, with the state that it
/// left. `new_version = "rebuild"` makes the reaction's tables anew of all of history
/// first: nothing is appended and nobody is called meanwhile, calls are answered as they
/// were then; from where the old version stood it has its effects.
///
/// `lane = "subject"`, the default, handles events of one subject in their order,
/// and others beside them; `lane = "one"` handles all events one after the other;
/// `lane = |event| …` those of one key: the closure takes `&Event` and answers
/// anything that can be written as text.
///
/// `on_failure = "dead-letter"`, the default, puts aside what can never be handled;
/// with `on_failure = "hold-lane"` those behind it in its lane wait until somebody has
/// it tried again or drops it.
#[proc_macro_attribute]
pub fn reaction(arguments: TokenStream, input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as syn::ItemImpl);
    handlers::expand(Kind::Reaction, arguments.into(), input)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Makes the methods of an `impl` upcasts: each gives events of one shape, a type and what
/// its events name as their `dataschema`, another one.
///
/// - `#[upcast(from("type"), to("type", "dataschema"))]`: called for events of that type that
///   name no dataschema, as `fn(old: Old) -> New` or `fn(event: &Event, old: Old) -> New` with any
///   `Old: Deserialize` and `New: Serialize`. Without a dataschema, events have none.
/// - `-> Option<New>` drops the event where it is `None`, `-> Vec<New>` splits it, and
///   `-> Result<…, impl Display>` can fail: whatever folds the event then halts there.
///
/// Chains are made by the host: what one upcaster gives, another one takes. The doc comment
/// over the `impl` becomes the plug-in's summary.
#[proc_macro_attribute]
pub fn upcaster(arguments: TokenStream, input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as syn::ItemImpl);
    upcaster::expand(arguments.into(), input).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Gives events of one shape another one; see `#[upcaster]`.
#[proc_macro_attribute]
pub fn upcast(_: TokenStream, _: TokenStream) -> TokenStream {
    let message = "`#[upcast]` belongs on a method in an `impl` under `#[upcaster]`";
    syn::Error::new(Span::call_site(), message).into_compile_error().into()
}

/// Handles events of the named types; see `#[projection]` and `#[reaction]`.
#[proc_macro_attribute]
pub fn on(_: TokenStream, _: TokenStream) -> TokenStream {
    misplaced("on")
}

/// Handles events of all types without a handler of their own; see
/// `#[projection]`.
#[proc_macro_attribute]
pub fn on_any(_: TokenStream, _: TokenStream) -> TokenStream {
    misplaced("on_any")
}

/// Handles the timers of a reaction that are due:
/// `fn due(&mut self, event: &Event, timer: Timer)`. The event is about what the event
/// was about that set the timer. See `Effects::timer`.
#[proc_macro_attribute]
pub fn on_timer(_: TokenStream, _: TokenStream) -> TokenStream {
    misplaced("on_timer")
}

/// Answers a query; see `#[projection]`.
#[proc_macro_attribute]
pub fn query(_: TokenStream, _: TokenStream) -> TokenStream {
    misplaced("query")
}

fn misplaced(attribute: &str) -> TokenStream {
    let message =
        format!("`#[{attribute}]` belongs on a method in an `impl` under `#[projection]` or `#[reaction]`");
    syn::Error::new(Span::call_site(), message).into_compile_error().into()
}

/// The text of doc comments, as one line.
fn summary(attributes: &[Attribute]) -> String {
    let line = |attribute: &Attribute| match &attribute.meta {
        Meta::NameValue(meta) if meta.path.is_ident("doc") => match &meta.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    };
    let lines: Vec<_> = attributes.iter().filter_map(line).collect();
    // The first paragraph.
    let first: Vec<_> = lines.iter().map(String::as_str).skip_while(|line| line.is_empty()).collect();
    first.into_iter().take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// A name as the author wrote it, without the `r#` of a raw one.
fn name_of(ident: &syn::Ident) -> String {
    let name = ident.to_string();
    name.strip_prefix("r#").map_or(name.clone(), ToOwned::to_owned)
}

//! One method of a plug-in's `impl`: a handler, a query or neither.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{
    Attribute, Error, FnArg, Ident, ImplItemFn, LitStr, Meta, Pat, Receiver, Result, ReturnType, Signature,
    Token, Type, punctuated::Punctuated, spanned::Spanned,
};

use crate::{handlers::Kind, name_of, summary};

pub(crate) enum Method {
    Handler(Handler),
    Query(Query),
    Other,
}

/// A method under `#[on(…)]`, `#[on_any]` or `#[on_timer]`.
pub(crate) struct Handler {
    pub(crate) name: Ident,
    /// The types that it handles; none: all that have no handler of their own.
    pub(crate) events: Option<Vec<LitStr>>,
    /// Where it says so.
    pub(crate) span: Span,
    data: Option<Type>,
    /// Where it says what it returns.
    output: Span,
}

/// A method under `#[query]`.
pub(crate) struct Query {
    pub(crate) name: Ident,
    summary: String,
    parameters: Vec<(Ident, Type)>,
    is_fallible: bool,
}

const ON: &str = "name the types of events: `#[on(\"order.placed\")]`, or all that are left: `#[on_any]`";

impl Method {
    /// Reads a method and takes the attributes that make it a handler or query.
    pub(crate) fn take(method: &mut ImplItemFn) -> Result<Self> {
        let is_ours = |attribute: &Attribute| {
            ["on", "on_any", "on_timer", "query"].iter().any(|name| attribute.path().is_ident(name))
        };
        let ours: Vec<_> = method.attrs.iter().filter(|attribute| is_ours(attribute)).cloned().collect();
        method.attrs.retain(|attribute| !is_ours(attribute));
        let [attribute] = &ours[..] else {
            return match ours.get(1) {
                None => Ok(Self::Other),
                Some(second) => Err(Error::new(
                    second.span(),
                    "one attribute a method: for several types of events write `#[on(\"one\", \"other\")]`",
                )),
            };
        };
        if let Some(asyncness) = method.sig.asyncness {
            return Err(Error::new(
                asyncness.span(),
                "a plug-in does nothing that it could wait for: remove `async`",
            ));
        }
        if !method.sig.generics.params.is_empty() {
            return Err(Error::new(
                method.sig.generics.span(),
                "handlers and queries have no parameters of this kind",
            ));
        }
        if attribute.path().is_ident("query") {
            return Query::of(attribute, method).map(Self::Query);
        }
        Handler::of(attribute, &method.sig).map(Self::Handler)
    }
}

impl Handler {
    fn of(attribute: &Attribute, signature: &Signature) -> Result<Self> {
        let name = signature.ident.clone();
        match signature.receiver() {
            Some(Receiver { reference: Some(_), mutability: Some(_), .. }) => {}
            other => {
                let span = other.map_or(name.span(), Spanned::span);
                return Err(Error::new(
                    span,
                    format!("a handler changes tables: `fn {name}(&mut self, event: &Event)`"),
                ));
            }
        }
        let arguments: Vec<_> = signature.inputs.iter().skip(1).collect();
        let data = match arguments[..] {
            [FnArg::Typed(event)] if is_reference(&event.ty) => None,
            [FnArg::Typed(event), FnArg::Typed(data)] if is_reference(&event.ty) => Some((*data.ty).clone()),
            _ => {
                return Err(Error::new(
                    name.span(),
                    format!(
                        "a handler takes the event and, if it wants them, its data: \
                         `fn {name}(&mut self, event: &Event, data: Data)`"
                    ),
                ));
            }
        };
        let output = match &signature.output {
            ReturnType::Type(_, output) => output.span(),
            ReturnType::Default => name.span(),
        };
        Ok(Self { name, events: events_of(attribute)?, span: attribute.span(), data, output })
    }

    /// Calls it; an expression of type `Result<(), String>`, or for a reaction
    /// `Result<Effects, Failure>`.
    pub(crate) fn call(&self, kind: Kind) -> TokenStream {
        let name = &self.name;
        // At the author's place, so that errors point there; with this macro's
        // hygiene, so that `self` is the one of the generated method.
        let at = |span: Span| span.resolved_at(Span::call_site());
        let output = at(self.output);
        let call = match &self.data {
            None => quote_spanned!(output=> self.#name(event)),
            Some(data) => {
                let decode = match kind {
                    Kind::Projection => quote_spanned!(at(data.span())=> data(event)?),
                    Kind::Reaction => quote_spanned!(at(data.span())=> data_or_reject(event)?),
                };
                quote_spanned! {output=> {
                    let data: #data = #decode;
                    self.#name(event, data)
                }}
            }
        };
        match kind {
            Kind::Projection => quote_spanned!(output=> Outcome::into_result(#call)),
            Kind::Reaction => quote_spanned!(output=> Answer::into_effects(#call)),
        }
    }
}

fn is_reference(ty: &Type) -> bool {
    matches!(ty, Type::Reference(_))
}

/// The type of the events that timers become when they are due.
const TIMER_DUE: &str = "projectionist.timer.due";

/// The types in `#[on("a", "b")]`; none in `#[on_any]` and `#[on("*")]`.
fn events_of(attribute: &Attribute) -> Result<Option<Vec<LitStr>>> {
    if attribute.path().is_ident("on_any") {
        return match &attribute.meta {
            Meta::Path(_) => Ok(None),
            _ => Err(Error::new(attribute.span(), "`#[on_any]` takes no arguments; `#[on(\"type\")]` does")),
        };
    }
    if attribute.path().is_ident("on_timer") {
        return match &attribute.meta {
            Meta::Path(_) => Ok(Some(vec![LitStr::new(TIMER_DUE, attribute.span())])),
            _ => Err(Error::new(
                attribute.span(),
                "`#[on_timer]` takes no arguments: the timer's key is in `timer.key`",
            )),
        };
    }
    let explain = |_| Error::new(attribute.span(), ON);
    let events =
        attribute.parse_args_with(Punctuated::<LitStr, Token![,]>::parse_terminated).map_err(explain)?;
    if events.iter().any(|event| event.value() == "*") {
        return match events.len() {
            1 => Ok(None),
            _ => {
                Err(Error::new(attribute.span(), "\"*\" stands alone: it means all types without a handler"))
            }
        };
    }
    match events.iter().find(|event| event.value().trim().is_empty()) {
        Some(empty) => Err(Error::new(empty.span(), ON)),
        None if events.is_empty() => Err(Error::new(attribute.span(), ON)),
        None => Ok(Some(events.into_iter().collect())),
    }
}

impl Query {
    fn of(attribute: &Attribute, method: &ImplItemFn) -> Result<Self> {
        let signature = &method.sig;
        let name = signature.ident.clone();
        if !matches!(attribute.meta, Meta::Path(_)) {
            return Err(Error::new(
                attribute.span(),
                "`#[query]` takes no arguments; the method's name is the query's",
            ));
        }
        match signature.receiver() {
            Some(Receiver { reference: Some(_), mutability: None, .. }) => {}
            other => {
                let span = other.map_or(name.span(), Spanned::span);
                return Err(Error::new(span, format!("a query only reads: `fn {name}(&self, …)`")));
            }
        }
        let ReturnType::Type(_, answer) = &signature.output else {
            return Err(Error::new(
                name.span(),
                format!("a query answers something: `fn {name}(&self, …) -> Answer`"),
            ));
        };
        let parameter = |argument: &FnArg| match argument {
            FnArg::Typed(argument) => match &*argument.pat {
                Pat::Ident(ident) => Ok((ident.ident.clone(), (*argument.ty).clone())),
                other => Err(Error::new(other.span(), "a query's parameters have names")),
            },
            FnArg::Receiver(receiver) => Err(Error::new(receiver.span(), "a query's parameters have names")),
        };
        let parameters = signature.inputs.iter().skip(1).map(parameter).collect::<Result<_>>()?;
        let is_fallible = matches!(&**answer, Type::Path(path)
            if path.path.segments.last().is_some_and(|segment| segment.ident == "Result"));
        Ok(Self { name, summary: summary(&method.attrs), parameters, is_fallible })
    }

    /// An expression of type `QueryDescription`.
    pub(crate) fn description(&self) -> TokenStream {
        let (name, summary) = (name_of(&self.name), &self.summary);
        let parameters = self.parameters.iter().map(|(parameter, ty)| {
            let (name, ty) = (name_of(parameter), owned(ty));
            quote!((#name, (&Probe::<#ty>::new()).parameter()))
        });
        quote!(QueryDescription { name: #name, summary: #summary, parameters: schema([#(#parameters),*]) })
    }

    /// Calls it; an expression of type `Result<Vec<u8>, QueryError>`.
    pub(crate) fn call(&self) -> TokenStream {
        let method = &self.name;
        let names: Vec<_> = self.parameters.iter().map(|(parameter, _)| name_of(parameter)).collect();
        let idents: Vec<_> = self.parameters.iter().map(|(parameter, _)| parameter).collect();
        let types = self.parameters.iter().map(|(_, ty)| owned(ty));
        let passed = self.parameters.iter().map(|(parameter, ty)| match ty {
            Type::Reference(_) => quote!(&#parameter),
            _ => quote!(#parameter),
        });
        let question = self.is_fallible.then(|| quote!(?));
        quote! {{
            #(let #idents: #types = arguments.take(#names)?;)*
            arguments.finish(&[#(#names),*])?;
            answer(&self.#method(#(#passed),*)#question)
        }}
    }
}

/// What a parameter is read as before it is lent: a `String` for a `&str`.
fn owned(ty: &Type) -> TokenStream {
    let Type::Reference(reference) = ty else { return quote!(#ty) };
    match &*reference.elem {
        Type::Path(path) if path.path.is_ident("str") => quote!(::std::string::String),
        Type::Slice(slice) => {
            let element = &slice.elem;
            quote!(::std::vec::Vec<#element>)
        }
        other => quote!(#other),
    }
}

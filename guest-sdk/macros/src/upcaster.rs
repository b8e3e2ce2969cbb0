//! `#[upcaster]`: an `impl` of upcasts.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{
    Attribute, Error, FnArg, Ident, ImplItem, ImplItemFn, ItemImpl, LitStr, Result, ReturnType, Token, Type,
    parenthesized, parse::ParseStream, punctuated::Punctuated, spanned::Spanned,
};

use crate::{component, summary};

const UPCAST: &str = "say what becomes of what: `#[upcast(from(\"order.placed\"), to(\"order.placed\", \
                      \"https://example.com/placed/2\"))]`, each a type and, where its events name one, a dataschema";

const SIGNATURE: &str = "an upcast takes the old data, and the event before it if it wants it, and gives the new data: \
                         `fn name(old: Old) -> New`, `fn name(event: &Event, old: Old) -> Option<New>` (or none: the \
                         event is dropped), `-> Vec<New>` (it is split), `-> Result<…, E>`";

/// A type and a version of its schema.
struct Shape {
    event_type: LitStr,
    dataschema: Option<LitStr>,
}

/// A method under `#[upcast(…)]`.
struct Upcast {
    name: Ident,
    from: Shape,
    to: Shape,
    takes_event: bool,
    data: Type,
    output: Type,
}

pub(crate) fn expand(arguments: TokenStream, mut input: ItemImpl) -> Result<TokenStream> {
    if !arguments.is_empty() {
        return Err(Error::new(arguments.span(), "`#[upcaster]` takes no arguments"));
    }
    if let Some((_, path, _)) = &input.trait_ {
        let message = "`#[upcaster]` belongs over the upcaster's own `impl`, without a trait";
        return Err(Error::new(path.span(), message));
    }
    let upcasts = match upcasts(&mut input) {
        Ok(upcasts) => upcasts,
        Err(errors) => {
            // The methods stay, so that nothing else is reported as missing.
            let errors = errors.into_compile_error();
            return Ok(quote!(#input #errors));
        }
    };
    let upcaster = &input.self_ty;
    let summary = summary(&input.attrs);
    let descriptions = upcasts.iter().map(|upcast| {
        let (from, to) = (upcast.from.tokens(), upcast.to.tokens());
        quote!(UpcastDescription { from: #from, to: #to })
    });
    let calls = upcasts.iter().enumerate().map(|(number, upcast)| {
        let call = upcast.call(upcaster);
        quote!(#number => #call,)
    });
    let component = component::upcaster(&input);
    Ok(quote! {
        #input

        // On wasm the component uses it; natively perhaps only tests do.
        const _: fn() = ::projectionist_sdk::__private::used_upcaster::<#upcaster>;

        const _: () = {
            #[allow(unused_imports)]
            use ::projectionist_sdk::{
                Event,
                __private::{New, Shape, UpcastDescription, Upcaster, old_data, one, perhaps, said, several},
            };

            #[automatically_derived]
            impl Upcaster for #upcaster {
                const SUMMARY: &'static str = #summary;
                const UPCASTS: &'static [UpcastDescription] = &[#(#descriptions),*];

                fn upcast(
                    number: usize,
                    event: &Event<'_>,
                    new: &mut New,
                ) -> ::core::result::Result<(), ::std::string::String> {
                    match number {
                        #(#calls)*
                        _ => ::core::result::Result::Ok(()),
                    }
                }
            }
        };

        #component
    })
}

/// Takes the upcasts out of an `impl`; all that is wrong with them.
fn upcasts(input: &mut ItemImpl) -> Result<Vec<Upcast>> {
    let mut upcasts: Vec<Upcast> = Vec::new();
    let mut errors = None::<Error>;
    let mut note = |error: Error| match &mut errors {
        None => errors = Some(error),
        Some(errors) => errors.combine(error),
    };
    for item in &mut input.items {
        let ImplItem::Fn(method) = item else { continue };
        match Upcast::take(method) {
            Ok(Some(upcast)) => match upcasts.iter().find(|other| other.from.is(&upcast.from)) {
                Some(other) => {
                    let message = format!("`{}` already takes these events: merge the two", other.name);
                    note(Error::new(upcast.from.event_type.span(), message));
                }
                None if upcast.from.is(&upcast.to) => {
                    let message = "the new shape is the old one: give it a dataschema, or a type, of its own";
                    note(Error::new(upcast.to.event_type.span(), message));
                }
                None => upcasts.push(upcast),
            },
            Ok(None) => {}
            Err(error) => note(error),
        }
    }
    if upcasts.is_empty() && errors.is_none() {
        errors = Some(Error::new(input.self_ty.span(), format!("an upcaster upcasts events: {UPCAST}")));
    }
    errors.map_or(Ok(upcasts), Err)
}

impl Upcast {
    /// Reads a method and takes the attribute that makes it an upcast.
    fn take(method: &mut ImplItemFn) -> Result<Option<Self>> {
        let is_ours = |attribute: &Attribute| attribute.path().is_ident("upcast");
        let ours: Vec<_> = method.attrs.iter().filter(|attribute| is_ours(attribute)).cloned().collect();
        method.attrs.retain(|attribute| !is_ours(attribute));
        let attribute = match &ours[..] {
            [] => return Ok(None),
            [attribute] => attribute,
            [_, second, ..] => return Err(Error::new(second.span(), "one `#[upcast(…)]` a method")),
        };
        let signature = &method.sig;
        let name = signature.ident.clone();
        let wrong = |span: Span| Error::new(span, SIGNATURE);
        if let Some(receiver) = signature.receiver() {
            let message = "an upcaster remembers nothing: an upcast has no `self`";
            return Err(Error::new(receiver.span(), message));
        }
        if let Some(asyncness) = signature.asyncness {
            return Err(Error::new(asyncness.span(), "an upcaster has nothing to wait for: remove `async`"));
        }
        if !signature.generics.params.is_empty() {
            return Err(wrong(signature.generics.span()));
        }
        let arguments: Vec<_> = signature.inputs.iter().collect();
        let (takes_event, data) = match arguments[..] {
            [FnArg::Typed(data)] if !matches!(*data.ty, Type::Reference(_)) => (false, (*data.ty).clone()),
            [FnArg::Typed(event), FnArg::Typed(data)] if matches!(*event.ty, Type::Reference(_)) => {
                (true, (*data.ty).clone())
            }
            _ => return Err(wrong(name.span())),
        };
        let ReturnType::Type(_, output) = &signature.output else { return Err(wrong(name.span())) };
        let (from, to) = shapes(attribute)?;
        Ok(Some(Self { name, from, to, takes_event, data, output: (**output).clone() }))
    }

    /// Calls it; an expression of type `Result<Vec<New>, String>`.
    fn call(&self, upcaster: &Type) -> TokenStream {
        let (name, data) = (&self.name, &self.data);
        // At the author's place, so that errors point there.
        let at = |span: Span| span.resolved_at(Span::call_site());
        let event = self.takes_event.then(|| quote!(event,));
        let call = quote!(<#upcaster>::#name(#event old));
        let (output, call) = match inner(&self.output, "Result") {
            Some(output) => (output, quote!(said(#call)?)),
            None => (&self.output, call),
        };
        let given = at(output.span());
        let made = match (inner(output, "Option"), inner(output, "Vec")) {
            (Some(_), _) => quote_spanned!(given=> perhaps(event, made, new)),
            (None, Some(_)) => quote_spanned!(given=> several(event, made, new)),
            (None, None) => quote_spanned!(given=> one(event, made, new)),
        };
        let decode = quote_spanned!(at(data.span())=> old_data(event)?);
        quote! {{
            let old: #data = #decode;
            let made = #call;
            #made
        }}
    }
}

impl Shape {
    fn is(&self, other: &Self) -> bool {
        let dataschema = |shape: &Self| shape.dataschema.as_ref().map(LitStr::value);
        self.event_type.value() == other.event_type.value() && dataschema(self) == dataschema(other)
    }

    fn tokens(&self) -> TokenStream {
        let event_type = &self.event_type;
        let dataschema = match &self.dataschema {
            None => quote!(::core::option::Option::None),
            Some(dataschema) => quote!(::core::option::Option::Some(#dataschema)),
        };
        quote!(Shape { event_type: #event_type, dataschema: #dataschema })
    }
}

/// `from("type", "dataschema"), to("type", "dataschema")`.
fn shapes(attribute: &Attribute) -> Result<(Shape, Shape)> {
    let wrong = || Error::new(attribute.span(), UPCAST);
    let parser = |input: ParseStream<'_>| {
        let from = shape(input, "from")?;
        input.parse::<Token![,]>()?;
        let to = shape(input, "to")?;
        input.parse::<Option<Token![,]>>()?;
        Ok((from, to))
    };
    attribute.parse_args_with(parser).map_err(|_| wrong())
}

fn shape(input: ParseStream<'_>, keyword: &str) -> Result<Shape> {
    let ident: Ident = input.parse()?;
    let content;
    parenthesized!(content in input);
    let names: Vec<LitStr> =
        Punctuated::<LitStr, Token![,]>::parse_terminated(&content)?.into_iter().collect();
    let is_named = names.iter().all(|name| !name.value().trim().is_empty());
    match &names[..] {
        [event_type] if ident == keyword && is_named => {
            Ok(Shape { event_type: event_type.clone(), dataschema: None })
        }
        [event_type, dataschema] if ident == keyword && is_named => {
            Ok(Shape { event_type: event_type.clone(), dataschema: Some(dataschema.clone()) })
        }
        _ => Err(Error::new(ident.span(), UPCAST)),
    }
}

/// What is in the angle brackets of `name<…>` first.
fn inner<'a>(ty: &'a Type, name: &str) -> Option<&'a Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last().filter(|segment| segment.ident == name)?;
    let syn::PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        syn::GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

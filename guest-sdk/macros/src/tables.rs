//! `#[derive(Projection)]`: a struct of tables.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{
    Data, DeriveInput, Error, Expr, Field, Fields, GenericArgument, Ident, Member, PathArguments, Result,
    Token, Type,
    parse::{Parse, ParseStream},
    spanned::Spanned,
};

use crate::{name_of, summary};

/// A field that is a table.
struct Table<'a> {
    field: &'a Ident,
    key: &'a Type,
    value: &'a Type,
    indexes: Vec<Index>,
}

/// `by_changes: u64 = changes`
struct Index {
    name: Ident,
    ty: Type,
    by: Expr,
}

const INDEX: &str = "write an index as `#[index(name: Type = field)]`, `#[index(name: (A, B) = (field, other))]` \
                     or `#[index(name: Type = |value| …)]`";

impl Parse for Index {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let explain = |error: Error| Error::new(error.span(), INDEX);
        let name = input.parse().map_err(explain)?;
        input.parse::<Token![:]>().map_err(explain)?;
        let ty = input.parse().map_err(explain)?;
        input.parse::<Token![=]>().map_err(explain)?;
        let by = input.parse().map_err(explain)?;
        if !input.is_empty() {
            return Err(input.error(INDEX));
        }
        Ok(Self { name, ty, by })
    }
}

impl Index {
    /// The body that encodes a value's index key into `out`.
    fn encode(&self) -> Result<TokenStream> {
        let ty = &self.ty;
        let put =
            |key: TokenStream| quote!(::projectionist_sdk::__private::AsKey::<#ty>::encode(&#key, out););
        if let Expr::Closure(closure) = &self.by {
            let [argument] = closure.inputs.iter().collect::<Vec<_>>()[..] else {
                return Err(Error::new(closure.span(), "this closure takes one argument: the value"));
            };
            let (body, put) = (&closure.body, put(quote!(key)));
            return Ok(quote! { let #argument = value; let key = #body; #put });
        }
        let key = match &self.by {
            Expr::Tuple(fields) => {
                let fields = fields.elems.iter().map(field_of_value).collect::<Result<Vec<_>>>()?;
                quote!((#(#fields,)*))
            }
            field => field_of_value(field)?,
        };
        Ok(put(key))
    }
}

/// `a.b` as `&value.a.b`
fn field_of_value(by: &Expr) -> Result<TokenStream> {
    fn members<'a>(by: &'a Expr, all: &mut Vec<&'a Member>) -> Option<Ident> {
        match by {
            Expr::Path(path) => path.path.get_ident().cloned(),
            Expr::Field(field) => {
                let first = members(&field.base, all)?;
                all.push(&field.member);
                Some(first)
            }
            _ => None,
        }
    }
    let mut rest = Vec::new();
    let first = members(by, &mut rest).ok_or_else(|| Error::new(by.span(), INDEX))?;
    Ok(quote!(&value.#first #(.#rest)*))
}

impl<'a> Table<'a> {
    fn of(field: &'a Field) -> Result<Self> {
        let ident = field.ident.as_ref().expect("fields are named");
        let ty = &field.ty;
        let (key, value) = table_types(ty).ok_or_else(|| {
            Error::new(
                ty.span(),
                format!(
                    "a projection keeps its state in tables, so that it survives a restart: make `{ident}` a \
                     `Table<Key, Value>`"
                ),
            )
        })?;
        let mut indexes = Vec::<Index>::new();
        for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("index")) {
            let index: Index = attribute.parse_args()?;
            if let Some(other) = indexes.iter().find(|other| other.name == index.name) {
                let message = format!("table `{ident}` already has an index `{}`", other.name);
                return Err(Error::new(index.name.span(), message));
            }
            indexes.push(index);
        }
        Ok(Self { field: ident, key, value, indexes })
    }

    fn descriptions(&self) -> TokenStream {
        let Self { key, .. } = self;
        let table = name_of(self.field);
        let indexes = self.indexes.iter().map(|index| {
            let (name, ty) = (name_of(&index.name), &index.ty);
            quote!(TableDescription::index::<#ty, #key>(#table, #name))
        });
        quote!(TableDescription::table::<#key>(#table), #(#indexes,)*)
    }

    fn open(&self, number: u32) -> Result<TokenStream> {
        let Self { field, key, value, .. } = self;
        let name = name_of(field);
        let encoders = self.indexes.iter().map(Index::encode).collect::<Result<Vec<_>>>()?;
        let specs = encoders.iter().map(|encode| {
            quote! {{
                fn encode(value: &#value, out: &mut ::std::vec::Vec<u8>) {
                    #encode
                }
                IndexSpec { encode }
            }}
        });
        Ok(quote!(#field: open_table::<#key, #value>(context, #name, #number, ::std::vec![#(#specs),*])))
    }

    fn accessors(&self) -> TokenStream {
        let Self { field, key, value, .. } = self;
        let accessors = self.indexes.iter().enumerate().map(|(number, index)| {
            let Index { name, ty, .. } = index;
            let accessor = format_ident!("{}_{}", name_of(field), name_of(name), span = name.span());
            let doc =
                format!("The rows of `{}` in the order of its index `{}`.", name_of(field), name_of(name));
            quote! {
                #[doc = #doc]
                #[allow(dead_code)]
                fn #accessor(&self) -> ::projectionist_sdk::Index<'_, #ty, #key, #value> {
                    self.#field.__index(#number)
                }
            }
        });
        quote!(#(#accessors)*)
    }
}

/// The two types of a `Table<K, V>`.
fn table_types(ty: &Type) -> Option<(&Type, &Type)> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last().filter(|segment| segment.ident == "Table")?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    let types: Vec<_> = arguments.args.iter().collect();
    match types[..] {
        [GenericArgument::Type(key), GenericArgument::Type(value)] => Some((key, value)),
        _ => None,
    }
}

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let name = &input.ident;
    let fields = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => fields,
            _ => {
                let message =
                    format!("a projection's tables have names: `struct {name} {{ items: Table<…> }}`");
                return Err(Error::new(name.span(), message));
            }
        },
        _ => return Err(Error::new(name.span(), "a projection is a struct of tables")),
    };
    if !input.generics.params.is_empty() {
        return Err(Error::new(input.generics.span(), "a projection has no type parameters"));
    }
    let tables = fields.named.iter().map(Table::of).collect::<Result<Vec<_>>>()?;
    let summary = summary(&input.attrs);
    let descriptions = tables.iter().map(Table::descriptions);
    let mut number = 0;
    let mut opened = Vec::new();
    for table in &tables {
        opened.push(table.open(number)?);
        number += 1 + table.indexes.len() as u32;
    }
    let accessors = tables.iter().map(Table::accessors);
    let each = tables.iter().map(|table| {
        let Table { field, key, value, .. } = table;
        quote!(visit_table::<#key, #value>(&mut self.#field, visit);)
    });
    Ok(quote! {
        const _: () = {
            use ::projectionist_sdk::__private::{
                AnyTable, Context, IndexSpec, State, TableDescription, open_table, visit_table,
            };

            #[automatically_derived]
            impl State for #name {
                const SUMMARY: &'static str = #summary;

                fn tables() -> ::std::vec::Vec<TableDescription> {
                    ::std::vec![#(#descriptions)*]
                }

                fn open(context: &::std::rc::Rc<Context>) -> Self {
                    Self { #(#opened,)* }
                }

                fn each_table(&mut self, visit: &mut dyn ::core::ops::FnMut(&mut dyn AnyTable)) {
                    #(#each)*
                }
            }
        };

        #[automatically_derived]
        impl #name {
            #(#accessors)*
        }
    })
}

//! What stands in the parentheses of `#[projection(…)]` and `#[reaction(…)]`.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Error, Expr, ExprLit, Lit, LitStr, Result, parse::Parser, spanned::Spanned};

const PROJECTION: &str = "the arguments are `on_failure = \"halt\"` or `on_failure = \"dead-letter\"`, and \
                          `partition_by = subject` or `partition_by = |event| …`";

const REACTION: &str = "the arguments are `new_version = \"continue\"` or `new_version = \"rebuild\"`; `lane = \"subject\"`, \
                        `lane = \"one\"` or `lane = |event| …`; and `on_failure = \"dead-letter\"` or \
                        `on_failure = \"hold-lane\"`";

const NEW_VERSION: &str = "say what a new version of the reaction does: `#[reaction(new_version = \"continue\")]` goes \
                           on from where the old version stood, with the state that it left; \"rebuild\" makes its \
                           tables anew of all of history first, without effects";

/// Of a projection.
#[derive(Default)]
pub(crate) struct ProjectionArguments {
    pub(crate) on_failure: Option<LitStr>,
    /// `subject`, or a function from an event to its key.
    partition_by: Option<Expr>,
}

impl ProjectionArguments {
    pub(crate) fn parse(tokens: TokenStream) -> Result<Self> {
        let mut arguments = Self::default();
        let parser = syn::meta::parser(|meta| {
            if meta.path.is_ident("partition_by") {
                arguments.partition_by = Some(meta.value()?.parse()?);
                return Ok(());
            }
            if !meta.path.is_ident("on_failure") {
                return Err(meta.error(PROJECTION));
            }
            arguments.on_failure =
                Some(one_of(meta.value()?.parse()?, &["halt", "dead-letter"], PROJECTION)?);
            Ok(())
        });
        parser.parse2(tokens)?;
        Ok(arguments)
    }

    /// What the description says, and an expression for the hash of the key of
    /// `event`.
    pub(crate) fn partition(&self) -> (TokenStream, TokenStream) {
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

/// Of a reaction.
pub(crate) struct ReactionArguments {
    pub(crate) new_version: LitStr,
    pub(crate) on_failure: Option<LitStr>,
    /// `"subject"`, `"one"`, or a function from an event to its lane.
    lane: Option<Expr>,
}

impl ReactionArguments {
    pub(crate) fn parse(tokens: TokenStream) -> Result<Self> {
        let (mut new_version, mut lane, mut on_failure) = (None, None, None);
        let parser = syn::meta::parser(|meta| {
            if meta.path.is_ident("lane") {
                lane = Some(checked_lane(meta.value()?.parse()?)?);
                return Ok(());
            }
            let (place, values): (_, &[&str]) = match () {
                () if meta.path.is_ident("new_version") => (&mut new_version, &["continue", "rebuild"]),
                () if meta.path.is_ident("on_failure") => (&mut on_failure, &["dead-letter", "hold-lane"]),
                () => return Err(meta.error(REACTION)),
            };
            *place = Some(one_of(meta.value()?.parse()?, values, REACTION)?);
            Ok(())
        });
        parser.parse2(tokens)?;
        let new_version = new_version.ok_or_else(|| Error::new(Span::call_site(), NEW_VERSION))?;
        Ok(Self { new_version, on_failure, lane })
    }

    /// What the description says, and an expression for the lane of `event`.
    pub(crate) fn lane(&self) -> (TokenStream, TokenStream) {
        match &self.lane {
            None => (quote!("subject"), quote!(::std::string::String::new())),
            Some(Expr::Lit(name)) => (quote!(#name), quote!(::std::string::String::new())),
            Some(key) => (quote!("key"), quote_spanned!(key.span()=> lane_of(event, #key))),
        }
    }
}

/// A lane is a name that is known, or a function.
fn checked_lane(lane: Expr) -> Result<Expr> {
    match &lane {
        Expr::Lit(ExprLit { lit: Lit::Str(name), .. }) => {
            one_of(name.clone(), &["subject", "one"], REACTION).map(|_| lane)
        }
        Expr::Closure(_) | Expr::Path(_) => Ok(lane),
        other => Err(Error::new(other.span(), REACTION)),
    }
}

fn one_of(value: LitStr, values: &[&str], otherwise: &str) -> Result<LitStr> {
    match values.contains(&value.value().as_str()) {
        true => Ok(value),
        false => Err(Error::new(value.span(), otherwise)),
    }
}

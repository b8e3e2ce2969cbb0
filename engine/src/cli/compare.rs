//! `compare`: what other code makes of the same history.

use std::path::PathBuf;

use anyhow::Result;
use reqwest::{Method, RequestBuilder, header};

use super::{
    Context,
    exit::{Exit, Verdict},
    support::{
        client::{Client, Place},
        comparison, component, listing,
        waiting::showing_folds,
    },
};
use crate::query::Comparison;

/// Compare what other code makes of the same history with what the live version made of it
///
/// With a candidate, or another version that the server keeps, or a component that nobody has deployed: that
/// folds history in a state of its own, which is deleted afterwards, and nothing of what runs is touched. Its
/// settings are taken from the .toml file beside it, or else they are the live version's.
///
/// Ends with 0 if both are the same and with 1 if they differ.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The plug-in
    name: String,
    /// A component to compare with
    #[arg(value_name = "FILE.wasm", conflicts_with = "candidate")]
    component: Option<PathBuf>,
    /// A version to compare with, by how its digest begins [default: the newest candidate]
    #[arg(long, value_name = "DIGEST")]
    candidate: Option<String>,
    /// Compare both as they stood then [default: where the live version stands]
    #[arg(long, value_name = "POSITION|TIME")]
    at: Option<String>,
    /// Show so many rows of each table
    #[arg(long, value_name = "NUMBER", default_value_t = 5, conflicts_with = "list")]
    samples: usize,
    /// Write every row that differs, a JSON document a line
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    place: Place,
}

/// Runs the command.
pub async fn run(args: Args, context: &mut Context) -> Result<()> {
    let client = args.place.required_server(&context.settings)?;
    let request = args.request(&client)?;
    let same = match args.list {
        true => {
            showing_folds(&client, &args.name, listing::copy(&client, request, &mut context.output)).await?
        }
        false => {
            let comparison: Comparison = showing_folds(&client, &args.name, client.json(request)).await?;
            match context.output.is_json() {
                true => context.output.json(&comparison)?,
                false => comparison::show(&args.name, &comparison, &mut context.output)?,
            }
            comparison.same
        }
    };
    match same {
        true => Ok(()),
        false => Err(Verdict(Exit::Failed).into()),
    }
}

impl Args {
    fn request(&self, client: &Client) -> Result<RequestBuilder> {
        let path = ["projections", &self.name, "compare"];
        let request = match &self.component {
            None => client.get(&path).query(&[("candidate", &self.candidate)]),
            Some(file) => {
                let (wasm, settings) = component::read(file)?;
                let request = client.request(Method::POST, &path).query(&[("settings", settings)]);
                request.header(header::CONTENT_TYPE, "application/wasm").body(wasm)
            }
        };
        let request = request.query(&[("at", &self.at)]);
        Ok(match self.list {
            true => request.header(header::ACCEPT, "application/x-ndjson"),
            false => request.query(&[("samples", self.samples)]),
        })
    }
}

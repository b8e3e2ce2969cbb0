//! `schemas`: the types of events, and what events of them must fit.
//!
//! - here: the command line; registering, checking, removing.
//! - `show.rs`: all types, and one of them.
//! - `infer.rs`: a schema for a type that has none.

mod infer;
mod show;

use std::{io::Read as _, path::PathBuf};

use anyhow::Result;
use reqwest::{Method, RequestBuilder, header};
use serde_json::{Value, json};

use super::{
    Context,
    exit::{Exit, Failure},
    support::client::{Client, Place},
};

/// Show the types of events, and register what events of them must fit
///
/// Without a type: all that there are, with their versions. With one: its versions and their JSON Schemas. A version
/// is what events name as their dataschema; events that name none belong to the version without a name.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    /// Only this type, with its schemas
    #[arg(value_name = "TYPE")]
    name: Option<String>,
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Register a JSON Schema for a version of a type; the same again changes nothing
    Register(Register),
    /// Have the log refuse events of a type that do not fit, or not
    Check(Check),
    /// Remove a schema that no event has relied upon
    Remove(Remove),
    /// Make a JSON Schema of the events that a type has: it takes all of them
    Infer(infer::Args),
}

/// Which version of a type.
#[derive(Debug, clap::Args)]
struct Version {
    /// The events' type
    #[arg(value_name = "TYPE")]
    name: String,
    /// What events of the version name as their dataschema; left out, the version of events that name none
    #[arg(long, value_name = "URI")]
    dataschema: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Register {
    #[command(flatten)]
    version: Version,
    /// The JSON Schema, - for standard input
    file: PathBuf,
    /// Refuse events of the type that do not fit, from now on
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Args)]
struct Check {
    /// The events' type
    #[arg(value_name = "TYPE")]
    name: String,
    /// on: events must fit; off: they need not
    switch: Switch,
    #[command(flatten)]
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Debug, clap::Args)]
struct Remove {
    #[command(flatten)]
    version: Version,
    #[command(flatten)]
    place: Place,
}

/// Runs the command.
pub async fn run(args: Args, context: &mut Context) -> Result<()> {
    match args.action {
        None => show::run(&args.place, args.name.as_deref(), context).await,
        Some(Action::Register(args)) => register(args, context).await,
        Some(Action::Check(args)) => check(args, context).await,
        Some(Action::Remove(args)) => remove(args, context).await,
        Some(Action::Infer(args)) => infer::run(args, context).await,
    }
}

async fn register(args: Register, context: &mut Context) -> Result<()> {
    let Register { version, file, check, place } = args;
    let client = place.required_server(&context.settings)?;
    let text = read(&file)?;
    let request =
        version.request(&client, Method::PUT).header(header::CONTENT_TYPE, "application/schema+json");
    let request = if check { request.query(&[("check", "true")]) } else { request };
    let answer: Value = client.json(request.body(text)).await?;
    if context.output.is_json() {
        return Ok(context.output.json(&answer)?);
    }
    let did = match answer["outcome"].as_str() {
        Some("known") => "was registered before",
        Some("replaced") => "takes the place of the one before",
        _ => "is registered",
    };
    let checked = if check { "; events must fit" } else { "" };
    Ok(context.output.line(format!("the schema of {} {did}{checked}", version.shown()))?)
}

async fn check(args: Check, context: &mut Context) -> Result<()> {
    let client = args.place.required_server(&context.settings)?;
    let on = args.switch == Switch::On;
    let request = client.request(Method::PATCH, &["schemas", &args.name]).json(&json!({ "check": on }));
    let answer: Value = client.json(request).await?;
    match (context.output.is_json(), on) {
        (true, _) => context.output.json(&answer)?,
        (false, true) => context.output.line(format!("events of {} must fit", args.name))?,
        (false, false) => context.output.line(format!("events of {} need not fit", args.name))?,
    }
    Ok(())
}

async fn remove(args: Remove, context: &mut Context) -> Result<()> {
    let client = args.place.required_server(&context.settings)?;
    client.send(args.version.request(&client, Method::DELETE)).await?;
    let Version { name, dataschema } = &args.version;
    match context.output.is_json() {
        true => context.output.json(&json!({ "removed": name, "dataschema": dataschema }))?,
        false => context.output.line(format!("the schema of {} is removed", args.version.shown()))?,
    }
    Ok(())
}

impl Version {
    fn request(&self, client: &Client, method: Method) -> RequestBuilder {
        let request = client.request(method, &["schemas", &self.name, "schema"]);
        match &self.dataschema {
            Some(dataschema) => request.query(&[("dataschema", dataschema)]),
            None => request,
        }
    }

    fn shown(&self) -> String {
        match &self.dataschema {
            Some(dataschema) => format!("{} ({dataschema})", self.name),
            None => self.name.clone(),
        }
    }
}

fn read(file: &PathBuf) -> Result<Vec<u8>, Failure> {
    let text = match file.as_os_str() == "-" {
        true => {
            let mut text = Vec::new();
            std::io::stdin().read_to_end(&mut text).map(|_| text)
        }
        false => std::fs::read(file),
    };
    text.map_err(|error| Failure::new(Exit::Input, format!("{} cannot be read: {error}", file.display())))
}

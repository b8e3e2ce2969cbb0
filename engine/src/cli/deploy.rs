//! `deploy`: send a component to the server.

use std::path::PathBuf;

use anyhow::Result;
use reqwest::{Method, header};
use serde_json::Value;

use super::{
    Context,
    exit::{Exit, Failure},
    support::{
        client::Place,
        component,
        order::{Signature, until_live},
        text,
    },
};

/// Send a component to the server, to take over or to be put on trial
///
/// It replays all of history beside the live version and then takes over. With --hold it does not: it keeps up
/// beside the live version until it is promoted or aborted, and can be compared meanwhile. Its settings are
/// taken from the .toml file beside it, or else they are the live version's. The plug-ins folder stays as it is.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The component
    #[arg(value_name = "FILE.wasm")]
    component: PathBuf,
    /// The plug-in [default: the file's name without .wasm]
    #[arg(long)]
    name: Option<String>,
    /// Put it on trial
    #[arg(long)]
    hold: bool,
    /// Don't wait until it has taken over
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    signature: Signature,
    #[command(flatten)]
    place: Place,
}

/// Runs the command.
pub async fn run(args: Args, context: &mut Context) -> Result<()> {
    let client = args.place.required_server(&context.settings)?;
    let (wasm, settings) = component::read(&args.component)?;
    let stem = args.component.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let name = args
        .name
        .or(stem)
        .ok_or_else(|| Failure::new(Exit::Usage, format!("{} names no file", args.component.display())))?;
    let request = client.request(Method::POST, &["projections", &name, "candidates"]);
    let file = args.component.display().to_string();
    let request = request.query(&[("hold", args.hold)]).query(&[("settings", settings)]).query(&[
        ("file", Some(file.as_str())),
        ("actor", args.signature.actor().as_deref()),
        ("note", args.signature.note()),
    ]);
    let mut answer: Value =
        client.json(request.header(header::CONTENT_TYPE, "application/wasm").body(wasm)).await?;
    let version = answer["version"].as_str().unwrap_or_default().to_owned();
    let waits = !args.hold && !args.no_wait;
    if waits {
        until_live(&client, &name, &version).await?;
        answer["live"] = true.into();
    }
    let short = text::short(&version);
    match context.output.is_json() {
        true => context.output.json(&answer)?,
        false => context.output.line(match (args.hold, waits) {
            (true, _) => format!("{short} is on trial as {name}: compare, promote or abort it"),
            (false, true) => format!("{short} answers now as {name}"),
            (false, false) => format!("{short} takes over as {name} when it has caught up"),
        })?,
    }
    Ok(())
}

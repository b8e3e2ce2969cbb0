//! `purge`: a retired plug-in's state, deleted.

use anyhow::Result;
use reqwest::Method;
use serde_json::json;

use super::{Context, support::client::Place};

/// Delete the state of a plug-in whose file has been removed
///
/// The log keeps its events; if the file comes back, all is folded again.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The plug-in
    name: String,
    #[command(flatten)]
    place: Place,
}

/// Runs the command.
pub async fn run(args: Args, context: &mut Context) -> Result<()> {
    let client = args.place.required_server(&context.settings)?;
    client.send(client.request(Method::DELETE, &["projections", &args.name])).await?;
    match context.output.is_json() {
        true => context.output.json(&json!({"purged": args.name}))?,
        false => context.output.line(format!("the state of {} is deleted", args.name))?,
    }
    Ok(())
}

//! `deployments`: all that ever happened to a plug-in.

use std::time::Duration;

use anyhow::Result;
use serde::Deserialize;

use super::{
    Context,
    support::{client::Place, output::note, table::Table, text, values::at_least_one},
};
use crate::deploy::status::DeploymentStatus;

/// As many as the server gives at once.
const ALL: usize = 10_000;

/// Show all that ever happened to a plug-in
///
/// Which version, when, who asked for it and why, and how it ended; the latest first.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The plug-in
    name: String,
    /// Show at most so many
    #[arg(long, short = 'n', value_parser = at_least_one)]
    limit: Option<usize>,
    #[command(flatten)]
    place: Place,
}

#[derive(Deserialize)]
struct Document {
    deployments: Vec<DeploymentStatus>,
}

/// Runs the command.
pub async fn run(args: Args, context: &mut Context) -> Result<()> {
    let client = args.place.required_server(&context.settings)?;
    let request = client.get(&["projections", &args.name, "deployments"]);
    let limit = args.limit.unwrap_or(ALL).min(ALL);
    let Document { deployments } = client.json(request.query(&[("limit", limit)])).await?;
    if context.output.is_json() {
        for deployment in &deployments {
            context.output.json(deployment)?;
        }
        return Ok(());
    }
    if deployments.is_empty() {
        note("nothing has happened to it yet");
    }
    let mut table = Table::new(["id", "when", "version", "action", "outcome", "replay", "actor", "note"]);
    for deployment in deployments {
        let outcome = match deployment.reason {
            Some(reason) => format!("{}: {reason}", deployment.outcome),
            None => deployment.outcome,
        };
        let replay = deployment.replay_micros.map(|micros| text::duration(Duration::from_micros(micros)));
        table.row([
            deployment.id.to_string(),
            deployment.when.to_string(),
            text::short(&deployment.digest).to_owned(),
            deployment.action,
            outcome,
            replay.unwrap_or_default(),
            deployment.actor.unwrap_or_default(),
            deployment.note.unwrap_or_default(),
        ]);
    }
    Ok(context.output.table(&table)?)
}

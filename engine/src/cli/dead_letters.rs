//! `dead-letters`: events that a reaction could not handle: shown, tried again,
//! dropped.

use anyhow::Result;
use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Context,
    exit::{Exit, Failure},
    support::{client::Place, table::Table, text},
};
use crate::event::Position;

/// Show the events that a reaction could not handle, try them again, or drop them
///
/// With a position: that one, with its event.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The reaction
    name: String,
    /// Where the event stands
    position: Option<Position>,
    /// Handle it again, as if for the first time; with --all, all of them
    #[arg(long, conflicts_with = "drop")]
    retry: bool,
    /// Forget it; with --all, all of them
    #[arg(long)]
    drop: bool,
    /// Not one of them but all
    #[arg(long, conflicts_with = "position")]
    all: bool,
    #[command(flatten)]
    place: Place,
}

/// Runs the command.
pub async fn run(args: Args, context: &mut Context) -> Result<()> {
    let client = args.place.required_server(&context.settings)?;
    let position = args.position.map(|position| position.to_string());
    let mut path = vec!["reactions", &args.name, "dead-letters"];
    path.extend(position.as_deref());
    if args.retry || args.drop {
        if position.is_none() && !args.all {
            let message = "which of them? Name the position of one, or say --all";
            return Err(Failure::new(Exit::Usage, message).into());
        }
        let request = match args.retry {
            true => {
                path.push("retry");
                client.request(Method::POST, &path)
            }
            false => client.request(Method::DELETE, &path),
        };
        let answer: Value = client.json(request).await?;
        let did = if args.retry { "to be handled again" } else { "dropped" };
        return match context.output.is_json() {
            true => Ok(context.output.json(&answer)?),
            false => Ok(context.output.line(format!("{} {did}", answer["count"]))?),
        };
    }
    let answer: Value = client.json(client.get(&path)).await?;
    match (context.output.is_json(), position) {
        (true, _) => context.output.json(&answer)?,
        (false, Some(_)) => context.output.shown(&answer)?,
        (false, None) => context.output.table(&table(&answer)?)?,
    }
    Ok(())
}

/// What is shown of a dead letter.
#[derive(Deserialize)]
struct Shown {
    position: Position,
    recorded: String,
    r#type: String,
    id: String,
    attempts: u32,
    reason: String,
}

fn table(answer: &Value) -> Result<Table> {
    let mut table = Table::new(["position", "given up", "type", "id", "attempts", "reason"]);
    for letter in Vec::<Shown>::deserialize(&answer["dead-letters"])? {
        let Shown { position, recorded, r#type, id, attempts, reason } = letter;
        table.row([text::number(position), recorded, r#type, id, attempts.to_string(), reason]);
    }
    Ok(table)
}

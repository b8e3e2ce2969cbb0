//! `get`: rows of a table, or one of them.

use anyhow::Result;
use reqwest::RequestBuilder;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Context,
    exit::{Exit, Failure},
    support::{
        client::{Client, Place},
        freshness::{Freshness, Moment},
        json_table,
        output::note,
        text,
        values::at_least_one,
        waiting::showing_folds,
    },
};
use crate::event::Position;

/// As many rows as a page of the server may hold.
const PAGE: usize = 1_000;
/// So many rows are shown where nothing else is said.
const DEFAULT_LIMIT: usize = 50;

/// Read a table, or one key of it
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The plug-in
    name: String,
    /// The table
    table: String,
    /// One key: all its parts
    #[arg(value_name = "KEY", conflicts_with_all = ["prefix", "start", "end", "reverse", "index"])]
    key: Vec<String>,
    /// Only keys that begin with this
    #[arg(long)]
    prefix: Option<String>,
    /// Only keys from this one on
    #[arg(long)]
    start: Option<String>,
    /// Only keys before this one
    #[arg(long)]
    end: Option<String>,
    /// Last keys first
    #[arg(long)]
    reverse: bool,
    /// Show at most so many rows [default: 50, no limit with --json]
    #[arg(long, short = 'n', conflicts_with = "key", value_parser = at_least_one)]
    limit: Option<usize>,
    /// Go by this index of the table instead of by its key
    #[arg(long)]
    index: Option<String>,
    #[command(flatten)]
    freshness: Freshness,
    #[command(flatten)]
    moment: Moment,
    #[command(flatten)]
    place: Place,
}

#[derive(Deserialize)]
struct Page {
    rows: Vec<Row>,
    position: Position,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Row {
    key: Value,
    value: Value,
}

/// Runs the command.
pub async fn run(mut args: Args, context: &mut Context) -> Result<()> {
    let client = args.place.required_server(&context.settings)?;
    args.moment.lend(&client, &args.name).await?;
    match args.key.is_empty() {
        true => rows(args, &client, context).await,
        false => one(args, &client, context).await,
    }
}

async fn one(args: Args, client: &Client, context: &mut Context) -> Result<()> {
    let path = ["projections", &args.name, "tables", &args.table];
    let path: Vec<&str> = path.into_iter().chain(args.key.iter().map(String::as_str)).collect();
    let row: Value = {
        let request = args.moment.apply(args.freshness.apply(client.get(&path)));
        showing_folds(client, &args.name, client.json(request)).await?
    };
    match (context.output.is_json(), row.get("value")) {
        (false, Some(value)) => context.output.shown(value)?,
        _ => context.output.json(&row)?,
    }
    Ok(())
}

async fn rows(args: Args, client: &Client, context: &mut Context) -> Result<()> {
    let output = &mut context.output;
    let limit = args.limit.unwrap_or(if output.is_json() { usize::MAX } else { DEFAULT_LIMIT });
    if limit == 0 {
        return Err(Failure::new(Exit::Usage, "--limit 0 asks for nothing").into());
    }
    let mut rows: Vec<Row> = Vec::new();
    let mut cursor = None;
    let (mut position, mut more) = (0, true);
    while more && rows.len() < limit {
        let page: Page = {
            let request = args.page(client, limit - rows.len(), cursor.take());
            showing_folds(client, &args.name, client.json(request)).await?
        };
        position = page.position;
        cursor = page.next;
        more = cursor.is_some();
        if output.is_json() {
            // A line a row, so that a large table is no large document.
            for row in &page.rows {
                output.json(&json!({"key": row.key, "value": row.value}))?;
            }
        }
        rows.extend(page.rows);
    }
    if output.is_json() {
        return Ok(());
    }
    if rows.is_empty() {
        note(format!("no such rows, at position {}", text::number(position)));
        return Ok(());
    }
    let pairs: Vec<_> = rows.iter().map(|row| (&row.key, &row.value)).collect();
    output.table(&json_table::rows(&pairs))?;
    output.flush()?;
    if more {
        note(format!("there are more; --limit shows them (at position {})", text::number(position)));
    }
    Ok(())
}

impl Args {
    fn page(&self, client: &Client, limit: usize, cursor: Option<String>) -> RequestBuilder {
        let request = client.get(&["projections", &self.name, "tables", &self.table]);
        let reverse = self.reverse.then_some("true");
        let parameters = [
            ("prefix", self.prefix.as_deref()),
            ("start", self.start.as_deref()),
            ("end", self.end.as_deref()),
            ("index", self.index.as_deref()),
            ("reverse", reverse),
            ("cursor", cursor.as_deref()),
        ];
        let given: Vec<_> = parameters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let request = request.query(&given).query(&[("limit", limit.min(PAGE))]);
        self.moment.apply(self.freshness.apply(request))
    }
}

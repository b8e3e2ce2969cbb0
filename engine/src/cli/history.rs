//! `history`: what became of a row, event by event.

use anyhow::Result;
use serde_json::Value;

use super::{
    Context,
    support::{
        client::{Client, Place},
        difference::differences,
        output::{Output, note},
        text,
        values::at_least_one,
    },
};
use crate::{
    event::Position,
    query::{HistoryEntry, HistoryPage},
};

/// So many changes are shown where nothing else is said.
const DEFAULT_LIMIT: usize = 50;
/// As many as a page of the server may hold.
const PAGE: usize = 1_000;

/// Show what became of a row: each event that changed it, with its value before and afterwards
///
/// The live version's code folds history once more for it, apart from what runs. Of a projection that is
/// partitioned by subject, only the events of the subject that the row belongs to are folded, which is quick.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The plug-in
    name: String,
    /// The table
    table: String,
    /// The key: all its parts
    #[arg(required = true)]
    key: Vec<String>,
    /// From this position on
    #[arg(long, value_name = "POSITION")]
    from: Option<Position>,
    /// Up to this position [default: where the version stands]
    #[arg(long, value_name = "POSITION")]
    to: Option<Position>,
    /// Newest first
    #[arg(long)]
    reverse: bool,
    /// Show at most so many changes [default: 50, no limit with --json]
    #[arg(long, short = 'n', value_parser = at_least_one)]
    limit: Option<usize>,
    /// The subject that the row belongs to, if its key does not say it
    #[arg(long)]
    subject: Option<String>,
    /// A version that is kept, by how its digest begins [default: the live one]
    #[arg(long, value_name = "DIGEST")]
    version: Option<String>,
    #[command(flatten)]
    place: Place,
}

/// Runs the command.
pub async fn run(args: Args, context: &mut Context) -> Result<()> {
    let client = args.place.required_server(&context.settings)?;
    let output = &mut context.output;
    let limit = args.limit.unwrap_or(if output.is_json() { usize::MAX } else { DEFAULT_LIMIT });
    let mut shown = 0;
    let (mut from, mut to) = (args.from, args.to);
    loop {
        let page = args.page(&client, limit - shown, from, to).await?;
        shown += page.changes.len();
        match output.is_json() {
            true => page.changes.iter().try_for_each(|change| output.json(change))?,
            false => show(&page, output)?,
        }
        output.flush()?;
        let Some(next) = page.next.filter(|_| shown < limit) else {
            if !output.is_json() && page.next.is_some() {
                note("there are more; --limit shows them");
            } else if shown == 0 {
                let position = text::number(page.position);
                note(format!("no event has ever changed it, up to position {position}"));
            }
            return Ok(());
        };
        // What comes meanwhile does not belong to what was asked for.
        to = to.or(Some(page.position));
        match args.reverse {
            true => to = Some(next),
            false => from = Some(next),
        }
    }
}

impl Args {
    async fn page(
        &self,
        client: &Client,
        limit: usize,
        from: Option<Position>,
        to: Option<Position>,
    ) -> Result<HistoryPage> {
        let path = ["projections", &self.name, "history", &self.table];
        let path: Vec<&str> = path.into_iter().chain(self.key.iter().map(String::as_str)).collect();
        let request = client.get(&path).query(&[("from", from), ("to", to)]);
        let request = request.query(&[("version", &self.version), ("subject", &self.subject)]);
        let request = request.query(&[("reverse", self.reverse.then_some("true"))]);
        client.json(request.query(&[("limit", limit.min(PAGE))])).await
    }
}

/// One change below the other: when and by what, and what differs.
fn show(page: &HistoryPage, output: &mut Output) -> Result<()> {
    for HistoryEntry { event, before, after } in &page.changes {
        output.line(headline(event))?;
        for difference in differences(before.as_ref(), after.as_ref()) {
            output.line(format!("  {}", difference.line()))?;
        }
    }
    Ok(())
}

/// An event in a line: where, when, what, about what.
fn headline(event: &Value) -> String {
    let field = |name: &str| event.get(name).and_then(Value::as_str).map(text::printable);
    let position = event.get("position").and_then(Value::as_u64).map(text::number);
    let parts = [position, field("time").or(field("recorded")), field("type"), field("subject")];
    parts.into_iter().flatten().collect::<Vec<_>>().join("  ")
}

//! `events`: events of the log for reading, and the log as it grows.

use anyhow::Result;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Context,
    exit::{Exit, Failure},
    support::{client::Place, log::Log, output::Output, table::Table, text, values::at_least_one},
};
use crate::{event::Position, log::Selection};

/// So many are shown where nothing else is said.
const DEFAULT_LIMIT: usize = 20;

/// Show events of the log, or follow it
///
/// Without a range the last events are shown, oldest first.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Wait for new events and show them as they come; from now on, unless --from says otherwise
    #[arg(long, short, conflicts_with_all = ["reverse", "to"])]
    follow: bool,
    /// Show at most so many [default: 20, no limit with --follow or --json]
    #[arg(long, short = 'n', value_parser = at_least_one)]
    limit: Option<usize>,
    /// Newest first
    #[arg(long)]
    reverse: bool,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    place: Place,
}

/// Which events.
#[derive(Debug, clap::Args)]
pub struct Filter {
    /// The first position
    #[arg(long, value_name = "POSITION")]
    from: Option<Position>,
    /// The last position
    #[arg(long, value_name = "POSITION")]
    to: Option<Position>,
    /// Only this type; can be given several times
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// Only about this subject
    #[arg(long)]
    subject: Option<String>,
    /// Only with this tag; can be given several times, for events that have all
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Only the event of this id and those that came of it (whose correlationid it is)
    #[arg(long, value_name = "ID")]
    correlation: Option<String>,
}

impl Filter {
    /// The filter as the log takes it.
    pub fn selection(&self, limit: usize) -> Result<Selection, Failure> {
        let (from, to) = (self.from.unwrap_or(1).max(1), self.to.unwrap_or(Position::MAX));
        if from > to {
            let message = format!("--from {from} lies behind --to {to}");
            return Err(Failure::new(Exit::Usage, message)
                .hint("a range goes from the smaller position to the larger"));
        }
        Ok(Selection {
            from,
            to,
            types: self.types.clone(),
            subject: self.subject.clone(),
            tags: self.tags.clone(),
            correlation: self.correlation.clone(),
            reverse: false,
            limit,
        })
    }
}

/// Runs the command.
pub async fn run(args: Args, context: &mut Context) -> Result<()> {
    let output = &mut context.output;
    let limit =
        args.limit.unwrap_or(if args.follow || output.is_json() { usize::MAX } else { DEFAULT_LIMIT });
    let mut selection = args.filter.selection(limit)?;
    if args.follow {
        let client = args.place.required_server(&context.settings)?;
        let ended = Failure::new(Exit::Unreachable, format!("the server at {} has ended", client.url()));
        let log = Log::Server(client);
        if args.filter.from.is_none() {
            selection.from = log.head().await? + 1;
        }
        let mut left = limit;
        log.read(&selection, true, |line| {
            left -= 1;
            show_now(line, output)
        })
        .await?;
        return if left == 0 { Ok(()) } else { Err(ended.into()) };
    }
    let log = Log::open(&args.place, &context.settings, false).await?;
    // The last ones in the order in which they came: read them newest first, turn them round.
    let last_ones = !args.reverse && args.filter.from.is_none() && limit != usize::MAX;
    selection.reverse = args.reverse || last_ones;
    let mut lines: Vec<Vec<u8>> = Vec::new();
    if output.is_json() && !last_ones {
        log.read(&selection, false, |line| Ok(output.line(String::from_utf8_lossy(line))?)).await?;
        return Ok(());
    }
    log.read(&selection, false, |line| {
        lines.push(line.to_owned());
        Ok(())
    })
    .await?;
    if last_ones {
        lines.reverse();
    }
    match output.is_json() {
        true => lines.iter().try_for_each(|line| output.line(String::from_utf8_lossy(line)))?,
        false => output.table(&table(&lines)?)?,
    }
    Ok(())
}

fn table(lines: &[Vec<u8>]) -> Result<Table> {
    let mut table = Table::new(["position", "time", "type", "subject", "data"]);
    for line in lines {
        table.row(cells(line)?);
    }
    Ok(table)
}

/// An event that has just come: its columns cannot know the widths of later ones.
fn show_now(line: &[u8], output: &mut Output) -> Result<()> {
    match output.is_json() {
        true => output.line(String::from_utf8_lossy(line))?,
        false => {
            let [position, rest @ ..] = cells(line)?;
            let rest: Vec<_> = rest.into_iter().filter(|cell| !cell.is_empty()).collect();
            output.line(text::printable(&format!("{position:>9}  {}", rest.join("  "))))?;
        }
    }
    Ok(output.flush()?)
}

/// What is shown of an event.
#[derive(Deserialize)]
struct Shown<'a> {
    position: Option<Position>,
    time: Option<String>,
    recorded: Option<String>,
    #[serde(rename = "type")]
    event_type: Option<String>,
    subject: Option<String>,
    /// As it was written.
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    data_base64: Option<String>,
}

fn cells(line: &[u8]) -> Result<[String; 5]> {
    let event: Shown<'_> = serde_json::from_slice(line)?;
    let data = match (event.data, event.data_base64) {
        (Some(data), _) => data.get().to_owned(),
        (None, Some(base64)) => text::bytes(base64.len() as u64 / 4 * 3),
        (None, None) => String::new(),
    };
    Ok([
        event.position.map(text::number).unwrap_or_default(),
        event.time.or(event.recorded).unwrap_or_default(),
        event.event_type.unwrap_or_default(),
        event.subject.unwrap_or_default(),
        data,
    ])
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn events_as_a_table() {
        let lines = [
            br#"{"position":1,"type":"a","subject":"s","time":"2017-08-29T14:01:55Z","data":{"n":1}}"#.to_vec(),
            br#"{"position":1234,"type":"order.placed","recorded":"2026-01-01T00:00:00Z","data_base64":"AAAA"}"#.to_vec(),
        ];
        expect![[r#"
            position  time                  type          subject  data
                   1  2017-08-29T14:01:55Z  a             s        {"n":1}
               1,234  2026-01-01T00:00:00Z  order.placed           3 B
        "#]]
        .assert_eq(&table(&lines).unwrap().render(40));
    }
}

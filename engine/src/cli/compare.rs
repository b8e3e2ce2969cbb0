//! `compare`: what other code makes of the same history.

use std::path::{Path, PathBuf};

use anyhow::Result;
use futures_util::StreamExt as _;
use reqwest::{Method, RequestBuilder, header};

use super::{
    Context,
    exit::{Exit, Failure, Verdict},
    support::{
        client::{Client, Place},
        output::{Output, note},
        table::Table,
        text,
    },
};
use crate::{
    event::Position,
    query::{Compared, Comparison, RowComparison, TableComparison},
};

/// As many characters of a digest as people read.
const SHORT: usize = 12;

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
    /// Compare both as they were at this position [default: where the live version stands]
    #[arg(long, value_name = "POSITION")]
    at: Option<Position>,
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
        true => list(&client, request, &mut context.output).await?,
        false => {
            let comparison: Comparison = client.json(request).await?;
            match context.output.is_json() {
                true => context.output.json(&comparison)?,
                false => show(&args.name, &comparison, &mut context.output)?,
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
                let (wasm, settings) = component(file)?;
                let request = client.request(Method::POST, &path).query(&[("settings", settings)]);
                request.header(header::CONTENT_TYPE, "application/wasm").body(wasm)
            }
        };
        let request = request.query(&[("at", self.at)]);
        Ok(match self.list {
            true => request.header(header::ACCEPT, "application/x-ndjson"),
            false => request.query(&[("samples", self.samples)]),
        })
    }
}

/// A component, and the text of the settings beside it.
pub(crate) fn component(path: &Path) -> Result<(Vec<u8>, Option<String>), Failure> {
    let unreadable = |path: &Path, error: std::io::Error| {
        Failure::new(Exit::Input, format!("{} cannot be read: {error}", path.display()))
    };
    let wasm = std::fs::read(path).map_err(|error| unreadable(path, error))?;
    let beside = path.with_extension("toml");
    match std::fs::read_to_string(&beside) {
        Ok(text) => Ok((wasm, Some(text))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok((wasm, None)),
        Err(error) => Err(unreadable(&beside, error)),
    }
}

/// Writes the listing as it comes. Answers whether it is empty.
async fn list(client: &Client, request: RequestBuilder, output: &mut Output) -> Result<bool> {
    let mut pieces = client.send(request).await?.bytes_stream();
    let mut same = true;
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| client.unreachable(&error))?;
        same &= piece.is_empty();
        output.bytes(&piece)?;
    }
    Ok(same)
}

fn show(name: &str, comparison: &Comparison, output: &mut Output) -> Result<()> {
    let Comparison { position, same, before, after, tables } = comparison;
    let position = text::number(*position);
    if *same {
        let keys = tables.iter().filter(|table| table.index_of.is_none()).map(|table| table.same).sum();
        let keys = text::count(keys, "key");
        output
            .line(format!("{name} at position {position}: no difference, {keys}, digest {}", after.digest))?;
        return Ok(());
    }
    let [one, other] = [before, after].map(|Compared { version, .. }| &version[..SHORT.min(version.len())]);
    output.line(format!("{name} at position {position}: from {one} (live) to {other}"))?;
    output.line("")?;
    let mut counts = Table::new(["table", "removed", "added", "changed", "same"]);
    for TableComparison { name, removed, added, changed, same, .. } in tables {
        let numbers = [removed, added, changed, same].map(|count| text::number(*count));
        counts.row([name.clone()].into_iter().chain(numbers));
    }
    output.table(&counts)?;
    let mut more = false;
    for TableComparison { name, index_of, removed, added, changed, samples, .. } in tables {
        if index_of.is_none() && !samples.is_empty() {
            output.line(format!("\n{name}"))?;
            samples.iter().try_for_each(|row| show_row(row, output))?;
            more |= removed + added + changed > samples.len() as u64;
        }
    }
    output.flush()?;
    if more {
        note("there are more; --samples shows more of them, --list all");
    }
    Ok(())
}

fn show_row(
    RowComparison { key, before, after }: &RowComparison,
    output: &mut Output,
) -> std::io::Result<()> {
    let key = match key {
        serde_json::Value::String(key) => text::printable(key),
        key => key.to_string(),
    };
    for (sign, value) in [('-', before), ('+', after)] {
        if let Some(value) = value {
            output.line(format!("{sign} {key}  {value}"))?;
        }
    }
    Ok(())
}

//! `what-if`: what would have come of another history.

mod scenarios;

use std::path::PathBuf;

use anyhow::Result;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::{Method, RequestBuilder, header};

use self::scenarios::{Given, Question};
use super::{
    Context,
    exit::{Exit, Verdict},
    support::{
        client::{Client, Place},
        comparison, component, listing,
        output::{Output, note},
        table::Table,
        text,
        waiting::showing_folds,
    },
};
use crate::{
    event::Position,
    query::{ScenarioOutcome, TableComparison, WhatIf},
};

/// Show what would have come of another history: without some events, or with others
///
/// Folds history again with some of it altered, in a state of its own, which is deleted afterwards, and compares
/// that with the real state. Nothing of what runs is touched, and the log least of all.
///
/// All events that are left out by --leave-out-… are one scenario, each --patch is another. A patch has an
/// alteration a line: {"leave-out": {"position": 7}}, by "position", "id", "type" or "subject" or by several of them
/// together; {"replace": {"position": 7}, "event": {…}}, by "position" or "id"; or {"insert": {"after": 7}, "event":
/// {…}}, "before" or "after" the event at a position. Events are CloudEvents in JSON.
///
/// Ends with 0 if no scenario makes a difference and with 1 if one does.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The projection
    name: String,
    #[command(flatten)]
    given: Given,
    /// Stop at this position, and compare with the real state there [default: where the live version stands]
    #[arg(long, value_name = "POSITION")]
    to: Option<Position>,
    /// Fold with a component that nobody has to have deployed [default: the live version]
    #[arg(long, value_name = "FILE.wasm", conflicts_with = "version")]
    component: Option<PathBuf>,
    /// Fold with a version that the server keeps, by how its digest begins [default: the live version]
    #[arg(long, value_name = "DIGEST")]
    version: Option<String>,
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
    let question = args.given.question()?;
    let client = args.place.required_server(&context.settings)?;
    let request = args.request(&client, &question)?;
    let same = match args.list {
        true => showing_folds(&client, &args.name, listing::copy(&client, request, &mut context.output))
            .await
            .map_err(|error| question.blamed(error))?,
        false => {
            let answer = showing_folds(&client, &args.name, client.json(request)).await;
            let answer: WhatIf = answer.map_err(|error| question.blamed(error))?;
            match context.output.is_json() {
                true => context.output.json(&answer)?,
                false => show(&args.name, &answer, &question, &mut context.output)?,
            }
            answer.same
        }
    };
    match same {
        true => Ok(()),
        false => Err(Verdict(Exit::Failed).into()),
    }
}

impl Args {
    fn request(&self, client: &Client, question: &Question) -> Result<RequestBuilder> {
        let (wasm, settings) = match &self.component {
            Some(file) => {
                let (wasm, settings) = component::read(file)?;
                (Some(STANDARD.encode(wasm)), settings)
            }
            None => (None, None),
        };
        let request = client.request(Method::POST, &["projections", &self.name, "what-if"]);
        let request = request.query(&[("to", self.to)]).query(&[("version", &self.version)]);
        let request = request.header(header::CONTENT_TYPE, "application/json");
        let request = request.body(question.body(wasm.as_deref(), settings.as_deref())?);
        Ok(match self.list {
            true => request.header(header::ACCEPT, "application/x-ndjson"),
            false => request.query(&[("samples", self.samples)]),
        })
    }
}

/// Shows the scenarios side by side, and then what differs in each.
fn show(name: &str, answer: &WhatIf, question: &Question, output: &mut Output) -> Result<()> {
    let WhatIf { position, scenarios, .. } = answer;
    output.line(format!("{name} at position {}: what would have been", text::number(*position)))?;
    output.line("")?;
    let mut table =
        Table::new(["scenario", "left out", "replaced", "inserted", "removed", "added", "changed", "same"]);
    for scenario in scenarios {
        let ScenarioOutcome { name, left_out, replaced, inserted, comparison, .. } = scenario;
        let events = [left_out, replaced, inserted].map(|count| text::number(*count));
        let rows = match comparison {
            Some(comparison) => rows(&comparison.tables).map(text::number),
            None => std::array::from_fn(|_| "–".to_owned()),
        };
        table.row([name.clone()].into_iter().chain(events).chain(rows));
    }
    output.table(&table)?;
    let mut more = false;
    for ScenarioOutcome { name, comparison, halted, .. } in scenarios {
        if let Some(reason) = halted {
            output.line(format!("\n{name}: it cannot be folded, and halts {reason}"))?;
        }
        let Some(comparison) = comparison.as_ref().filter(|comparison| !comparison.same) else { continue };
        if comparison.tables.iter().any(|table| !table.samples.is_empty()) {
            output.line(format!("\n{name}:"))?;
        }
        more |= comparison::show_samples(&comparison.tables, output)?;
    }
    output.flush()?;
    for (scenario, outcome) in question.scenarios.iter().zip(scenarios) {
        for place in scenario.places(&outcome.without_effect) {
            note(format!("{place}: met no event up to position {}", text::number(*position)));
        }
    }
    if more {
        note("there are more rows; --samples shows more of them, --list all");
    }
    Ok(())
}

/// How many rows of all tables were removed, added, changed, and are the same.
fn rows(tables: &[TableComparison]) -> [u64; 4] {
    let tables = tables.iter().filter(|table| table.index_of.is_none());
    tables.fold([0; 4], |sum, table| {
        let counts = [table.removed, table.added, table.changed, table.same];
        std::array::from_fn(|index| sum[index] + counts[index])
    })
}

//! `test`: fixtures, played with a plug-in.

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use serde_json::{Value, json};

use super::{
    Context,
    exit::{Exit, Failure},
    support::{
        component::{self, UpcasterFiles},
        output::{Colour, Output},
        text,
    },
};
use crate::{
    clock,
    fixture::{self, Fault, Fixture, Line, Outcome},
    plugin::Stream,
};

/// Give a plug-in the events of fixtures, and see whether all is as they expect
///
/// The component runs as in a server, but with a log in memory, a time that only the fixture
/// moves, and calls that only the fixture answers: nothing is kept and nobody is called. Settings are taken
/// from the fixture, or else from the .toml file beside the component.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The component
    #[arg(value_name = "PLUGIN.wasm")]
    component: PathBuf,
    /// Files of fixtures in YAML or JSON, or folders of such files
    #[arg(required = true, value_name = "FIXTURES")]
    fixtures: Vec<PathBuf>,
    /// Only fixtures whose names contain this
    #[arg(long, short = 'k', value_name = "TEXT")]
    filter: Option<String>,
    /// Show which fixtures there are, and play none
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    upcasters: UpcasterFiles,
}

/// Runs the command.
pub async fn run(args: Args, context: &mut Context) -> Result<()> {
    let output = &mut context.output;
    let (fixtures, left_out) = chosen(&args)?;
    if args.list {
        return list(&fixtures, output);
    }
    let component = component::load(&args.component, None, &args.upcasters).await?;
    let started = clock::instant();
    let mut failed = Vec::new();
    for fixture in &fixtures {
        let begun = clock::instant();
        let outcome = fixture::run(fixture, &component).await;
        tell(fixture, &outcome, begun.elapsed(), output)?;
        output.flush()?;
        if !outcome.faults.is_empty() {
            failed.push((fixture, outcome));
        }
    }
    let summary = Summary { passed: fixtures.len() - failed.len(), failed: failed.len(), left_out };
    if !output.is_json() {
        explain(&failed, output)?;
    }
    summary.tell(started.elapsed(), output)?;
    match failed.len() {
        0 => Ok(()),
        count => {
            output.flush()?;
            let all = text::count(fixtures.len() as u64, "fixture");
            Err(Failure::new(Exit::Failed, format!("{count} of {all} failed")).into())
        }
    }
}

/// The fixtures that are to be played, and how many are not.
fn chosen(args: &Args) -> Result<(Vec<Fixture>, usize), Failure> {
    let unreadable = |error: fixture::FixtureError| Failure::new(Exit::Input, error.to_string());
    let mut all = Vec::new();
    for path in &args.fixtures {
        for file in fixture::files(path).map_err(unreadable)? {
            all.extend(fixture::read(&file).map_err(unreadable)?);
        }
    }
    let Some(filter) = &args.filter else { return Ok((all, 0)) };
    let count = all.len();
    all.retain(|fixture| fixture.name.contains(filter.as_str()));
    match all.len() {
        0 => Err(Failure::new(Exit::NotFound, format!("no name of a fixture contains {filter:?}"))
            .hint("--list shows them")),
        chosen => Ok((all, count - chosen)),
    }
}

fn list(fixtures: &[Fixture], output: &mut Output) -> Result<()> {
    for fixture in fixtures {
        match output.is_json() {
            true => output.json(&json!({
                "fixture": fixture.name, "file": fixture.file, "summary": fixture.summary,
            }))?,
            false => output.line(title(fixture))?,
        }
    }
    Ok(())
}

/// A fixture among those of several files.
fn title(fixture: &Fixture) -> String {
    text::printable(&format!("{}: {}", fixture.file.display(), fixture.name))
}

/// One line about a fixture that has been played.
fn tell(fixture: &Fixture, outcome: &Outcome, took: Duration, output: &mut Output) -> Result<()> {
    let passed = outcome.faults.is_empty();
    if output.is_json() {
        let printed: Vec<Value> =
            outcome.printed.iter().map(|(stream, line)| json!({"stream": stream, "line": line})).collect();
        return Ok(output.json(&json!({
            "fixture": fixture.name,
            "file": fixture.file,
            "result": if passed { "ok" } else { "failed" },
            "seconds": took.as_secs_f64(),
            "faults": outcome.faults,
            "printed": printed,
        }))?);
    }
    let result = match passed {
        true => output.painted(Colour::Green, "ok    "),
        false => output.painted(Colour::Red, "FAILED"),
    };
    Ok(output.line(format!("{result}  {}", title(fixture)))?)
}

/// What is not as expected, of all fixtures that have failed.
fn explain(failed: &[(&Fixture, Outcome)], output: &mut Output) -> Result<()> {
    for (fixture, outcome) in failed {
        output.line("")?;
        output.line(format!("failed: {}", title(fixture)))?;
        for fault in &outcome.faults {
            explain_one(fixture, fault, output)?;
        }
        if !outcome.printed.is_empty() {
            output.line("  the plug-in printed:")?;
        }
        for (stream, line) in &outcome.printed {
            let mark = if *stream == Stream::Stderr { "!" } else { "|" };
            output.line(format!("    {mark} {}", text::printable(line)))?;
        }
    }
    Ok(())
}

fn explain_one(fixture: &Fixture, fault: &Fault, output: &mut Output) -> Result<()> {
    let mut what = fault.what.lines();
    let legend =
        if fault.expected.is_some() && fault.found.is_some() { " (- expected, + there)" } else { "" };
    let first = text::printable(what.next().unwrap_or_default());
    output.line(format!("  {}:{}: {first}{legend}", fixture.file.display(), fault.line))?;
    for line in what {
        output.line(format!("    {}", text::printable(line)))?;
    }
    match (&fault.expected, &fault.found) {
        (Some(expected), Some(found)) => {
            for line in fixture::lines(expected, found) {
                let line = match line {
                    Line::Same(text) => format!("  {text}"),
                    Line::Missing(text) => output.painted(Colour::Red, &format!("- {text}")),
                    Line::Unexpected(text) => output.painted(Colour::Green, &format!("+ {text}")),
                };
                output.line(format!("    {line}"))?;
            }
        }
        (Some(value), None) | (None, Some(value)) => {
            let (mark, colour) =
                if fault.expected.is_some() { ("-", Colour::Red) } else { ("+", Colour::Green) };
            for line in format!("{value:#}").lines() {
                output.line(format!("    {}", output.painted(colour, &format!("{mark} {line}"))))?;
            }
        }
        (None, None) => {}
    }
    Ok(())
}

/// How it has ended.
struct Summary {
    passed: usize,
    failed: usize,
    left_out: usize,
}

impl Summary {
    fn tell(&self, took: Duration, output: &mut Output) -> Result<()> {
        let Self { passed, failed, left_out } = *self;
        if output.is_json() {
            return Ok(output.json(&json!({
                "passed": passed, "failed": failed, "left-out": left_out, "seconds": took.as_secs_f64(),
            }))?);
        }
        let left_out = if left_out > 0 { format!(", {left_out} left out") } else { String::new() };
        output.line("")?;
        Ok(output.line(format!("{passed} passed, {failed} failed{left_out} in {}", text::duration(took)))?)
    }
}

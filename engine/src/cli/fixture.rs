//! `fixture`: a fixture of what has happened.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

use super::{
    Context,
    exit::{Exit, Failure},
    support::{
        client::Place,
        component::{self, UpcasterFiles},
        log::Log,
        output::note,
        text,
        values::at_least_one,
    },
};
use crate::{
    fixture::{self, Recording},
    log::Selection,
};

/// Write a fixture of what has happened
///
/// The events of a subject, as they are in the log; if a component is named, with what it makes of
/// them here, alone: its rows, and what a reaction appends and calls. `projectionist test` reads it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Take the events from the log
    #[arg(long, required = true)]
    from_log: bool,
    /// The subject whose events are taken
    #[arg(long, short = 's')]
    subject: String,
    /// Say what is expected of this plug-in: a component, or a name with --component
    #[arg(long, short = 'p', value_name = "NAME|FILE.wasm")]
    plugin: Option<String>,
    /// The component of the plug-in
    #[arg(long, value_name = "FILE.wasm")]
    component: Option<PathBuf>,
    /// Say what is expected after each event [default: after the last]
    #[arg(long)]
    each: bool,
    /// Take only the first so many events
    #[arg(long, short = 'n', value_parser = at_least_one)]
    limit: Option<usize>,
    /// The file to write, - for standard output
    #[arg(long, short = 'o', default_value = "-", value_name = "FILE")]
    output: PathBuf,
    /// How it is written [default: json for a FILE that ends in .json, else yaml]
    #[arg(long)]
    format: Option<Format>,
    #[command(flatten)]
    upcasters: UpcasterFiles,
    #[command(flatten)]
    place: Place,
}

/// How a fixture is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Yaml,
    /// For machines.
    Json,
}

/// Runs the command.
pub async fn run(args: Args, context: &mut Context) -> Result<()> {
    let component = match component_file(&args)? {
        Some((name, path)) => Some(component::load(&path, name, &args.upcasters).await?),
        None => None,
    };
    let (events, more) = events(&args, context).await?;
    let count = events.len() as u64;
    let recording = Recording {
        name: args.subject.clone(),
        summary: summary(&args.subject, count, more, component.is_some()),
        events,
        component: component.as_ref(),
        each: args.each,
    };
    let fixture = recording.fixture().await;
    let fixture = fixture.map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    let written = written(&fixture, format(&args))?;
    if args.output == Path::new("-") {
        context.output.text(written)?;
        return Ok(());
    }
    fs::write(&args.output, written).map_err(|error| {
        Failure::new(Exit::Failed, format!("{} cannot be written: {error}", args.output.display()))
    })?;
    match context.output.is_json() {
        true => context.output.json(&json!({"events": count, "file": args.output}))?,
        false => note(format!("{} written to {}", text::count(count, "event"), args.output.display())),
    }
    Ok(())
}

/// The component that is to say what is expected, and its name.
fn component_file(args: &Args) -> Result<Option<(Option<String>, PathBuf)>, Failure> {
    let is_file = |name: &String| name.ends_with(".wasm");
    match (&args.plugin, &args.component) {
        (None, None) if args.each => {
            Err(Failure::new(Exit::Usage, "--each says what is expected of a plug-in, and none is named")
                .hint("name one with --plugin FILE.wasm"))
        }
        (None, None) => Ok(None),
        (Some(plugin), None) if is_file(plugin) => Ok(Some((None, plugin.into()))),
        (Some(name), None) => {
            let message =
                format!("what {name} makes of the events is found out here, and needs its component");
            Err(Failure::new(Exit::Usage, message).hint(format!("name the file: --component {name}.wasm")))
        }
        (Some(plugin), Some(_)) if is_file(plugin) => {
            Err(Failure::new(Exit::Usage, "--plugin and --component both name a component")
                .hint("leave out one of them, or give --plugin the plug-in's name"))
        }
        (name, Some(path)) => Ok(Some((name.clone(), path.clone()))),
    }
}

/// The events, and whether there are more.
async fn events(args: &Args, context: &Context) -> Result<(Vec<Map<String, Value>>, bool)> {
    let log = Log::open(&args.place, &context.settings, false).await?;
    let limit = args.limit.unwrap_or(usize::MAX);
    let selection = Selection {
        subject: Some(args.subject.clone()),
        limit: limit.saturating_add(1),
        ..Selection::default()
    };
    let mut events: Vec<Map<String, Value>> = Vec::new();
    log.read(&selection, false, |line| {
        events.push(serde_json::from_slice(line).context("an event of the log is no JSON object")?);
        Ok(())
    })
    .await?;
    if events.is_empty() {
        let message = format!("the log has no event about the subject {:?}", args.subject);
        return Err(Failure::new(Exit::NotFound, message)
            .hint("`projectionist events` shows what subjects there are")
            .into());
    }
    let more = events.len() > limit;
    events.truncate(limit);
    Ok((events, more))
}

fn summary(subject: &str, count: u64, more: bool, expects: bool) -> String {
    let which = if more { "The first " } else { "All " };
    let mut summary = format!("{which}{} about {subject}, from a log.", text::count(count, "event"));
    if expects {
        summary.push_str(
            " What is expected is what the plug-in makes of these alone: where rows depend on events about other \
             subjects too, the system that they come from has other values.",
        );
    }
    summary
}

fn format(args: &Args) -> Format {
    let is_json = args.output.extension().is_some_and(|extension| extension == "json");
    args.format.unwrap_or(if is_json { Format::Json } else { Format::Yaml })
}

fn written(fixture: &Value, format: Format) -> Result<String> {
    match format {
        Format::Json => Ok(format!("{fixture:#}\n")),
        Format::Yaml => Ok(fixture::yaml(fixture)?),
    }
}

//! A schema for a type that has none.

use std::collections::BTreeSet;

use anyhow::Result;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::{
    cli::{
        Context,
        exit::{Exit, Failure},
        support::{client::Place, log::Log, output::note, progress::Progress, text, values::at_least_one},
    },
    event::{Position, cloudevents},
    log::Selection,
    schema::infer::Inference,
};

/// Make a JSON Schema of the events that a type has: it takes all of them
///
/// What it prints can be registered as it is. Look through it first: what events have had in common so far need not
/// be what they must have.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The events' type
    #[arg(value_name = "TYPE")]
    name: String,
    /// Only events that name this as their dataschema; empty, those that name none [default: all]
    #[arg(long, value_name = "URI")]
    dataschema: Option<String>,
    /// Only the last so many [default: all]
    #[arg(long, short = 'n', value_parser = at_least_one)]
    limit: Option<usize>,
    #[command(flatten)]
    place: Place,
}

/// What is looked at of an event.
#[derive(Deserialize)]
struct Seen<'a> {
    position: Position,
    dataschema: Option<String>,
    datacontenttype: Option<String>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    data_base64: Option<&'a RawValue>,
}

pub(super) async fn run(args: Args, context: &mut Context) -> Result<()> {
    let log = Log::open(&args.place, &context.settings, false).await?;
    let selection = Selection {
        types: vec![args.name.clone()],
        limit: args.limit.unwrap_or(usize::MAX),
        reverse: args.limit.is_some(),
        ..Selection::default()
    };
    let mut inference = Inference::default();
    let mut versions = BTreeSet::new();
    let mut others = 0;
    let progress = Progress::over_bytes(None);
    let take = |line: &[u8]| {
        let seen: Seen = serde_json::from_slice(line)?;
        let version = seen.dataschema.clone().unwrap_or_default();
        let wanted = args.dataschema.as_ref().is_none_or(|wanted| *wanted == version);
        versions.insert(version);
        if wanted {
            inference.observe(&data(&seen)?);
            progress.at(seen.position, inference.observed());
        } else {
            others += 1;
        }
        Ok(())
    };
    log.read(&selection, false, take).await?;
    progress.finish();
    if inference.observed() == 0 {
        return Err(nothing(&args, &versions).into());
    }
    if args.dataschema.is_none() && versions.len() > 1 {
        note(format!("of events of several versions: {}; --dataschema chooses one", shown(&versions)));
    }
    let schema = inference.schema(&args.name);
    match context.output.is_json() {
        true => context.output.json(&schema)?,
        false => context.output.line(serde_json::to_string_pretty(&schema)?)?,
    }
    let left_out = if others > 0 {
        format!(", {} of other versions left out", text::number(others))
    } else {
        String::new()
    };
    note(format!("inferred from {}{left_out}", text::count(inference.observed(), "event")));
    Ok(())
}

/// An event's data; null where it has none.
fn data(seen: &Seen<'_>) -> Result<Value> {
    let media_type = seen.datacontenttype.as_deref().unwrap_or_default();
    let is_json = media_type.is_empty() || cloudevents::is_json(media_type);
    if !is_json || seen.data_base64.is_some() {
        let message = format!(
            "the event at position {} has data that are no JSON ({media_type}): no JSON Schema can be for them",
            seen.position
        );
        return Err(Failure::new(Exit::Input, message).into());
    }
    Ok(seen.data.map_or(Ok(Value::Null), |data| serde_json::from_str(data.get()))?)
}

fn nothing(args: &Args, versions: &BTreeSet<String>) -> Failure {
    let name = &args.name;
    match versions.is_empty() {
        true => Failure::new(Exit::NotFound, format!("there is no event of type {name}"))
            .hint("`projectionist schemas` lists the types that events have"),
        false => Failure::new(Exit::NotFound, format!("no event of type {name} names that dataschema"))
            .hint(format!("they name: {}", shown(versions))),
    }
}

fn shown(versions: &BTreeSet<String>) -> String {
    let name = |name: &String| if name.is_empty() { "none".to_owned() } else { text::printable(name) };
    versions.iter().map(name).collect::<Vec<_>>().join(", ")
}

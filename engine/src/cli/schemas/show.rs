//! All types of events, and one of them.

use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    cli::{
        Context,
        support::{
            client::{Client, Place},
            output::Output,
            progress::Progress,
            table::Table,
            text,
        },
    },
    event::Position,
};

/// What is shown of a type.
#[derive(Deserialize)]
struct Type {
    r#type: String,
    check: bool,
    versions: Vec<Version>,
}

#[derive(Deserialize)]
struct Version {
    dataschema: Option<String>,
    registered: Option<String>,
    events: u64,
    first: Option<Use>,
    last: Option<Use>,
    schema: Option<Value>,
}

#[derive(Deserialize)]
struct Use {
    position: Position,
    recorded: String,
}

pub(super) async fn run(place: &Place, name: Option<&str>, context: &mut Context) -> Result<()> {
    let client = place.required_server(&context.settings)?;
    let all = counted(&client).await?;
    let output = &mut context.output;
    let Some(name) = name else {
        return match output.is_json() {
            true => Ok(output.json(&all)?),
            false => overview(&all, output),
        };
    };
    let one: Value = client.json(client.get(&["schemas", name])).await?;
    match output.is_json() {
        true => Ok(output.json(&one)?),
        false => detail(Type::deserialize(&one)?, output),
    }
}

/// All types, once the server has counted the log as it stands now. It answers every few seconds how far it
/// is.
async fn counted(client: &Client) -> Result<Value> {
    let (mut progress, mut end) = (None, None);
    loop {
        let answer: Value = client.json(client.get(&["schemas"])).await?;
        let position = |field: &str| answer[field].as_u64().unwrap_or_default();
        let (to, head) = (position("counted-to"), position("position"));
        let end = *end.get_or_insert(head);
        if to >= end {
            return Ok(answer);
        }
        progress.get_or_insert_with(|| Progress::over_bytes(Some(end))).at(to, to);
    }
}

fn overview(all: &Value, output: &mut Output) -> Result<()> {
    let types = Vec::<Type>::deserialize(&all["types"])?;
    if types.is_empty() {
        output.line("there are no events, and no schemas")?;
    } else {
        output.table(&table(&types))?;
    }
    if all["required"] == true {
        output.line("\nevents of types without a schema are refused (require-schemas)")?;
    }
    Ok(())
}

fn table(types: &[Type]) -> Table {
    let headings = ["type", "dataschema", "schema", "events", "first", "recorded", "last", "recorded"];
    let mut table = Table::new(headings);
    for Type { r#type, check, versions } in types {
        for version in versions {
            let schema = match (&version.registered, check) {
                (Some(_), true) => "checked",
                (Some(_), false) => "not checked",
                (None, true) => "none: refused",
                (None, false) => "none",
            };
            let dataschema = version.dataschema.clone().unwrap_or_default();
            let cells = [r#type.clone(), dataschema, schema.to_owned(), text::number(version.events)];
            let uses = [&version.first, &version.last].into_iter().flat_map(shown);
            table.row(cells.into_iter().chain(uses));
        }
    }
    table
}

/// Where an event stands and when it was recorded, to the second.
fn shown(event: &Option<Use>) -> [String; 2] {
    match event {
        None => Default::default(),
        Some(Use { position, recorded }) => {
            let seconds = recorded.split_once('.').map(|(seconds, _)| format!("{seconds}Z"));
            [text::number(*position), seconds.unwrap_or_else(|| recorded.clone())]
        }
    }
}

fn detail(one: Type, output: &mut Output) -> Result<()> {
    output.table(&table(std::slice::from_ref(&one)))?;
    for version in &one.versions {
        let Some(schema) = &version.schema else { continue };
        let name = version.dataschema.as_deref().map(text::printable);
        let name = name.map_or("events without dataschema".to_owned(), |name| format!("dataschema {name}"));
        let registered = version.registered.as_deref().unwrap_or_default();
        output.line(format!("\n{name}, registered {registered}"))?;
        output.line(serde_json::to_string_pretty(schema)?)?;
    }
    Ok(())
}

//! `run`: a file of events through a plug-in, without a server.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

use super::{
    Context,
    exit::{Exit, Failure},
    query::parameter,
    support::{
        component::{self, UpcasterFiles},
        json_table,
        ndjson::{Batches, Input, Options},
        output::{Output, note},
        progress::Progress,
        text,
        values::at_least_one,
    },
};
use crate::{
    clock,
    log::{Append, Condition, EventLog, LogSettings, memory::MemoryLog},
    plugin::{Host, HostSettings, Plugin, description::Kind, version_digest},
    projection::{self, Code, Version},
    query::{self, MAX_LIMIT, Row, TableRead},
    state::{Checkpoint, VersionState},
};

/// So many rows are shown where nothing else is said.
const DEFAULT_LIMIT: usize = 20;

/// Fold a file of events through a plug-in, without a server
///
/// Prints a table, or the answer to a query, then how fast it was and the digest of the state. Nothing is
/// kept. Settings are taken from the .toml file beside the component, as a server does.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The component
    #[arg(value_name = "FILE.wasm")]
    component: PathBuf,
    /// Files of events (one CloudEvent in JSON a line, plain or gzip), - for standard input
    #[arg(required = true, value_name = "EVENTS")]
    events: Vec<Input>,
    /// Print this table [default: all]
    #[arg(long, value_name = "NAME", conflicts_with = "query")]
    table: Option<String>,
    /// Go by this index of the table instead of by its key
    #[arg(long, requires = "table")]
    index: Option<String>,
    /// Last keys first
    #[arg(long, requires = "table")]
    reverse: bool,
    /// Print the answer to this query; parameters stand behind its name
    #[arg(long, num_args = 1.., value_names = ["NAME", "PARAMETER=VALUE"])]
    query: Option<Vec<String>>,
    /// Print at most so many rows [default: 20, no limit with --json]
    #[arg(long, short = 'n', value_parser = at_least_one)]
    limit: Option<usize>,
    /// Fold only so many events
    #[arg(long, value_name = "NUMBER")]
    events_limit: Option<u64>,
    #[command(flatten)]
    upcasters: UpcasterFiles,
}

/// Runs the command.
pub async fn run(args: Args, context: &mut Context) -> Result<()> {
    let question = args.query.as_deref().map(Question::read).transpose()?;
    let host = Host::new(HostSettings::default())?;
    let (plugin, digest) = load(&host, &args.component).await?;
    if let Some(table) = &args.table {
        known_table(&plugin, table)?;
    }
    let log = Arc::new(MemoryLog::new(LogSettings::default()));
    let options = Options { limit: args.events_limit, ..Options::default() };
    fill(&log, Batches::read(args.events.clone(), options)?).await?;
    let state = Arc::new(VersionState::in_memory(plugin.tables(), plugin.partitions())?);
    let code = Code::new(&digest, Arc::clone(&plugin)).upcast_by(args.upcasters.load(&host).await?);
    let version = Arc::new(Version::new(code, Arc::clone(&state)));
    let started = clock::instant();
    let folded = projection::fold(Arc::clone(&version), log).await;
    let elapsed = started.elapsed();
    for (_, line) in plugin.output().lines() {
        note(text::printable(&line));
    }
    folded.map_err(|halt| Failure::new(Exit::Failed, format!("{} halted {halt}", plugin.name())))?;
    let done = Done { version, elapsed, checkpoint: state.checkpoint() };
    match question {
        Some(question) => done.answer(question, &mut context.output).await,
        None => done.tables(&args, &mut context.output),
    }
}

/// Loads the component with the settings beside it.
async fn load(host: &Host, path: &Path) -> Result<(Arc<Plugin>, String)> {
    let (name, wasm, settings) = component::read_parsed(path)?;
    let plugin = host.load(&name, &wasm, &settings).await;
    let plugin = plugin.map_err(|error| Failure::new(Exit::Input, error.to_string()))?;
    if plugin.kind() == Kind::Upcaster {
        let message = format!("{} is an upcaster: it folds nothing by itself", path.display());
        let hint = "give it with --upcaster beside a plug-in that folds";
        return Err(Failure::new(Exit::Input, message).hint(hint).into());
    }
    Ok((plugin, version_digest(&wasm, &settings)))
}

fn known_table(plugin: &Plugin, name: &str) -> Result<(), Failure> {
    match plugin.tables().iter().any(|table| table == name) {
        true => Ok(()),
        false => Err(Failure::new(Exit::NotFound, format!("{} has no table {name}", plugin.name()))
            .hint(format!("it has: {}", table_names(plugin).join(", ")))),
    }
}

/// The names of its tables, without those that are indexes.
fn table_names(plugin: &Plugin) -> Vec<&str> {
    let tables = plugin.description().tables.iter().filter(|table| table.index_of.is_none());
    tables.map(|table| table.name.as_str()).collect()
}

async fn fill(log: &MemoryLog, mut batches: Batches) -> Result<()> {
    let progress = Progress::over_bytes(batches.total_bytes());
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        let places = batch.places;
        let append = Append { events: batch.events, condition: Condition::default() };
        let appended = log.append(append).await;
        appended.map_err(|error| Failure::new(Exit::Input, format!("{}: {error}", places.range())))?;
        progress.at(batches.bytes_read(), log.head());
    }
    Ok(())
}

/// A query and its parameters.
struct Question {
    name: String,
    parameters: Vec<(String, String)>,
}

impl Question {
    fn read(words: &[String]) -> Result<Self, Failure> {
        let (name, parameters) =
            words.split_first().map(|(name, rest)| (name.clone(), rest)).unwrap_or_default();
        let parameters = parameters.iter().map(|word| parameter(word)).collect::<Result<_, _>>();
        let parameters = parameters.map_err(|reason| {
            Failure::new(Exit::Usage, format!("a parameter of the query {name} cannot be read: {reason}"))
        })?;
        Ok(Self { name, parameters })
    }
}

/// What has been folded.
struct Done {
    version: Arc<Version>,
    elapsed: Duration,
    checkpoint: Checkpoint,
}

impl Done {
    async fn answer(self, question: Question, output: &mut Output) -> Result<()> {
        let queries = &self.version.plugin().description().queries;
        let Some(query) = queries.iter().find(|query| query.name == question.name) else {
            let names: Vec<_> = queries.iter().map(|query| query.name.as_str()).collect();
            let message = format!("{} answers no query {}", self.version.name(), question.name);
            return Err(Failure::new(Exit::NotFound, message)
                .hint(format!("it has: {}", names.join(", ")))
                .into());
        };
        let arguments = arguments(&query.parameters, question.parameters);
        let view = self.version.state().view()?;
        let answer = query::call(&self.version, view, &question.name, arguments).await;
        let answer = answer.map_err(|error| Failure::new(Exit::Input, error.to_string()))?;
        let answer: Value =
            serde_json::from_slice(&answer.body).context("the plug-in's answer is no JSON")?;
        if output.is_json() {
            return self.tell_json("answer", answer, output);
        }
        output.shown(&answer)?;
        self.tell(output)
    }

    fn tables(self, args: &Args, output: &mut Output) -> Result<()> {
        let limit = args.limit.unwrap_or(if output.is_json() { usize::MAX } else { DEFAULT_LIMIT });
        let names = match &args.table {
            Some(table) => vec![table.as_str()],
            None => table_names(self.version.plugin()),
        };
        let mut documents = Map::new();
        for name in &names {
            let (rows, keys) = self.rows(name, args, limit)?;
            if output.is_json() {
                documents.insert((*name).to_owned(), json!({"keys": keys, "rows": rows}));
                continue;
            }
            if names.len() > 1 {
                output.line(format!("{name}: {}", text::count(keys, "key")))?;
            }
            let pairs: Vec<_> = rows.iter().map(|row| (&row.key, &row.value)).collect();
            output.table(&json_table::rows(&pairs))?;
            let more = keys - rows.len() as u64;
            if more > 0 {
                output.line(format!("… and {} more; --limit shows them", text::number(more)))?;
            }
            output.line("")?;
        }
        match output.is_json() {
            true => self.tell_json("tables", documents.into(), output),
            false => self.tell(output),
        }
    }

    /// The first rows of a table, and how many there are in all.
    fn rows(&self, table: &str, args: &Args, limit: usize) -> Result<(Vec<Row>, u64)> {
        let view = self.version.state().view()?;
        let description = self.version.plugin().description();
        let number = description.tables.iter().position(|known| known.name == table).unwrap_or_default();
        let keys = view.len(number as u32)?;
        let mut rows = Vec::new();
        let mut cursor = None;
        while rows.len() < limit {
            let read = TableRead {
                index: args.index.clone(),
                reverse: args.reverse,
                limit: (limit - rows.len()).min(MAX_LIMIT),
                cursor: cursor.take(),
                ..TableRead::default()
            };
            let page = query::read_table(&view, description, table, &read)
                .map_err(|error| Failure::new(Exit::NotFound, error.to_string()))?;
            rows.extend(page.rows);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        Ok((rows, keys))
    }

    fn tell(&self, output: &mut Output) -> Result<()> {
        let dead = self.version.state().dead_letter_count()?;
        if dead > 0 {
            output.line(format!("{} could not be folded", text::count(dead, "event")))?;
        }
        output.line(format!(
            "{} of {} folded in {} ({} events/s), digest {}",
            text::number(self.checkpoint.events),
            text::count(self.checkpoint.position, "event"),
            text::duration(self.elapsed),
            text::rate(self.checkpoint.position, self.elapsed),
            self.checkpoint.digest,
        ))?;
        Ok(())
    }

    fn tell_json(&self, name: &str, what: Value, output: &mut Output) -> Result<()> {
        let mut document = json!({
            "position": self.checkpoint.position,
            "events": self.checkpoint.events,
            "dead-letters": self.version.state().dead_letter_count()?,
            "digest": self.checkpoint.digest.to_string(),
            "version": self.version.digest(),
            "seconds": self.elapsed.as_secs_f64(),
        });
        document[name] = what;
        Ok(output.json(&document)?)
    }
}

/// Parameters of the command line as the query's schema types them. What does
/// not fit stays text, so that the plug-in says what is wrong with it.
fn arguments(schema: &Value, parameters: Vec<(String, String)>) -> Map<String, Value> {
    let typed = |name: &str, text: String| {
        let types = &schema["properties"][name]["type"];
        let is_text =
            types == "string" || types.as_array().is_some_and(|types| types.contains(&"string".into()));
        match is_text {
            true => Value::String(text),
            false => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        }
    };
    parameters.into_iter().map(|(name, text)| (name.clone(), typed(&name, text))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_typed_by_the_schema() {
        let schema = json!({"properties": {
            "limit": {"type": "integer"},
            "name": {"type": "string"},
            "maybe": {"type": ["string", "null"]},
        }});
        let given = [("limit", "5"), ("name", "5"), ("maybe", "true"), ("other", "x y"), ("list", "[1]")];
        let given = given.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        assert_eq!(
            Value::Object(arguments(&schema, given)),
            json!({"limit": 5, "name": "5", "maybe": "true", "other": "x y", "list": [1]})
        );
    }

    #[test]
    fn a_query_and_its_parameters() {
        let words = ["hottest", "limit=5"].map(str::to_owned);
        let question = Question::read(&words).unwrap();
        assert_eq!((question.name.as_str(), question.parameters.len()), ("hottest", 1));
        assert!(Question::read(&["hottest", "limit"].map(str::to_owned)).is_err());
    }
}

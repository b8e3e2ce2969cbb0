//! How fast a component folds history, beside the same fold in native Rust.

use std::{path::Path, sync::Arc};

use anyhow::{Context, Result, ensure};
use projectionist::{
    event::{Position, cloudevents},
    log::{Append, EventLog, LogSettings, embedded::EmbeddedLog},
    plugin::{Host, HostSettings, Plugin, Settings},
    projection::{self, Version},
    state::{Checkpoint, VersionState},
};
use projectionist_tests::{components, history::History};
use tokio::runtime::Runtime;

use crate::{Figure, Input, native};

/// The history is laid end to end so often, so that a fold takes seconds.
const COPIES: usize = 10;
const BATCH: usize = 5_000;

pub(crate) fn run(input: &Input) -> Result<Vec<Figure>> {
    let runtime = Runtime::new()?;
    let folder = tempfile::tempdir()?;
    let log = filled_log(&runtime, folder.path(), &input.events)?;
    let host = Host::new(HostSettings::default())?;
    let component = std::fs::read(components::path("churn"))?;
    let plugin = runtime.block_on(host.load("churn", &component, &Settings::default()))?;
    let (mut native_rates, mut component_rates) = (Vec::new(), Vec::new());
    for run in 0..input.runs {
        let (native, component) =
            (folder.path().join(format!("native-{run}")), folder.path().join(format!("component-{run}")));
        let native = measured(&plugin, &native, |version| native::fold(&*log, version.state()))?;
        let component = measured(&plugin, &component, |version| {
            Ok(runtime.block_on(projection::fold(Arc::clone(version), Arc::clone(&log)))?)
        })?;
        ensure!(native.checkpoint == component.checkpoint, "the native fold and the component disagree");
        native_rates.push(native.log_events / native.seconds);
        component_rates.push(component.log_events / component.seconds);
    }
    let native = Figure::new("git history, 10 copies: native fold", "events/s", native_rates);
    let component = Figure::new("git history, 10 copies: churn.wasm", "events/s", component_rates);
    let ratio = Figure::ratio("share of the native limit", &component, &native);
    Ok(vec![native, component, ratio])
}

struct Measured {
    checkpoint: Checkpoint,
    /// All that were read, also those that the fold did not want.
    log_events: f64,
    seconds: f64,
}

/// Times a fold into an empty store on disk, its last durable commit included.
fn measured(
    plugin: &Arc<Plugin>,
    path: &Path,
    fold: impl FnOnce(&Arc<Version>) -> Result<()>,
) -> Result<Measured> {
    let state = Arc::new(VersionState::open(path, plugin.tables(), 64 << 20)?);
    let version = Arc::new(Version::new(plugin.name(), "", Arc::clone(plugin), state));
    let begun = native::now();
    fold(&version)?;
    let seconds = begun.elapsed().as_secs_f64();
    let checkpoint = version.state().checkpoint();
    Ok(Measured { checkpoint, log_events: checkpoint.position as f64, seconds })
}

/// A log with copies of the history end to end, their ids made distinct.
fn filled_log(runtime: &Runtime, folder: &Path, events: &Path) -> Result<Arc<dyn EventLog>> {
    let log: Arc<dyn EventLog> = Arc::new(EmbeddedLog::open(folder, LogSettings::default())?);
    let history = History { file: events.to_owned(), real: true };
    let lines: Vec<String> = history.lines().collect();
    for copy in 0..COPIES {
        for batch in lines.chunks(BATCH) {
            let mut events = Vec::with_capacity(batch.len());
            for line in batch {
                let mut event =
                    cloudevents::from_slice(line.as_bytes()).context("the history holds no event")?;
                event.id = format!("{copy}-{}", event.id);
                events.push(event);
            }
            runtime.block_on(log.append(Append { events, ..Append::default() }))?;
        }
    }
    ensure!(log.head() == (lines.len() * COPIES) as Position, "the log did not take all events");
    Ok(log)
}

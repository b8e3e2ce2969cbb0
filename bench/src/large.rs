//! More state than fits into the memory that it is given: ten million accounts
//! through a small cache in the guest and a small one in the store.
//!
//! Each fold has a process of its own, this program again with [`CHILD`] as its
//! argument, so that the memory that is watched is that of a fold and no more.

use std::{
    io::Read as _,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use projectionist::{
    event::Position,
    log::{EventLog, LogSettings, embedded::EmbeddedLog},
    projection::{self, Code},
    state::Checkpoint,
};
use projectionist_tests::program;
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use crate::{
    Figure, Input,
    native::{self, accounts::Accounts},
    replay::{self, Cores, Store},
    sized,
    workload::{self, accounts::Spread},
};

/// The argument that makes this program the one that folds; who folds and a
/// folder follow.
pub(crate) const CHILD: &str = "--fold-large";
/// Who folds.
const NATIVE: &str = "native";
const COMPONENT: &str = "component";

const ACCOUNTS: u64 = sized(10_000_000) as u64;
/// What the store may keep in memory.
const STORE_CACHE: usize = 256 << 20;
/// The plug-in's settings file. Each event wants a row that is hardly ever at
/// hand, so a cache that stays in the processor's serves best; what has changed
/// gathers in the host, until a commit that takes along much of it.
const SETTINGS: &str = r#"
[limits]
memory = "64 MiB"
cache = "4 MiB"
[policies]
flush-bytes = "1 MiB"
commit-bytes = "320 MiB"
commit-interval = "2m"
"#;
/// How often the fold's memory is looked at.
const SAMPLED: Duration = Duration::from_millis(50);

/// What the process that folds tells at its end.
#[derive(Serialize, Deserialize)]
struct Folded {
    position: Position,
    digest: String,
    seconds: f64,
}

pub(crate) fn run(input: &Input) -> Result<Vec<Figure>> {
    let (mut figures, memory) = folds(input, "10,000,000 accounts", sized(4_000_000), Spread::Uniform)?;
    figures[1] = figures[1].clone().at_least(2.5e5);
    figures.extend(memory);
    let (zipf, _) = folds(input, "10,000,000 accounts, Zipf", sized(1_000_000), Spread::Zipf)?;
    figures.extend(zipf);
    Ok(figures)
}

/// Native rate, the component's rate and its share, in paired runs; and the
/// memory of the process in which the component folds.
fn folds(input: &Input, label: &str, events: usize, spread: Spread) -> Result<(Vec<Figure>, [Figure; 2])> {
    let folder = tempfile::tempdir()?;
    let all = workload::accounts::events(events, ACCOUNTS, spread)?;
    drop(workload::fill(&Runtime::new()?, &folder.path().join("log"), all)?);
    let (mut native_rates, mut rates, mut peaks, mut growth) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..input.runs {
        let (native, _) = watched(NATIVE, folder.path())?;
        let (component, memory) = watched(COMPONENT, folder.path())?;
        for fold in [&native, &component] {
            ensure!(fold.position == events as Position, "{label}: a fold ended at {}", fold.position);
            ensure!(fold.digest == native.digest, "{label}: the component's state is not the native fold's");
        }
        native_rates.push(events as f64 / native.seconds);
        rates.push(events as f64 / component.seconds);
        // By the middle all caches are full, and it has committed what had gathered.
        let later = memory.split_at(memory.len() / 2).1;
        let (third, last) = later.split_at(later.len().div_ceil(2));
        let peak = |samples: &[u64]| samples.iter().max().copied().unwrap_or(0) as f64;
        peaks.push(peak(&memory) / f64::from(1 << 20));
        growth.push(peak(last) / peak(third));
    }
    let native = Figure::new(format!("{label}: native fold, memory without limit"), "events/s", native_rates);
    let component = Figure::new(format!("{label}: component"), "events/s", rates);
    let share = Figure::ratio(format!("{label}: share of the native limit"), &component, &native);
    let peak = Figure::new(format!("{label}: resident memory, peak"), "MiB", peaks).at_most(1024.0);
    let growth = Figure::new(format!("{label}: peak of the last quarter over the third's"), "", growth);
    Ok((vec![native, component, share], [peak, growth]))
}

/// Lets another process fold; how much memory that held all the while.
fn watched(who: &str, folder: &Path) -> Result<(Folded, Vec<u64>)> {
    let mut child = Command::new(std::env::current_exe()?)
        .args([CHILD, who])
        .arg(folder)
        .stdout(Stdio::piped())
        .spawn()?;
    let mut memory = Vec::new();
    let status = loop {
        memory.extend(program::memory(child.id()));
        if let Some(status) = child.try_wait()? {
            break status;
        }
        thread::sleep(SAMPLED);
    };
    ensure!(status.success(), "the process that folds failed: {status}");
    ensure!(!memory.is_empty(), "this system does not tell how much memory a process holds");
    let mut output = String::new();
    child.stdout.take().context("its output is piped")?.read_to_string(&mut output)?;
    Ok((serde_json::from_str(&output)?, memory))
}

/// What the other process does: folds the folder's log, tells how long it took,
/// and leaves no state behind.
pub(crate) fn fold(who: &str, folder: &Path) -> Result<()> {
    let log: Arc<dyn EventLog> = Arc::new(EmbeddedLog::open(folder.join("log"), LogSettings::default())?);
    let plugin = replay::load("accounts", SETTINGS)?;
    let store = Store { folder: &folder.join("state"), partitions: 1, cache: STORE_CACHE };
    let measured =
        replay::measured(&Code::new("0", Arc::clone(&plugin)), &store, Cores::One, |version, runtime| {
            match who {
                NATIVE => {
                    let (partition, policies) =
                        (&version.state().partitions()[0], &plugin.settings().policies);
                    native::fold::<Accounts>(&*log, partition, policies)
                }
                _ => Ok(runtime.block_on(projection::fold(Arc::clone(version), Arc::clone(&log)))?),
            }
        })?;
    let Checkpoint { position, digest, .. } = measured.checkpoint;
    let folded = Folded { position, digest: digest.to_string(), seconds: measured.seconds };
    println!("{}", serde_json::to_string(&folded)?);
    Ok(())
}

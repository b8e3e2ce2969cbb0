//! Replays: how fast a component folds a log, beside the same fold in native
//! Rust over the same log with the same commits, in the same run.

use std::{path::Path, sync::Arc};

use anyhow::{Result, anyhow, ensure};
use projectionist::{
    log::EventLog,
    plugin::{Host, HostSettings, Plugin, Policies, Settings},
    projection::{self, Code, Upcaster, Upcasters, Version},
    state::{Checkpoint, StateFolder, VersionState},
};
use projectionist_tests::components;
use tokio::runtime::Runtime;

use crate::{
    Figure, Input,
    native::{self, Fold},
    single_thread,
    workload::{self, accounts::Spread},
};

/// Deposits, from many for few accounts to few for many.
pub(crate) fn accounts(input: &Input) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (label, events, accounts, spread) in [
        ("100,000 accounts", 2_000_000, 100_000, Spread::Uniform),
        ("100,000 accounts, Zipf", 2_000_000, 100_000, Spread::Zipf),
        ("1,000,000 accounts", 3_000_000, 1_000_000, Spread::Uniform),
        ("1,000,000 accounts, Zipf", 3_000_000, 1_000_000, Spread::Zipf),
    ] {
        let replay = Replay::over("accounts", workload::accounts::events(events, accounts, spread)?)?;
        let [native, component, share] =
            replay.figures::<native::accounts::Accounts>(label, input, Cores::One)?;
        figures.extend(match (accounts, spread) {
            (100_000, Spread::Uniform) => [native, component.at_least(1.5e6), share.at_least(0.80)],
            (1_000_000, Spread::Uniform) => [native, component.at_least(6e5), share.at_least(0.75)],
            _ => [native, component, share],
        });
    }
    Ok(figures)
}

/// Ten copies of the history of a real repository, on one core and on all.
pub(crate) fn git_history(input: &Input) -> Result<Vec<Figure>> {
    let replay = Replay::over("churn", workload::git_history::events(&input.events))?;
    let mut figures = Vec::new();
    for (label, cores) in [("git history", Cores::All), ("git history, one core", Cores::One)] {
        let [native, component, share] = replay.figures::<native::churn::FileChurn>(label, input, cores)?;
        figures.extend(match cores {
            Cores::All => [native, component.at_least(1e6), share],
            Cores::One => [native, component, share],
        });
    }
    Ok(figures)
}

/// The queries of Nexmark over its auctions, bids and people.
pub(crate) fn nexmark(input: &Input) -> Result<Vec<Figure>> {
    use native::nexmark::*;
    let mut replay = Replay::over("nexmark-q1", workload::nexmark::events(300_000).map(Ok))?;
    let (mut figures, mut shares) = (Vec::new(), Vec::new());
    type Figures = fn(&Replay, &str, &Input, Cores) -> Result<[Figure; 3]>;
    let queries: [(u8, Figures); 10] = [
        (1, Replay::figures::<Q1>),
        (3, Replay::figures::<Q3>),
        (4, Replay::figures::<Q4>),
        (5, Replay::figures::<Q5>),
        (7, Replay::figures::<Q7>),
        (8, Replay::figures::<Q8>),
        (9, Replay::figures::<Q9>),
        (18, Replay::figures::<Q18>),
        (20, Replay::figures::<Q20>),
        (22, Replay::figures::<Q22>),
    ];
    for (number, measure) in queries {
        replay.load(&format!("nexmark-q{number}"))?;
        let [native, component, share] = measure(&replay, &format!("query {number}"), input, Cores::One)?;
        shares.push(share.clone());
        figures.extend([native, component, share]);
    }
    figures.push(Figure::geometric_mean("all queries: share of the native limit", &shares).at_least(0.70));
    Ok(figures)
}

/// A plug-in that wants one event in a thousand.
pub(crate) fn sparse(input: &Input) -> Result<Vec<Figure>> {
    let replay = Replay::over("accounts", workload::accounts::sparse(3_000_000, 1000))?;
    let [native, component, share] =
        replay.figures::<native::accounts::Accounts>("one event in 1,000", input, Cores::One)?;
    Ok(vec![native, component.at_least(2e7), share])
}

/// The same fold in one partition on one core, and in one for each core.
pub(crate) fn partitions(input: &Input) -> Result<Vec<Figure>> {
    let cores = std::thread::available_parallelism()?.get();
    let replay = Replay::over("accounts", workload::accounts::events(3_000_000, 100_000, Spread::Uniform)?)?;
    let (mut alone, mut side_by_side) = (Vec::new(), Vec::new());
    for _ in 0..input.runs {
        let one = replay.component(Cores::One, 1)?;
        let all = replay.component(Cores::All, cores)?;
        ensure!(one.checkpoint == all.checkpoint, "{:?} is not {:?}", all.checkpoint, one.checkpoint);
        alone.push(one.rate());
        side_by_side.push(all.rate());
    }
    let alone = Figure::new("one partition on one core", "events/s", alone);
    let side_by_side = Figure::new(format!("{cores} partitions on {cores} cores"), "events/s", side_by_side);
    let ratio = Figure::ratio(format!("{cores} partitions over one"), &side_by_side, &alone);
    let ratio = if cores == 2 { ratio.at_least(1.8) } else { ratio };
    Ok(vec![alone, side_by_side, ratio])
}

/// What a store may keep in memory; the engine's default.
const STORE_CACHE: usize = 64 << 20;

/// Where a fold may run.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Cores {
    /// It and all that it starts share one.
    One,
    All,
}

/// A log and a component that folds it.
pub(crate) struct Replay {
    log: Arc<dyn EventLog>,
    code: Code,
    folder: tempfile::TempDir,
}

impl Replay {
    pub(crate) fn over(
        component: &str,
        events: impl IntoIterator<Item = Result<projectionist::event::Envelope>>,
    ) -> Result<Self> {
        let runtime = Runtime::new()?;
        let folder = tempfile::tempdir()?;
        let log = workload::fill(&runtime, &folder.path().join("log"), events)?;
        Ok(Self { log, code: code(component)?, folder })
    }

    /// What it folds.
    pub(crate) fn log(&self) -> &Arc<dyn EventLog> {
        &self.log
    }

    /// Folds with another component from now on.
    fn load(&mut self, component: &str) -> Result<()> {
        self.code = code(component)?;
        Ok(())
    }

    /// Folds what an upcaster makes of the events from now on.
    pub(crate) fn upcast_by(&mut self, component: &str) -> Result<()> {
        let upcaster = Upcaster { plugin: load(component, "")?, digest: component.to_owned() };
        self.code = self.code.clone().upcast_by(Arc::new(Upcasters::default().with(upcaster)?));
        Ok(())
    }

    /// Native rate, the component's rate and its share, in paired runs.
    pub(crate) fn figures<F: Fold>(&self, label: &str, input: &Input, cores: Cores) -> Result<[Figure; 3]> {
        let (mut native_rates, mut component_rates) = (Vec::new(), Vec::new());
        for _ in 0..input.runs {
            let native = self.measured(cores, 1, |version, _| {
                native::fold::<F>(&*self.log, &version.state().partitions()[0], &Policies::default())
            })?;
            let component = self.component(cores, 1)?;
            ensure!(
                native.checkpoint == component.checkpoint,
                "{label}: the native fold ends at {:?}, the component at {:?}",
                native.checkpoint,
                component.checkpoint
            );
            native_rates.push(native.rate());
            component_rates.push(component.rate());
        }
        let native = Figure::new(format!("{label}: native fold"), "events/s", native_rates);
        let component = Figure::new(format!("{label}: component"), "events/s", component_rates);
        let share = Figure::ratio(format!("{label}: share of the native limit"), &component, &native);
        Ok([native, component, share])
    }

    /// Times the component's fold of its log.
    pub(crate) fn component(&self, cores: Cores, partitions: usize) -> Result<Measured> {
        self.measured(cores, partitions, |version, runtime| {
            let fold = projection::fold(Arc::clone(version), Arc::clone(&self.log));
            Ok(runtime.block_on(fold)?)
        })
    }

    /// Times a fold of its log, or part of it.
    pub(crate) fn measured(
        &self,
        cores: Cores,
        partitions: usize,
        fold: impl FnOnce(&Arc<Version>, &Runtime) -> Result<()> + Send,
    ) -> Result<Measured> {
        let store = Store { folder: &self.folder.path().join("state"), partitions, cache: STORE_CACHE };
        measured(&self.code, &store, cores, fold)
    }
}

/// Where a fold that is timed keeps its state.
pub(crate) struct Store<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) partitions: usize,
    /// What it may keep in memory, in bytes.
    pub(crate) cache: usize,
}

/// Times a fold into an empty store on disk, its last durable commit included.
/// Leaves no store behind.
pub(crate) fn measured(
    code: &Code,
    store: &Store<'_>,
    cores: Cores,
    fold: impl FnOnce(&Arc<Version>, &Runtime) -> Result<()> + Send,
) -> Result<Measured> {
    let measured = on(cores, || {
        let runtime = if store.partitions == 1 { single_thread()? } else { Runtime::new()? };
        let states = StateFolder::new(store.folder);
        let plugin = code.plugin();
        let state = states.open(plugin.name(), "0", plugin.tables(), store.partitions, store.cache)?;
        let version = Arc::new(Version::new(code.clone(), Arc::new(state)));
        let begun = native::now();
        fold(&version, &runtime)?;
        let seconds = begun.elapsed().as_secs_f64();
        // A native fold commits to the partition and tells the version nothing.
        let folded = VersionState::new(version.state().partitions())?;
        Ok(Measured { checkpoint: folded.view()?.checkpoint(), seconds })
    })?;
    std::fs::remove_dir_all(store.folder)?;
    Ok(measured)
}

fn code(component: &str) -> Result<Code> {
    Ok(Code::new("0", load(component, "")?))
}

/// A component with the settings of its settings file.
pub(crate) fn load(component: &str, settings: &str) -> Result<Arc<Plugin>> {
    let host = Host::new(HostSettings::default())?;
    let (bytes, settings) = (components::bytes(component), Settings::parse(settings)?);
    Ok(Runtime::new()?.block_on(host.load(component, &bytes, &settings))?)
}

/// A fold that has been timed.
pub(crate) struct Measured {
    pub(crate) checkpoint: Checkpoint,
    pub(crate) seconds: f64,
}

impl Measured {
    /// Of all events that were read, also those that the fold did not want.
    pub(crate) fn rate(&self) -> f64 {
        self.checkpoint.position as f64 / self.seconds
    }
}

/// Runs something on a thread of its own; what that starts stays on the same cores.
fn on<T: Send>(cores: Cores, run: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            if cores == Cores::One {
                // The last one: interrupts mostly go to the first.
                let last = core_affinity::get_core_ids().and_then(|cores| cores.last().copied());
                anyhow::ensure!(last.is_some_and(core_affinity::set_for_current), "cannot stay on one core");
            }
            run()
        });
        thread.join().map_err(|_| anyhow!("a benchmark panicked"))?
    })
}

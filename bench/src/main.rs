//! Benchmarks of Projectionist against the native limit.
//!
//! - `replay.rs`: how fast components fold logs, beside the same folds in native
//!   Rust (`native/`) over the same logs (`workload/`).
//! - `import.rs`: how fast the program takes events in, durably.
//! - `append.rs`: the same over HTTP, one event a request.
//! - `visible.rs`, `read.rs`: how soon events are seen; reads of tables.
//! - `reactions.rs`: how many events reactions answer.
//! - `compare.rs`: how fast two states are compared.
//! - `upcast.rs`: what it costs to give events another shape first.
//! - `start.rs`, `idle.rs`: what versions take to start, and to do nothing.
//! - `large.rs`, `long.rs`: whether it stays fast with much state and many events.
//! - `http.rs`, `latency.rs`: the client that these use, and how long things take.
//! - `figures.rs`: what was measured. `report/`: the page that shows it.
//!
//! Machines are noisy: what is compared runs in turn, several times, and ratios
//! are taken pair by pair. `benches/` holds microbenchmarks for `cargo bench`.

mod append;
mod compare;
mod figures;
mod http;
mod idle;
mod import;
mod large;
mod latency;
mod long;
mod native;
mod reactions;
mod read;
mod replay;
mod report;
mod start;
mod upcast;
mod visible;
mod workload;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use figures::Figure;
use projectionist_tests::history;
use tokio::runtime::{self, Runtime};

/// As the program has it, so that both sides of a comparison do.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many runs a figure is the median of, unless told otherwise.
const RUNS: usize = 5;

/// What the benchmarks run over.
struct Input {
    /// The git history as NDJSON, plain or gzip.
    events: PathBuf,
    runs: usize,
}

/// One benchmark: its name, what it measures, and how.
struct Benchmark {
    name: &'static str,
    about: &'static str,
    run: fn(&Input) -> Result<Vec<Figure>>,
}

const BENCHMARKS: [Benchmark; 16] = [
    Benchmark {
        name: "accounts",
        about: "Deposits with small JSON payloads are summed by account; state and checkpoint are durable. One core.",
        run: replay::accounts,
    },
    Benchmark {
        name: "git-history",
        about: "The history of a real repository, ten times over (1.5 million events), folded into the number \
                of changes of each file and an index by that number.",
        run: replay::git_history,
    },
    Benchmark {
        name: "nexmark",
        about: "The Nexmark queries over 300,000 generated people, auctions and bids. One core.",
        run: replay::nexmark,
    },
    Benchmark {
        name: "sparse",
        about: "A plug-in subscribes to a type that one event in a thousand has; all events of the log count. \
                One core.",
        run: replay::sparse,
    },
    Benchmark {
        name: "partitions",
        about: "`accounts` with 3,000,000 deposits into 100,000 accounts, folded in one partition on one core, and in \
                as many partitions as there are cores.",
        run: replay::partitions,
    },
    Benchmark {
        name: "import",
        about: "The whole program appends the history from a file; each batch is durable before the next.",
        run: import::run,
    },
    Benchmark {
        name: "append",
        about: "Appends over HTTP to the whole program, one event a request, each answered when it is durable. The \
                clients run on the same machine. No plug-in is deployed.",
        run: append::run,
    },
    Benchmark {
        name: "visible",
        about: "5,000 events a second are appended over HTTP, one a request, with `accounts` live; some are followed \
                from the append's answer to the answer of a read that waits for them, requests included.",
        run: visible::run,
    },
    Benchmark {
        name: "read",
        about: "Rows of `accounts` are read over HTTP, by 32 connections at once, beside a bare axum route with the \
                same bytes and headers. Then one read a millisecond, alone and while a changed component replays \
                5,000,000 events. The clients run on the same machine.",
        run: read::run,
    },
    Benchmark {
        name: "compare",
        about: "Two states of 1,000,000 rows each are walked side by side, as `projectionist compare` does. One core.",
        run: compare::run,
    },
    Benchmark {
        name: "upcast",
        about: "1,000,000 deposits into 100,000 accounts, folded by `accounts`: given as they are recorded today, and as \
                they were at first, which `paid-in` upcasts before. Likewise the commits of the history, forty times over, \
                folded by `people` and split by `split-author`: there the upcaster reads and writes some 250 bytes of JSON \
                for each event, of which the projection reads two fields. One core.",
        run: upcast::run,
    },
    Benchmark {
        name: "start",
        about: "The component of `accounts` is loaded, from the compile cache or compiled, until an instance is ready.",
        run: start::run,
    },
    Benchmark {
        name: "idle",
        about: "Copies of a small plug-in under many names are live in one program. Then one event is appended, which \
                all of them want.",
        run: idle::run,
    },
    Benchmark {
        name: "reactions",
        about: "`welcome` answers 100,000 events with an event each; `activation-mail` makes a call for each of 5,000, \
                to a server in the same process, and appends an event. Beside them loops in native Rust that promise \
                the same. All cores.",
        run: reactions::run,
    },
    Benchmark {
        name: "large",
        about: "4,000,000 deposits into 10,000,000 accounts, and 1,000,000 whose accounts follow Zipf's law: the \
                guest's memory is held to 64 MiB, the store's cache to 256 MiB, what gathers for a commit to 320 MiB. One \
                core, in a process of its own.",
        run: large::run,
    },
    Benchmark {
        name: "long",
        about: "30,000,000 deposits into 100,000 accounts, beside the first 3,000,000 of the same log. One core.",
        run: long::run,
    },
];

/// How much of something a benchmark takes. A dev build takes a hundredth: it is
/// there to see whether a benchmark works, not to measure.
const fn sized(count: usize) -> usize {
    if cfg!(debug_assertions) { count.div_ceil(100) } else { count }
}

/// A runtime of one thread: for clients, since the server needs the other cores,
/// and for folds on one core.
fn single_thread() -> Result<Runtime> {
    Ok(runtime::Builder::new_current_thread().enable_all().build()?)
}

fn main() -> Result<()> {
    let mut names = Vec::new();
    let (mut events, mut runs, mut page, mut draw) = (None, RUNS, None, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            large::CHILD => {
                let (who, folder) = (arguments.next().unwrap_or_default(), arguments.next());
                return large::fold(&who, Path::new(&folder.unwrap_or_default()));
            }
            "--events" => events = arguments.next().map(PathBuf::from),
            "--draw" => draw = true,
            "--page" => page = arguments.next().map(PathBuf::from),
            "--runs" => match arguments.next().and_then(|runs| runs.parse().ok()).filter(|runs| *runs > 0) {
                Some(number) => runs = number,
                None => bail!("--runs takes a number of at least 1"),
            },
            name if BENCHMARKS.iter().any(|known| known.name == name) => names.push(name.to_owned()),
            other => {
                let known = BENCHMARKS.map(|benchmark| benchmark.name);
                bail!("there is no benchmark {other:?}, only {}", known.join(", "));
            }
        }
    }
    if cfg!(debug_assertions) && page.is_some() {
        bail!("a dev build measures nothing worth a page; use `cargo xtask bench`");
    }
    let input = Input { events: events.unwrap_or_else(|| history::whole().file), runs };
    let mut sections = Vec::new();
    for Benchmark { name, about, run } in BENCHMARKS {
        let chosen = names.is_empty() || names.iter().any(|chosen| chosen == name);
        if chosen && !draw {
            println!("\n{name}, {runs} runs");
            let begun = native::now();
            let figures = run(&input)?;
            figures::print(&figures);
            println!("took {} s", begun.elapsed().as_secs());
            sections.push(report::Section::new(name, about, figures));
        }
    }
    match page {
        Some(folder) => report::write(&folder, sections),
        None => Ok(()),
    }
}

//! Benchmarks of Projectionist against the native limit.
//!
//! - `import.rs`: how fast the program takes events in, durably.
//! - `replay.rs`: how fast a component folds them, beside the same fold in
//!   native Rust over the same log with the same commits, in the same run
//!   (`native.rs`).
//! - `figures.rs`: medians, and the table that is printed.
//!
//! Machines are noisy: what is compared runs in turn, several times, and ratios
//! are taken pair by pair.

mod figures;
mod import;
mod native;
mod replay;

use std::path::PathBuf;

use anyhow::{Result, bail};
use figures::Figure;
use projectionist_tests::history;

/// How many runs a figure is the median of, unless told otherwise.
const RUNS: usize = 5;

/// What the benchmarks run over.
struct Input {
    /// NDJSON, plain or gzip.
    events: PathBuf,
    runs: usize,
}

type Benchmark = fn(&Input) -> Result<Vec<Figure>>;

const BENCHMARKS: [(&str, Benchmark); 2] = [("import", import::run), ("replay", replay::run)];

fn main() -> Result<()> {
    let mut names = Vec::new();
    let (mut events, mut runs) = (None, RUNS);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--events" => events = arguments.next().map(PathBuf::from),
            "--runs" => match arguments.next().and_then(|runs| runs.parse().ok()).filter(|runs| *runs > 0) {
                Some(number) => runs = number,
                None => bail!("--runs takes a number of at least 1"),
            },
            name if BENCHMARKS.iter().any(|(known, _)| *known == name) => names.push(name.to_owned()),
            other => {
                let known: Vec<_> = BENCHMARKS.iter().map(|(name, _)| *name).collect();
                bail!("there is no benchmark {other:?}, only {}", known.join(", "));
            }
        }
    }
    let input = Input { events: events.unwrap_or_else(|| history::whole().file), runs };
    let mut figures = Vec::new();
    for (name, benchmark) in BENCHMARKS {
        if names.is_empty() || names.iter().any(|chosen| chosen == name) {
            figures.extend(benchmark(&input)?);
        }
    }
    figures::print(&figures, runs);
    Ok(())
}

//! `cargo xtask bench`: the benchmarks, in a release build.

use std::process::Command;

use anyhow::Result;

use crate::{
    args::Args,
    components::{self, Which},
    step, workspace,
};

pub(crate) const HELP: &str = "\
Usage: cargo xtask bench [NAME…] [--events FILE] [--runs N] [--no-page]
       cargo xtask bench --draw

Measures each named benchmark, or all of them, prints the figures beside their
targets, and writes docs/benchmarks.md with its charts:

  accounts     small JSON payloads summed by key, for few keys and for many
  git-history  the history of a real repository
  nexmark      ten queries over auctions, bids and people
  sparse       a plug-in that wants one event in a thousand
  partitions   a fold in partitions on all cores, beside one on one core
  import       appending the history, in events a second
  append       appends over HTTP, one event a request
  visible      from an append's answer until a table shows the event
  read         rows over HTTP, also beside a replay
  compare      two states of a million rows each, side by side
  upcast       old events in their newest shape, beside new ones
  start        a version's code, from the compile cache or compiled
  idle         1,000 plug-ins with nothing to do
  reactions    events answered with events, and with calls over HTTP
  large        ten million accounts in little memory
  long         thirty million events, beside three million

The first four are folded through a component and, in the same run, by the same
fold in native Rust.

  --events FILE  the history as NDJSON, plain or gzip; otherwise the data set
                 beside the repository, otherwise a generated stand-in
  --runs N       paired runs, 5 unless told
  --no-page      only print
  --draw         measure nothing, only write the page and its charts anew: after
                 bench/peers/run, which measures other systems
";

pub(crate) fn run(mut args: Args) -> Result<()> {
    let events = args.path("--events")?;
    let runs = args.option::<usize>("--runs")?;
    let no_page = args.flag("--no-page");
    let draw = args.flag("--draw");
    let names = args.words()?;
    let components = components::build(Which::Shipped)?.folder;
    let [program, bench] = workspace::build_programs("release", ["projectionist", "projectionist-bench"])?;
    let mut bench = Command::new(bench);
    bench.args(names);
    if let Some(events) = events {
        bench.arg("--events").arg(events);
    }
    if let Some(runs) = runs {
        bench.args(["--runs", &runs.to_string()]);
    }
    if draw {
        bench.arg("--draw");
    }
    if !no_page {
        bench.arg("--page").arg(workspace::root().join("docs"));
    }
    bench.env("PROJECTIONIST_TEST_PROGRAM", program).env("PROJECTIONIST_TEST_COMPONENTS", components);
    step::run(&mut bench)
}

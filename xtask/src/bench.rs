//! `cargo xtask bench`: the benchmarks, in a release build.

use anyhow::Result;

use crate::{
    args::Args,
    components::{self, Which},
    step, workspace,
};

pub(crate) const HELP: &str = "\
Usage: cargo xtask bench [NAME…] [--events FILE] [--runs N]

Measures each named benchmark, or all of them:

  import   appending the history, in events a second
  replay   folding it through the file-churn component, against the same fold
           in native Rust in the same run

  --events FILE  events as NDJSON, plain or gzip; otherwise the data set beside
                 the repository, otherwise a generated stand-in
  --runs N       paired runs, 5 unless told
";

pub(crate) fn run(mut args: Args) -> Result<()> {
    let events = args.path("--events")?;
    let runs = args.option::<usize>("--runs")?;
    let names = args.words()?;
    let components = components::build(Which::Shipped)?.folder;
    let program = workspace::build_program("release")?;
    let mut bench = workspace::cargo("run");
    bench.args(["--quiet", "--release", "--package", "projectionist-bench", "--"]).args(names);
    if let Some(events) = events {
        bench.arg("--events").arg(events);
    }
    if let Some(runs) = runs {
        bench.args(["--runs", &runs.to_string()]);
    }
    bench.env("PROJECTIONIST_TEST_PROGRAM", program).env("PROJECTIONIST_TEST_COMPONENTS", components);
    step::run(&mut bench)
}

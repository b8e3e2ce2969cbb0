//! The project's chores, so that no other tool is needed: `cargo xtask …`.
//!
//! One file a chore, each with its `HELP` and its `run`:
//! - `demo/`: the history of a git repository, projected.
//! - `test.rs`: everything that is tested.
//! - `lint.rs`: format, clippy, cargo deny.
//! - `bench.rs`: the benchmarks.
//!
//! What they share: `args.rs` (the command line), `workspace.rs` (where things
//! are, and cargo), `components.rs` (building plug-ins), `http.rs` (questions
//! to a running server), `step.rs` (what runs, and how long it took).
//!
//! Few dependencies may stand here: the chores are to begin within seconds on a
//! machine that has compiled nothing yet.

mod args;
mod bench;
mod components;
mod demo;
mod http;
mod lint;
mod step;
mod test;
mod workspace;

use std::process::ExitCode;

use anyhow::{Result, bail};
use args::Args;

const HELP: &str = "\
Usage: cargo xtask <CHORE> [--help]

Chores:
  demo   project the history of a git repository, and serve it
  test   build and test everything
  lint   format, clippy with warnings as errors, cargo deny
  bench  measure against the native limit
";

fn main() -> ExitCode {
    match run(std::env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut arguments: Vec<String>) -> Result<()> {
    if arguments.is_empty() || ["-h", "--help", "help"].contains(&arguments[0].as_str()) {
        print!("{HELP}");
        return Ok(());
    }
    let chore = arguments.remove(0);
    let (help, run): (&str, fn(Args) -> Result<()>) = match chore.as_str() {
        "demo" => (demo::HELP, demo::run),
        "test" => (test::HELP, test::run),
        "lint" => (lint::HELP, lint::run),
        "bench" => (bench::HELP, bench::run),
        other => bail!("there is no chore \"{other}\"\n\n{HELP}"),
    };
    if arguments.iter().any(|argument| argument == "-h" || argument == "--help") {
        print!("{help}");
        return Ok(());
    }
    run(Args::new(arguments))
}

//! How fast the program takes events in, each batch durable before the next.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use projectionist_tests::program;
use serde::Deserialize;

use crate::{Figure, Input};

#[derive(Deserialize)]
struct Summary {
    read: u64,
    new: u64,
    seconds: f64,
}

pub(crate) fn run(input: &Input) -> Result<Vec<Figure>> {
    let (mut first, mut again) = (Vec::new(), Vec::new());
    for _ in 0..input.runs {
        let folder = tempfile::tempdir()?;
        for (rates, is_new) in [(&mut first, true), (&mut again, false)] {
            let mut import = Command::new(program::path());
            import.current_dir(&folder).args(["import", "--json", "--data", "data"]).arg(&input.events);
            let output = import.output().context("the program does not start")?;
            let errors = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "the import failed: {errors}");
            let summary: Summary = serde_json::from_slice(&output.stdout)?;
            ensure!(summary.new == if is_new { summary.read } else { 0 }, "it took in what it should not");
            rates.push(summary.read as f64 / summary.seconds);
        }
    }
    Ok(vec![
        Figure::new("import, durable", "events/s", first).at_least(3e5),
        Figure::new("the same again, all known", "events/s", again),
    ])
}

//! `cargo xtask test`: everything that is tested.

use std::path::Path;

use anyhow::{Result, bail};

use crate::{
    args::Args,
    components::{self, Which},
    step::{self, Steps},
    workspace,
};

pub(crate) const HELP: &str = "\
Usage: cargo xtask test [FILTER…] [--no-doc]

Builds the plug-ins as components and the program, then runs all tests of the
workspace: with cargo-nextest where it is installed, else with cargo test.

  FILTER    only tests whose name contains one of these
  --no-doc  without the examples in the documentation
";

pub(crate) fn run(mut args: Args) -> Result<()> {
    let without_doc = args.flag("--no-doc");
    let filters = args.words()?;
    let mut steps = Steps::default();
    let components = steps.run("build the plug-ins", || components::build(Which::All))?.folder;
    let program = steps.run("build the program", || workspace::build_program("dev"))?;
    if !without_doc && filters.is_empty() {
        steps.attempt("examples in the documentation", || {
            let mut doc = workspace::cargo("test");
            step::run(doc.args(["--workspace", "--doc", "--quiet"]))
        });
    }
    steps.attempt("tests", || tests(&filters, &program, &components));
    steps.finish()
}

fn tests(filters: &[String], program: &Path, components: &Path) -> Result<()> {
    let environment = [
        ("PROJECTIONIST_TEST_PROGRAM", program),
        ("PROJECTIONIST_TEST_COMPONENTS", components),
        ("PROJECTIONIST_TEST_GUESTS", components),
    ];
    if workspace::has("nextest") {
        let mut nextest = workspace::cargo("nextest");
        nextest.args(["run", "--workspace", "--no-fail-fast"]).args(filters).envs(environment);
        return step::run(&mut nextest);
    }
    let mut test = workspace::cargo("test");
    test.args(["--workspace", "--lib", "--bins", "--tests", "--no-fail-fast"]).envs(environment);
    match filters {
        [] => {}
        [filter] => drop(test.arg(filter)),
        _ => bail!("without cargo-nextest, give one FILTER at most"),
    }
    step::run(&mut test)
}

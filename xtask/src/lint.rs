//! `cargo xtask lint`: what a reviewer should not have to say.

use std::{path::PathBuf, process::Command};

use anyhow::{Result, bail};

use crate::{
    args::Args,
    step::{self, Steps},
    workspace,
};

pub(crate) const HELP: &str = "\
Usage: cargo xtask lint [--install] [--advisories]

Checks the format, runs clippy with warnings as errors, and cargo deny for
licences, bans and sources.

  --install     install cargo-deny into target/tools if it is missing
  --advisories  ask the advisory database too, which has to be fetched
";

pub(crate) fn run(mut args: Args) -> Result<()> {
    let install = args.flag("--install");
    let advisories = args.flag("--advisories");
    args.finish()?;
    let mut steps = Steps::default();
    steps.attempt("format", || step::run(workspace::cargo("fmt").args(["--all", "--check"])));
    steps.attempt("clippy", || {
        let mut clippy = workspace::cargo("clippy");
        step::run(clippy.args(["--workspace", "--all-targets", "--", "--deny", "warnings"]))
    });
    steps.attempt("cargo deny", || {
        let mut deny = deny(install)?;
        deny.args(["check", "bans", "licenses", "sources"]);
        if advisories {
            deny.arg("advisories");
        }
        step::run(&mut deny)
    });
    steps.finish()
}

/// The installed cargo-deny, else the one in `target/tools`.
fn deny(install: bool) -> Result<Command> {
    if workspace::has("deny") {
        return Ok(workspace::cargo("deny"));
    }
    let folder = workspace::target().join("tools");
    let program: PathBuf = folder.join("bin/cargo-deny");
    if !program.is_file() {
        if !install {
            bail!("cargo-deny is missing: `cargo install --locked cargo-deny`, or run this with --install");
        }
        let mut installing = workspace::cargo("install");
        installing.args(["--locked", "cargo-deny", "--root"]).arg(&folder);
        step::run(&mut installing)?;
    }
    let mut deny = Command::new(program);
    deny.arg("deny").current_dir(workspace::root());
    Ok(deny)
}

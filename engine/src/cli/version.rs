//! `version`: the program's version and the plug-in interface that it speaks.

use anyhow::Result;
use serde_json::json;

use super::Context;

/// The version of `wit/` that plug-ins must be built for.
const INTERFACE: &str = "projectionist:plugin@0.1.0";

/// The command line.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub async fn run(_: Args, context: &mut Context) -> Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    match context.output.is_json() {
        true => context.output.json(&json!({"version": version, "interface": INTERFACE}))?,
        false => context.output.line(format!("projectionist {version}, speaks {INTERFACE}"))?,
    }
    Ok(())
}

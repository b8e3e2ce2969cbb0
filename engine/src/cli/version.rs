//! `version`: the program's version and the plug-in interface that it speaks.

use anyhow::Result;
use serde_json::json;

use super::Context;
use crate::plugin::INTERFACE_VERSION;

/// The command line.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub async fn run(_: Args, context: &mut Context) -> Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    let interface = format!("projectionist:plugin@{INTERFACE_VERSION}");
    match context.output.is_json() {
        true => context.output.json(&json!({"version": version, "interface": interface}))?,
        false => context.output.line(format!("projectionist {version}, speaks {interface}"))?,
    }
    Ok(())
}

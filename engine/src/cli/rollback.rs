//! `rollback`: make a version live again that was live before.

use anyhow::Result;

use super::{Context, support::order};

/// Make a version live again that was live before
///
/// Prints first what readers would find changed, and asks. The version catches up first; readers are switched only then, in one step.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    order: order::Args,
}

/// Runs the command.
pub async fn run(args: Args, context: &mut Context) -> Result<()> {
    order::run(args.order, "roll-back", context).await
}

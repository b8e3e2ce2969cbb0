//! `promote`: let a candidate on trial take over.

use anyhow::Result;

use super::{Context, support::order};

/// Let a candidate on trial take over
///
/// Prints first what readers would find changed, and asks. One step for readers; a candidate that has not caught up takes over when it has.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    order: order::Args,
}

/// Runs the command.
pub async fn run(args: Args, context: &mut Context) -> Result<()> {
    order::run(args.order, "promote", context).await
}

//! `abort`: give up a candidate.

use anyhow::Result;

use super::{Context, support::order};

/// Give up a candidate
///
/// Its state is deleted, the live version stays. A version that was live before stands by again.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    order: order::Args,
}

/// Runs the command.
pub async fn run(args: Args, context: &mut Context) -> Result<()> {
    order::run(args.order, "abort", context).await
}

//! `verify`: whether a version's state is what its code makes of history.

use std::time::Duration;

use anyhow::Result;
use reqwest::Method;

use super::{
    Context,
    exit::{Exit, Failure, Verdict},
    support::{
        client::{Client, Place},
        progress::Progress,
        text, verification,
    },
};
use crate::{
    deploy::verify::{Underway, VerificationStatus},
    state::catalog::{self, Verification},
};

/// How often it is asked how far it is.
const ASK: Duration = Duration::from_millis(200);

/// Check that a projection's state is what its code makes of history, however that is folded
///
/// Folds history again from its beginning: in other blocks, with instances begun anew, in another number of partitions.
/// What comes of it must be the same each time, and the same as what stands. If not, the first event is looked for after
/// which it differs, and the rows are shown. Nothing of what runs is touched.
///
/// It goes on at the server if this command is broken off; `status NAME` shows what came of it.
///
/// Ends with 0 if all is the same and with 1 if not.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The projection
    name: String,
    /// The version to verify, by how its digest begins [default: the live one]
    #[arg(long, value_name = "DIGEST")]
    version: Option<String>,
    #[command(flatten)]
    place: Place,
}

/// Runs the command.
pub async fn run(args: Args, context: &mut Context) -> Result<()> {
    let client = args.place.required_server(&context.settings)?;
    let path = ["projections", &args.name, "verify"];
    let version = [("version", &args.version)];
    let underway: Underway = client.json(client.request(Method::POST, &path).query(&version)).await?;
    let verification = wait(&client, &path, underway).await?;
    match context.output.is_json() {
        true => context.output.json(&verification)?,
        false => verification::show(&args.name, &verification, &mut context.output)?,
    }
    match verification.verdict {
        catalog::Verdict::Verified => Ok(()),
        catalog::Verdict::Differs => Err(Verdict(Exit::Failed).into()),
        catalog::Verdict::Failed => {
            let reason = verification.reason.unwrap_or_default();
            Err(Failure::new(Exit::Unavailable, format!("it could not be verified: {reason}")).into())
        }
    }
}

/// Waits for what comes of it, and shows how far it is.
async fn wait(client: &Client, path: &[&str], begun: Underway) -> Result<Verification> {
    let version = [("version", &begun.version)];
    let progress = Progress::over_positions();
    loop {
        let status: VerificationStatus = client.json(client.get(path).query(&version)).await?;
        if let Some(last) = status.last.filter(|last| last.began == begun.began) {
            return Ok(last);
        }
        let Some(now) = status.underway.filter(|now| now.began == begun.began) else {
            let version = text::short(&begun.version);
            let message =
                format!("the verification of \"{}\", version {version}, was broken off", begun.name);
            return Err(Failure::new(Exit::Unavailable, message).hint("begin it again").into());
        };
        progress.at_position(now.folded, now.position, &now.step);
        tokio::time::sleep(ASK).await;
    }
}

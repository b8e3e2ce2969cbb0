//! `mirror`: a share of the reads, asked of a candidate as well.

use anyhow::Result;
use reqwest::Method;
use serde_json::json;

use super::{
    Context,
    exit::{Exit, Verdict},
    support::{
        client::Place,
        output::{Output, note},
        text,
    },
};
use crate::deploy::{MirrorDifference, MirrorStatus};

/// Ask a candidate a share of what readers ask, and show where it answers otherwise
///
/// With --share it begins: from then on the candidate is asked a share of all rows, pages and queries that readers
/// ask the live version, which neither delays nor changes what they get. Without, it shows what has come of it. It lasts
/// until the candidate is promoted or given up, until --stop, or until the server ends.
///
/// Ends with 0 if all answers so far were the same and with 1 if some were not.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The projection
    name: String,
    /// Mirror this share of the reads from now on: above 0, and 1 for all
    #[arg(long, value_name = "SHARE")]
    share: Option<f64>,
    /// The candidate, by how its digest begins [default: the newest]
    #[arg(long, value_name = "DIGEST", requires = "share")]
    candidate: Option<String>,
    /// Show so many of the last answers that differed
    #[arg(long, value_name = "NUMBER", default_value_t = 5)]
    samples: usize,
    /// Mirror no more, and forget what has come of it
    #[arg(long, conflicts_with = "share")]
    stop: bool,
    #[command(flatten)]
    place: Place,
}

/// Runs the command.
pub async fn run(args: Args, context: &mut Context) -> Result<()> {
    let client = args.place.required_server(&context.settings)?;
    let path = ["projections", &args.name, "mirror"];
    if args.stop {
        client.send(client.request(Method::DELETE, &path)).await?;
        note(format!("no reads of {} are mirrored any more", args.name));
        return Ok(());
    }
    let request = match args.share {
        Some(share) => {
            client.request(Method::PUT, &path).json(&json!({"share": share, "candidate": args.candidate}))
        }
        None => client.get(&path),
    };
    let status: MirrorStatus = client.json(request).await?;
    match context.output.is_json() {
        true => context.output.json(&status)?,
        false => show(&args, &status, &mut context.output)?,
    }
    match status.different + status.failed {
        0 => Ok(()),
        _ => Err(Verdict(Exit::Failed).into()),
    }
}

fn show(args: &Args, status: &MirrorStatus, output: &mut Output) -> std::io::Result<()> {
    let MirrorStatus { candidate, share, asked, same, different, failed, .. } = status;
    let percent = share * 100.0;
    output.line(format!(
        "{}: {percent} % of the reads go to {} as well",
        args.name,
        text::short(candidate)
    ))?;
    let [asked, same, different, failed] = [asked, same, different, failed].map(|count| text::number(*count));
    output.line(format!("{asked} compared: {same} same, {different} different, {failed} failed"))?;
    let left = [
        (status.not_comparable, "not compared, since the candidate was at another position"),
        (status.not_asked, "not asked, since too many waited"),
    ];
    for (count, why) in left.into_iter().filter(|(count, _)| *count > 0) {
        output.line(format!("{} {why}", text::number(count)))?;
    }
    for difference in status.differences.iter().take(args.samples) {
        show_difference(difference, output)?;
    }
    output.flush()?;
    if status.differences.len() > args.samples {
        note("there are more; --samples shows more of them, --json all that are kept");
    }
    Ok(())
}

fn show_difference(difference: &MirrorDifference, output: &mut Output) -> std::io::Result<()> {
    let MirrorDifference { when, request, position, live, candidate, failure, from } = difference;
    let request = text::printable(request);
    output.line(format!("\n{request}  at position {}, {when}", text::number(*position)))?;
    let begin = if *from > 0 { "…" } else { "" };
    output.line(format!("- {begin}{}", text::printable(live)))?;
    if let Some(candidate) = candidate {
        output.line(format!("+ {begin}{}", text::printable(candidate)))?;
    }
    match failure {
        Some(failure) => output.line(format!("+ failed: {}", text::printable(failure))),
        None => Ok(()),
    }
}

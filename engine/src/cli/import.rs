//! `import`: events from files or standard input into the log.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use super::{
    Context,
    support::{
        append::{Appender, Outcome},
        client::Place,
        log::Log,
        ndjson::{BATCH_EVENTS, Batches, Input, Options},
        output::{Output, note},
        progress::Progress,
        text,
        values::at_least_one,
    },
};
use crate::{clock, event::Position};

/// So many left-out lines are told one by one.
const TOLD: u64 = 10;

/// Append events from files or standard input; can be repeated safely
///
/// The input holds one CloudEvent in JSON a line, plain or gzip. An event that the log already has (by its
/// source and id) is left as it is, so the same file can be imported again, also after an import that broke
/// off. Without a running server the data folder's log is written directly.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files to read, - for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<Input>,
    /// Leave out lines that are no event, instead of ending there
    #[arg(long)]
    skip_invalid: bool,
    /// How many events to append at once; fewer where the log takes fewer
    #[arg(long, value_name = "EVENTS", default_value_t = BATCH_EVENTS, value_parser = at_least_one)]
    batch: usize,
    #[command(flatten)]
    place: Place,
}

/// What has been done, so far or in all.
#[derive(Debug, Default, Serialize)]
struct Summary {
    read: u64,
    new: u64,
    known: u64,
    skipped: u64,
    seconds: f64,
    head: Position,
}

/// Runs the command.
pub async fn run(args: Args, context: &mut Context) -> Result<()> {
    let log = Log::open(&args.place, &context.settings, true).await?;
    let options = Options {
        skip_invalid: args.skip_invalid,
        keep_text: log.takes_text(),
        batch_events: Some(args.batch),
        limit: None,
    };
    let started = clock::instant();
    let mut summary = Summary::default();
    let imported = import(&log, Batches::read(args.files, options)?, &mut summary).await;
    let elapsed = started.elapsed();
    summary.seconds = elapsed.as_secs_f64();
    // Both are told: how far it came, and why it ended.
    let told = match log.head().await {
        Ok(head) => {
            summary.head = head;
            summary.tell(elapsed, imported.is_err(), &mut context.output)
        }
        Err(error) => Err(error),
    };
    imported.and(told)
}

async fn import(log: &Log, mut batches: Batches, summary: &mut Summary) -> Result<()> {
    let progress = Progress::over_bytes(batches.total_bytes());
    let mut appender = Appender::new(log);
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        for skipped in &batch.skipped {
            summary.skipped += 1;
            if summary.skipped <= TOLD {
                progress.aside(|| note(format!("left out: {skipped}")));
            }
        }
        if batch.events.is_empty() {
            continue;
        }
        let told = |events, outcome: Outcome| {
            summary.read += events;
            summary.known += outcome.known;
            summary.new += events - outcome.known;
        };
        appender.append(batch, told).await?;
        progress.at(batches.bytes_read(), summary.read);
    }
    Ok(())
}

impl Summary {
    fn tell(&self, elapsed: Duration, failed: bool, output: &mut Output) -> Result<()> {
        if output.is_json() {
            output.json(self)?;
            return Ok(());
        }
        if failed && self.read == 0 {
            output.line("nothing was imported")?;
            return Ok(());
        }
        let skipped = match self.skipped {
            0 => String::new(),
            skipped => format!(", {} left out", text::number(skipped)),
        };
        output.line(format!(
            "{}{} read, {} new, {} already there{skipped}, {} ({} events/s), head {}",
            if failed { "before the error: " } else { "" },
            text::count(self.read, "event"),
            text::number(self.new),
            text::number(self.known),
            text::duration(elapsed),
            text::rate(self.read, elapsed),
            text::number(self.head),
        ))?;
        Ok(())
    }
}

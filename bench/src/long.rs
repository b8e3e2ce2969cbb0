//! Whether an event costs the same however long the log is.

use std::sync::Arc;

use anyhow::Result;
use futures_util::future::BoxFuture;
use projectionist::{
    event::{Block, Event, Position},
    log::{Append, AppendError, Appended, EventLog, LogError, Rare, Selection},
    projection,
};
use tokio::sync::watch;

use crate::{
    Figure, Input,
    replay::{Cores, Replay},
    sized,
    workload::{self, accounts::Spread},
};

const LONG: usize = sized(30_000_000);
const SHORT: usize = sized(3_000_000);
const ACCOUNTS: u64 = sized(100_000) as u64;

pub(crate) fn run(input: &Input) -> Result<Vec<Figure>> {
    let replay = Replay::over("accounts", workload::accounts::events(LONG, ACCOUNTS, Spread::Uniform)?)?;
    let beginning: Arc<dyn EventLog> = Arc::new(Beginning::of(Arc::clone(replay.log()), SHORT as Position));
    let (mut short, mut long) = (Vec::new(), Vec::new());
    for _ in 0..input.runs {
        for (log, costs) in [(&beginning, &mut short), (replay.log(), &mut long)] {
            let measured = replay.measured(Cores::One, 1, |version, runtime| {
                Ok(runtime.block_on(projection::fold(Arc::clone(version), Arc::clone(log)))?)
            })?;
            costs.push(1e9 / measured.rate());
        }
    }
    let of = |count: usize| format!("an event of {} million", count as f64 / 1e6);
    let short = Figure::new(of(SHORT), "ns", short);
    let long = Figure::new(of(LONG), "ns", long);
    let times = Figure::ratio("the long log's over the short one's", &long, &short).at_most(1.10);
    Ok(vec![short, long, times])
}

/// A log as it was when it had fewer events. Its last block may reach beyond.
struct Beginning {
    log: Arc<dyn EventLog>,
    head: watch::Sender<Position>,
}

impl Beginning {
    fn of(log: Arc<dyn EventLog>, head: Position) -> Self {
        Self { log, head: watch::Sender::new(head) }
    }
}

impl EventLog for Beginning {
    fn append(&self, _batch: Append) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(async { Err(LogError::Closed.into()) })
    }

    fn check(&self, batch: &Append) -> Result<(), AppendError> {
        self.log.check(batch)
    }

    fn follow(&self) -> watch::Receiver<Position> {
        self.head.subscribe()
    }

    fn block(&self, position: Position) -> Result<Option<Arc<Block>>, LogError> {
        if position > self.head() { Ok(None) } else { self.log.block(position) }
    }

    fn rare(&self, from: Position, types: Option<&[String]>, limit: usize) -> Result<Option<Rare>, LogError> {
        self.log.rare(from, types, limit)
    }

    fn find(&self, source: &str, id: &str) -> Result<Option<Position>, LogError> {
        Ok(self.log.find(source, id)?.filter(|position| *position <= self.head()))
    }

    fn read(&self, selection: &Selection) -> Result<Vec<Event>, LogError> {
        self.log.read(&Selection { to: selection.to.min(self.head()), ..selection.clone() })
    }
}

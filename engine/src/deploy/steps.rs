//! What a version did with each event, forwards and backwards ([`Walker`]).

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Deployer, NotServed,
    apart::{Standing, StandingError},
    registry::Registry,
    walks::{Walks, Way},
};
use crate::{
    clock,
    event::{Partition, Position},
    plugin::{Plugin, description::Kind},
    projection::{Code, Division, Halt, Source, Step, Version, Walk},
    state::{StateError, VersionState},
};

/// After so long an answer leaves with what has been found, and says where to go on.
const PATIENCE: Duration = Duration::from_secs(2);
/// An answer ends early when it has so many bytes.
const PAGE_BYTES: usize = 8 << 20;
/// A walk begins so much before where it has to, so that it can go back some way.
const RUN_UP: Position = 1_000;
/// Going back, so many positions are looked through at first, then eight times as many, …
const WINDOW: Position = 256;
/// A walk with more changes than this in memory begins anew where it stands.
const MOST_BYTES: u64 = 256 << 20;
/// After so many steps others may run.
const IN_A_ROW: usize = 32;

/// Goes through a version's past, apart from all that runs.
pub struct Walker {
    pub(super) registry: Arc<Registry>,
    walks: Arc<Walks>,
    code: Code,
    /// The version, if it runs.
    pub(super) running: Option<Arc<Version>>,
}

/// Which steps.
#[derive(Clone, Debug)]
pub struct StepsRead {
    /// The first position.
    pub from: Position,
    /// The last position.
    pub to: Position,
    /// Newest first.
    pub reverse: bool,
    /// At most so many.
    pub limit: usize,
    /// Only steps that meet one of these; all where there are none.
    pub breakpoints: Vec<Breakpoint>,
}

/// What a step can be looked for by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Breakpoint {
    /// The event is of this type.
    Type(String),
    /// The event is about this subject.
    Subject(String),
    /// The event wrote this row, be it with the same value.
    Key(RowKey),
    /// The event changed this row.
    Change(RowKey),
}

/// A row of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowKey {
    /// The table's number.
    pub table: u32,
    /// The key, encoded.
    pub key: Vec<u8>,
}

/// Some steps.
#[derive(Debug)]
pub struct Steps {
    /// The steps, in the order that was asked for. One at which the version halts is
    /// among them whatever was looked for.
    pub steps: Vec<Step>,
    /// Where to go on, if there may be more: the first position that was not looked at.
    pub next: Option<Position>,
}

impl Breakpoint {
    /// Whether a step meets it.
    pub fn is_met(&self, step: &Step) -> bool {
        let envelope = &step.event.envelope;
        match self {
            Self::Type(event_type) => envelope.event_type == *event_type,
            Self::Subject(subject) => envelope.subject.as_ref() == Some(subject),
            Self::Key(row) => row.change_of(step).is_some(),
            Self::Change(row) => row.change_of(step).is_some_and(|change| change.is_change()),
        }
    }
}

impl RowKey {
    /// What a step wrote into this row.
    pub fn change_of<'a>(&self, step: &'a Step) -> Option<&'a crate::projection::RowChange> {
        step.changes.iter().find(|change| change.table == self.table && change.key == self.key)
    }
}

impl StepsRead {
    fn is_wanted(&self, step: &Step) -> bool {
        let any_met = || self.breakpoints.iter().any(|breakpoint| breakpoint.is_met(step));
        self.breakpoints.is_empty() || any_met() || step.halt().is_some()
    }
}

impl Deployer {
    /// What goes through the past of the live version, or of the one whose digest begins
    /// like `version`.
    pub async fn walker(&self, name: &str, version: Option<&str>) -> Result<Walker, StandingError> {
        let (running, code) = match version {
            None => return self.walker_of(self.live(name)?),
            Some(_) if self.registry.view(name).is_none() => {
                return Err(NotServed::Unknown { name: name.to_owned() }.into());
            }
            Some(_) => {
                let record = self.kept(name, version)?;
                let code = self.registry.context().code(&record).await?;
                (self.registry.running(name, &record.digest), code)
            }
        };
        self.walk(running, code)
    }

    /// What goes through the past of a version that runs.
    pub(super) fn walker_of(&self, version: Arc<Version>) -> Result<Walker, StandingError> {
        let code = version.code().clone();
        self.walk(Some(version), code)
    }

    fn walk(&self, running: Option<Arc<Version>>, code: Code) -> Result<Walker, StandingError> {
        let kind = code.plugin().kind();
        if kind != Kind::Projection {
            return Err(StandingError::NoProjection { name: code.name().to_owned(), kind });
        }
        let (registry, walks) = (Arc::clone(&self.registry), Arc::clone(&self.walks));
        Ok(Walker { registry, walks, code, running })
    }
}

impl Walker {
    /// The version's digest.
    pub fn digest(&self) -> &str {
        self.code.digest()
    }

    /// Its code.
    pub fn plugin(&self) -> &Plugin {
        self.code.plugin()
    }

    /// The log's last position.
    pub fn head(&self) -> Position {
        self.registry.context().log.head()
    }

    /// Takes the steps that are asked for. Looks for so long and then says where to go on.
    pub async fn steps(&self, read: &StepsRead) -> Result<Steps, StandingError> {
        let to = read.to.min(self.head());
        let from = read.from.max(1);
        if from > to || read.limit == 0 {
            return Ok(Steps { steps: Vec::new(), next: None });
        }
        let until = clock::instant() + PATIENCE;
        match read.reverse {
            false => self.forwards(read, from, to, until).await,
            true => self.backwards(read, from, to, until).await,
        }
    }

    async fn forwards(
        &self,
        read: &StepsRead,
        from: Position,
        to: Position,
        until: Instant,
    ) -> Result<Steps, StandingError> {
        let mut way = self.way_to(from - 1).await?;
        let (mut steps, mut bytes) = (Vec::new(), 0);
        while let Some(step) = self.next(&mut way, to).await? {
            if step.halt().is_some() {
                steps.push(step);
                self.walks.keep(way);
                return Ok(Steps { steps, next: None });
            }
            if read.is_wanted(&step) {
                bytes += step.bytes();
                steps.push(step);
            }
            if steps.len() >= read.limit || bytes > PAGE_BYTES || clock::instant() > until {
                break;
            }
        }
        let next = way.walk.position() + 1;
        self.walks.keep(way);
        Ok(Steps { steps, next: (next <= to).then_some(next) })
    }

    /// Goes forwards through one window after the other, the last one first.
    async fn backwards(
        &self,
        read: &StepsRead,
        from: Position,
        to: Position,
        until: Instant,
    ) -> Result<Steps, StandingError> {
        let (mut steps, mut bytes) = (Vec::new(), 0);
        let (mut last, mut window) = (to, WINDOW.max(read.limit as Position));
        loop {
            let first = last.saturating_sub(window - 1).max(from);
            let mut way = self.way_to(first - 1).await?;
            let mut found = VecDeque::new();
            while let Some(step) = self.next(&mut way, last).await? {
                let halts = step.halt().is_some();
                if read.is_wanted(&step) {
                    if found.len() == read.limit - steps.len() {
                        found.pop_front();
                    }
                    found.push_back(step);
                }
                if halts {
                    break;
                }
            }
            self.walks.keep(way);
            while let Some(step) = found.pop_back() {
                bytes += step.bytes();
                let position = step.event.position;
                steps.push(step);
                if steps.len() == read.limit || bytes > PAGE_BYTES {
                    let next = position - 1;
                    return Ok(Steps { steps, next: (next >= from).then_some(next) });
                }
            }
            if first == from {
                return Ok(Steps { steps, next: None });
            }
            last = first - 1;
            if clock::instant() > until {
                return Ok(Steps { steps, next: Some(last) });
            }
            window *= 8;
        }
    }

    /// The next step up to `last`.
    async fn next(&self, way: &mut Way, last: Position) -> Result<Option<Step>, StandingError> {
        way.taken += 1;
        if way.taken.is_multiple_of(IN_A_ROW) {
            tokio::task::yield_now().await;
            if way.walk.stepper().bytes() > MOST_BYTES {
                let position = way.walk.position();
                *way = self.fresh(position).await?;
            }
        }
        way.walk.next(last).await.map_err(|halt| self.halted(last, halt))
    }

    /// A walk that stands at a position.
    async fn way_to(&self, position: Position) -> Result<Way, StandingError> {
        let mut way = match self.walks.take(self.digest(), position) {
            Some(way) => way,
            None => self.fresh(position.saturating_sub(RUN_UP)).await?,
        };
        if !way.walk.back_to(position) {
            while let Some(step) = self.next(&mut way, position).await? {
                if let Some(halt) = step.halt() {
                    return Err(self.halted(position, halt));
                }
            }
        }
        Ok(way)
    }

    /// A new walk from a position on.
    async fn fresh(&self, position: Position) -> Result<Way, StandingError> {
        let context = self.registry.context();
        let standing = match position {
            0 => self.beginning()?,
            _ => context.fold_apart(self.code.clone(), position).await?,
        };
        let walk = Walk::new(&self.code, standing.shared_view(), Arc::clone(&context.log));
        Ok(Way::new(self.digest().to_owned(), walk, standing))
    }

    /// The version before it has folded anything.
    pub(super) fn beginning(&self) -> Result<Standing, StateError> {
        let state = Arc::new(VersionState::in_memory(self.plugin().tables(), 1)?);
        let view = state.view()?;
        Ok(Standing::of(Arc::new(Version::new(self.code.clone(), state)), view))
    }

    /// What gives events of the log their newest shape.
    pub(super) fn source(&self) -> Source {
        let log = Arc::clone(&self.registry.context().log);
        Source::new(log, &self.code, Partition::WHOLE, Arc::new(Division::new(1)))
    }

    pub(super) fn halted(&self, to: Position, halt: Halt) -> StandingError {
        StandingError::Halted {
            name: self.code.name().to_owned(),
            version: self.digest().to_owned(),
            to,
            halt: Box::new(halt),
        }
    }
}

//! One version of a projection, as everybody but its runners sees it.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::{OwnedMutexGuard, watch};

use super::code::Code;
use crate::{event::Position, plugin::Plugin, state::VersionState};

/// A version with its code, its state, and how far it has come.
pub struct Version {
    code: Code,
    state: Arc<VersionState>,
    progress: watch::Sender<Progress>,
    /// What the runner of each partition is doing.
    phases: Mutex<Vec<Phase>>,
    folded: AtomicU64,
    /// Its runners go no further.
    limit: watch::Sender<Position>,
    manner: Manner,
    /// Only one at a time holds it.
    held: Arc<tokio::sync::Mutex<()>>,
}

/// How a version is run, beside what its settings say. What it folds must not depend on it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manner {
    /// A fresh instance is begun after so many positions at the latest; absent: only when one
    /// has to be.
    pub restart_every: Option<u64>,
    /// It comes after all others.
    pub last: bool,
}

/// Holds a version at a position, until dropped.
pub struct Hold {
    version: Arc<Version>,
    _alone: OwnedMutexGuard<()>,
}

/// How far a version has come.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// Up to where its committed state is complete.
    pub position: Position,
    /// What its runners are doing.
    pub phase: Phase,
}

/// What a version's runners are doing: its partitions', taken together.
#[derive(Clone, Debug, PartialEq)]
pub enum Phase {
    /// It has no runner: it stands by, or has not started yet.
    Stopped,
    /// It folds what lies behind the log's head.
    CatchUp,
    /// It has reached the head and follows it.
    Live,
    /// It, or one of its partitions, cannot go on.
    Halted(Halt),
}

/// Why a runner cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Halt {
    /// The event at fault, where one is.
    pub event: Option<EventAtFault>,
    /// What happened.
    pub reason: String,
    /// The host is at fault, not the plug-in: the same version may succeed
    /// another time.
    pub host: bool,
}

/// The event that a plug-in could not fold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventAtFault {
    /// Where it stands in the log.
    pub position: Position,
    /// Its id.
    pub id: String,
    /// Its type.
    pub event_type: String,
}

impl Halt {
    /// The host could not go on; no event and no plug-in is to blame.
    pub(crate) fn of_host(reason: impl std::fmt::Display) -> Self {
        Self { event: None, reason: reason.to_string(), host: true }
    }
}

impl std::fmt::Display for Halt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.event {
            Some(event) => write!(
                f,
                "at position {} (event \"{}\" of type \"{}\"): {}",
                event.position, event.id, event.event_type, self.reason
            ),
            None => f.write_str(&self.reason),
        }
    }
}

impl Version {
    /// A version that does not run yet.
    pub fn new(code: Code, state: Arc<VersionState>) -> Self {
        let progress = Progress { position: state.checkpoint().position, phase: Phase::Stopped };
        let phases = Mutex::new(vec![Phase::Stopped; state.partitions().len()]);
        Self {
            code,
            state,
            progress: watch::Sender::new(progress),
            phases,
            folded: AtomicU64::new(0),
            limit: watch::Sender::new(Position::MAX),
            manner: Manner::default(),
            held: Arc::default(),
        }
    }

    /// A version that folds up to a position and no further, for as long as it is.
    pub fn up_to(self, position: Position) -> Self {
        self.limit.send_replace(position);
        self
    }

    /// Its code, with what gives events their newest shape before it.
    pub fn code(&self) -> &Code {
        &self.code
    }

    /// A version that is run in another manner than most.
    pub fn in_manner(self, manner: Manner) -> Self {
        Self { manner, ..self }
    }

    /// The plug-in's name.
    pub fn name(&self) -> &str {
        self.code.name()
    }

    /// What tells it from the other versions of its name, in hexadecimal.
    pub fn digest(&self) -> &str {
        self.code.digest()
    }

    /// Its plug-in.
    pub fn plugin(&self) -> &Arc<Plugin> {
        self.code.plugin()
    }

    /// What it has folded so far.
    pub fn state(&self) -> &Arc<VersionState> {
        &self.state
    }

    /// How far it has come, as it goes on.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// How many events its runners have folded since the process started,
    /// committed or not.
    pub fn folded(&self) -> u64 {
        self.folded.load(Ordering::Relaxed)
    }

    /// Stops it where it stands, and then lets it go on from position to position as it
    /// is told. Waits while another one holds it.
    pub async fn hold(self: &Arc<Self>) -> Hold {
        let alone = Arc::clone(&self.held).lock_owned().await;
        let version = Arc::clone(self);
        version.limit.send_replace(0);
        Hold { version, _alone: alone }
    }

    /// Up to where its runners go, as it changes.
    pub(crate) fn limit(&self) -> watch::Receiver<Position> {
        self.limit.subscribe()
    }

    pub(crate) fn manner(&self) -> Manner {
        self.manner
    }

    pub(crate) fn add_folded(&self, events: u64) {
        self.folded.fetch_add(events, Ordering::Relaxed);
    }

    pub(crate) fn set_position(&self, position: Position) {
        self.progress
            .send_if_modified(|progress| std::mem::replace(&mut progress.position, position) != position);
    }

    pub(crate) fn set_phase(&self, partition: usize, phase: Phase) {
        let mut phases = self.phases.lock().unwrap_or_else(PoisonError::into_inner);
        phases[partition] = phase;
        let phase = together(&phases);
        self.progress.send_if_modified(|progress| {
            let changed = progress.phase != phase;
            progress.phase = phase;
            changed
        });
    }
}

impl Hold {
    /// Lets the version go on up to a position. One that is beyond it already stays
    /// where it is.
    pub fn at(&self, position: Position) {
        self.version.limit.send_replace(position);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.version.limit.send_replace(Position::MAX);
    }
}

/// A version is live when all its partitions are, and halted when one is.
fn together(phases: &[Phase]) -> Phase {
    let any = |is: fn(&Phase) -> bool| phases.iter().find(|phase| is(phase));
    any(|phase| matches!(phase, Phase::Halted(_)))
        .or_else(|| any(|phase| *phase == Phase::CatchUp))
        .or_else(|| any(|phase| *phase == Phase::Stopped))
        .unwrap_or(&Phase::Live)
        .clone()
}

//! History, folded again in one of the ways.

use std::{fs, io, path::Path, sync::Arc};

use tempfile::TempDir;

use super::{
    super::{StandingError, supervisor::Context},
    progress::Progress,
    ways::Way,
};
use crate::{
    clock,
    event::Position,
    plugin::Settings,
    projection::{Code, Halt, Version},
    state::{Digest, StateError, VersionState, View, catalog::VersionRecord},
};

/// A version's code, ready to fold history in one of the ways.
pub(super) struct Folder<'a> {
    pub(super) way: Way,
    context: &'a Context,
    code: Code,
    progress: &'a Progress,
}

/// What has come of folding history up to a position.
pub(super) struct Made {
    pub(super) version: Arc<Version>,
    pub(super) view: Arc<View>,
    pub(super) print: Print,
    pub(super) micros: u64,
    // Last, so that what it holds is closed before it is deleted.
    room: TempDir,
}

/// A state that nobody looks at, to go on from.
pub(super) struct Resting(TempDir);

/// What has to be the same, however history is folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Print {
    pub(super) digest: Digest,
    /// The events that were put aside.
    pub(super) dead_letters: Vec<Position>,
}

/// Why history could not be folded.
pub(super) enum Trouble {
    /// The code could not go on.
    Halted { way: Way, halt: Box<Halt> },
    /// Everything else; it says nothing of the code.
    Failed(StandingError),
}

impl From<StandingError> for Trouble {
    fn from(error: StandingError) -> Self {
        Self::Failed(error)
    }
}

impl From<StateError> for Trouble {
    fn from(error: StateError) -> Self {
        Self::Failed(error.into())
    }
}

impl Print {
    /// Of a state as it stands at a position.
    pub(super) fn of(state: &VersionState, digest: Digest, at: Position) -> Result<Self, StateError> {
        let letters = state.dead_letters()?.into_iter().map(|letter| letter.position);
        Ok(Self { digest, dead_letters: letters.filter(|position| *position <= at).collect() })
    }
}

impl Made {
    /// Closes it, to be gone on from.
    pub(super) fn rest(self) -> Resting {
        Resting(self.room)
    }
}

impl<'a> Folder<'a> {
    pub(super) async fn load(
        context: &'a Context,
        record: &'a VersionRecord,
        way: Way,
        progress: &'a Progress,
    ) -> Result<Self, StandingError> {
        let settings = way.settings(Settings::parse(&record.settings)?);
        let code = context.code_with(record, &settings).await?;
        Ok(Self { way, context, code, progress })
    }

    /// Folds history up to a position: from its beginning, or from where another fold in this way
    /// rests, which stays as it is.
    pub(super) async fn fold(&self, from: Option<&Resting>, to: Position) -> Result<Made, Trouble> {
        let Self { way, context, code, .. } = self;
        let begun = clock::instant();
        let room = context.store.room()?;
        if let Some(Resting(from)) = from {
            copy(from.path(), room.path()).map_err(|error| StateError::Storage {
                path: room.path().display().to_string(),
                action: "copy a state into it",
                source: Arc::new(error),
            })?;
        }
        let state = context.store.open_in(&room, code.digest(), code.plugin())?;
        let version = Version::new(code.clone(), Arc::new(state));
        let version = Arc::new(version.up_to(to).in_manner(way.manner()));
        self.progress.follow(&version);
        match context.run_to(&version, to).await {
            Err(StandingError::Halted { halt, .. }) if !halt.host => {
                return Err(Trouble::Halted { way: *way, halt });
            }
            ran => ran?,
        }
        let view = version.state().view()?;
        let print = Print::of(version.state(), view.checkpoint().digest, to)?;
        let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        Ok(Made { version, view, print, micros, room })
    }
}

/// Copies what is in a folder.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => {
                fs::create_dir(&target)?;
                copy(&entry.path(), &target)?;
            }
            false => drop(fs::copy(entry.path(), target)?),
        }
    }
    Ok(())
}

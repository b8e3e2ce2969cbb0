//! Waiting until a version has folded an event, to read your own writes.

use std::{sync::Arc, time::Duration};

use crate::{
    event::Position,
    projection::{Halt, Phase, Progress, Version},
};

/// How soon to look again which version is live, after the one that was waited
/// for has stopped.
const SWITCH: Duration = Duration::from_millis(5);

/// Why a position was not waited for to the end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    /// The version did not come so far in time.
    #[error("position {at_least} was not reached in {} ms: it is at {position}", timeout.as_millis())]
    Timeout {
        /// The position asked for.
        at_least: Position,
        /// Where the version is.
        position: Position,
        /// How long was waited.
        timeout: Duration,
    },
    /// The version will never come so far by itself.
    #[error("position {at_least} cannot be reached, since it has halted {halt}")]
    Halted {
        /// The position asked for.
        at_least: Position,
        /// Why it has halted.
        halt: Halt,
    },
}

/// Waits until the live version's committed state contains the event at
/// `at_least`, and answers that version. `live` tells which one is live; it is
/// asked again when another takes over meanwhile.
pub async fn wait<E: From<WaitError>>(
    live: impl Fn() -> Result<Arc<Version>, E>,
    at_least: Position,
    timeout: Duration,
) -> Result<Arc<Version>, E> {
    let waiting = async {
        loop {
            let version = live()?;
            if reached(&version, at_least).await? {
                return Ok(version);
            }
            tokio::time::sleep(SWITCH).await;
        }
    };
    match tokio::time::timeout(timeout, waiting).await {
        Ok(result) => result,
        Err(_elapsed) => {
            let position = live()?.progress().borrow().position;
            Err(WaitError::Timeout { at_least, position, timeout }.into())
        }
    }
}

/// `false`: the version has stopped before.
async fn reached(version: &Version, at_least: Position) -> Result<bool, WaitError> {
    let decided = |progress: &Progress| {
        progress.position >= at_least || matches!(progress.phase, Phase::Halted(_) | Phase::Stopped)
    };
    let mut progress = version.progress();
    let Ok(progress) = progress.wait_for(decided).await else { return Ok(false) };
    match &progress.phase {
        _ if progress.position >= at_least => Ok(true),
        Phase::Halted(halt) => Err(WaitError::Halted { at_least, halt: halt.clone() }),
        _ => Ok(false),
    }
}

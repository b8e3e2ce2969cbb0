//! Waiting until a version has folded an event, to read your own writes.

use std::time::Duration;

use crate::{
    event::Position,
    projection::{Halt, Phase, Version},
};

/// Why a position was not waited for to the end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    /// The version did not come so far in time.
    #[error("position {at_least} was not reached in {}: it is at {position}", milliseconds(*timeout))]
    Timeout {
        /// The position asked for.
        at_least: Position,
        /// Where the version is.
        position: Position,
        /// How long was waited.
        timeout: Duration,
    },
    /// The version will never come so far by itself.
    #[error("position {at_least} cannot be reached, it has halted {halt}")]
    Halted {
        /// The position asked for.
        at_least: Position,
        /// Why it has halted.
        halt: Halt,
    },
}

fn milliseconds(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}

/// Waits until the version's committed state contains the event at `at_least`.
pub async fn wait(version: &Version, at_least: Position, timeout: Duration) -> Result<(), WaitError> {
    let mut progress = version.progress();
    let reached = progress.wait_for(|progress| {
        progress.position >= at_least || matches!(progress.phase, Phase::Halted(_))
    });
    let reached = tokio::time::timeout(timeout, reached).await.map(|result| result.map(|progress| progress.clone()));
    match reached {
        Ok(Ok(progress)) if progress.position >= at_least => Ok(()),
        Ok(Ok(crate::projection::Progress { phase: Phase::Halted(halt), .. })) => {
            Err(WaitError::Halted { at_least, halt })
        }
        _ => {
            let position = version.state().checkpoint().position;
            Err(WaitError::Timeout { at_least, position, timeout })
        }
    }
}

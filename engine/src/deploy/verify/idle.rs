//! Verifications that begin by themselves, when there is nothing else to do.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use super::{
    super::{registry::Registry, view::ViewState},
    Verifier,
};
use crate::{
    clock,
    event::Position,
    plugin::{VerifyEvery, description::Kind},
    projection::{Phase, Version},
    state::StateError,
};

/// How often to look whether there is something to do.
const LOOK: Duration = Duration::from_secs(1);
/// After so many looks at which nothing had happened since the one before, it is idle.
const QUIET_LOOKS: u32 = 5;

/// Begins a verification of what has not been verified for so long, whenever nothing is replayed
/// and nothing has been folded for some seconds, until the registry closes. `every` is for what
/// says nothing of its own; none: never.
pub(super) async fn verify_when_idle(verifier: Arc<Verifier>, every: Option<Duration>) {
    let mut closed = verifier.registry.closed();
    let verifier: Weak<Verifier> = Arc::downgrade(&verifier);
    let (mut quiet, mut last) = (0, None);
    loop {
        tokio::select! {
            _ = closed.wait_for(|closed| *closed) => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        let Some(verifier) = verifier.upgrade() else { return };
        if every.is_none() && !any_says_when(&verifier.registry) {
            continue;
        }
        let head = rests_at(&verifier.registry);
        quiet = if head.is_some() && head == last { quiet + 1 } else { 0 };
        last = head;
        if quiet < QUIET_LOOKS || verifier.lock().is_some() {
            continue;
        }
        match due(&verifier.registry, every) {
            Ok(Some((name, version))) => {
                if let Err(error) = verifier.begin(&name, Some(&version)) {
                    tracing::debug!(plugin = name, version, %error, "it is not verified now");
                }
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "what is to be verified cannot be found out"),
        }
        quiet = 0;
    }
}

/// The log's head, if all that runs has folded up to it or has halted.
fn rests_at(registry: &Registry) -> Option<Position> {
    let head = registry.context().log.head();
    let replays = |version: &Version| version.progress().borrow().phase == Phase::CatchUp;
    let rests = |version: &Version| {
        let progress = version.progress().borrow().clone();
        match progress.phase {
            Phase::Live => progress.position >= head,
            Phase::Halted(_) => true,
            Phase::CatchUp | Phase::Stopped => false,
        }
    };
    let all = registry.names().into_iter().filter_map(|name| registry.view(&name)).all(|view| {
        let ViewState { live, candidates, .. } = view.get();
        let folds = |version: &Arc<Version>| version.plugin().kind() == Kind::Projection;
        live.is_none_or(|live| !folds(&live) || rests(&live))
            && !candidates.iter().filter_map(|candidate| candidate.version.as_deref()).any(replays)
    });
    all.then_some(head)
}

/// The live versions of projections, by name.
fn projections(registry: &Registry) -> impl Iterator<Item = (String, Arc<Version>)> {
    registry.names().into_iter().filter_map(|name| {
        let live = registry.view(&name)?.get().live?;
        (live.plugin().kind() == Kind::Projection).then_some((name, live))
    })
}

/// Whether a projection's own settings say when it is verified.
fn any_says_when(registry: &Registry) -> bool {
    let says_when = |version: &Version| {
        matches!(version.plugin().settings().policies.verify_every, Some(VerifyEvery::Span(_)))
    };
    projections(registry).any(|(_, version)| says_when(&version))
}

/// The live version that is due for longest. `every`: for what says nothing of its own.
fn due(registry: &Registry, every: Option<Duration>) -> Result<Option<(String, String)>, StateError> {
    let now = clock::now().as_micros();
    let mut longest = None::<(Option<i64>, String, String)>;
    for (name, live) in projections(registry) {
        let every = match live.plugin().settings().policies.verify_every {
            Some(VerifyEvery::Never) => None,
            Some(VerifyEvery::Span(own)) => Some(own),
            None => every,
        };
        let Some(every) = every else { continue };
        let every = i64::try_from(every.as_micros()).unwrap_or(i64::MAX);
        let last = registry.context().catalog.verification(&name, live.digest())?;
        // What never was verified comes first.
        let due = last.map(|last| last.began.as_micros().saturating_add(every));
        let is_due = due.is_none_or(|due| due <= now);
        if is_due && longest.as_ref().is_none_or(|(other, ..)| due < *other) {
            longest = Some((due, name, live.digest().to_owned()));
        }
    }
    Ok(longest.map(|(_, name, digest)| (name, digest)))
}

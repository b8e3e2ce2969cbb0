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
    event::{Position, Timestamp},
    plugin::description::Kind,
    projection::{Phase, Version},
    state::StateError,
};

/// How often to look whether there is something to do.
const LOOK: Duration = Duration::from_secs(1);
/// After so many looks at which nothing had happened since the one before, it is idle.
const QUIET_LOOKS: u32 = 5;

/// Begins a verification of what has not been verified for so long, whenever nothing is replayed
/// and nothing has been folded for some seconds, until the registry closes.
pub(super) async fn verify_when_idle(verifier: Arc<Verifier>, every: Duration) {
    let mut closed = verifier.registry.closed();
    let verifier: Weak<Verifier> = Arc::downgrade(&verifier);
    let (mut quiet, mut last) = (0, None);
    loop {
        tokio::select! {
            _ = closed.wait_for(|closed| *closed) => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        let Some(verifier) = verifier.upgrade() else { return };
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

/// The live version that is due for longest.
fn due(registry: &Registry, every: Duration) -> Result<Option<(String, String)>, StateError> {
    let every = i64::try_from(every.as_micros()).unwrap_or(i64::MAX);
    let due_since = Timestamp::from_micros(clock::now().as_micros().saturating_sub(every));
    let mut due = None::<(Option<Timestamp>, String, String)>;
    for name in registry.names() {
        let live = registry.view(&name).and_then(|view| view.get().live);
        let Some(live) = live.filter(|live| live.plugin().kind() == Kind::Projection) else { continue };
        let last = registry.context().catalog.verification(&name, live.digest())?;
        let began = last.map(|last| last.began);
        let is_due = began.is_none_or(|began| began <= due_since);
        if is_due && due.as_ref().is_none_or(|(other, ..)| began < *other) {
            due = Some((began, name, live.digest().to_owned()));
        }
    }
    Ok(due.map(|(_, name, digest)| (name, digest)))
}

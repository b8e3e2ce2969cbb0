//! Watches the plug-ins folder and tells the supervisors what changed.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use notify::{
    Event, EventKind, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tokio::sync::{mpsc, watch};

use super::{
    folder::{Change, Folder, Sighting},
    registry::Registry,
    supervisor::Message,
};
use crate::{clock, plugin::names_upcaster};

/// How soon to look again while a file is changing.
const MOVING: Duration = Duration::from_millis(50);
/// How soon to look again without being told. Not every change is told: a
/// symlink's target lies elsewhere, and network file systems tell nothing.
const QUIET: Duration = Duration::from_secs(2);

/// What is known of the folder itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Looked {
    /// It has been looked through since the start, and nothing was moving.
    pub(super) through: bool,
    /// Why it cannot be read now, and what to do.
    pub(super) trouble: Option<String>,
}

/// Looks at the folder until the registry closes, and tells in `looked` how
/// that goes.
pub(super) async fn watch_folder(
    path: PathBuf,
    registry: Arc<Registry>,
    known_names: Vec<String>,
    looked: watch::Sender<Looked>,
) {
    let (changed, mut changes) = mpsc::channel(1);
    // Kept for as long as it is needed: dropping it ends the notifications.
    let mut watcher = notifications(&path, &changed);
    let mut folder = Folder::new(path.clone());
    folder.expect(known_names, clock::instant());
    let mut closed = registry.closed();
    loop {
        let (back, result) = look(folder).await;
        folder = back;
        let mut now = looked.borrow().clone();
        let moving = match result {
            Ok((news, moving)) => {
                tell_all(&registry, news).await;
                now.through |= !moving;
                if now.trouble.take().is_some() {
                    tracing::info!(folder = %path.display(), "the plug-ins folder can be read again");
                    // It may be another folder of the same name.
                    drop(watcher.take());
                    watcher = notifications(&path, &changed);
                }
                moving
            }
            Err(error) => {
                let reason = trouble(&path, &error);
                // Once, not at every look.
                if now.trouble.is_none() {
                    tracing::error!("{reason}");
                }
                now.trouble = Some(reason);
                false
            }
        };
        looked.send_if_modified(|looked| {
            *looked != now && {
                *looked = now;
                true
            }
        });
        tokio::select! {
            _ = closed.wait_for(|closed| *closed) => return,
            Some(()) = changes.recv(), if !moving => {}
            () = tokio::time::sleep(if moving { MOVING } else { QUIET }) => {}
        }
    }
}

/// Has the system tell of changes in the folder, if it can.
fn notifications(path: &Path, changed: &mpsc::Sender<()>) -> Option<impl Watcher + use<>> {
    let changed = changed.clone();
    let watcher = notify::recommended_watcher(move |event| {
        if is_change(&event) {
            // Full: a look is due anyway.
            let _ = changed.try_send(());
        }
    })
    .and_then(|mut watcher| watcher.watch(path, RecursiveMode::NonRecursive).map(|()| watcher));
    watcher
        .inspect_err(|error| {
            tracing::warn!(%error, "the plug-ins folder cannot be watched; it is looked at every two seconds instead");
        })
        .ok()
}

fn trouble(path: &Path, error: &std::io::Error) -> String {
    let what_to_do = match error.kind() {
        ErrorKind::NotFound => "put it back",
        _ => "see to it and to its rights",
    };
    format!(
        "the plug-ins folder cannot be read, so no change in it is seen: {}: {error}; {what_to_do}. What is live goes on",
        path.display()
    )
}

/// Our own looks open the folder, which is told as well and must not make for
/// another look.
fn is_change(event: &notify::Result<Event>) -> bool {
    match event {
        Ok(Event { kind: EventKind::Access(access), .. }) => {
            matches!(access, AccessKind::Close(AccessMode::Write))
        }
        // After an error, events may have been lost.
        _ => true,
    }
}

/// Files are read and stamped off the async threads.
async fn look(mut folder: Folder) -> (Folder, std::io::Result<(Vec<Change>, bool)>) {
    let task = tokio::task::spawn_blocking(move || {
        let result = folder.look(clock::instant());
        (folder, result)
    });
    match task.await {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

/// Upcasters come first, so that what comes with them is made with them from the beginning.
async fn tell_all(registry: &Arc<Registry>, news: Vec<Change>) {
    let is_upcaster =
        |change: &Change| matches!(change, Change::Found(sighting) if names_upcaster(&sighting.wasm));
    let (upcasters, others): (Vec<_>, Vec<_>) = news.into_iter().partition(is_upcaster);
    let name = |change: &Change| match change {
        Change::Found(Sighting { name, .. }) | Change::Unreadable { name, .. } | Change::Gone { name } => {
            name.clone()
        }
    };
    let names: Vec<String> = upcasters.iter().map(name).collect();
    upcasters.into_iter().for_each(|change| tell(registry, change));
    if !others.is_empty() {
        registry.loaded(&names).await;
    }
    others.into_iter().for_each(|change| tell(registry, change));
}

fn tell(registry: &Arc<Registry>, change: Change) {
    match change {
        Change::Found(sighting) => {
            let name = sighting.name.clone();
            registry.tell(&name, Message::Found(sighting));
        }
        Change::Unreadable { name, reason } => registry.tell(&name, Message::Unreadable(reason)),
        Change::Gone { name } => registry.tell(&name, Message::Gone),
    }
}

#[cfg(test)]
mod tests {
    use notify::event::CreateKind;

    use super::*;

    /// Otherwise every look would make for the next one, for ever.
    #[test]
    fn a_look_at_the_folder_is_no_change_of_it() {
        let told = |kind| is_change(&Ok(Event::new(kind)));
        assert!(!told(EventKind::Access(AccessKind::Open(AccessMode::Any))));
        assert!(!told(EventKind::Access(AccessKind::Close(AccessMode::Read))));
        assert!(told(EventKind::Access(AccessKind::Close(AccessMode::Write))));
        assert!(told(EventKind::Create(CreateKind::File)));
        assert!(is_change(&Err(notify::Error::generic("an overflow"))));
    }
}

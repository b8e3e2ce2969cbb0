//! Watches the plug-ins folder and tells the supervisors what changed.

use std::{path::PathBuf, sync::Arc, time::Duration};

use notify::{
    Event, EventKind, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tokio::sync::{mpsc, watch};

use super::{
    folder::{Change, Folder},
    registry::Registry,
    supervisor::Message,
};
use crate::clock;

/// How soon to look again while a file is changing.
const MOVING: Duration = Duration::from_millis(50);
/// How soon to look again without being told. Not every change is told: a
/// symlink's target lies elsewhere, and network file systems tell nothing.
const QUIET: Duration = Duration::from_secs(2);

/// Looks at the folder until the registry closes. Sets `looked` after the
/// first look at which nothing was moving.
pub(super) async fn watch_folder(
    path: PathBuf,
    registry: Arc<Registry>,
    known_names: Vec<String>,
    looked: watch::Sender<bool>,
) {
    let (changed, mut changes) = mpsc::channel(1);
    // Kept until the end of this function: dropping it ends the notifications.
    let watcher = notify::recommended_watcher(move |event| {
        if is_change(&event) {
            // Full: a look is due anyway.
            let _ = changed.try_send(());
        }
    })
    .and_then(|mut watcher| watcher.watch(&path, RecursiveMode::NonRecursive).map(|()| watcher));
    if let Err(error) = &watcher {
        tracing::warn!(%error, "the plug-ins folder cannot be watched; it is looked at every two seconds instead");
    }
    let mut folder = Folder::new(path.clone());
    folder.expect(known_names, clock::instant());
    let mut closed = registry.closed();
    loop {
        let (back, result) = look(folder).await;
        folder = back;
        let moving = match result {
            Ok((news, moving)) => {
                news.into_iter().for_each(|change| tell(&registry, change));
                looked.send_if_modified(|looked| !std::mem::replace(looked, *looked || !moving) && !moving);
                moving
            }
            Err(error) => {
                tracing::error!(folder = %path.display(), %error, "the plug-ins folder cannot be read");
                false
            }
        };
        tokio::select! {
            _ = closed.wait_for(|closed| *closed) => return,
            Some(()) = changes.recv(), if !moving => {}
            () = tokio::time::sleep(if moving { MOVING } else { QUIET }) => {}
        }
    }
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

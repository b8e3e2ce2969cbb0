//! Compiled code, shared in memory.
//!
//! A component may be deployed under a thousand names. It is compiled and kept
//! once: whoever loads bytes that are being loaded already waits for that, and
//! whoever loads bytes that are in use shares them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::OwnedMutexGuard;
use wasmtime::component::{ComponentExportIndex, InstancePre};

use super::{
    bindings::{plugin_interface, reaction_interface, upcaster_interface},
    guest::Guest,
};

/// A component that is compiled and linked, not yet asked who it is.
pub(super) struct Code {
    pub(super) pre: InstancePre<Guest>,
    pub(super) plugin: plugin_interface::GuestIndices,
    pub(super) work: Work,
    /// It may draw random numbers when it is first called, so it has to be
    /// called once before it folds.
    pub(super) needs_start: bool,
}

/// What it exports beside `plugin`, which tells what kind it is.
pub(super) enum Work {
    /// A projection, and where its `apply` is.
    Projection(ComponentExportIndex),
    Reaction(reaction_interface::GuestIndices),
    Upcaster(upcaster_interface::GuestIndices),
}

/// All code that is in use, by the digest of its component. Held weakly: the
/// last plug-in takes it along.
#[derive(Default)]
pub(super) struct Codes(Mutex<HashMap<blake3::Hash, Place>>);

/// Locked while its code is being made.
type Place = Arc<tokio::sync::Mutex<Weak<Code>>>;

impl Codes {
    /// The place of a component's code, once nobody else is making it. Whoever
    /// finds it empty is to fill it before letting go of it.
    pub(super) async fn place(&self, digest: blake3::Hash) -> OwnedMutexGuard<Weak<Code>> {
        let place = {
            let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if !places.contains_key(&digest) {
                places.retain(|_, place| is_in_use(place));
            }
            Arc::clone(places.entry(digest).or_default())
        };
        place.lock_owned().await
    }
}

/// Whether there is code in it, or somebody who wants or makes it.
fn is_in_use(place: &Place) -> bool {
    Arc::strong_count(place) > 1 || place.try_lock().is_ok_and(|code| code.strong_count() > 0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::future::join_all;
    use projectionist_test_guests::component_bytes;

    use crate::plugin::{Host, HostSettings, Plugin, Settings};

    async fn load(host: &Host, name: &str, wasm: &[u8]) -> Arc<Plugin> {
        host.load(name, wasm, &Settings::default()).await.unwrap()
    }

    #[tokio::test]
    async fn plugins_of_the_same_bytes_share_their_code() {
        let host = Host::new(HostSettings::default()).unwrap();
        let (counts, sleeps) = (component_bytes("counts"), component_bytes("sleeps"));
        let names: Vec<String> = (0..20).map(|number| format!("copy-{number}")).collect();
        let copies = join_all(names.iter().map(|name| load(&host, name, &counts))).await;
        let other = load(&host, "other", &sleeps).await;
        assert!(copies.iter().all(|copy| Arc::ptr_eq(copy.code(), copies[0].code())));
        assert!(!Arc::ptr_eq(other.code(), copies[0].code()));
        assert!(copies.iter().zip(&names).all(|(copy, name)| copy.name() == name));

        let weak = Arc::downgrade(copies[0].code());
        drop(copies);
        assert_eq!(weak.strong_count(), 0, "the last plug-in takes the code along");
        assert_eq!(load(&host, "again", &counts).await.tables().len(), 1);
    }
}

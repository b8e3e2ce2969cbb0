//! Values from the settings file beside a plug-in.

#[cfg(not(target_family = "wasm"))]
use std::{cell::RefCell, collections::BTreeMap};

/// A value from the settings file beside the plug-in (`churn.toml` beside
/// `churn.wasm`, under `[values]`). Such values belong to the plug-in's version:
/// change one, and a new version replays history.
///
/// In native tests, [`Harness::setting`](crate::harness::Harness::setting) sets
/// them.
///
/// ```
/// # use projectionist_sdk::{harness::Harness, prelude::*, setting};
/// # #[derive(Projection)]
/// # struct Orders { large: Table<String, u64> }
/// #[projection]
/// impl Orders {
///     #[on("order.placed")]
///     fn placed(&mut self, event: &Event, amount: u64) {
///         let large = setting("large").and_then(|text| text.parse().ok()).unwrap_or(1000);
///         if amount >= large {
///             self.large.insert(event.subject(), amount);
///         }
///     }
/// }
/// # let mut harness = Harness::<Orders>::new();
/// # harness.setting("large", "5").event("order.placed", "a", json!(5));
/// # assert!(harness.read(|orders| orders.large.contains("a")));
/// ```
pub fn setting(name: &str) -> Option<String> {
    #[cfg(target_family = "wasm")]
    return std::env::var(name).ok();
    #[cfg(not(target_family = "wasm"))]
    SETTINGS.with_borrow(|settings| settings.get(name).cloned())
}

#[cfg(not(target_family = "wasm"))]
thread_local! {
    static SETTINGS: RefCell<BTreeMap<String, String>> = RefCell::default();
}

/// Runs something with these settings.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn with<T>(settings: &BTreeMap<String, String>, run: impl FnOnce() -> T) -> T {
    SETTINGS.set(settings.clone());
    run()
}

//! Native tests of upcasters.

use std::marker::PhantomData;

use serde_json::Value;

use super::given::{GivenEvent, Pending};
use crate::upcaster::{self, Upcaster};

/// An upcaster under test. Gives events their new shape as the host would have it,
/// without a host.
///
/// ```
/// use projectionist_sdk::{harness::{UpcasterHarness, event}, prelude::*};
///
/// #[derive(Deserialize)]
/// struct Old {
///     author: String,
/// }
///
/// #[derive(Serialize)]
/// struct New {
///     name: String,
/// }
///
/// struct AuthorNames;
///
/// #[upcaster]
/// impl AuthorNames {
///     #[upcast(from("commit"), to("commit", "https://example.com/commit/2"))]
///     fn named(old: Old) -> New {
///         New { name: old.author }
///     }
/// }
///
/// let made = UpcasterHarness::<AuthorNames>::new().upcast(event("commit").data(json!({"author": "ann"})));
/// assert_eq!(made, [json!({"name": "ann"})]);
/// ```
pub struct UpcasterHarness<U>(PhantomData<U>);

impl<U: Upcaster> Default for UpcasterHarness<U> {
    fn default() -> Self {
        Self::new()
    }
}

impl<U: Upcaster> UpcasterHarness<U> {
    /// A harness.
    pub fn new() -> Self {
        Self(PhantomData)
    }

    /// What becomes of an event: the data of each event that it is made into.
    ///
    /// # Panics
    /// If the upcaster does not take it, or cannot take it on.
    #[track_caller]
    pub fn upcast(&self, event: GivenEvent) -> Vec<Value> {
        match self.try_upcast(event) {
            Ok(made) => made,
            Err(reason) => panic!("{reason}"),
        }
    }

    /// The same, or why the upcaster cannot take the event on.
    ///
    /// # Errors
    /// If the upcaster does not take it, or cannot take it on.
    pub fn try_upcast(&self, event: GivenEvent) -> Result<Vec<Value>, String> {
        let mut pending = Pending::default();
        pending.push(&event);
        let made = upcaster::upcast::<U>(pending.block()).map_err(|(_, reason)| reason)?;
        let data = |(_, span): &(u32, crate::event::Span)| {
            let data = &made.bytes[span.offset as usize..][..span.length as usize];
            let json = serde_json::from_slice(data).ok();
            json.or_else(|| rmp_serde::from_slice(data).ok())
                .ok_or_else(|| "what it gives is no data".to_owned())
        };
        made.shapes.iter().map(data).collect()
    }
}

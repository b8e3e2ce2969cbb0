//! Values, and references to them.

use std::{fmt, ops::Deref, rc::Rc};

use serde::{Serialize, Serializer, de::DeserializeOwned};

/// What can be the value in a table: any type that derives `Serialize` and
/// `Deserialize` and borrows nothing.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the value in a table",
    label = "not serializable",
    note = "add `#[derive(Serialize, Deserialize)]` to it"
)]
pub trait Row: Serialize + DeserializeOwned + 'static {}

impl<V: Serialize + DeserializeOwned + 'static> Row for V {}

/// A reference to a value in a table. Serializes as the value.
pub struct Ref<'a, V>(pub(super) Held<'a, V>);

pub(super) enum Held<'a, V> {
    /// In the cache.
    Cached(&'a V),
    /// Read just now, and perhaps on its way into the cache.
    Read(Rc<V>),
    /// Read in passing.
    Owned(V),
}

impl<V> Ref<'_, V> {
    /// The value itself.
    pub fn into_owned(self) -> V
    where
        V: Clone,
    {
        match self.0 {
            Held::Cached(value) => value.clone(),
            Held::Read(value) => Rc::unwrap_or_clone(value),
            Held::Owned(value) => value,
        }
    }
}

impl<V> Deref for Ref<'_, V> {
    type Target = V;

    #[inline]
    fn deref(&self) -> &V {
        match &self.0 {
            Held::Cached(value) => value,
            Held::Read(value) => value,
            Held::Owned(value) => value,
        }
    }
}

impl<V: fmt::Debug> fmt::Debug for Ref<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<V: PartialEq> PartialEq<V> for Ref<'_, V> {
    fn eq(&self, other: &V) -> bool {
        **self == *other
    }
}

impl<V: Serialize> Serialize for Ref<'_, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

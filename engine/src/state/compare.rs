//! Two states beside one another: which rows differ.
//!
//! Both are walked in the order of their keys, so it takes as long as reading them, and
//! no memory.

use std::{cmp::Ordering, ops::ControlFlow};

use super::{
    StateError, View,
    snapshot::{Bytes, KeyRange},
    view::Merged,
};

/// A table of a state; its number is absent where the state has no such table.
pub(super) type TableOf<'a> = (&'a View, Option<u32>);

/// A row that is not the same in two states, by its encoded key and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowDifference<'a> {
    /// Its key.
    pub key: &'a [u8],
    /// Its value in the first state; absent where that has no such key.
    pub before: Option<&'a [u8]>,
    /// Its value in the second.
    pub after: Option<&'a [u8]>,
}

/// How many keys of a table differ from one state to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// Only the first state has them.
    pub removed: u64,
    /// Only the second has them.
    pub added: u64,
    /// Both have them, with other values.
    pub changed: u64,
    /// Both have them with the same value.
    pub same: u64,
}

impl Differences {
    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        self.removed + self.added + self.changed == 0
    }
}

/// Compares a table of two states; `visitor` is shown each row that differs, in the order of
/// the keys. What is counted is what was seen until it broke off.
pub fn compare(
    before: TableOf<'_>,
    after: TableOf<'_>,
    mut visitor: impl FnMut(RowDifference<'_>) -> ControlFlow<()>,
) -> Result<Differences, StateError> {
    let (mut left, mut right) = (Rows::of(before)?, Rows::of(after)?);
    let mut found = Differences::default();
    loop {
        let order = match (&left.next, &right.next) {
            (None, None) => return Ok(found),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((one, _)), Some((other, _))) => one.value().cmp(other.value()),
        };
        let before = if order.is_le() { left.take()? } else { None };
        let after = if order.is_ge() { right.take()? } else { None };
        let Some((key, _)) = before.as_ref().or(after.as_ref()) else { return Ok(found) };
        let values = [&before, &after].map(|row| row.as_ref().map(|(_, value)| value.value()));
        let counter = match values {
            [before, after] if before == after => {
                found.same += 1;
                continue;
            }
            [Some(_), Some(_)] => &mut found.changed,
            [Some(_), None] => &mut found.removed,
            [None, _] => &mut found.added,
        };
        *counter += 1;
        let [before, after] = values;
        if visitor(RowDifference { key: key.value(), before, after }).is_break() {
            return Ok(found);
        }
    }
}

/// The rows of a table, the next one in sight.
struct Rows<'a> {
    next: Option<(Bytes, Bytes)>,
    /// None: the state has no such table.
    rest: Option<Merged<'a>>,
}

impl<'a> Rows<'a> {
    fn of((view, table): TableOf<'a>) -> Result<Self, StateError> {
        let rest = table.map(|table| view.merged(table, &KeyRange::default())).transpose()?;
        let mut rows = Self { next: None, rest };
        rows.take()?;
        Ok(rows)
    }

    /// The row in sight; the one behind it comes into sight.
    fn take(&mut self) -> Result<Option<(Bytes, Bytes)>, StateError> {
        let following = self.rest.as_mut().map(Merged::next).transpose()?.flatten();
        Ok(std::mem::replace(&mut self.next, following))
    }
}
